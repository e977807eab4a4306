#pragma once
/// RMM's owning memory as tensors of the device it lives on, in the stream that it carries. A rmm::cuda_stream_view is a stream for
/// `holdfast::cuda::tensor` as it is.
#include <cstddef>
#include <cstdint>

#include <rmm/device_buffer.hpp>
#include <rmm/device_scalar.hpp>
#include <rmm/device_uvector.hpp>

#include <holdfast/core/traits.hpp>
#include <holdfast/cuda/tensor.hpp>

/// A 1-d tensor. An empty one takes the file's size; one that is not empty must have it.
template <holdfast::element T>
struct holdfast::traits<rmm::device_uvector<T>> {
  static tensor_view view(rmm::device_uvector<T>& v) { return cuda::tensor(v.data(), {static_cast<std::int64_t>(v.size())}, v.stream()).view; }
  static void resize(rmm::device_uvector<T>& v, const shape& s) { v.resize(static_cast<std::size_t>(s[0]), v.stream()); }
};

/// A 0-d tensor.
template <holdfast::element T>
struct holdfast::traits<rmm::device_scalar<T>> {
  static tensor_view view(rmm::device_scalar<T>& v) { return cuda::tensor(v.data(), {}, v.stream()).view; }
};

/// Bytes: uint8[size]. Bind `cuda::tensor(static_cast<float*>(b.data()), shape, b.stream())` instead where they have a type.
template <>
struct holdfast::traits<rmm::device_buffer> {
  static tensor_view view(rmm::device_buffer& b) { return cuda::tensor(static_cast<std::uint8_t*>(b.data()), {static_cast<std::int64_t>(b.size())}, b.stream()).view; }
  static void resize(rmm::device_buffer& b, const shape& s) { b.resize(static_cast<std::size_t>(s[0]), b.stream()); }
};
