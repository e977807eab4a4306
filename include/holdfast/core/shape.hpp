#pragma once
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
  shape(std::initializer_list<std::int64_t> extents) : shape(std::vector<std::int64_t>(extents)) {}
  explicit shape(std::span<const std::int64_t> extents) : shape(std::vector<std::int64_t>(extents.begin(), extents.end())) {}
  explicit shape(std::vector<std::int64_t> extents) : extents_(std::move(extents)) {
    if (extents_.size() > max_rank) throw error("shape of rank " + std::to_string(rank()) + ": HDF5 holds at most 32 dimensions");
    bool empty = false;
    for (std::int64_t n : extents_) {
      if (n < 0) throw error("shape " + text() + ": negative extent");
      empty = empty || n == 0;
    }
    if (empty) return;
    elements_ = 1;
    for (std::int64_t n : extents_) {
      if (elements_ > std::numeric_limits<std::int64_t>::max() / n) throw error("shape " + text() + ": more than 2^63 - 1 elements");
      elements_ *= n;
    }
  }

  std::size_t rank() const noexcept { return extents_.size(); }
  std::int64_t operator[](std::size_t i) const { return extents_[i]; }
  std::int64_t back() const { return extents_.back(); }
  auto begin() const noexcept { return extents_.begin(); }
  auto end() const noexcept { return extents_.end(); }
  const std::vector<std::int64_t>& extents() const noexcept { return extents_; }

  /// Number of elements: the product of the extents, 1 for a 0-d tensor.
  std::int64_t elements() const noexcept { return extents_.empty() ? 1 : elements_; }

  /// "[50257, 768]"
  std::string text() const {
    std::string s = "[";
    for (std::size_t i = 0; i < extents_.size(); ++i) s += (i ? ", " : "") + std::to_string(extents_[i]);
    return s + "]";
  }

  friend bool operator==(const shape& a, const shape& b) noexcept { return a.extents_ == b.extents_; }

 private:
  std::vector<std::int64_t> extents_;
  std::int64_t elements_ = 0;
};

}  // namespace holdfast
