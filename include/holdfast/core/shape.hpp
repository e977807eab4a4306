#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/core/error.hpp>

namespace holdfast {
namespace detail {

/// A number for each dimension of a tensor: of up to four, as most have, without memory of its own.
class per_dimension {
 public:
  per_dimension() = default;
  explicit per_dimension(std::span<const std::int64_t> numbers) : size_(numbers.size()) {
    if (size_ <= few_.size()) std::copy(numbers.begin(), numbers.end(), few_.begin());
    else many_.assign(numbers.begin(), numbers.end());
  }
  std::size_t size() const noexcept { return size_; }
  std::int64_t operator[](std::size_t i) const { return begin()[i]; }
  const std::int64_t* begin() const noexcept { return many_.empty() ? few_.data() : many_.data(); }
  const std::int64_t* end() const noexcept { return begin() + size_; }
  friend bool operator==(const per_dimension& a, const per_dimension& b) noexcept { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

 private:
  std::array<std::int64_t, 4> few_{};
  std::vector<std::int64_t> many_;
  std::size_t size_ = 0;
};

}  // namespace detail

/// The extents of a tensor in the program's logical index order, outermost first. `shape{}` is a 0-d tensor: one
/// element. Throws `error` for a negative extent and for a number of elements beyond 2^63 - 1.
class shape {
 public:
  static constexpr std::size_t max_rank = 32;  ///< HDF5's H5S_MAX_RANK

  shape() = default;
  /// Of the extents, outermost first.
  shape(std::initializer_list<std::int64_t> extents) : shape(std::span(extents.begin(), extents.size())) {}
  /// Of the extents, outermost first.
  explicit shape(const std::vector<std::int64_t>& extents) : shape(std::span(extents)) {}
  /// Of the extents, outermost first.
  explicit shape(std::span<const std::int64_t> extents) : extents_(extents) {
    if (rank() > max_rank) throw error("shape of rank " + std::to_string(rank()) + ": HDF5 holds at most 32 dimensions");
    bool too_many = false;
    for (const std::int64_t n : extents) {
      if (n < 0) throw error("shape " + text() + ": negative extent");
      too_many = too_many || (n != 0 && elements_ > std::numeric_limits<std::int64_t>::max() / n);
      if (!too_many) elements_ *= n;
    }
    if (std::find(extents.begin(), extents.end(), 0) != extents.end()) elements_ = 0;
    else if (too_many) throw error("shape " + text() + ": more than 2^63 - 1 elements");
  }

  /// Number of dimensions.
  std::size_t rank() const noexcept { return extents_.size(); }
  /// The extent of a dimension below `rank()`.
  std::int64_t operator[](std::size_t i) const { return extents_[i]; }
  /// The innermost extent. Not for a 0-d tensor.
  std::int64_t back() const { return end()[-1]; }
  /// The first of the extents.
  const std::int64_t* begin() const noexcept { return extents_.begin(); }
  /// One past the last of the extents.
  const std::int64_t* end() const noexcept { return extents_.end(); }

  /// Number of elements: the product of the extents, 1 for a 0-d tensor.
  std::int64_t elements() const noexcept { return elements_; }

  /// "[50257, 768]"
  std::string text() const {
    std::string s = "[";
    for (std::size_t i = 0; i < rank(); ++i) s += (i ? ", " : "") + std::to_string((*this)[i]);
    return s + "]";
  }

  friend bool operator==(const shape& a, const shape& b) noexcept { return a.extents_ == b.extents_; }

 private:
  detail::per_dimension extents_;
  std::int64_t elements_ = 1;
};

}  // namespace holdfast
