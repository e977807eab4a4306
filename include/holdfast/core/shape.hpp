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
  explicit shape(std::span<const std::int64_t> extents) : rank_(extents.size()) {
    if (rank_ > max_rank) throw error("shape of rank " + std::to_string(rank_) + ": HDF5 holds at most 32 dimensions");
    if (rank_ <= few_.size()) std::copy(extents.begin(), extents.end(), few_.begin());
    else many_.assign(extents.begin(), extents.end());
    elements_ = 1;
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
  std::size_t rank() const noexcept { return rank_; }
  /// The extent of a dimension below `rank()`.
  std::int64_t operator[](std::size_t i) const { return begin()[i]; }
  /// The innermost extent. Not for a 0-d tensor.
  std::int64_t back() const { return begin()[rank_ - 1]; }
  /// The first of the extents.
  const std::int64_t* begin() const noexcept { return many_.empty() ? few_.data() : many_.data(); }
  /// One past the last of the extents.
  const std::int64_t* end() const noexcept { return begin() + rank_; }

  /// Number of elements: the product of the extents, 1 for a 0-d tensor.
  std::int64_t elements() const noexcept { return elements_; }

  /// "[50257, 768]"
  std::string text() const {
    std::string s = "[";
    for (std::size_t i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string((*this)[i]);
    return s + "]";
  }

  friend bool operator==(const shape& a, const shape& b) noexcept { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

 private:
  std::array<std::int64_t, 4> few_{};  // most tensors need no memory of their own for their extents
  std::vector<std::int64_t> many_;     // those of a higher rank
  std::size_t rank_ = 0;
  std::int64_t elements_ = 1;
};

}  // namespace holdfast
