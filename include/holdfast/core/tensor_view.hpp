#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/core/dtype.hpp>
#include <holdfast/core/memory_space.hpp>
#include <holdfast/core/shape.hpp>
#include <holdfast/core/shard.hpp>

namespace holdfast {

/// The leaf of every state: where elements are, of which type and in which order. A std::vector, a strided matrix and
/// a GPU tensor are the same to the code that stores them. It refers to memory it does not own. `strides` count
/// elements, one for each extent, and may be negative; without them the elements lie in C order. The order of the file
/// is always the logical one, so that A[i, j] in h5py is the element at i * strides[0] + j * strides[1]. Memory of a GPU has
/// the stream (a cudaStream_t) that its producer and its consumer run on. Where a process holds a part of a tensor only, the
/// elements are that part (`sharded` in core/views.hpp).
template <class>
class basic_tensor_view {
 public:
  basic_tensor_view() = default;
  /// Elements of a type that has a dtype. Throws `error` for a null pointer to elements, and for other than one stride for each extent.
  template <element T>
  basic_tensor_view(T* data, holdfast::shape extents, std::vector<std::int64_t> strides = {}, memory_space space = host,
                    void* stream = nullptr)
      : basic_tensor_view(const_cast<std::remove_cv_t<T>*>(data), dtype_of<std::remove_cv_t<T>>::value, std::move(extents),
                          std::move(strides), space, stream) {}
  /// The same of a dtype known at run time.
  basic_tensor_view(void* data, holdfast::dtype type, holdfast::shape extents, std::vector<std::int64_t> strides = {},
                    memory_space space = host, void* stream = nullptr)
      : data_(data), type_(type), extents_(std::move(extents)), strides_(std::move(strides)), space_(space), saved_space_(space), stream_(stream) {
    if (!strides_.empty() && strides_.size() != extents_.rank())
      throw error("tensor_view of shape " + extents_.text() + ": " + std::to_string(strides_.size()) + " strides");
    if (data_ == nullptr && extents_.elements() != 0) throw error("tensor_view of shape " + extents_.text() + ": null pointer");
    if (in_c_order()) strides_.clear();
  }

  /// The element whose indices are all 0.
  std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  /// The type of the elements.
  holdfast::dtype dtype() const noexcept { return type_; }
  /// The extents of what is here.
  const holdfast::shape& shape() const noexcept { return extents_; }
  /// In elements; empty for C order.
  const std::vector<std::int64_t>& strides() const noexcept { return strides_; }
  /// Whose memory it is.
  memory_space space() const noexcept { return space_; }
  /// Where a file shall say that it lived: `space`, unless `saved_as_in` says otherwise.
  memory_space saved_space() const noexcept { return saved_space_; }
  /// The cudaStream_t of memory of a GPU; null is the default stream.
  void* stream() const noexcept { return stream_; }
  /// Whether the elements lie in C order without gaps.
  bool contiguous() const noexcept { return strides_.empty(); }
  /// Bytes of the elements that are here.
  std::uint64_t bytes() const noexcept { return static_cast<std::uint64_t>(extents_.elements()) * size_of(type_); }

  /// The part of a tensor that this is; null where it is a whole one.
  const detail::shard* shard() const noexcept { return shard_.get(); }
  /// Shape and bytes of the tensor that this is, or is a part of.
  const holdfast::shape& whole_shape() const noexcept { return shard_ ? shard_->whole() : extents_; }
  /// Bytes of the tensor that this is, or is a part of.
  std::uint64_t whole_bytes() const noexcept { return static_cast<std::uint64_t>(whole_shape().elements()) * size_of(type_); }

  /// The same memory as a part of a tensor: see `sharded`.
  basic_tensor_view part_of(holdfast::shape whole, std::vector<std::int64_t> offsets) const {
    basic_tensor_view part = *this;
    part.shard_ = std::make_shared<const detail::shard>(std::move(whole), std::move(offsets), extents_);
    return part;
  }
  /// The same memory, of which a file shall say that it lived elsewhere: for who copies checkpoints without having the devices.
  basic_tensor_view saved_as_in(memory_space where) const {
    basic_tensor_view copy = *this;
    copy.saved_space_ = where;
    return copy;
  }
  /// The same part of the same tensor, in contiguous host memory, or with these strides.
  basic_tensor_view in_host(std::byte* memory, std::vector<std::int64_t> strides = {}) const {
    basic_tensor_view copy(memory, type_, extents_, std::move(strides));
    copy.shard_ = shard_;
    return copy;
  }

  /// The same elements of the same memory.
  friend bool same_memory(const basic_tensor_view& a, const basic_tensor_view& b) noexcept {
    return a.data_ == b.data_ && a.type_ == b.type_ && a.space_ == b.space_ && a.extents_ == b.extents_ && a.strides_ == b.strides_ && same_part(a, b);
  }
  /// Both are whole tensors, or the same part.
  friend bool same_part(const basic_tensor_view& a, const basic_tensor_view& b) noexcept {
    return a.shard_ == b.shard_ || (a.shard_ && b.shard_ && *a.shard_ == *b.shard_);
  }

 private:
  bool in_c_order() const {
    std::int64_t expected = 1;
    for (std::size_t i = strides_.size(); i-- > 0;) {
      if (extents_[i] != 1 && strides_[i] != expected) return extents_.elements() == 0;
      expected *= extents_[i];
    }
    return true;
  }

  void* data_ = nullptr;
  holdfast::dtype type_ = dtype::uint8;
  holdfast::shape extents_{0};
  std::vector<std::int64_t> strides_;
  memory_space space_, saved_space_;
  void* stream_ = nullptr;
  std::shared_ptr<const detail::shard> shard_;
};
/// Where the elements of a tensor are.
using tensor_view = basic_tensor_view<void>;

/// "float32[128, 64]"
template <class = void>
std::string describe(dtype type, const shape& extents) { return std::string(name(type)) + extents.text(); }

/// Raw memory with a shape, for `state::bind` and `visitor`: a view, so it may be bound as an rvalue.
template <class T>
struct tensor_ref {
  tensor_view view;  ///< where it is
};

/// The strides of elements that lie with the first index fastest, as in Fortran, Eigen and Armadillo.
template <class = void>
std::vector<std::int64_t> column_major(const shape& extents) {
  std::vector<std::int64_t> strides;
  std::int64_t step = 1;
  for (const std::int64_t n : extents) {
    strides.push_back(step);
    step *= n;
  }
  return strides;
}

/// Names the elements at `data` as a C-ordered tensor. The memory must outlive the state that binds it.
template <element T>
tensor_ref<T> tensor(T* data, shape extents) { return {tensor_view(data, std::move(extents))}; }

/// The same with strides in elements: `tensor(p, {rows, cols}, {1, rows})` is a column-major matrix, for which
/// `column_major({rows, cols})` gives the strides.
template <element T>
tensor_ref<T> tensor(T* data, shape extents, std::vector<std::int64_t> strides) {
  return {tensor_view(data, std::move(extents), std::move(strides))};
}

namespace detail {

/// Calls `run(pointer, elements)` for the longest runs of `view` that are adjacent in memory, in C order, over the
/// elements `first` to `first + count`.
template <class F>
void for_each_run(const tensor_view& view, std::uint64_t first, std::uint64_t count, F&& run) {
  const std::size_t item = size_of(view.dtype());
  if (count == 0) return;
  if (view.contiguous()) return run(view.data() + first * item, count);
  const shape& extents = view.shape();
  const auto& strides = view.strides();
  std::size_t inner = extents.rank();  // dimensions from here on are adjacent
  std::int64_t adjacent = 1;
  while (inner > 0 && (extents[inner - 1] == 1 || strides[inner - 1] == adjacent)) adjacent *= extents[--inner];
  std::vector<std::int64_t> at(inner);
  const auto width = static_cast<std::uint64_t>(adjacent);
  std::uint64_t outer = first / width, skip = first % width;
  for (std::size_t i = inner; i-- > 0;) {
    const auto n = static_cast<std::uint64_t>(extents[i]);
    at[i] = static_cast<std::int64_t>(outer % n);
    outer /= n;
  }
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < inner; ++i) offset += at[i] * strides[i];
  while (count > 0) {
    const std::uint64_t n = std::min(count, width - skip);
    run(view.data() + (offset + static_cast<std::int64_t>(skip)) * static_cast<std::int64_t>(item), n);
    count -= n;
    skip = 0;
    for (std::size_t i = inner; i-- > 0;) {
      offset += strides[i];
      if (++at[i] < extents[i]) break;
      offset -= at[i] * strides[i];
      at[i] = 0;
    }
  }
}

}  // namespace detail

/// Copies elements `first` to `first + count` of a host tensor, in C order, to `out`.
template <class = void>
void gather(const tensor_view& from, std::uint64_t first, std::uint64_t count, std::byte* out) {
  const std::size_t item = size_of(from.dtype());
  detail::for_each_run(from, first, count, [&](const std::byte* p, std::uint64_t n) {
    // One element at a time is the common strided case (a column-major matrix), where memcpy's call would dominate.
    if (n == 1 && item == 4) std::memcpy(out, p, 4);
    else if (n == 1 && item == 8) std::memcpy(out, p, 8);
    else std::memcpy(out, p, n * item);
    out += n * item;
  });
}

/// The inverse: puts `count` elements in C order at `in` into a host tensor from element `first` on.
template <class = void>
void scatter(const std::byte* in, const tensor_view& to, std::uint64_t first, std::uint64_t count) {
  const std::size_t item = size_of(to.dtype());
  detail::for_each_run(to, first, count, [&](std::byte* p, std::uint64_t n) {
    if (n == 1 && item == 4) std::memcpy(p, in, 4);
    else if (n == 1 && item == 8) std::memcpy(p, in, 8);
    else std::memcpy(p, in, n * item);
    in += n * item;
  });
}

}  // namespace holdfast
