/// Every state that a crash of all machines may leave of saves by four ranks, each on a machine of its own, is opened as a program
/// would open it. What each rank asks of its storage is recorded with what it knows to have come before (vector clocks, which its collective
/// calls carry); the traces are merged into orders that keep to that and to nothing else. HOLDFAST_TEST_EFFORT as in tests/trust.
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../trust/crash_replay.hpp"
#include "ranks.hpp"

using namespace holdfast;
using support::disk_call;
using kind = support::disk_call::kind;

namespace {

constexpr int ranks = 4;
using vector_clock = std::array<int, ranks>;

/// How many calls of each rank's storage have come before, and whether anybody counts.
vector_clock now{};
bool recording = false;

void learn(const vector_clock& other) {
  for (std::size_t r = 0; r < now.size(); ++r) now[r] = std::max(now[r], other[r]);
}

int learn_of_all(MPI_Comm c, int result) {
  if (!recording) return result;
  std::array<vector_clock, ranks> all;
  PMPI_Allgather(now.data(), ranks, MPI_INT, all.data(), ranks, MPI_INT, c);
  for (const vector_clock& other : all) learn(other);
  return result;
}

}  // namespace

// The library's collective calls, by MPI's profiling interface: they end before they return. Those that need not wait for a rank
// that sends nothing (MPI_Igatherv, MPI_Ialltoallv) tell nothing here.
extern "C" {
int MPI_Iallreduce(const void* a, void* b, int n, MPI_Datatype t, MPI_Op op, MPI_Comm c, MPI_Request*) { return learn_of_all(c, PMPI_Allreduce(a, b, n, t, op, c)); }
int MPI_Ialltoall(const void* a, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c, MPI_Request*) { return learn_of_all(c, PMPI_Alltoall(a, n, t, b, m, u, c)); }
int MPI_Ibcast(void* a, int n, MPI_Datatype t, int root, MPI_Comm c, MPI_Request*) {
  const int result = PMPI_Bcast(a, n, t, root, c);
  if (!recording || n == 0) return result;
  vector_clock of_root = now;
  PMPI_Bcast(of_root.data(), ranks, MPI_INT, root, c);
  learn(of_root);
  return result;
}
int MPI_Iallgather(const void* a, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c, MPI_Request*) { return learn_of_all(c, PMPI_Allgather(a, n, t, b, m, u, c)); }
}

namespace {

/// A call, and what came before it: of each rank so many.
struct event {
  disk_call call;
  vector_clock before;
};

enum class mistake { none,
                     late_sync,           ///< rank 2 says that it has synced, and does after the save
                     rank_0_syncs_alone,  ///< for all
};

/// Passes every call on to the operating system's files, and keeps it.
class traced_storage final : public io::storage {
 public:
  explicit traced_storage(mistake made) : made_(made) {}

  std::vector<event> events;

  void happens(disk_call call) {
    call.node = static_cast<std::size_t>(support::world_rank());
    events.push_back({std::move(call), now});
    ++now[static_cast<std::size_t>(support::world_rank())];
  }
  void catch_up() {
    for (const auto& late : std::exchange(late_, {})) happens(late);
  }

  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    auto file = io::posix().create(path, shown_as);
    happens({.what = kind::create, .path = path});
    return std::make_unique<traced_file>(*this, path, std::move(file));
  }
  std::unique_ptr<io::file> open(const std::string& path) override { return io::posix().open(path); }
  std::unique_ptr<io::file> join(const std::string& path, const std::string& shown_as) override { return std::make_unique<traced_file>(*this, path, io::posix().join(path, shown_as)); }
  void rename(const std::string& from, const std::string& to, io::replace existing) override {
    io::posix().rename(from, to, existing);
    happens({.what = kind::rename, .path = from, .to = to});
  }
  void remove(const std::string& path) override {
    io::posix().remove(path);
    happens({.what = kind::remove, .path = path});
  }
  bool remove_abandoned(const std::string& path) override {
    const bool gone = io::posix().remove_abandoned(path);
    if (gone) happens({.what = kind::remove, .path = path});
    return gone;
  }
  void sync_folder(const std::string& path) override { happens({.what = kind::sync_folder, .path = path}); }
  void make_folder(const std::string& path) override { happens({.what = kind::sync_folder, .path = io::detail::parent_of(path)}); }  // it is there
  std::vector<std::string> list(const std::string& path) override { return io::posix().list(path); }
  std::shared_ptr<void> lease(const std::string& path, const std::string& owner) override {
    if (!std::filesystem::exists(path)) happens({.what = kind::create, .path = path});
    return io::posix().lease(path, owner);
  }

 private:
  class traced_file final : public io::file {
   public:
    traced_file(traced_storage& of, std::string path, std::unique_ptr<io::file> below) : of_(of), path_(std::move(path)), below_(std::move(below)) {}
    const std::string& path() const override { return below_->path(); }
    void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      below_->write_at(offset, bytes);
      of_.happens({.what = kind::write, .path = path_, .offset = offset, .bytes = bytes.size(), .content = {bytes.begin(), bytes.end()}});
    }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override { below_->read_at(offset, out); }
    std::uint64_t size() const override { return below_->size(); }
    std::chrono::system_clock::time_point modified() const override { return below_->modified(); }
    void preallocate(std::uint64_t bytes) override {
      below_->preallocate(bytes);
      of_.happens({.what = kind::preallocate, .path = path_, .bytes = bytes});
    }
    void sync() override {
      const int rank = support::world_rank();
      if (of_.made_ == mistake::late_sync && rank == 2) return of_.late_.push_back({.what = kind::sync, .path = path_});
      if (of_.made_ != mistake::rank_0_syncs_alone || rank == 0) of_.happens({.what = kind::sync, .path = path_});
    }
    std::shared_ptr<const std::byte> map() const override { return below_->map(); }

   private:
    traced_storage& of_;
    std::string path_;
    std::unique_ptr<io::file> below_;
  };

  mistake made_;
  std::vector<disk_call> late_;
};

/// A state of which every rank writes a tensor: sharded by rows and by stretches, a replica, one of rank 3 alone; and small ones.
struct rank_trainer {
  static constexpr std::int64_t rows = 64, columns = 260;  // just large enough to be written in blocks
  std::vector<float> by_rows = std::vector<float>(rows * columns), stretches = by_rows, replica = by_rows, own = by_rows, bias = std::vector<float>(30);
  std::int64_t version = -1, count = ranks;
  state bound;

  /// As one process sees it.
  rank_trainer() {
    bound.bind("by_rows", tensor(by_rows.data(), {rows, columns})).bind("stretches", tensor(stretches.data(), {rows, columns}));
    bind_whole();
    bound.bind("ranks/3/own", own).bind("ranks/count", count);
  }
  explicit rank_trainer(int rank) {
    constexpr std::int64_t part = rows * columns / ranks;
    bound.bind("by_rows", sharded(tensor(by_rows.data() + rank * part, {rows / ranks, columns}), {rows, columns}, {rank * rows / ranks, 0}));
    bound.bind("stretches", sharded(tensor(stretches.data() + rank * part, {part}), {rows, columns}, {rank * part}));
    bind_whole();
    if (rank == 3) bound.bind("ranks/3/own", own);
  }
  rank_trainer(const rank_trainer&) = delete;

  void become(std::int64_t v) {
    std::minstd_rand values(static_cast<unsigned>(v + 1000));
    for (auto* tensor : {&by_rows, &stretches, &replica, &own, &bias})
      for (float& x : *tensor) x = static_cast<float>(values());
    version = v;
  }
  void become(const rank_trainer& other) {
    by_rows = other.by_rows, stretches = other.stretches, replica = other.replica, own = other.own, bias = other.bias;
    version = other.version;
  }
  friend bool operator==(const rank_trainer& a, const rank_trainer& b) {
    return a.version == b.version && a.by_rows == b.by_rows && a.stretches == b.stretches && a.replica == b.replica && a.own == b.own && a.bias == b.bias && a.count == b.count;
  }

 private:
  void bind_whole() { bound.bind("replica", replica).bind("bias", bias).bind("version", version); }
};

/// What all ranks did, by rank.
using traces = std::vector<std::vector<event>>;

/// Saves of four ranks with retention, recorded.
traces saves(const std::string& folder, mistake made) {
  traced_storage storage(made);
  now = {};
  recording = true;
  {
    mpi::checkpoint_directory runs(MPI_COMM_WORLD, folder, {.keep_last = 1, .storage = &storage});
    rank_trainer t(support::world_rank());
    for (std::int64_t step = 0; step < 3; ++step) {
      t.become(step);
      storage.happens({.what = kind::began, .version = static_cast<std::size_t>(step)});
      runs.save(step, t.bound);
      storage.happens({.what = kind::reported, .version = static_cast<std::size_t>(step)});
      storage.catch_up();
    }
  }
  recording = false;

  mpi::detail::packer mine;
  for (const auto& [call, before] : storage.events)
    mine.put(call.what).put(call.path).put(call.to).put(call.offset).put(call.bytes).put_all(std::span<const std::byte>(call.content)).put(call.version).put(call.node).put(before);
  traces all(ranks);
  for (int r = 0; r < ranks; ++r) {
    std::vector<std::byte> bytes = mine.bytes();
    mpi::detail::communicator(MPI_COMM_WORLD).broadcast(bytes, r);
    for (mpi::detail::unpacker in(bytes); !in.empty();) {
      event& e = all[static_cast<std::size_t>(r)].emplace_back();
      e.call.what = in.get<kind>();
      e.call.path = in.text();
      e.call.to = in.text();
      e.call.offset = in.get<std::uint64_t>();
      e.call.bytes = in.get<std::uint64_t>();
      e.call.content = in.all<std::byte>();
      e.call.version = in.get<std::size_t>();
      e.call.node = in.get<std::size_t>();
      e.before = in.get<vector_clock>();
    }
  }
  return all;
}

/// One order in which the calls may have come: of those that may be next, one of the rank that `prefers` chooses.
support::recording merged(const traces& all, const std::string& folder, const std::function<std::size_t(const std::vector<std::size_t>&)>& prefers) {
  support::disk_image start;
  for (std::filesystem::path above = folder; start.folders.insert(above.string()).second; above = above.parent_path()) {
  }
  support::recording run{.disk = std::make_shared<support::recording_storage>(start), .path = folder, .steps = {0, 1, 2}};
  std::map<std::string, std::size_t> numbers;
  std::size_t files = 0;
  vector_clock done{};
  while (true) {
    std::vector<std::size_t> ready;
    bool ended = true;
    for (std::size_t r = 0; r < all.size(); ++r) {
      const auto next = static_cast<std::size_t>(done[r]);
      if (next == all[r].size()) continue;
      ended = false;
      bool may = true;
      for (std::size_t q = 0; q < all.size(); ++q) may = may && done[q] >= all[r][next].before[q];
      if (may) ready.push_back(r);
    }
    if (ended) return run;
    const std::size_t r = prefers(ready);
    disk_call call = all[r][static_cast<std::size_t>(done[r]++)].call;
    if (call.what == kind::create) numbers[call.path] = files++;
    call.file = numbers[call.path];
    if (call.what == kind::rename) numbers[call.to] = call.file;
    run.disk->append(std::move(call));
  }
}

/// Orders in which one rank is as early as it may be and another as late, and random ones. Each rank tries a part of them.
support::replay_result replay(const traces& all, const std::string& folder, std::mt19937_64& engine, std::size_t states, int random) {
  support::replay_result total;
  std::size_t number = 0;
  const auto order = [&](auto&& prefers) {
    if (!total.violation.empty() || number++ % ranks != static_cast<std::size_t>(support::world_rank())) return;
    total += support::basic_crash_replay<rank_trainer>(merged(all, folder, prefers), states, engine).run();
  };
  for (std::size_t early = 0; early < ranks; ++early)
    order([&](const std::vector<std::size_t>& ready) { return std::find(ready.begin(), ready.end(), early) != ready.end() ? early : ready.back(); });
  for (int n = 0; n < random; ++n) order([&](const std::vector<std::size_t>& ready) { return ready[engine() % ready.size()]; });
  return total;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

BOOST_AUTO_TEST_SUITE(mpi_crash_states)

BOOST_AUTO_TEST_CASE(no_crash_loses_what_was_reported_as_saved_to_any_rank) {
  BOOST_REQUIRE(support::world_size() == ranks);
  auto engine = support::random_engine();
  const support::shared_folder folder;
  const traces all = saves(folder.path(), mistake::none);
  for (const auto& of_rank : all) BOOST_TEST(std::count_if(of_rank.begin(), of_rank.end(), [](const event& e) { return e.call.what == kind::sync; }) >= 3);
  const auto began = std::chrono::steady_clock::now();
  const support::replay_result r = replay(all, folder.path(), engine, static_cast<std::size_t>(std::max(20 * support::effort(), 4.0)), 12);
  BOOST_TEST(r.violation.empty(), r.violation);
  BOOST_TEST(r.refused == 0u, "a restore threw, before anything was reported");
  std::cout << "rank " + std::to_string(support::world_rank()) + ": " + std::to_string(r.tried) + " states tried, " + std::to_string(r.distinct) + " distinct, " + std::to_string(r.resumed) + " resumed, " +
                   std::to_string(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count()) + " s\n"
            << std::flush;
}

BOOST_AUTO_TEST_CASE(planted_mistakes_are_found) {
  auto engine = support::random_engine();
  for (const auto& [made, text] : {std::pair(mistake::late_sync, "rank 0 commits before rank 2 has synced"), std::pair(mistake::rank_0_syncs_alone, "rank 0 syncs for all")}) {
    const support::shared_folder folder;
    const traces all = saves(folder.path(), made);
    const support::replay_result r = replay(all, folder.path(), engine, 12, 0);
    const mpi::detail::communicator world(MPI_COMM_WORLD);
    BOOST_TEST(world.any(!r.violation.empty()), text << ": not found in " << r.tried << " states");
    if (!r.violation.empty()) std::cout << "planted: " + std::string(text) + ": found by rank " + std::to_string(world.rank()) + " after " + std::to_string(r.tried) + " states: " + first_line(r.violation) + "\n"
                                        << std::flush;
  }
}

BOOST_AUTO_TEST_SUITE_END()
