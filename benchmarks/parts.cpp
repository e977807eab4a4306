// What the parts of a save and a restore cost: laying out, gathering, digesting, finding by name, and the whole of each, by
// number of tensors.
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

void open_index(benchmark::State& run) {
  const many_small s(run.range(0));
  const scratch_file file;
  holdfast::save(file.path(), s.state);
  for (auto _ : run) benchmark::DoNotOptimize(holdfast::checkpoint_file(file.path()));
  per_dataset(run);
}

void look_up(benchmark::State& run) {
  const many_small s(run.range(0));
  const scratch_file file;
  holdfast::save(file.path(), s.state);
  const holdfast::checkpoint_file opened(file.path());
  const auto& all = opened.entries();
  for (std::size_t i = 0; auto _ : run) benchmark::DoNotOptimize(opened.contains(all[i++ * 7919 % all.size()].path));
}

void per_byte(benchmark::State& run, std::size_t bytes) { run.SetBytesProcessed(run.iterations() * static_cast<std::int64_t>(bytes)); }

/// In pieces of 8 MiB, as a save digests what it has just copied.
void digest(benchmark::State& run) {
  const std::vector<std::byte> piece(std::size_t{8} << 20, std::byte{1});
  for (auto _ : run) {
    holdfast::detail::block_digest d;
    d.update(piece);
    benchmark::DoNotOptimize(d.finish());
  }
  per_byte(run, piece.size());
}

/// Copies every tensor of a state of many small ones to one piece of memory.
void stage_small(benchmark::State& run) {
  const many_small s(run.range(0));
  const holdfast::detail::manifest m(s.state);
  std::vector<std::byte> out(s.tensors.size() * 1024);
  for (auto _ : run) {
    std::byte* at = out.data();
    for (const auto& i : m.items()) {
      holdfast::gather(i.view, 0, 256, at);
      at += i.view.bytes();
    }
    benchmark::ClobberMemory();
  }
  per_byte(run, out.size());
}

/// Puts a column-major matrix of this many rows and columns in C order.
void stage_column_major(benchmark::State& run) {
  const std::int64_t n = run.range(0);
  std::vector<float> matrix(static_cast<std::size_t>(n * n), 1.f);
  const holdfast::tensor_view view(matrix.data(), {n, n}, {1, n});
  std::vector<std::byte> out(view.bytes());
  for (auto _ : run) {
    holdfast::gather(view, 0, matrix.size(), out.data());
    benchmark::ClobberMemory();
  }
  per_byte(run, out.size());
}

}  // namespace

BENCHMARK(describe_state)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond);
BENCHMARK(compile_layout)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond);
BENCHMARK(save_replayed)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(restore_warm)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(open_index)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond);
BENCHMARK(look_up)->Arg(1000)->Arg(20000)->Unit(benchmark::kNanosecond);
BENCHMARK(digest)->Unit(benchmark::kMillisecond);
BENCHMARK(stage_small)->Arg(1000)->Arg(20000)->Unit(benchmark::kMillisecond);
BENCHMARK(stage_column_major)->Arg(1024)->Arg(4096)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
