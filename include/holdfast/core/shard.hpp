#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include <holdfast/core/shape.hpp>

namespace holdfast::detail {

/// Which elements of a tensor one process holds: a block of it, or a stretch of its elements in C order, which is a block of
/// the flattened tensor. In the order of the file a block is `runs()` stretches of `run_elements()` elements each, and
/// these are also the order of the elements in the block.
template <class>
class basic_shard {
 public:
  /// The block of `extents` that begins at `offsets`. With one offset and one extent, the elements in C order from that on.
  /// Throws `error` for one that is not within the tensor.
  basic_shard(shape whole, std::span<const std::int64_t> offsets, shape extents)
      : whole_(std::move(whole)), extents_(std::move(extents)), offsets_(offsets), flattened_(extents_.rank() == 1 && offsets_.size() == 1 && whole_.rank() != 1) {
    bool inside = flattened_ || (extents_.rank() == whole_.rank() && offsets_.size() == whole_.rank());
    for (std::size_t i = 0; inside && i < offsets_.size(); ++i) inside = offsets_[i] >= 0 && offsets_[i] <= grid(i) && extents_[i] <= grid(i) - offsets_[i];
    if (!inside)
      throw error("shard of shape " + extents_.text() + " at " + offsets_text() + ": expected a block within the tensor of shape " + whole_.text() +
                  ", with an offset for each dimension; or a 1-d shard with one offset, among the tensor's elements in C order");
    inner_ = dimensions();
    std::int64_t width = 1;
    while (inner_ > 0) {
      width *= extents_[--inner_];
      if (extents_[inner_] != grid(inner_)) break;
    }
    width_ = static_cast<std::uint64_t>(width);
    runs_ = elements() == 0 ? 0 : elements() / width_;
  }
  basic_shard(shape whole, std::initializer_list<std::int64_t> offsets, shape extents) : basic_shard(std::move(whole), std::span(offsets.begin(), offsets.size()), std::move(extents)) {}

  const shape& whole() const noexcept { return whole_; }
  /// What the offsets are in: the dimensions of the whole tensor, or its elements as one.
  std::size_t dimensions() const noexcept { return offsets_.size(); }
  std::int64_t grid(std::size_t i) const noexcept { return flattened_ ? whole_.elements() : whole_[i]; }
  const shape& extents() const noexcept { return extents_; }
  const per_dimension& offsets() const noexcept { return offsets_; }
  std::uint64_t elements() const noexcept { return static_cast<std::uint64_t>(extents_.elements()); }
  bool covers() const noexcept { return extents_.elements() == whole_.elements(); }
  bool flattened() const noexcept { return flattened_; }

  std::uint64_t runs() const noexcept { return runs_; }
  std::uint64_t run_elements() const noexcept { return width_; }
  /// Where in the whole tensor run `n` begins. In the shard it begins at `n * run_elements()`.
  std::uint64_t run(std::uint64_t n) const {
    std::uint64_t at = 0, step = 1;
    for (std::size_t i = dimensions(); i-- > 0;) {
      std::uint64_t here = static_cast<std::uint64_t>(offsets_[i]);
      if (i < inner_) {
        const auto extent = static_cast<std::uint64_t>(extents_[i]);
        here += n % extent;
        n /= extent;
      }
      at += here * step;
      step *= static_cast<std::uint64_t>(grid(i));
    }
    return at;
  }

  /// The first run that does not end before element `at` of the whole tensor; `runs()` if there is none.
  std::uint64_t run_at(std::uint64_t at) const {
    std::uint64_t first = 0, end = runs_;
    while (first < end) {
      const std::uint64_t middle = first + (end - first) / 2;
      if (run(middle) + width_ <= at) first = middle + 1;
      else end = middle;
    }
    return first;
  }

  /// Calls `visit(at, local, count)` for the stretches that it has of elements `first` to `end` of the whole tensor:
  /// `count` elements from `at` on, which are the shard's own from `local` on.
  template <class F>
  void for_each(std::uint64_t first, std::uint64_t end, F&& visit) const {
    for (std::uint64_t n = run_at(first); n < runs_; ++n) {
      const std::uint64_t begin = run(n);
      if (begin >= end) return;
      const std::uint64_t from = std::max(begin, first), to = std::min(begin + width_, end);
      visit(from, n * width_ + (from - begin), to - from);
    }
  }

  /// How many of elements `first` to `end` of the whole tensor it has.
  std::uint64_t count(std::uint64_t first, std::uint64_t end) const {
    const auto before = [&](std::uint64_t at) {
      const std::uint64_t n = run_at(at);
      if (n == runs_) return n * width_;
      const std::uint64_t begin = run(n);
      return n * width_ + (at > begin ? at - begin : 0);
    };
    return end > first ? before(end) - before(first) : 0;
  }

  /// "[0:128, 64:128] of [128, 256]"
  std::string text() const {
    std::string s = flattened() ? "elements [" : "[";
    for (std::size_t i = 0; i < dimensions(); ++i) s += (i ? ", " : "") + std::to_string(offsets_[i]) + ":" + std::to_string(offsets_[i] + extents_[i]);
    return s + "] of " + whole_.text();
  }

  friend bool operator==(const basic_shard& a, const basic_shard& b) { return a.whole_ == b.whole_ && a.flattened_ == b.flattened_ && a.extents_ == b.extents_ && a.offsets_ == b.offsets_; }

 private:
  std::string offsets_text() const {
    std::string s = "[";
    for (std::size_t i = 0; i < offsets_.size(); ++i) s += (i ? ", " : "") + std::to_string(offsets_[i]);
    return s + "]";
  }

  shape whole_, extents_;
  per_dimension offsets_;
  bool flattened_ = false;
  std::size_t inner_ = 0;  // dimensions from here on are adjacent in the whole tensor
  std::uint64_t width_ = 1, runs_ = 0;
};
using shard = basic_shard<void>;

}  // namespace holdfast::detail
