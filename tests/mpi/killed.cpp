/// A run of one save for kill_ranks.py, of which one rank ends with SIGKILL at a step of the protocol:
///   killed FOLDER RANK storage|mpi N    all ranks restore the newest checkpoint and save the next step; that rank dies at its call N
///                                       of the storage, or of MPI; prints "calls" and what they were, where it lives
///   killed FOLDER                       one process without MPI: everything visible is whole; prints the newest step
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

#include <mpi.h>
#include <unistd.h>

#define BOOST_TEST_NO_MAIN
#include "../io/faulty_storage.hpp"
#include "ranks.hpp"

using namespace holdfast;

namespace {

long calls = 0, dies_at = -1;

/// Every collective call of the library comes through here when it has been started, by MPI's profiling interface.
int counted(int result) {
  if (calls++ == dies_at) ::kill(::getpid(), SIGKILL);
  return result;
}

}  // namespace

extern "C" {
int MPI_Iallreduce(const void* a, void* b, int n, MPI_Datatype t, MPI_Op op, MPI_Comm c, MPI_Request* r) { return counted(PMPI_Iallreduce(a, b, n, t, op, c, r)); }
int MPI_Ibcast(void* a, int n, MPI_Datatype t, int root, MPI_Comm c, MPI_Request* r) { return counted(PMPI_Ibcast(a, n, t, root, c, r)); }
int MPI_Iallgather(const void* a, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c, MPI_Request* r) { return counted(PMPI_Iallgather(a, n, t, b, m, u, c, r)); }
int MPI_Igatherv(const void* a, int n, MPI_Datatype t, void* b, const int* m, const int* d, MPI_Datatype u, int root, MPI_Comm c, MPI_Request* r) { return counted(PMPI_Igatherv(a, n, t, b, m, d, u, root, c, r)); }
int MPI_Ialltoall(const void* a, int n, MPI_Datatype t, void* b, int m, MPI_Datatype u, MPI_Comm c, MPI_Request* r) { return counted(PMPI_Ialltoall(a, n, t, b, m, u, c, r)); }
int MPI_Ialltoallv(const void* a, const int* n, const int* d, MPI_Datatype t, void* b, const int* m, const int* e, MPI_Datatype u, MPI_Comm c, MPI_Request* r) { return counted(PMPI_Ialltoallv(a, n, d, t, b, m, e, u, c, r)); }
}

namespace {

int look(const std::string& folder) {
  const checkpoint_directory runs(folder);
  for (const checkpoint_info& c : runs.list()) {
    if (!c.damage.empty()) throw error(c.damage);
    checkpoint_file(c.path).verify();
    support::sharded_trainer t(1, 0, false);
    restore(c.path, t.bound, {.except = {"ranks/**"}});
    if (!t.right() || t.step != c.step) throw error(c.path + " is not what was saved");
  }
  std::cout << (runs.steps().empty() ? 0 : runs.steps().back()) << std::endl;
  return 0;
}

int live(const std::string& folder, int rank, const std::string& of, long at) {
  support::faulty_storage storage;
  const bool mine = support::world_rank() == rank;
  mpi::checkpoint_directory runs(MPI_COMM_WORLD, folder, {.keep_last = 2, .storage = &storage});
  support::sharded_trainer t(support::world_size(), support::world_rank(), false);
  const auto taken = runs.restore_latest(t.bound);
  const std::int64_t step = taken ? taken->step : 0;
  support::sharded_trainer next(support::world_size(), support::world_rank(), true, step + 1);
  storage.forget();
  calls = 0;
  if (mine && of == "mpi") dies_at = at;
  else if (mine) storage.fail(static_cast<std::size_t>(at), support::faulty_storage::sigkill);
  runs.save(step + 1, next.bound);
  if (!mine) return 0;
  std::cout << "calls";
  if (of == "mpi")
    for (long n = 0; n < calls; ++n) std::cout << " collective";
  else
    for (const auto& c : storage.calls()) std::cout << ' ' << support::name(c.what);
  std::cout << std::endl;
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string folder = count > 1 ? arguments[1] : ".";
  try {
    if (count < 5) return look(folder);
    MPI_Init(&count, &arguments);
    ::alarm(60);
    const int result = live(folder, std::atoi(arguments[2]), arguments[3], std::atol(arguments[4]));
    MPI_Finalize();
    return result;
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    if (count >= 5) MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
  }
}
