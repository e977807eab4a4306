#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include <holdfast/core/mdspan.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/cuda/error.hpp>
#include <holdfast/cuda/staging.hpp>

namespace holdfast::cuda {

/// Names the elements at `data` in a device's memory, with strides in elements, as a tensor that is written and read by what
/// runs on `stream`, a stream of that device. A save copies it after what the stream was given before, and makes what it is
/// given later wait for the copy; a restore returns when the content is there. Strided tensors (no C order) are brought to the host
/// whole, one by one. Memory and stream must outlive the state that binds them. Throws `error` for memory that is no device's.
template <element T>
tensor_ref<T> tensor(T* data, shape extents, std::vector<std::int64_t> strides, cudaStream_t stream) {
  if (extents.elements() == 0) return {tensor_view(data, std::move(extents), {}, gpu(detail::current_device()), stream)};
  cudaPointerAttributes found{};
  detail::check(cudaPointerGetAttributes(&found, data), "asking where a tensor's memory is");
  tensor_view view(data, std::move(extents), std::move(strides), gpu(found.device), stream);
  if (found.type != cudaMemoryTypeDevice && found.type != cudaMemoryTypeManaged)
    throw holdfast::error("cuda::tensor of " + describe(view.dtype(), view.shape()) + ": expected a device's memory, found host memory; bind it with holdfast::tensor(pointer, shape)");
  return {std::move(view)};
}

/// The same in C order.
template <element T>
tensor_ref<T> tensor(T* data, shape extents, cudaStream_t stream) { return cuda::tensor(data, std::move(extents), {}, stream); }

/// The same for an mdspan of a device's memory.
template <mdspan_like M>
tensor_ref<typename M::element_type> tensor(const M& m, cudaStream_t stream) {
  auto [extents, strides] = holdfast::detail::extents_of(m);
  return cuda::tensor(m.data_handle(), std::move(extents), std::move(strides), stream);
}

}  // namespace holdfast::cuda
