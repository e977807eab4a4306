// Do copies from a device and writes to the disk overlap? On the simulated CUDA runtime, whose copies are throttled to the rate at which this
// disk takes a durable save of host memory; so neither can hide behind the other. It says nothing about the speed of a GPU.
//
//   staging_overlap [MIB] [ROUNDS] [STAGING_MIB]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

#include "../tests/cuda_sim/simulator.hpp"

namespace {

template <class F>
double seconds(F&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t mib = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 512, rounds = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 7;
  const auto n = static_cast<std::int64_t>((mib << 20) / sizeof(float));
  const std::string path = (std::filesystem::temp_directory_path() / "holdfast-staging-overlap.h5").string();
  std::vector<float> memory(static_cast<std::size_t>(n), 1.5f);
  holdfast::state of_host;
  of_host.bind("w", memory);
  holdfast::saver saver;
  saver.save(path, of_host);
  std::vector<double> writes, copies, both, ratios;
  for (std::size_t i = 0; i < rounds; ++i) {
    writes.push_back(seconds([&] { saver.save(path, of_host); }));
    const double rate = static_cast<double>(n) * sizeof(float) / writes.back();
    cuda_sim::reset({.memory = (mib + 1) << 20, .bytes_per_second = rate});
    {
      holdfast::cuda::buffer<float> w({n});
      holdfast::state of_device;
      of_device.bind("w", w);
      holdfast::cuda::detail::staging staging;
      const auto lock = staging.lock(std::as_writable_bytes(std::span(memory)));
      const holdfast::detail::device_copy all{reinterpret_cast<std::byte*>(w.data()), reinterpret_cast<std::byte*>(memory.data()), memory.size() * sizeof(float), w.space()};
      copies.push_back(seconds([&] { staging.wait(staging.to_host({&all, 1})); }));
      holdfast::saver from_device;
      from_device.save(path, of_device);
      both.push_back(seconds([&] { from_device.save(path, of_device, {.staging_bytes = (argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 16) << 20}); }));
    }
    ratios.push_back(both.back() / std::max(writes.back(), copies.back()));
  }
  std::filesystem::remove(path);
  std::printf("%zu MiB, %zu rounds: copy %.3f s, durable save of host memory %.3f s, durable save of device memory %.3f s: %.3f x the slower (median)\n", mib, rounds, median(copies),
              median(writes), median(both), median(ratios));
}
