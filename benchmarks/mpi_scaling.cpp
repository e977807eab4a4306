// What a save by many ranks costs, phase by phase: mpiexec -n N mpi_scaling FOLDER TENSORS MIB ROUNDS CUT [CONTENDER...]
// CUT: rows, columns, replicas. CONTENDER, all where none is given:
//   plain       every rank writes as many bytes to a file of its own: the best that this machine does, with O_DIRECT where it may
//   first       mpi::save whose layout is compiled and agreed on, with what was agreed forgotten before
//   again       one that replays it
//   collective  the same by MPI-IO
//   trusted     (replicas) not compared
// Prints JSON: medians of interleaved rounds, durable saves. `seconds` is the slowest rank's; of the saves also, by phase:
//   metadata    until rank 0 creates the file: naming, agreement, layout, comparing
//   reserve     creating the file and reserving its blocks
//   write       until the last rank has given everything to the operating system; `exchange` is the part of it in MPI_Ialltoall(v)
//   sync        until the last rank's fsync is done
//   commit      digests to rank 0, metadata, index and seal, fsync, rename, fsync of the folder
// `root_cpu` and `rank_cpu`: seconds of a processor outside MPI that the first phase takes of rank 0 and, at most, of another one;
// `root_cpu_commit` the same of the rest at rank 0. `told` and `gathered`: bytes that rank 0 broadcasts and gets from the others. `broadcast`: the
// seconds of a bare MPI_Bcast of as many bytes. FOLDER is on the disk that is measured.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <mpi.h>
#include <ctime>

#include <holdfast/holdfast.hpp>
#include <holdfast/mpi.hpp>

namespace {

using namespace holdfast;

int rank = 0, size = 1;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double cpu() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// What this rank did of the save that is being measured. Times are of one clock, which the ranks of one machine share.
struct probe {
  double created = 0, reserved = 0, sync_begun = 0, sync_ended = 0;  ///< 0: it was not this rank's to do
  double exchange = 0, exchange_begun = 0;
  double in_mpi = 0, cpu_at_creation = 0;  ///< seconds of the processor
  double told = 0, gathered = 0;
  bool committing = false;
};
probe seen;

template <class F>
int within_mpi(F&& call) {
  const double before = cpu();
  const int result = call();
  seen.in_mpi += cpu() - before;
  return result;
}

}  // namespace

// The library's collective calls, by MPI's profiling interface. What it waits for has one request at a time.
extern "C" {
int MPI_Iallreduce(const void* a, void* b, int n, MPI_Datatype t, MPI_Op op, MPI_Comm c, MPI_Request* r) {
  return within_mpi([&] { return PMPI_Iallreduce(a, b, n, t, op, c, r); });
}
int MPI_Ibcast(void* a, int n, MPI_Datatype t, int root, MPI_Comm c, MPI_Request* r) {
  int width = 0;
  MPI_Type_size(t, &width);
  seen.told += static_cast<double>(n) * width;
  return within_mpi([&] { return PMPI_Ibcast(a, n, t, root, c, r); });
}
int MPI_Iallgather(const void* a, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c, MPI_Request* r) {
  return within_mpi([&] { return PMPI_Iallgather(a, n, t, b, m, u, c, r); });
}
int MPI_Igatherv(const void* a, int n, MPI_Datatype t, void* b, const int* m, const int* d, MPI_Datatype u, int root, MPI_Comm c, MPI_Request* r) {
  if (rank == root)
    for (int other = 1; other < size; ++other) seen.gathered += m[other];
  return within_mpi([&] { return PMPI_Igatherv(a, n, t, b, m, d, u, root, c, r); });
}
int MPI_Ialltoall(const void* a, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c, MPI_Request* r) {
  seen.exchange_begun = now();
  return within_mpi([&] { return PMPI_Ialltoall(a, n, t, b, m, u, c, r); });
}
int MPI_Ialltoallv(const void* a, const int* n, const int* d, MPI_Datatype t, void* b, const int* m, const int* e, MPI_Datatype u, MPI_Comm c, MPI_Request* r) {
  seen.exchange_begun = now();
  return within_mpi([&] { return PMPI_Ialltoallv(a, n, d, t, b, m, e, u, c, r); });
}
int MPI_Test(MPI_Request* r, int* ended, MPI_Status* status) {
  const int result = within_mpi([&] { return PMPI_Test(r, ended, status); });
  if (*ended && seen.exchange_begun != 0) seen.exchange += now() - std::exchange(seen.exchange_begun, 0);
  return result;
}
int MPI_File_sync(MPI_File file) {
  if (seen.sync_begun == 0) seen.sync_begun = now();
  return PMPI_File_sync(file);
}
}

namespace {

/// The operating system's files, with the time of the steps that separate phases.
class timed_storage final : public io::posix_storage {
 public:
  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    seen.created = now();
    seen.cpu_at_creation = cpu() - seen.in_mpi;
    return std::make_unique<timed_file>(io::posix_storage::create(path, shown_as));
  }
  std::unique_ptr<io::file> join(const std::string& path, const std::string& shown_as) override { return std::make_unique<timed_file>(io::posix_storage::join(path, shown_as)); }

 private:
  class timed_file final : public io::file {
   public:
    explicit timed_file(std::unique_ptr<io::file> below) : below_(std::move(below)) {}
    const std::string& path() const override { return below_->path(); }
    void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override { below_->write_at(offset, bytes); }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override { below_->read_at(offset, out); }
    std::uint64_t size() const override { return below_->size(); }
    std::chrono::system_clock::time_point modified() const override { return below_->modified(); }
    void preallocate(std::uint64_t bytes) override {
      below_->preallocate(bytes);
      seen.reserved = now();
    }
    /// The first one of a rank is of what it has written; rank 0 syncs once more, with the seal.
    void sync() override {
      const bool first = seen.sync_ended == 0;
      if (first && seen.sync_begun == 0) seen.sync_begun = now();
      below_->sync();
      if (first) seen.sync_ended = now();
    }
    std::shared_ptr<const std::byte> map() const override { return below_->map(); }
    bool write_past_cache() override { return below_->write_past_cache(); }
    unsigned writes_at_once() const override { return below_->writes_at_once(); }
    void begin_write_back(std::uint64_t offset, std::uint64_t bytes) noexcept override { below_->begin_write_back(offset, bytes); }

   private:
    std::unique_ptr<io::file> below_;
  };
};

double over_ranks(double mine, MPI_Op op) {
  double all = 0;
  PMPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
  return all;
}
double most(double mine) { return over_ranks(mine, MPI_MAX); }

using sample = std::map<std::string, double>;

/// Sleeps until all ranks have come here, and a while longer, to start at one time. A barrier would let go of one rank after the
/// other where they share processors.
double start_together() {
  const double start = most(now()) + 0.02;
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(start))));
  return start;
}

/// The seconds of the slowest rank; all start together.
template <class F>
sample timed(F&& work) {
  const double start = start_together();
  work();
  return {{"seconds", most(now() - start)}};
}

template <class F>
sample by_phase(bool large, F&& work) {
  seen = {};
  const double start = start_together(), cpu_start = cpu();
  work();
  const double ended = now(), used = cpu() - seen.in_mpi - cpu_start;
  const double end = most(ended), created = most(seen.created), reserved = most(seen.reserved);
  // Where nothing is written but by rank 0 at the end, the only sync is the commit's.
  const double written = large ? most(seen.sync_begun) : reserved, synced = large ? most(seen.sync_ended) : reserved;
  const double cpu_metadata = seen.created != 0 ? seen.cpu_at_creation - cpu_start : 0;
  return {{"seconds", end - start},
          {"metadata", created - start},
          {"reserve", reserved - created},
          {"write", written - reserved},
          {"sync", synced - written},
          {"commit", end - synced},
          {"exchange", most(seen.exchange)},
          {"root_cpu", most(cpu_metadata)},
          {"root_cpu_commit", most(rank == 0 ? used - cpu_metadata : 0)},
          {"rank_cpu", most(rank == 0 ? 0 : used)},
          {"told", over_ranks(rank == 0 ? seen.told : 0, MPI_MAX)},
          {"gathered", over_ranks(seen.gathered, MPI_MAX)}};
}

void write_plain(const std::string& folder, const std::vector<std::byte>& bytes) {
  io::storage& on = io::posix();
  io::durable_file file(on, folder + "/plain-" + std::to_string(rank));
  file->preallocate(bytes.size());
  if (bytes.size() >= io::overlapped_writer::piece_bytes) file->write_past_cache();
  io::staging_buffer pieces;
  io::overlapped_writer writer(*file, pieces, bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const auto piece = writer.piece();
    const std::size_t n = std::min(piece.size(), bytes.size() - at);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, piece.begin());
    writer.write(at, piece.first(n));
    at += n;
  }
  writer.finish();
  file.commit(io::replace::yes);
}

int measure(const std::string& folder, std::int64_t tensors, std::int64_t mib, int rounds, const std::string& how, std::vector<std::string> contenders) {
  // Matrices of float32, 1024 rows of as many columns as make up the bytes, at least one for each rank.
  const std::int64_t rows = std::max<std::int64_t>(1024, size), columns = std::max<std::int64_t>((mib << 20) / 4 / tensors / rows, how == "columns" ? size : 1);
  const auto share = [](std::int64_t n, int r) { return n * r / size; };
  const std::int64_t top = how == "rows" ? share(rows, rank) : 0, bottom = how == "rows" ? share(rows, rank + 1) : rows;
  const std::int64_t left = how == "columns" ? share(columns, rank) : 0, right = how == "columns" ? share(columns, rank + 1) : columns;
  const auto own = static_cast<std::size_t>((bottom - top) * (right - left));
  std::vector<float> memory(own * static_cast<std::size_t>(tensors), 1.5f);
  state s;
  for (std::int64_t t = 0; t < tensors; ++t) {
    const tensor_ref<float> view = tensor(memory.data() + static_cast<std::size_t>(t) * own, {bottom - top, right - left});
    if (how == "replicas") s.bind("model/layer" + std::to_string(t), tensor_view(view.view));
    else s.bind("model/layer" + std::to_string(t), sharded(view.view, {rows, columns}, {top, left}));
  }
  const std::int64_t all = rows * columns * tensors * 4;
  const bool large = rows * columns * 4 >= 65536;
  if (contenders.empty()) contenders = {"plain", "first", "again"};
  const std::vector<std::byte> bytes(static_cast<std::size_t>(all / size), std::byte{1});
  timed_storage storage;
  const std::string path = folder + "/ranks.h5";

  std::map<std::string, std::vector<sample>> samples;
  for (int round = 0; round < rounds; ++round) {
    auto saver = std::make_unique<mpi::saver>(MPI_COMM_WORLD);
    saver->save(path, s, {.storage = &storage});
    for (const std::string& name : contenders) {
      const auto save = [&](const mpi::rank_options& ranks) { return by_phase(large, [&] { saver->save(path, s, {.storage = &storage}, ranks); }); };
      sample& measured = samples[name].emplace_back();
      if (name == "plain") {
        measured = timed([&] { write_plain(folder, bytes); });
      } else if (name == "first") {
        saver.reset();
        saver = std::make_unique<mpi::saver>(MPI_COMM_WORLD);
        measured = save({});
        std::vector<std::byte> message(static_cast<std::size_t>(measured["told"]));
        measured["broadcast"] = timed([&] { PMPI_Bcast(message.data(), static_cast<int>(message.size()), MPI_BYTE, 0, MPI_COMM_WORLD); })["seconds"];
      } else {
        measured = save({.replicas = name == "trusted" ? mpi::replicas::trust : mpi::replicas::compare, .writes = name == "collective" ? mpi::writes::collective : mpi::writes::positional});
      }
    }
  }
  if (rank != 0) return 0;
  std::cout << "{\"ranks\": " << size << ", \"tensors\": " << tensors << ", \"bytes\": " << all << ", \"cut\": \"" << how << '"';
  for (const auto& [name, of] : samples) {
    std::cout << ", \"" << name << "\": {";
    for (const auto& [what, any] : of.front()) {
      std::vector<double> values;
      for (const sample& each : of) values.push_back(each.at(what));
      std::sort(values.begin(), values.end());
      std::cout << (what == of.front().begin()->first ? "\"" : ", \"") << what << "\": " << values[values.size() / 2];
    }
    std::cout << "}";
  }
  std::cout << "}" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int status = 2;
  try {
    if (argc >= 6) status = measure(argv[1], std::atoll(argv[2]), std::atoll(argv[3]), std::atoi(argv[4]), argv[5], {argv + 6, argv + argc});
    else if (rank == 0) std::cerr << "usage: mpiexec -n N mpi_scaling FOLDER TENSORS MIB ROUNDS rows|columns|replicas [plain|first|again|collective|trusted...]\n";
  } catch (const error& e) {
    if (rank == 0) std::cerr << e.what() << std::endl;
    status = 1;
  }
  MPI_Finalize();
  return status;
}
