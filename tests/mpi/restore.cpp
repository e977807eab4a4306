#include <holdfast/mpi/restore.hpp>

#include "ranks.hpp"

using namespace holdfast;
using support::first_ranks;
using support::sharded_trainer;

namespace {

/// Each of these numbers of ranks saves, and each restores what the other saved, bit for bit.
void save_and_restore_with(const std::vector<int>& numbers, sharded_trainer::size of) {
  for (const int saving : numbers) {
    const support::shared_folder folder;
    if (const first_ranks savers(saving); savers) {
      sharded_trainer t(saving, savers.rank(), true, 7, of);
      mpi::save(*savers, folder / "a.h5", t.bound, {.step = 7});
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (const int restoring : numbers) {
      const first_ranks readers(restoring);
      if (!readers) continue;
      sharded_trainer t(restoring, readers.rank(), false, 7, of);
      std::int64_t called = 0;
      const restore_report report = mpi::restore(*readers, folder / "a.h5", t.bound, {}, [&](std::int64_t saved) { called = saved; });
      BOOST_TEST(report.step == 7);
      BOOST_TEST(t.right(), saving << " ranks to " << restoring);
      if (saving == restoring) BOOST_TEST(t.right_of_rank(readers.rank()));
      else BOOST_TEST(called == saving);
    }
    // And one process that knows nothing of MPI.
    if (support::world_rank() == 0) {
      sharded_trainer t(1, 0, false, 7, of);
      restore(folder / "a.h5", t.bound, {.except = {"ranks/**"}});
      BOOST_TEST(t.right());
      const checkpoint_file file(folder / "a.h5");
      file.verify();
      BOOST_TEST(file.read<std::int64_t>("ranks/count") == saving);
    }
  }
}

boost::test_tools::assertion_result are_many(boost::unit_test::test_unit_id) { return support::world_size() >= 32; }

}  // namespace

BOOST_AUTO_TEST_SUITE(mpi_restore)

BOOST_AUTO_TEST_CASE(any_number_of_ranks_restores_what_any_other_saved) { save_and_restore_with({1, 2, 3, 4, 7, 8}, sharded_trainer::size::blocks); }

/// In a start of its own: see meson.build.
BOOST_AUTO_TEST_CASE(so_do_up_to_32, *boost::unit_test::precondition(are_many)) { save_and_restore_with({1, 2, 3, 4, 7, 8, 16, 32}, sharded_trainer::size::compact); }

BOOST_AUTO_TEST_CASE(own_state_of_another_number_of_ranks_needs_a_decision) {
  const support::shared_folder folder;
  if (const first_ranks two(2); two) {
    sharded_trainer t(2, two.rank(), true);
    mpi::save(*two, folder / "a.h5", t.bound);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (const first_ranks three(3); three) {
    sharded_trainer t(3, three.rank(), false);
    support::require_all(support::message_of<mismatch_error>([&] { mpi::restore(*three, folder / "a.h5", t.bound); }), "rank 0: ", "/ranks", "3 ranks", "that of 2", "ranks/**");
    BOOST_TEST(t.step == -1);
    mpi::restore(*three, folder / "a.h5", t.bound, {.except = {"ranks/**"}});
    BOOST_TEST(t.right());
    BOOST_TEST((t.engine == std::mt19937_64(999)));
  }
}

BOOST_AUTO_TEST_CASE(one_rank_that_cannot_is_an_error_of_all_before_any_changes) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    sharded_trainer saved(4, four.rank(), true), t(4, four.rank(), false);
    mpi::save(*four, folder / "a.h5", saved.bound);
    float extra = 0;
    if (four.rank() == 2) t.bound.bind("model/extra", extra);
    support::require_all(support::message_of<mismatch_error>([&] { mpi::restore(*four, folder / "a.h5", t.bound); }), "rank 2: ", "/model/extra", "not in the file");
    BOOST_TEST(t.step == -1);
    support::require_all(support::message_of<io_error>([&] { mpi::restore(*four, four.rank() == 3 ? folder / "none.h5" : folder / "a.h5", saved.bound); }), "rank 3: ", "none.h5");
  }
}

BOOST_AUTO_TEST_SUITE_END()
