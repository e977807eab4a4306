#pragma once
/// thrust::device_vector as a 1-d tensor of the device it lives on. It works in the default stream, as Thrust does without a policy;
/// compile what restores one with nvcc, which resizing it needs.
#include <cstddef>

#include <thrust/device_vector.h>

#include <holdfast/core/traits.hpp>
#include <holdfast/cuda/tensor.hpp>

/// An empty one takes the file's size; one that is not empty must have it.
template <holdfast::element T, class A>
struct holdfast::traits<thrust::device_vector<T, A>> {
  static tensor_view view(thrust::device_vector<T, A>& v) {
    return cuda::tensor(thrust::raw_pointer_cast(v.data()), {static_cast<std::int64_t>(v.size())}, nullptr).view;
  }
  static void resize(thrust::device_vector<T, A>& v, const shape& s) { v.resize(static_cast<std::size_t>(s[0])); }
};
