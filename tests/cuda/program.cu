// A program that nvcc compiles: the library's headers with a kernel in one unit. Without <holdfast/holdfast.hpp> first.
#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

#include <random>

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
  scale<<<4, 256, 0, stream>>>(l.weight.data(), 0.5f, 1000);
  holdfast::state state;
  state.bind("layer", l).bind("raw", holdfast::cuda::tensor(l.weight.data(), {10, 100}, stream)).bind("rng", engine);
  holdfast::save("program.h5", state);
  holdfast::save_async("program.h5", state).wait();
  holdfast::restore("program.h5", state, {.place = holdfast::gpu(0)});
}
