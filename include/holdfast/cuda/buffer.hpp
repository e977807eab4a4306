#pragma once
#include <cstddef>
#include <utility>

#include <cuda_runtime_api.h>

#include <holdfast/core/shape.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/core/traits.hpp>
#include <holdfast/cuda/error.hpp>
#include <holdfast/cuda/staging.hpp>

namespace holdfast::cuda {

/// A tensor that owns its memory, on a device or on the host, and can move: what a restore makes as large as the file has it
/// and puts where `.place` says. Allocated and freed in the order of its stream (cudaMallocAsync), so that work given to that
/// stream before its end may still use it; in host memory without any call of CUDA. Memory is not initialised.
template <element T>
class buffer {
 public:
  /// Empty, of the device that is current when it is filled (GPU 0 where there is none), in that device's default stream.
  buffer() = default;
  /// Of the current device, to which `stream` belongs.
  explicit buffer(shape extents, cudaStream_t stream = nullptr) : space_(gpu(detail::current_device())), stream_(stream) { resize(std::move(extents)); }
  /// In the memory of a device, with that device's default stream, or of the host.
  buffer(shape extents, memory_space where) : space_(where) { resize(std::move(extents)); }
  /// Takes the memory of the other, which is empty then.
  buffer(buffer&& other) noexcept { swap(other); }
  /// Takes the memory of the other, which is empty then.
  buffer& operator=(buffer&& other) noexcept {
    buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~buffer() { release(); }

  /// In its memory space; null if it is empty.
  T* data() const noexcept { return data_; }
  /// Its shape.
  const holdfast::shape& extents() const noexcept { return extents_; }
  /// Number of elements.
  std::size_t size() const noexcept { return static_cast<std::size_t>(extents_.elements()); }
  /// In whose order it is allocated and freed.
  cudaStream_t stream() const noexcept { return stream_; }
  /// Where it is, or will be when it is filled.
  memory_space space() const {
    if (space_ == host || space_.device >= 0) return space_;
    return gpu(detail::device_count() == 0 ? 0 : detail::current_device());
  }

  /// Gives it another shape, and other memory unless it had as many elements. The content is lost.
  void resize(holdfast::shape extents) {
    const auto n = static_cast<std::size_t>(extents.elements());
    if (n != size() || data_ == nullptr) {
      release();
      if (n != 0) data_ = allocate(n);
    }
    extents_ = std::move(extents);
  }

  /// Moves it to another memory space; the content is lost. On another device it works in that device's default stream.
  void place(memory_space where) {
    if (where == space()) return;
    const holdfast::shape extents = std::exchange(extents_, {0});
    release();
    space_ = where;
    stream_ = nullptr;
    resize(extents);
  }

  /// Exchanges memory, shape, place and stream.
  void swap(buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(extents_, other.extents_);
    std::swap(space_, other.space_);
    std::swap(stream_, other.stream_);
  }

 private:
  T* allocate(std::size_t n) {
    if (space_ == host) return new T[n];
    space_ = space();
    const detail::on_device here(space_.device);
    void* memory = nullptr;
    detail::check(cudaMallocAsync(&memory, n * sizeof(T), stream_), ("allocating " + std::to_string(n * sizeof(T)) + " bytes in " + name(space_)).c_str());
    return static_cast<T*>(memory);
  }

  void release() noexcept {
    T* const memory = std::exchange(data_, nullptr);
    extents_ = {0};
    if (memory == nullptr) return;
    if (space_ == host) {
      delete[] memory;
      return;
    }
    int before = 0;
    (void)cudaGetDevice(&before);
    if (before != space_.device) (void)cudaSetDevice(space_.device);
    (void)cudaFreeAsync(memory, stream_);
    if (before != space_.device) (void)cudaSetDevice(before);
  }

  T* data_ = nullptr;
  holdfast::shape extents_{0};
  memory_space space_ = gpu(-1);
  cudaStream_t stream_ = nullptr;
};

}  // namespace holdfast::cuda

template <holdfast::element T>
struct holdfast::traits<holdfast::cuda::buffer<T>> {
  static tensor_view view(cuda::buffer<T>& b) { return tensor_view(b.data(), b.extents(), {}, b.space(), b.stream()); }
  static void resize(cuda::buffer<T>& b, const shape& s) { b.resize(s); }
  static bool accepts(const cuda::buffer<T>&, const shape&) { return true; }
  static void place(cuda::buffer<T>& b, memory_space where) { b.place(where); }
};
