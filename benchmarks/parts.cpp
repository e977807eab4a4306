// What the parts of a save and a restore cost: laying out, saving again, restoring, by number of tensors.
//
//   meson setup build/bench --buildtype=release -Dbenchmarks=enabled && ninja -C build/bench && build/bench/benchmarks/parts
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <holdfast/holdfast.hpp>

namespace {

/// `n` tensors of 1 KiB under names as a model has them, sixteen to a layer.
struct many_small {
  std::vector<std::vector<float>> tensors;
  holdfast::state state;

  explicit many_small(std::int64_t n) : tensors(static_cast<std::size_t>(n), std::vector<float>(256, 1.f)) {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      state.bind("model/layers." + std::to_string(i / 16) + "/weight" + std::to_string(i % 16), tensors[i]);
  }
};

/// A file in a folder of its own, in the current directory: /tmp is memory on many machines.
class scratch_file {
 public:
  scratch_file() { std::filesystem::create_directory("benchmark-scratch"); }
  ~scratch_file() { std::filesystem::remove_all("benchmark-scratch"); }
  std::string path() const { return "benchmark-scratch/state.h5"; }
};

void per_dataset(benchmark::State& run) {
  run.counters["per dataset"] = benchmark::Counter(static_cast<double>(run.range(0)), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void describe_state(benchmark::State& run) {
  const many_small s(run.range(0));
  for (auto _ : run) benchmark::DoNotOptimize(holdfast::detail::manifest(s.state));
  per_dataset(run);
}

void compile_layout(benchmark::State& run) {
  const many_small s(run.range(0));
  const holdfast::detail::manifest m(s.state);
  for (auto _ : run) benchmark::DoNotOptimize(holdfast::hdf5::compile(m));
  per_dataset(run);
}

void save_replayed(benchmark::State& run) {
  const many_small s(run.range(0));
  const scratch_file file;
  holdfast::saver saver;
  saver.save(file.path(), s.state);
  for (auto _ : run) saver.save(file.path(), s.state);
  per_dataset(run);
}

void restore_warm(benchmark::State& run) {
  many_small s(run.range(0));
  const scratch_file file;
  holdfast::save(file.path(), s.state);
  for (auto _ : run) holdfast::restore(file.path(), s.state);
  per_dataset(run);
}

}  // namespace

BENCHMARK(describe_state)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond);
BENCHMARK(compile_layout)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond);
BENCHMARK(save_replayed)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_warm)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond)->UseRealTime();

BENCHMARK_MAIN();
