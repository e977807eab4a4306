// What examples/cuda_mlp.cu computes with: a device that is a GPU or the host, random numbers, and the arithmetic as functors that
// either runs. Every sum has a fixed order and no thread adds to what another one adds to, so that the same state always leads to
// the same bits.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

namespace cuda_mlp {

using tensor = holdfast::cuda::buffer<float>;
using indices = holdfast::cuda::buffer<std::int32_t>;

// --- Where it trains ------------------------------------------------------------------------------------------------

inline void check(cudaError_t result, const char* doing) {
  if (result != cudaSuccess) throw holdfast::cuda::error(doing, result);
}

template <class F>
__global__ void for_each_index(std::int64_t n, F f) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) f(i);
}

/// A GPU, with the stream that everything on it is given to, or the host.
class device {
 public:
  /// "cpu" or the number of a GPU; empty for the first GPU, or the host where there is none.
  explicit device(const std::string& chosen) {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;  // nor is there one if there is no driver
    if (chosen == "cpu" || (chosen.empty() && count == 0)) return;
    int number = 0;
    const auto [end, failure] = std::from_chars(chosen.data(), chosen.data() + chosen.size(), number);
    if (!chosen.empty() && (failure != std::errc{} || end != chosen.data() + chosen.size() || number < 0)) throw std::runtime_error("--device: expected cpu or the number of a GPU, found " + chosen);
    if (number >= count) throw std::runtime_error("--device " + chosen + ": no such GPU; this machine has " + std::to_string(count) + " that CUDA can use");
    check(cudaSetDevice(number), "choosing the GPU");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
    space_ = holdfast::gpu(number);
  }
  device(const device&) = delete;
  ~device() {
    if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
  }

  std::string name() const { return space_ == holdfast::host ? "cpu" : "GPU " + std::to_string(space_.device); }

  template <class T = float>
  holdfast::cuda::buffer<T> empty(holdfast::shape extents) const {
    if (space_ == holdfast::host) return {std::move(extents), holdfast::host};
    return holdfast::cuda::buffer<T>(std::move(extents), stream_);
  }
  template <class T>
  holdfast::cuda::buffer<T> filled(holdfast::shape extents, const std::vector<T>& content) const {
    holdfast::cuda::buffer<T> made = empty<T>(std::move(extents));
    upload(content, made);
    return made;
  }
  template <class T>
  void upload(const std::vector<T>& from, holdfast::cuda::buffer<T>& to) const { copy(from.data(), to.data(), from.size()); }
  /// The first `n` elements, after all that has been given to the device.
  template <class T>
  std::vector<T> download(const holdfast::cuda::buffer<T>& from, std::int64_t n) const {
    std::vector<T> to(static_cast<std::size_t>(n));
    copy(from.data(), to.data(), to.size());
    return to;
  }

  /// f(0) … f(n - 1), in any order; on a GPU it returns before they have run.
  template <class F>
  void for_each(std::int64_t n, F f) const {
    if (space_ == holdfast::host) {
      for (std::int64_t i = 0; i < n; ++i) f(i);
      return;
    }
    constexpr unsigned threads = 256;
    for_each_index<<<static_cast<unsigned>((n + threads - 1) / threads), threads, 0, stream_>>>(n, f);
    check(cudaGetLastError(), "starting a kernel");
  }

 private:
  template <class T>
  void copy(const T* from, T* to, std::size_t n) const {
    if (space_ == holdfast::host) {
      std::copy(from, from + n, to);
      return;
    }
    check(cudaMemcpyAsync(to, from, n * sizeof(T), cudaMemcpyDefault, stream_), "copying");
    check(cudaStreamSynchronize(stream_), "copying, or a kernel before it");
  }

  holdfast::memory_space space_ = holdfast::host;
  cudaStream_t stream_ = nullptr;
};

// --- Random numbers -------------------------------------------------------------------------------------------------

struct four_words {
  std::uint32_t word[4];
};

/// Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011): four words from a key and a counter.
__host__ __device__ constexpr four_words philox4x32(std::uint64_t key, std::uint64_t counter) {
  auto key0 = static_cast<std::uint32_t>(key), key1 = static_cast<std::uint32_t>(key >> 32);
  std::uint32_t c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32), c2 = 0, c3 = 0;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c0, p1 = std::uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<std::uint32_t>(p0);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}
static_assert(philox4x32(0, 0).word[0] == 0x6627e8d5 && philox4x32(0, 0).word[3] == 0x9b00dbd8);  // of the authors' known answers

/// Uniform in [0, 1).
__host__ __device__ inline float uniform(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// A generator without memory of its own: who draws takes a range of counters, one for every four numbers.
struct philox {
  std::uint64_t seed, offset = 0;
  philox take(std::int64_t numbers) { return {seed, std::exchange(offset, offset + static_cast<std::uint64_t>(numbers + 3) / 4)}; }
};
// --- The arithmetic: what one index does ----------------------------------------------------------------------------

/// A matrix in C order or, with the steps exchanged, its transpose.
struct matrix {
  const float* data;
  std::int64_t row_step, column_step;
};
inline matrix as_is(const tensor& t) { return {t.data(), t.extents()[1], 1}; }
inline matrix transposed(const tensor& t) { return {t.data(), 1, t.extents()[1]}; }

/// out[i, j] = bias[j] + Σ a[i, k] b[k, j], in four partial sums.
struct product {
  matrix a, b;
  std::int64_t inner, columns;
  const float* bias;  // or null
  float* out;
  __host__ __device__ void operator()(std::int64_t at) const {
    const float *x = a.data + at / columns * a.row_step, *y = b.data + at % columns * b.column_step;
    float sum[4] = {};
    std::int64_t k = 0;
    for (; k + 4 <= inner; k += 4)
      for (std::int64_t l = 0; l < 4; ++l) sum[l] += x[(k + l) * a.column_step] * y[(k + l) * b.row_step];
    for (; k < inner; ++k) sum[0] += x[k * a.column_step] * y[k * b.row_step];
    out[at] = (sum[0] + sum[1]) + (sum[2] + sum[3]) + (bias != nullptr ? bias[at % columns] : 0.0f);
  }
};

struct sum_of_columns {
  const float* in;
  std::int64_t rows, columns;
  float* out;
  __host__ __device__ void operator()(std::int64_t column) const {
    float sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) sum += in[row * columns + column];
    out[column] = sum;
  }
};

struct rows_chosen {
  const float* from;
  const std::int32_t* row;
  std::int64_t columns;
  float* to;
  __host__ __device__ void operator()(std::int64_t at) const { to[at] = from[row[at / columns] * columns + at % columns]; }
};

/// Four of the numbers of a tensor, uniform in (-bound, bound).
struct draw_uniform {
  philox from;
  float bound;
  float* to;
  std::int64_t n;
  __host__ __device__ void operator()(std::int64_t four) const {
    const four_words r = philox4x32(from.seed, from.offset + static_cast<std::uint64_t>(four));
    for (std::int64_t i = 0; i < 4 && 4 * four + i < n; ++i) to[4 * four + i] = bound * (2 * uniform(r.word[i]) - 1);
  }
};

/// Four units of a layer: negative ones become 0, and so do those that are dropped.
struct relu_and_dropout {
  philox from;
  float share;
  float* h;
  __host__ __device__ void operator()(std::int64_t four) const {
    const four_words r = philox4x32(from.seed, from.offset + static_cast<std::uint64_t>(four));
    for (int i = 0; i < 4; ++i) {
      float& x = h[4 * four + i];
      x = x > 0 && uniform(r.word[i]) < share ? x / share : 0;
    }
  }
};

struct relu_and_dropout_backward {
  const float* h;
  float share;
  float* gradient;
  __host__ __device__ void operator()(std::int64_t at) const { gradient[at] = h[at] > 0 ? gradient[at] / share : 0; }
};

/// One image: its loss in nats; its logits become their gradient for the mean loss of the batch.
struct cross_entropy {
  float* logits;
  const std::int32_t *labels, *chosen;
  std::int64_t images, classes;
  float* loss;
  __host__ __device__ void operator()(std::int64_t image) const {
    float* z = logits + image * classes;
    const std::int32_t label = labels[chosen[image]];
    float highest = z[0], total = 0;
    for (std::int64_t c = 1; c < classes; ++c) highest = z[c] > highest ? z[c] : highest;
    for (std::int64_t c = 0; c < classes; ++c) total += ::expf(z[c] - highest);
    loss[image] = ::logf(total) + highest - z[label];
    for (std::int64_t c = 0; c < classes; ++c) z[c] = (::expf(z[c] - highest) / total - (c == label ? 1.0f : 0.0f)) / static_cast<float>(images);
  }
};

struct adam_update {
  const float* gradient;
  float *value, *exp_avg, *exp_avg_sq;
  float rate, unbias;
  __host__ __device__ void operator()(std::int64_t at) const {
    const float g = gradient[at];
    const float m = exp_avg[at] = 0.9f * exp_avg[at] + 0.1f * g;
    const float v = exp_avg_sq[at] = 0.999f * exp_avg_sq[at] + 0.001f * g * g;
    value[at] -= rate * m / (::sqrtf(v * unbias) + 1e-8f);
  }
};

}  // namespace cuda_mlp

template <>
struct holdfast::traits<cuda_mlp::philox> : holdfast::fields<holdfast::field<&cuda_mlp::philox::seed>, holdfast::field<&cuda_mlp::philox::offset>> {};
