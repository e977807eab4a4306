#pragma once
/// A training run on simulated devices: tensors that simulated kernels write, on streams of their own, and the bytes they should have.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include <holdfast/cuda.hpp>
#include <holdfast/separate.hpp>

#include "../peak_memory.hpp"
#include "../support.hpp"
#include "simulator.hpp"

namespace cuda_test {

inline void require(cudaError_t result) { BOOST_REQUIRE_EQUAL(cudaGetErrorName(result), cudaGetErrorName(cudaSuccess)); }

/// A stream of a device that is destroyed with it.
class stream {
 public:
  explicit stream(int device) {
    const holdfast::cuda::detail::on_device here(device);
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  stream(const stream&) = delete;
  ~stream() { (void)cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

inline std::vector<float> expected(std::size_t n, int seed) {
  std::vector<float> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<float>(seed) + static_cast<float>(i % 1000) / 1024.f;
  return v;
}

/// What a tensor holds, read as a program would after everything is done.
template <class Buffer>
std::vector<float> content(const Buffer& b) {
  std::vector<float> out(b.size());
  if (b.space() == holdfast::host) {
    std::copy(b.data(), b.data() + b.size(), out.begin());
    return out;
  }
  const holdfast::cuda::detail::on_device here(b.space().device);
  require(cudaDeviceSynchronize());
  require(cudaMemcpy(out.data(), b.data(), out.size() * sizeof(float), cudaMemcpyDeviceToHost));
  return out;
}

/// Large and small tensors of two devices and of the host. `step` enqueues kernels that write all of them.
struct trainer {
  stream first{0}, second{1};
  std::vector<std::unique_ptr<holdfast::cuda::buffer<float>>> tensors;
  std::vector<float> bias = std::vector<float>(100);
  std::int64_t now = 0;
  holdfast::state state;

  explicit trainer(std::size_t large = 700'000, std::size_t small = 20) {
    add(0, large);
    add(1, large / 2);
    for (std::size_t i = 0; i < small; ++i) add(static_cast<int>(i % 2), 1 + 17 * i);
    state.bind("host/bias", bias).bind("progress/step", now);
  }

  void add(int device, std::size_t n) {
    const holdfast::cuda::detail::on_device here(device);
    tensors.push_back(std::make_unique<holdfast::cuda::buffer<float>>(holdfast::shape{static_cast<std::int64_t>(n)}, device == 0 ? first : second));
    state.bind("model/" + std::to_string(tensors.size() - 1), *tensors.back());
  }

  void step() {
    ++now;
    bias = expected(bias.size(), static_cast<int>(now));
    for (const auto& t : tensors) {
      const holdfast::cuda::detail::on_device here(t->space().device);
      require(cuda_sim::launch(t->stream(), {}, {{t->data(), t->size() * sizeof(float)}}, [seed = static_cast<int>(now), n = t->size()](const auto&, const auto& writes) {
        const std::vector<float> v = expected(n, seed);
        std::memcpy(writes[0], v.data(), n * sizeof(float));
      }));
    }
  }

  /// Whether every tensor holds what step `seed` wrote.
  bool holds(std::int64_t seed) const {
    for (const auto& t : tensors)
      if (content(*t) != expected(t->size(), static_cast<int>(seed))) return false;
    return now == seed && bias == expected(bias.size(), static_cast<int>(seed));
  }
};

/// Random schedules that a test tries: fewer where a sanitizer makes each take five times as long.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::size_t most_seeds = 2;
#elif defined(HOLDFAST_TEST_SANITIZED)
inline constexpr std::size_t most_seeds = 10;
#else
inline constexpr std::size_t most_seeds = 50;
#endif

/// The schedules that a program must be right under.
inline std::vector<cuda_sim::configuration> schedules(std::size_t seeds = most_seeds) {
  std::vector<cuda_sim::configuration> all{{.devices = 2, .schedule = cuda_sim::schedule::eager}, {.devices = 2, .schedule = cuda_sim::schedule::lazy}};
  std::mt19937_64 engine(support::seed());
  for (std::size_t i = 0; i < seeds; ++i) all.push_back({.devices = 2, .schedule = cuda_sim::schedule::random, .seed = engine()});
  return all;
}

/// The library's staging, of which a test may change a step.
class altered_staging : public holdfast::detail::device_staging {
 public:
  void follow(holdfast::memory_space space, void* stream) override { real_.follow(space, stream); }
  void precede(holdfast::memory_space space, void* stream) override { real_.precede(space, stream); }
  std::uint64_t to_host(std::span<const holdfast::detail::device_copy> copies) override { return real_.to_host(copies); }
  std::uint64_t to_device(std::span<const holdfast::detail::device_copy> copies) override { return real_.to_device(copies); }
  void wait(std::uint64_t number) override { real_.wait(number); }
  void wait_for_all() override { real_.wait_for_all(); }
  std::shared_ptr<void> lock(std::span<std::byte> memory) override { return real_.lock(memory); }

 private:
  holdfast::cuda::detail::staging real_;
};

/// In place of the library's engine for as long as it lives: with another staging.
class altered_engine final : public holdfast::detail::device_engine {
 public:
  explicit altered_engine(std::function<std::unique_ptr<altered_staging>()> make) : make_(std::move(make)) { holdfast::detail::registered_engine() = this; }
  ~altered_engine() { holdfast::detail::registered_engine() = holdfast::cuda::detail::registered; }
  std::unique_ptr<holdfast::detail::device_staging> staging() override { return make_(); }
  std::string misplaced(const holdfast::tensor_view& view) override { return holdfast::cuda::detail::registered->misplaced(view); }
  std::string absent(holdfast::memory_space space) override { return holdfast::cuda::detail::registered->absent(space); }

 private:
  std::function<std::unique_ptr<altered_staging>()> make_;
};

inline std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& l : lines) all += l + "\n";
  return all;
}

}  // namespace cuda_test
