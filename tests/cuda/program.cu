// A program that nvcc compiles: the library's headers with a kernel in one unit, and the adapters of what only nvcc compiles.
#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

#include <random>

#include <cuda/std/mdspan>

#include <holdfast/adapters/thrust.hpp>
#if __has_include(<rmm/device_uvector.hpp>)
#include <holdfast/adapters/rmm.hpp>
#endif

struct layer {
  holdfast::cuda::buffer<float> weight;
  std::vector<float> history;
};
template <>
struct holdfast::traits<layer> : holdfast::fields<holdfast::field<&layer::weight>, holdfast::field<&layer::history, "loss">> {};
static_assert(holdfast::field<&layer::weight>::name == "weight");

__global__ void scale(float* values, float by, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) values[i] *= by;
}

int main() {
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  layer l{holdfast::cuda::buffer<float>({1000}, stream), {}};
  std::mt19937_64 engine(1);
  thrust::device_vector<float> moments(100);
  const cuda::std::mdspan<float, cuda::std::dextents<int, 2>, cuda::std::layout_left> columns(l.weight.data(), 20, 50);
  scale<<<4, 256, 0, stream>>>(l.weight.data(), 0.5f, 1000);
  holdfast::state state;
  state.bind("layer", l).bind("raw", holdfast::cuda::tensor(l.weight.data(), {10, 100}, stream)).bind("rng", engine);
  state.bind("moments", moments).bind("columns", holdfast::cuda::tensor(columns, stream));
#if __has_include(<rmm/device_uvector.hpp>)
  rmm::device_uvector<float> values(10, stream);
  rmm::device_scalar<int> count(stream);
  rmm::device_buffer bytes(12, stream);
  state.bind("values", values).bind("count", count).bind("bytes", bytes);
#endif
  holdfast::save("program.h5", state);
  holdfast::save_async("program.h5", state).wait();
  holdfast::restore("program.h5", state, {.place = holdfast::gpu(0)});
}
