// What saving from a GPU and restoring to it costs beside the machine's own limits: a bare copy through page-locked memory, the file alone.
// Prints a Markdown table, and JSON with --json. Exits with 77 where there is no GPU.
//
//   gpu_benchmark [--gib N] [--rounds N] [--folder DIR] [--json FILE] [--only restore]
//
// Times are medians over the rounds. A ratio is the time over that of what it is held against.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cuda_runtime_api.h>

#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

namespace {

using buffer = holdfast::cuda::buffer<float>;

struct options {
  double gib = 2;
  int rounds = 5;
  std::string folder = ".", json{}, only{};
};

void good(cudaError_t result, const char* doing) {
  if (result != cudaSuccess) throw holdfast::cuda::error(doing, result);
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double seconds_of(const std::function<void()>& work) {
  const double start = now();
  work();
  return now() - start;
}

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all.size() % 2 == 1 ? all[all.size() / 2] : (all[all.size() / 2 - 1] + all[all.size() / 2]) / 2;
}

double median_of(int rounds, const std::function<double()>& once) {
  std::vector<double> all;
  for (int i = 0; i < rounds; ++i) all.push_back(once());
  return median(all);
}

struct row {
  std::string what;
  double seconds, bytes;
  std::string against{};
  double limit = 0, goal = 0;  ///< seconds, and the ratio that is to be reached; 0: none
};

std::string text(const char* format, double value) {
  char out[64];
  std::snprintf(out, sizeof out, format, value);
  return out;
}

/// Tensors of one size on a device or the host, bound to a state.
struct tensors {
  std::vector<std::unique_ptr<buffer>> all;
  holdfast::state state;
  std::size_t bytes = 0;

  tensors(std::size_t count, std::size_t elements, const std::function<buffer(holdfast::shape)>& make) {
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(std::make_unique<buffer>(make({static_cast<std::int64_t>(elements)})));
      state.bind("layers." + std::to_string(i) + "/weight", *all.back());
      bytes += elements * sizeof(float);
    }
  }
};

/// Memory as the library page-locks it.
class registered {
 public:
  explicit registered(std::size_t bytes) : bytes_(bytes), memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::runtime_error("not enough memory for " + std::to_string(bytes) + " bytes");
    good(cudaHostRegister(memory_, bytes, cudaHostRegisterPortable), "page-locking");
  }
  registered(const registered&) = delete;
  ~registered() {
    (void)cudaHostUnregister(memory_);
    ::munmap(memory_, bytes_);
  }
  std::byte* data() const { return static_cast<std::byte*>(memory_); }

 private:
  std::size_t bytes_;
  void* memory_;
};

/// A bare copy of all tensors, one after the other, to or from page-locked memory.
double copy_all(const tensors& of, const registered& page_locked, cudaMemcpyKind kind, cudaStream_t stream) {
  good(cudaDeviceSynchronize(), "waiting");
  return seconds_of([&] {
    std::byte* here = page_locked.data();
    for (const auto& t : of.all) {
      const std::size_t n = t->size() * sizeof(float);
      if (kind == cudaMemcpyDeviceToHost) good(cudaMemcpyAsync(here, t->data(), n, kind, stream), "copying");
      else good(cudaMemcpyAsync(t->data(), here, n, kind, stream), "copying");
      here += n;
    }
    good(cudaStreamSynchronize(stream), "copying");
  });
}

/// Takes a file out of the page cache.
void forget(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  (void)::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

/// Reads a file with all threads, 4 MiB at a time: the limit of a restore.
double read_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto size = static_cast<std::size_t>(std::filesystem::file_size(path));
  constexpr std::size_t piece = std::size_t{4} << 20;
  std::atomic<std::size_t> next{0};
  const auto read = [&] {
    std::vector<char> memory(piece);
    for (std::size_t at = next.fetch_add(piece); at < size; at = next.fetch_add(piece))
      if (::pread(file, memory.data(), piece, static_cast<off_t>(at)) <= 0) return;
  };
  const double seconds = seconds_of([&] {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(std::thread::hardware_concurrency(), 1u); ++i) threads.emplace_back(read);
    for (std::thread& t : threads) t.join();
  });
  ::close(file);
  return seconds;
}

class benchmark {
 public:
  explicit benchmark(options o) : options_(std::move(o)), file_(options_.folder + "/holdfast-gpu-benchmark.h5") {
    good(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  benchmark(const benchmark&) = delete;
  ~benchmark() {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
    (void)cudaStreamDestroy(stream_);
  }

  std::vector<row> run() {
    const std::size_t elements = std::size_t{8} << 20;  // 32 MiB
    const auto large = std::max<std::size_t>(static_cast<std::size_t>(options_.gib * 32), 1);
    states("tensors of 32 MiB", large, elements);
    states("tensors of 16 KiB", std::max<std::size_t>(large * 256, 1), 4096);
    if (options_.only.empty()) page_locking();
    return rows_;
  }

 private:
  void add(row r) {
    std::cerr << r.what << ": " << text("%.3g s", r.seconds) << std::endl;
    rows_.push_back(std::move(r));
  }
  double median_of(const std::function<double()>& once) const { return ::median_of(options_.rounds, once); }

  void states(const std::string& kind, std::size_t count, std::size_t elements) {
    const std::string of = std::to_string(count) + " " + kind;
    tensors there(count, elements, [&](holdfast::shape s) { return buffer(std::move(s), stream_); });
    for (const auto& t : there.all) good(cudaMemsetAsync(t->data(), 1, t->size() * sizeof(float), stream_), "setting");
    const auto bytes = static_cast<double>(there.bytes);
    double down = 0, up = 0;
    {
      const registered memory(there.bytes);
      copy_all(there, memory, cudaMemcpyDeviceToHost, stream_);
      down = median_of([&] { return copy_all(there, memory, cudaMemcpyDeviceToHost, stream_); });
      up = median_of([&] { return copy_all(there, memory, cudaMemcpyHostToDevice, stream_); });
    }
    add({of + ": bare copy from the GPU, page-locked", down, bytes});
    add({of + ": bare copy to the GPU, page-locked", up, bytes});

    if (options_.only.empty()) {
      async(of, there, bytes, down);
      sync(of, there, bytes, down, host_file(of, count, elements, bytes));
    }
    restore(of, there, bytes, up);
  }

  /// How long the program's thread and its stream are held up, and when the file is there.
  void async(const std::string& of, const tensors& there, double bytes, double down) {
    holdfast::saver saver;
    std::vector<double> call, stall, durable;
    double first = 0;
    for (int i = 0; i <= options_.rounds; ++i) {
      good(cudaDeviceSynchronize(), "waiting");
      const double start = now();
      auto pending = saver.save_async(file_, there.state);
      const double returned = now() - start;
      good(cudaStreamSynchronize(stream_), "waiting");  // the stream has been made to wait for the copies
      const double resumed = now() - start;
      pending.wait();
      if (i == 0) {
        first = returned;
        continue;
      }
      call.push_back(returned);
      stall.push_back(resumed);
      durable.push_back(now() - start);
    }
    add({of + ": save_async, the first call (page-locks its memory)", first, bytes});
    add({of + ": save_async, the call", median(call), bytes});
    add({of + ": save_async, until the stream goes on", median(stall), bytes, "bare copy from the GPU", down, 1.15});
    add({of + ": save_async, until the file is durable", median(durable), bytes});
  }

  /// The same tensors saved from the host: what the file alone takes.
  double host_file(const std::string& of, std::size_t count, std::size_t elements, double bytes) {
    tensors here(count, elements, [](holdfast::shape s) { return buffer(std::move(s), holdfast::host); });
    for (const auto& t : here.all) std::memset(t->data(), 1, t->size() * sizeof(float));
    holdfast::saver saver;
    saver.save(file_, here.state);
    const double seconds = median_of([&] { return seconds_of([&] { saver.save(file_, here.state); }); });
    add({of + ": save of as much from the host", seconds, bytes});
    return seconds;
  }

  void sync(const std::string& of, const tensors& there, double bytes, double down, double file) {
    for (const unsigned mib : {4u, 8u, 16u, 32u, 64u}) {
      holdfast::saver saver;
      const holdfast::save_options with{.staging_bytes = std::size_t{mib} << 20};
      saver.save(file_, there.state, with);
      const double seconds = median_of([&] { return seconds_of([&] { saver.save(file_, there.state, with); }); });
      add({of + ": save, staging_bytes " + std::to_string(mib) + " MiB", seconds, bytes, "the slower of the copy and the file", std::max(down, file)});
    }
  }

  void restore(const std::string& of, tensors& there, double bytes, double up) {
    holdfast::save(file_, there.state);
    read_file(file_);
    add({of + ": restore, in the page cache, the first call", seconds_of([&] { holdfast::restore(file_, there.state); }), bytes});
    parts_of_a_restore(of, there, bytes);
    for (const bool cold : {false, true}) {
      const auto prepare = [&] {
        if (cold) forget(file_);
        else read_file(file_);
      };
      const double read = median_of([&] {
        prepare();
        return read_file(file_);
      });
      const double seconds = median_of([&] {
        prepare();
        good(cudaDeviceSynchronize(), "waiting");
        return seconds_of([&] { holdfast::restore(file_, there.state); });
      });
      const std::string cache = cold ? "not in the page cache" : "in the page cache";
      add({of + ": file read by all threads, " + cache, read, bytes});
      add({of + ": restore, " + cache, seconds, bytes, "the slower of the read and the copy", std::max(read, up), 1.2});
    }
  }

  /// Where the time of a restore from the page cache goes: its parts alone and together, one after the other in each round.
  void parts_of_a_restore(const std::string& of, tensors& there, double bytes) {
    namespace parts = holdfast::detail;
    const unsigned threads = parts::memory_threads();
    const std::size_t slot_bytes = std::size_t{2} << 20, slots = 2 * threads + 2;
    const registered whole(there.bytes);
    std::memset(whole.data(), 1, there.bytes);
    holdfast::cuda::detail::staging staging;
    holdfast::io::staging_buffer memory;
    parts::device_slots kept(staging, memory, slot_bytes, slots);
    const auto from = parts::open_to_restore(file_, {});
    const holdfast::io::file& file = *from->contiguous();
    std::vector<holdfast::tensor_view> targets;
    for (const auto& t : there.all) targets.push_back(holdfast::traits<buffer>::view(*t));
    std::vector<parts::transfer> transfers;
    for (std::size_t i = 0; i < targets.size(); ++i) transfers.push_back({from->find("layers." + std::to_string(i) + "/weight"), &targets[i]});

    const auto read_to_slots = [&](bool digested) {
      const std::uint64_t size = file.size();
      parts::parallel(parts::blocks_in(size, slot_bytes), threads, [&](std::size_t i) {
        const std::span<std::byte> slot = kept.take();
        const auto piece = slot.first(std::min<std::uint64_t>(slot_bytes, size - i * slot_bytes));
        file.read_at(i * slot_bytes, piece);
        if (digested)
          for (std::size_t at = 0; at < piece.size(); at += parts::digest_block) (void)parts::digest_of(piece.subspan(at, std::min(parts::digest_block, piece.size() - at)), nullptr);
        kept.send(slot.data(), {});
      });
    };
    const auto transfer = [&](bool verified) {
      parts::transfers(*from, transfers, verified, &kept).run();
      staging.wait_for_all();
    };
    struct part {
      const char* what;
      std::function<void()> work;
      std::vector<double> seconds{};
    };
    std::vector<part> all{
        {"bare copy to the GPU", {}},
        {"page-locking the slots and unlocking them",
         [&] {
           holdfast::io::staging_buffer fresh;
           (void)fresh.reserve(slot_bytes * slots);
           parts::page_lock(staging, fresh);
         }},
        {"digests of what is in memory",
         [&] {
           parts::parallel(parts::blocks_in(there.bytes, parts::digest_block), threads, [&](std::size_t i) {
             const std::size_t at = i * parts::digest_block;
             (void)parts::digest_of({whole.data() + at, std::min<std::size_t>(parts::digest_block, there.bytes - at)}, nullptr);
           });
         }},
        {"file read to page-locked slots", [&] { read_to_slots(false); }},
        {"file read to page-locked slots, digested", [&] { read_to_slots(true); }},
        {"the same slots sent, not digested", [&] { transfer(false); }},
        {"the same slots sent, digested", [&] { transfer(true); }},
        {"restore, not verified", [&] { holdfast::restore(file_, there.state, {.verify = holdfast::verify::off}); }},
        {"restore", [&] { holdfast::restore(file_, there.state); }},
    };
    for (int round = 0; round < options_.rounds; ++round)
      for (part& p : all) {
        good(cudaDeviceSynchronize(), "waiting");
        p.seconds.push_back(p.work ? seconds_of(p.work) : copy_all(there, whole, cudaMemcpyHostToDevice, stream_));
      }
    for (const part& p : all) add({of + ": parts of a warm restore: " + p.what, median(p.seconds), bytes, "bare copy to the GPU, in turn", median(all[0].seconds)});
  }

  void page_locking() {
    const auto bytes = static_cast<std::size_t>(options_.gib * (std::size_t{1} << 30));
    add({"page-locking memory that is new", median_of([&] { return seconds_of([&] { const registered memory(bytes); }); }), static_cast<double>(bytes)});
    add({"cudaMallocHost", median_of([&] {
           void* p = nullptr;
           const double seconds = seconds_of([&] { good(cudaMallocHost(&p, bytes), "page-locking"); });
           (void)cudaFreeHost(p);
           return seconds;
         }),
         static_cast<double>(bytes)});
  }

  options options_;
  std::string file_;
  cudaStream_t stream_ = nullptr;
  std::vector<row> rows_;
};

struct machine {
  std::string device;
  int driver = 0, runtime = 0;
  unsigned threads = std::thread::hardware_concurrency();
};

machine this_machine() {
  machine m;
  cudaDeviceProp properties;
  good(cudaGetDeviceProperties(&properties, 0), "asking for the GPU's name");
  m.device = properties.name;
  good(cudaDriverGetVersion(&m.driver), "asking for the driver's version");
  good(cudaRuntimeGetVersion(&m.runtime), "asking for the runtime's version");
  return m;
}

void print(const machine& m, const std::vector<row>& rows) {
  std::cout << m.device << ", driver " << m.driver << ", runtime " << m.runtime << ", " << m.threads << " threads\n\n| | s | GB/s | against | ratio | goal |\n|---|---|---|---|---|---|\n";
  for (const row& r : rows) {
    std::cout << "| " << r.what << " | " << text("%.4f", r.seconds) << " | " << text("%.2f", r.bytes / r.seconds / 1e9) << " | " << r.against << " | " << (r.limit > 0 ? text("%.2f", r.seconds / r.limit) : "") << " | ";
    if (r.goal > 0) std::cout << text("%.2f", r.goal) << (r.seconds <= r.goal * r.limit ? " met" : " MISSED");
    std::cout << " |\n";
  }
  std::cout << std::flush;
}

void write_json(const std::string& path, const machine& m, const options& o, const std::vector<row>& rows) {
  std::ofstream out(path);
  out << "{\"device\": \"" << m.device << "\", \"driver\": " << m.driver << ", \"runtime\": " << m.runtime << ", \"threads\": " << m.threads << ", \"rounds\": " << o.rounds << ", \"rows\": [";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const row& r = rows[i];
    out << (i == 0 ? "\n" : ",\n") << "  {\"what\": \"" << r.what << "\", \"seconds\": " << r.seconds << ", \"bytes\": " << text("%.0f", r.bytes);
    if (r.limit > 0) out << ", \"against\": \"" << r.against << "\", \"limit_seconds\": " << r.limit;
    if (r.goal > 0) out << ", \"goal\": " << r.goal;
    out << "}";
  }
  out << "\n]}\n";
  if (!out.flush()) throw std::runtime_error(path + ": cannot be written");
}

options parse(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const std::string expected = ": expected [--gib N] [--rounds N] [--folder DIR] [--json FILE] [--only restore]";
    if (i + 1 == argc) throw std::runtime_error(name + expected);
    const std::string value = argv[++i];
    if (name == "--gib") o.gib = std::stod(value);
    else if (name == "--rounds") o.rounds = std::stoi(value);
    else if (name == "--folder") o.folder = value;
    else if (name == "--json") o.json = value;
    else if (name == "--only" && value == "restore") o.only = value;
    else throw std::runtime_error(name + expected);
  }
  if (!(o.gib > 0) || o.rounds < 1) throw std::runtime_error("--gib and --rounds: expected positive numbers");
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const options chosen = parse(argc, argv);
    int devices = 0;
    if (const cudaError_t result = cudaGetDeviceCount(&devices); result != cudaSuccess || devices == 0) {
      std::cout << "skipped, no GPU that CUDA can use: " << cudaGetErrorString(result) << std::endl;
      return 77;
    }
    const machine m = this_machine();
    const std::vector<row> rows = benchmark(chosen).run();
    print(m, rows);
    if (!chosen.json.empty()) write_json(chosen.json, m, chosen, rows);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << argv[0] << ": " << e.what() << std::endl;
    return 1;
  }
}
