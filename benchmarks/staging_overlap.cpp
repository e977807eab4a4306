// Do copies from a device and writes to the disk overlap? On the simulated CUDA runtime, whose copies are throttled to the rate at which this
// disk takes a durable save of host memory; so neither can hide behind the other. It says nothing about the speed of a GPU.
//
//   staging_overlap [MIB] [ROUNDS] [STAGING_MIB]
//
// `scripts/bench --overlap` builds and runs it. Every save makes a new file, as a checkpoint_directory does: to replace one costs the time to free its
// blocks, which is neither copying nor writing. What a save takes beyond the copies is before the first of them or after the last.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

#include "../tests/cuda_sim/simulator.hpp"

namespace {

using clock = std::chrono::steady_clock;

double between(clock::time_point a, clock::time_point b) { return std::chrono::duration<double>(b - a).count(); }

template <class F>
double seconds(F&& work) {
  const auto start = clock::now();
  work();
  return between(start, clock::now());
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

clock::time_point first_copy{}, last_copy{};

/// The library's staging, which remembers when the first copy of a save was enqueued and when the last one was seen to be done.
class watched final : public holdfast::detail::device_staging {
 public:
  void follow(holdfast::memory_space space, void* stream) override {
    first_copy = {};
    real_.follow(space, stream);
  }
  void precede(holdfast::memory_space space, void* stream) override { real_.precede(space, stream); }
  std::uint64_t to_host(std::span<const holdfast::detail::device_copy> copies) override {
    if (first_copy == clock::time_point()) first_copy = clock::now();
    return real_.to_host(copies);
  }
  std::uint64_t to_device(std::span<const holdfast::detail::device_copy> copies) override { return real_.to_device(copies); }
  void wait(std::uint64_t number) override {
    real_.wait(number);
    last_copy = clock::now();
  }
  void wait_for_all() override { real_.wait_for_all(); }
  std::shared_ptr<void> lock(std::span<std::byte> memory) override { return real_.lock(memory); }

 private:
  holdfast::cuda::detail::staging real_;
};

class watching final : public holdfast::detail::device_engine {
 public:
  std::unique_ptr<holdfast::detail::device_staging> staging() override { return std::make_unique<watched>(); }
  std::string misplaced(const holdfast::tensor_view& view) override { return holdfast::cuda::detail::registered->misplaced(view); }
  std::string absent(holdfast::memory_space space) override { return holdfast::cuda::detail::registered->absent(space); }
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::size_t otherwise) { return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise; };
  const std::size_t mib = argument(1, 512), rounds = argument(2, 7), staging_mib = argument(3, 16);
  const auto n = static_cast<std::int64_t>((mib << 20) / sizeof(float));
  const std::string path = (std::filesystem::temp_directory_path() / "holdfast-staging-overlap.h5").string();
  std::vector<float> memory(static_cast<std::size_t>(n), 1.5f);
  holdfast::state of_host;
  of_host.bind("w", memory);
  const auto seconds_of_save = [&](holdfast::saver& saver, const holdfast::state& state) {
    std::filesystem::remove(path);
    return seconds([&] { saver.save(path, state, {.staging_bytes = staging_mib << 20}); });
  };
  holdfast::saver from_host;
  seconds_of_save(from_host, of_host);
  watching engine;
  holdfast::detail::registered_engine() = &engine;
  std::vector<double> writes, copies, both, ratios, before, during, after;
  for (std::size_t i = 0; i < rounds; ++i) {
    writes.push_back(seconds_of_save(from_host, of_host));
    cuda_sim::reset({.memory = (mib + 1) << 20, .bytes_per_second = static_cast<double>(n) * sizeof(float) / writes.back()});
    holdfast::cuda::buffer<float> w({n});
    holdfast::state of_device;
    of_device.bind("w", w);
    holdfast::cuda::detail::staging staging;
    const auto lock = staging.lock(std::as_writable_bytes(std::span(memory)));
    const holdfast::detail::device_copy all{reinterpret_cast<std::byte*>(w.data()), reinterpret_cast<std::byte*>(memory.data()), memory.size() * sizeof(float), w.space()};
    copies.push_back(seconds([&] { staging.wait(staging.to_host({&all, 1})); }));
    holdfast::saver from_device;
    seconds_of_save(from_device, of_device);
    const auto start = clock::now();
    both.push_back(seconds_of_save(from_device, of_device));
    const double removing = between(start, clock::now()) - both.back();
    before.push_back(between(start, first_copy) - removing);
    during.push_back(between(first_copy, last_copy));
    after.push_back(both.back() - before.back() - during.back());
    ratios.push_back(both.back() / std::max(writes.back(), copies.back()));
  }
  std::filesystem::remove(path);
  std::printf("%zu MiB, %zu rounds, %zu MiB of staging; medians, in seconds\ncopy alone %.4f, durable save of host memory %.4f\ndurable save of device memory %.4f: %.4f before the first copy, %.4f until the last has come, %.4f after it\n", mib, rounds,
              staging_mib, median(copies), median(writes), median(both), median(before), median(during), median(after));
  std::sort(ratios.begin(), ratios.end());
  std::printf("%.3f x the slower of the two (median; %.3f to %.3f)\n", median(ratios), ratios.front(), ratios.back());
}
