#include <holdfast/mpi/directory.hpp>

#include <csignal>

#include "../io/faulty_storage.hpp"
#include "ranks.hpp"

using namespace holdfast;
using support::first_ranks;
using support::message_of;
using support::require_all;
using support::sharded_trainer;

BOOST_AUTO_TEST_SUITE(mpi_directory)

BOOST_AUTO_TEST_CASE(the_newest_are_kept_and_the_newest_whole_is_taken_by_all) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    mpi::checkpoint_directory runs(*four, folder / "run", {.keep_last = 3});
    sharded_trainer back(4, four.rank(), false);
    BOOST_TEST(!runs.restore_latest(back.bound));
    for (std::int64_t step = 1; step <= 5; ++step) {
      sharded_trainer t(4, four.rank(), true, step);
      if (step % 2 == 0) runs.save_async(step, t.bound).wait();
      else runs.save(step, t.bound, {.metric = 1.0 / static_cast<double>(step)});
      runs.close();
    }
    BOOST_TEST((runs.steps() == std::vector<std::int64_t>{3, 4, 5}));
    auto taken = runs.restore_latest(back.bound);
    BOOST_REQUIRE(taken);
    BOOST_TEST(taken->step == 5);
    BOOST_TEST(taken->report.verified);
    BOOST_TEST(back.step == 5);
    BOOST_TEST(back.right());

    // Damage that only one rank meets is a reason for all.
    MPI_Barrier(*four);
    if (four.rank() == 0) {
      const checkpoint_file file(runs.path_of(5));
      for (const entry& e : file.entries())
        if (e.path == "ranks/2/own") support::flip_bit(runs.path_of(5), e.offset + 99'999);
      support::flip_bit(runs.path_of(4), 100);
    }
    MPI_Barrier(*four);
    sharded_trainer again(4, four.rank(), false);
    taken = runs.restore_latest(again.bound);
    BOOST_REQUIRE(taken);
    BOOST_TEST(taken->step == 3);
    BOOST_TEST(again.step == 3);
    BOOST_TEST(again.right_of_rank(four.rank()));
    BOOST_REQUIRE(taken->rejected.size() == 2u);
    require_all(taken->rejected[0].reason, "rank 2: ", "/ranks/2/own");
    require_all(taken->rejected[1].reason, "rank 0: ", "metadata");

    // A state that does not fit is an error, and no reason to take an older one.
    float extra = 0;
    if (four.rank() == 3) again.bound.bind("extra", extra);
    require_all(message_of<mismatch_error>([&] { runs.restore_latest(again.bound); }), "rank 3: ", "/extra");
    MPI_Barrier(*four);
    if (four.rank() == 0) support::flip_bit(runs.path_of(3), 100);
    MPI_Barrier(*four);
    require_all(message_of<integrity_error>([&] { runs.restore_latest(back.bound); }), "none of 3", "rank 2: ");
    BOOST_TEST(back.step == 5);
  }
}

BOOST_AUTO_TEST_CASE(what_one_rank_cannot_read_is_passed_over_by_all) {
  class bad_sector final : public io::posix_storage {
   public:
    std::unique_ptr<io::file> open(const std::string& path) override {
      if (code != 0 && path.ends_with("2.h5")) io::detail::fail(path, "cannot read", code);
      return io::posix_storage::open(path);
    }
    int code = 0;
  } disk;
  const support::shared_folder folder;
  if (const first_ranks three(3); three) {
    float x = 0;
    state s;
    s.bind("x", x);
    mpi::checkpoint_directory runs(*three, folder / "run", {.keep_last = 5, .storage = &disk});
    for (std::int64_t step = 1; step <= 3; ++step) x = static_cast<float>(step), runs.save(step, s);
    if (three.rank() == 0) support::write_bytes(runs.path_of(3), "no checkpoint");
    if (three.rank() == 1) disk.code = EIO;
    MPI_Barrier(*three);
    const auto taken = runs.restore_latest(s);
    BOOST_REQUIRE(taken);
    BOOST_TEST((taken->step == 1 && x == 1));
    BOOST_REQUIRE(taken->rejected.size() == 2u);
    require_all(taken->rejected[0].reason, "rank 0: ", runs.path_of(3));
    require_all(taken->rejected[1].reason, "rank 1: ", runs.path_of(2), "cannot read: Input/output error");
    if (three.rank() == 1) disk.code = EACCES;  // which says nothing of the file
    x = 7;
    require_all(message_of<io_error>([&] { runs.restore_latest(s); }), "rank 1: ", runs.path_of(2), "cannot read: Permission denied");
    BOOST_TEST(x == 7);
  }
}

BOOST_AUTO_TEST_CASE(errors_of_rank_0_alone_are_those_of_all) {
  const support::shared_folder folder;
  if (const first_ranks three(3); three) {
    support::write_bytes(folder / "file", "x");
    MPI_Barrier(*three);
    require_all(message_of<io_error>([&] { mpi::checkpoint_directory(*three, folder / "file"); }), "rank 0: ", "file");
    mpi::checkpoint_directory runs(*three, folder / "run"), second(*three, folder / "run");
    float x = 1;
    state s;
    s.bind("x", x);
    runs.save(1, s);
    require_all(message_of<io_error>([&] { second.save(2, s); }), "rank 0: ", "another writer");
    require_all(message_of<error>([&] { runs.save(-1, s); }), "rank 0: ", "step -1");
    BOOST_TEST((runs.steps() == std::vector<std::int64_t>{1}));
  }
}

BOOST_AUTO_TEST_CASE(a_signal_of_one_rank_is_a_decision_of_all) {
  if (const first_ranks four(4); four) {
    const preemption_signal own({SIGUSR2});
    BOOST_TEST(!mpi::preempted(*four, own));
    if (four.rank() == 2) std::raise(SIGUSR2);
    BOOST_TEST(mpi::preempted(*four, own));
    BOOST_TEST(static_cast<bool>(own) == (four.rank() == 2));
  }
}

BOOST_AUTO_TEST_SUITE_END()
