#include <holdfast/mpi/collective_writer.hpp>

#include "ranks.hpp"

using namespace holdfast;
using support::first_ranks;
using support::message_of;
using support::require_all;
using support::sharded_trainer;

namespace {

/// The call of MPI-IO, by its number from now, that this rank is told has failed; counted where it is not negative.
int fails_at = -1, calls = 0, told = MPI_SUCCESS;

int answered(int result) { return calls++ == fails_at ? told : result; }

}  // namespace

// Every call of MPI-IO comes through here, by MPI's profiling interface.
extern "C" {
int MPI_File_open(MPI_Comm c, const char* name, int mode, MPI_Info info, MPI_File* file) { return answered(PMPI_File_open(c, name, mode, info, file)); }
int MPI_File_set_view(MPI_File file, MPI_Offset at, MPI_Datatype e, MPI_Datatype t, const char* as, MPI_Info info) { return answered(PMPI_File_set_view(file, at, e, t, as, info)); }
int MPI_File_write_at_all(MPI_File file, MPI_Offset at, const void* bytes, int n, MPI_Datatype t, MPI_Status* s) { return answered(PMPI_File_write_at_all(file, at, bytes, n, t, s)); }
int MPI_File_sync(MPI_File file) { return answered(PMPI_File_sync(file)); }
int MPI_File_close(MPI_File* file) { return answered(PMPI_File_close(file)); }
}

BOOST_AUTO_TEST_SUITE(mpi_collective_writer)

BOOST_AUTO_TEST_CASE(both_ways_of_writing_make_the_same_file) {
  const support::shared_folder folder;
  for (const int n : {1, 3, 8}) {
    if (const first_ranks ranks(n); ranks) {
      sharded_trainer t(n, ranks.rank(), true);
      std::vector<std::int16_t> larger(ranks.rank() == n - 1 ? (5 << 20) + 3 : 1, 3);  // than a round
      t.bound.bind(mpi::rank_only(*ranks, "larger"), larger);
      calls = 0;
      mpi::save(*ranks, folder / "positional.h5", t.bound, {.step = 3});
      BOOST_TEST(calls == 0);
      mpi::save(*ranks, folder / "collective.h5", t.bound, {.step = 3}, {.writes = mpi::writes::collective});
      BOOST_TEST(calls > 4);
      MPI_Barrier(*ranks);
      if (ranks.rank() == 0) {
        BOOST_TEST((support::bytes_of(folder / "positional.h5") == support::bytes_of(folder / "collective.h5")));
        checkpoint_file(folder / "collective.h5").verify();
      }
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }
  BOOST_TEST(support::names_in(folder.path()).size() == 2u);
}

BOOST_AUTO_TEST_CASE(ranks_without_anything_write_together_with_those_that_have) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    mpi::checkpoint_directory runs(*four, folder / "run", {}, {.writes = mpi::writes::collective});
    std::vector<float> own(four.rank() == 2 ? 3 << 20 : 1, static_cast<float>(four.rank())), none;
    state s;
    s.bind(mpi::rank_only(*four, "own"), own);
    for (std::int64_t step : {1, 2}) {
      pending_save p = runs.save_async(step, s);
      std::fill(own.begin(), own.end(), -1.f);
      p.wait();
      BOOST_TEST(runs.restore_latest(s)->step == step);
      BOOST_TEST((own == std::vector<float>(own.size(), static_cast<float>(four.rank()))));
    }
    mpi::save(*four, folder / "nothing.h5", {}, {}, {.writes = mpi::writes::collective});
    BOOST_CHECK_NO_THROW(checkpoint_file(folder / "nothing.h5").verify());
  }
}

BOOST_AUTO_TEST_CASE(what_mpi_io_tells_one_rank_is_thrown_by_all_and_leaves_the_file_of_before) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    support::piece<float> columns(support::part_of(support::cut::columns, 300, 1000, 4, four.rank()), 1, true);
    std::vector<double> replica(100'000, 2);
    state s;
    s.bind("columns", columns.view()).bind("replica", replica);
    mpi::saver saver(*four);
    saver.save(folder / "a.h5", s, {.step = 1});
    const auto old = support::bytes_of(folder / "a.h5");
    const mpi::rank_options collective{.writes = mpi::writes::collective};
    saver.save(folder / "b.h5", s, {.step = 2}, collective);
    calls = 0;
    saver.save(folder / "b.h5", s, {.step = 2}, collective);
    const int all = calls;
    for (const int failing : {0, 3})
      for (int at = 0; at < all; ++at) {
        calls = 0, told = at % 2 == 0 ? MPI_ERR_NO_SPACE : MPI_ERR_IO;
        if (four.rank() == failing) fails_at = at;
        const std::string text = message_of<io_error>([&] { saver.save(folder / "a.h5", s, {.step = 2}, collective); });
        fails_at = -1;
        require_all(text, "rank " + std::to_string(failing) + ": ", folder / "a.h5", "MPI_File_", at % 2 == 0 ? "No space left on device" : "Input/output error");
        MPI_Barrier(*four);
        BOOST_TEST((support::bytes_of(folder / "a.h5") == old), text);
        BOOST_TEST(support::names_in(folder.path()).size() == 2u);
        MPI_Barrier(*four);
      }
    saver.save(folder / "a.h5", s, {.step = 2}, collective);
    MPI_Barrier(*four);
    BOOST_TEST((support::bytes_of(folder / "a.h5") == support::bytes_of(folder / "b.h5")));
    require_all(message_of<error>([&] { saver.save(folder / "a.h5", s, {}, {.writes = four.rank() == 2 ? mpi::writes::positional : mpi::writes::collective}); }), "rank 2: ", "rank_options");
  }
}

BOOST_AUTO_TEST_SUITE_END()
