#include <holdfast/checkpoint/directory.hpp>

#include <atomic>
#include <cmath>
#include <fstream>
#include <functional>
#include <thread>

#include <hdf5.h>
#include <sys/stat.h>

#include <holdfast/separate.hpp>

#include "../io/faulty_storage.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using support::faulty_storage;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

using steps = std::vector<std::int64_t>;

/// A directory of runs and a state of one number.
struct run {
  support::folder dir;
  std::string path = dir / "run";
  float value = 0;
  state s;
  run() { s.bind("value", value); }
  void save(checkpoint_directory& d, std::int64_t step, std::optional<double> metric = {}) {
    value = static_cast<float>(step);
    d.save(step, s, {.metric = metric});
  }
};

#define SAME(a, b) BOOST_TEST((a) == (b), boost::test_tools::per_element())

}  // namespace

BOOST_AUTO_TEST_SUITE(directory)

BOOST_AUTO_TEST_CASE(the_folder_is_made_where_it_is_missing_and_kept_where_it_is_not) {
  run r;
  const checkpoint_directory first(r.path + "/a/b//");
  BOOST_TEST(first.path() == r.path + "/a/b");
  const checkpoint_directory second(r.path + "/a/b");
  BOOST_TEST(second.steps().empty());
  support::write_bytes(r.dir / "file", "x");
  require_all(message_of<io_error>([&] { checkpoint_directory d(r.dir / "file"); }), r.dir / "file", "cannot be a folder");
  require_all(message_of<error>([&] { checkpoint_directory d(""); }), "empty path");
  require_all(message_of<error>([&] { checkpoint_directory d(r.path, {.keep_last = 0}); }), r.path, "keep_last is 0, expected at least 1");
}

BOOST_AUTO_TEST_CASE(checkpoints_are_in_the_order_of_their_steps) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 100});
  for (const std::int64_t step : {std::int64_t{0}, std::int64_t{9}, std::int64_t{10}, std::int64_t{100}, std::int64_t{999999999999}, std::int64_t{1000000000000}}) r.save(d, step);
  SAME(d.steps(), (steps{0, 9, 10, 100, 999999999999, 1000000000000}));
  BOOST_TEST(d.path_of(10) == r.path + "/step-000000000010.h5");
  const auto found = d.restore_latest(r.s);
  BOOST_TEST(found->step == 1000000000000);
  BOOST_TEST(found->path == d.path_of(1000000000000));
  BOOST_TEST(found->report.step == 1000000000000);
  require_all(message_of<error>([&] { r.save(d, -1); }), r.path, "step -1");
}

BOOST_AUTO_TEST_CASE(the_newest_few_are_kept) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 3});
  for (std::int64_t step = 0; step < 8; ++step) r.save(d, step);
  SAME(d.steps(), (steps{5, 6, 7}));
  checkpoint_directory one(r.dir / "one");
  for (std::int64_t step = 0; step < 3; ++step) r.save(one, step);
  SAME(one.steps(), steps{2});
}

BOOST_AUTO_TEST_CASE(the_best_are_kept_by_metric_and_those_without_one_are_not_among_them) {
  const auto kept = [](bool higher_is_better) {
    run r;
    checkpoint_directory d(r.path, {.keep_last = 1, .keep_best = 2, .higher_is_better = higher_is_better});
    const std::optional<double> metrics[] = {3.0, 1.0, {}, 5.0, 2.0, 4.0, std::nan("")};
    for (std::int64_t step = 0; step < 7; ++step) r.save(d, step, metrics[step]);
    return d.steps();
  };
  SAME(kept(false), (steps{1, 4, 6}));
  SAME(kept(true), (steps{3, 5, 6}));
}

BOOST_AUTO_TEST_CASE(metrics_are_remembered_by_the_files_not_by_the_process) {
  run r;
  {
    checkpoint_directory d(r.path, {.keep_last = 1, .keep_best = 1});
    r.save(d, 1, 0.1);
    r.save(d, 2, 0.5);
  }
  checkpoint_directory d(r.path, {.keep_last = 1, .keep_best = 1});
  r.save(d, 3, 0.7);
  SAME(d.steps(), (steps{1, 3}));
}

BOOST_AUTO_TEST_CASE(multiples_of_a_step_are_kept_for_ever) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 2, .keep_every = 10});
  for (std::int64_t step = 5; step <= 45; step += 5) r.save(d, step);
  SAME(d.steps(), (steps{10, 20, 30, 40, 45}));
}

BOOST_AUTO_TEST_CASE(the_newest_is_kept_however_bad_it_is) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 1, .keep_best = 1, .keep_every = 1000});
  for (std::int64_t step = 1; step < 5; ++step) {
    r.save(d, step, static_cast<double>(step));
    BOOST_TEST(d.steps().back() == step);
  }
  SAME(d.steps(), (steps{1, 4}));
}

BOOST_AUTO_TEST_CASE(nothing_is_deleted_that_is_not_a_whole_checkpoint_of_this_directory) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 1});
  r.save(d, 1);
  const std::string sound = support::bytes_of(d.path_of(1));
  const std::vector<std::string> others{"notes.txt", "step-5.h5", "step-0000000000012.h5", "step-000000000001.h5.bak", "step-00000000000x.h5", ".holdfast-notes", "best.h5"};
  for (const std::string& name : others) support::write_bytes(r.path + "/" + name, sound);
  support::write_bytes(d.path_of(2), sound.substr(0, 3000));
  support::write_bytes(d.path_of(3), sound);
  H5Fclose(H5Fopen(d.path_of(3).c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  SAME(d.steps(), (steps{1, 2, 3}));
  r.save(d, 9);
  SAME(d.steps(), (steps{2, 3, 9}));
  for (const std::string& name : others) BOOST_TEST(std::filesystem::exists(r.path + "/" + name), name);
}

BOOST_AUTO_TEST_CASE(a_run_that_goes_on_from_an_older_step_keeps_what_is_newer_and_replaces_what_it_meets) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 2});
  for (const std::int64_t step : {10, 20, 30}) r.save(d, step);
  SAME(d.steps(), (steps{20, 30}));
  r.save(d, 15);
  SAME(d.steps(), (steps{15, 20, 30}));
  r.value = 77;
  d.save(20, r.s);
  BOOST_TEST(checkpoint_file(d.path_of(20)).read<float>("value") == 77);
}

BOOST_AUTO_TEST_CASE(a_directory_without_checkpoints_restores_nothing) {
  run r;
  checkpoint_directory d(r.path);
  r.value = 5;
  BOOST_TEST(!d.restore_latest(r.s).has_value());
  BOOST_TEST(r.value == 5);
  BOOST_TEST(support::names_in(r.path).empty());  // no lock either: it only reads
}

BOOST_AUTO_TEST_CASE(damaged_checkpoints_are_passed_over_and_each_is_reported) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 100});
  for (std::int64_t step = 1; step <= 7; ++step) r.save(d, step);
  const std::string sound = support::bytes_of(d.path_of(7));
  support::write_bytes(d.path_of(7), "");
  support::write_bytes(d.path_of(6), sound.substr(0, sound.size() - 100));
  support::write_bytes(d.path_of(5), std::string(5000, 'x'));
  std::uint64_t at = 0;
  {
    const checkpoint_file f(d.path_of(4));
    at = f.entries().front().offset;
  }
  support::flip_bit(d.path_of(4), at);
  support::flip_bit(d.path_of(3), 30);
  r.value = 99;
  const auto found = d.restore_latest(r.s);
  BOOST_TEST(found->step == 2);
  BOOST_TEST(r.value == 2);
  BOOST_REQUIRE_EQUAL(found->rejected.size(), 5u);
  const char* reasons[] = {"empty file", "expected a sealed checkpoint", "not HDF5", "/value: its 4 bytes are not those", "metadata is damaged"};
  for (std::size_t i = 0; i < 5; ++i) {
    BOOST_TEST(found->rejected[i].path == d.path_of(7 - static_cast<std::int64_t>(i)));
    require_all(found->rejected[i].reason, d.path_of(7 - static_cast<std::int64_t>(i)), reasons[i]);
  }
  support::write_bytes(d.path_of(1), "");
  support::write_bytes(d.path_of(2), "");
  r.value = 99;
  const auto text = message_of<integrity_error>([&] { d.restore_latest(r.s); });
  require_all(text, r.path + ": none of 7 checkpoints is whole");
  for (std::int64_t step = 1; step <= 7; ++step) require_all(text, d.path_of(step));
  BOOST_TEST(r.value == 99);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_does_not_fit_the_program_is_not_passed_over) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 2});
  r.save(d, 1);
  float other = 0;
  r.s.bind("other", other);
  require_all(message_of<mismatch_error>([&] { d.restore_latest(r.s); }), d.path_of(1), "/other: expected float32[], not in the file");
  BOOST_TEST(d.restore_latest(r.s, {.missing = on_missing::keep})->step == 1);
}

BOOST_AUTO_TEST_CASE(a_second_writer_is_refused_and_may_read) {
  run r;
  checkpoint_directory d(r.path);
  r.save(d, 1);
  const auto told = support::told_by_child([&] {
    checkpoint_directory other(r.path);
    const auto text = message_of<io_error>([&] { other.save(2, r.s); });
    return other.restore_latest(r.s)->step == 1 ? text : "could not read";
  });
  require_all(told, r.path + ": another writer (process " + std::to_string(::getpid()) + " on ", "is saving checkpoints here", "a directory of its own");
  checkpoint_directory here(r.path);
  message_of<io_error>([&] { here.save(2, r.s); });
  SAME(d.steps(), steps{1});
}

BOOST_AUTO_TEST_CASE(a_killed_writer_leaves_a_free_directory_and_its_temporary_file_is_swept) {
  run r;
  const int status = support::in_child([&] {
    checkpoint_directory d(r.path, {.keep_last = 5});
    r.save(d, 1);
    r.save(d, 2);
    io::durable_file half(io::posix(), d.path_of(3));
    half->preallocate(100000);
    ::raise(SIGKILL);
    return 0;
  });
  BOOST_TEST(status == 128 + SIGKILL);
  BOOST_TEST(support::names_in(r.path).size() == 4u);  // lock, temporary, two checkpoints
  checkpoint_directory d(r.path, {.keep_last = 5});
  BOOST_TEST(d.restore_latest(r.s)->step == 2);
  r.save(d, 3);
  SAME(d.steps(), (steps{1, 2, 3}));
  BOOST_TEST(support::names_in(r.path).size() == 4u);
  for (const std::string& name : support::names_in(r.path)) BOOST_TEST(!name.ends_with(".tmp"), name);
}

BOOST_AUTO_TEST_CASE(nothing_is_deleted_before_the_new_checkpoint_is_durable) {
  run r;
  faulty_storage disk;
  checkpoint_directory d(r.path, {.keep_last = 1, .storage = &disk});
  r.save(d, 1);
  disk.forget();
  r.save(d, 2);
  BOOST_TEST(disk.order() == "create preallocate write sync rename sync_folder remove");
  BOOST_TEST(disk.calls().back().path == d.path_of(1));
}

BOOST_AUTO_TEST_CASE(a_save_that_fails_deletes_nothing_and_leaves_nothing) {
  run r;
  faulty_storage disk;
  checkpoint_directory d(r.path, {.keep_last = 1, .storage = &disk});
  r.save(d, 1);
  disk.forget();
  r.save(d, 2);
  const std::size_t calls = disk.calls().size();
  for (std::size_t k = 0; k + 3 < calls; ++k) {  // up to the sync; then the name, the folder, the old file
    disk.forget();
    disk.fail(k, ENOSPC);
    require_all(message_of<io_error>([&] { r.save(d, 3); }), d.path_of(3), "No space left on device");
    SAME(d.steps(), steps{2});
    BOOST_TEST(support::names_in(r.path).size() == 2u);
  }
  disk.forget();
  r.save(d, 3);
  SAME(d.steps(), steps{3});
}

BOOST_AUTO_TEST_CASE(a_read_only_directory_can_be_restored_from) {
  run r;
  {
    checkpoint_directory d(r.path);
    r.save(d, 1);
  }
  std::filesystem::permissions(r.dir.path(), std::filesystem::perms(0555));
  std::filesystem::permissions(r.path, std::filesystem::perms(0555));
  const auto told = support::told_by_nobody([&] {
    checkpoint_directory d(r.path);
    r.value = 0;
    const bool restored = d.restore_latest(r.s)->step == 1 && r.value == 1;
    return restored ? message_of<io_error>([&] { r.save(d, 2); }) : "could not read";
  });
  require_all(told, r.path, "Permission denied");
  std::filesystem::permissions(r.path, std::filesystem::perms(0755));
  std::filesystem::permissions(r.dir.path(), std::filesystem::perms(0755));
  BOOST_TEST(checkpoint_directory(r.path).steps().size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_list_says_what_trailers_say) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 100});
  BOOST_TEST(d.list().empty());
  BOOST_TEST(!d.latest_valid().has_value());
  r.save(d, 1, 0.5);
  r.save(d, 2);
  r.save(d, 3, 0.25);
  std::uint64_t at = 0;
  {
    const checkpoint_file f(d.path_of(3));
    at = f.entries().front().offset;
  }
  support::flip_bit(d.path_of(3), at);  // its trailer says nothing of it
  support::write_bytes(d.path_of(4), "not HDF5");
  support::write_bytes(d.path_of(5), support::bytes_of(d.path_of(2)).substr(0, 3000));
  const auto all = d.list();
  BOOST_REQUIRE_EQUAL(all.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    BOOST_TEST(all[i].step == static_cast<std::int64_t>(i) + 1);
    BOOST_TEST(all[i].path == d.path_of(all[i].step));
    BOOST_TEST(all[i].bytes == std::filesystem::file_size(all[i].path));
    BOOST_TEST((std::chrono::system_clock::now() - all[i].time < std::chrono::minutes(1)));
    BOOST_TEST(all[i].damage.empty() == (i < 3));
  }
  BOOST_TEST(all[0].metric.value_or(-1) == 0.5);
  BOOST_TEST(!all[1].metric.has_value());
  require_all(all[3].damage, all[3].path, "not HDF5");
  require_all(all[4].damage, all[4].path, "not sealed");
  const auto valid = d.latest_valid();
  BOOST_REQUIRE(valid.has_value());
  BOOST_TEST(valid->step == 2);
  BOOST_TEST(valid->path == d.path_of(2));
  BOOST_TEST(valid->bytes == all[1].bytes);
  BOOST_TEST(!valid->metric.has_value());
}

BOOST_AUTO_TEST_CASE(a_file_that_is_being_written_here_by_somebody_else_is_not_swept) {
  run r;
  checkpoint_directory d(r.path);
  {
    io::durable_file extra(io::posix(), r.path + "/extra.h5");
    extra->preallocate(1000);
    r.save(d, 1);
    extra.commit(io::replace::yes);
  }
  BOOST_TEST(std::filesystem::file_size(r.path + "/extra.h5") == 1000u);
}

BOOST_AUTO_TEST_CASE(a_disk_that_cannot_read_the_newest_is_as_good_as_damage) {
  run r;
  checkpoint_directory d(r.path, {.keep_last = 5});
  r.save(d, 1);
  r.save(d, 2);
  class bad_sector final : public io::posix_storage {
   public:
    std::unique_ptr<io::file> open(const std::string& path) override {
      if (path.ends_with("2.h5")) io::detail::fail(path, "cannot read", code);
      return io::posix_storage::open(path);
    }
    int code = EIO;
  } disk;
  checkpoint_directory reader(r.path, {.storage = &disk});
  const auto found = reader.restore_latest(r.s);
  BOOST_TEST(found->step == 1);
  BOOST_REQUIRE_EQUAL(found->rejected.size(), 1u);
  require_all(found->rejected[0].reason, d.path_of(2), "Input/output error");
  disk.code = EACCES;
  require_all(message_of<io_error>([&] { reader.restore_latest(r.s); }), "Permission denied");
}

BOOST_AUTO_TEST_CASE(readers_that_meet_a_deletion_take_the_next_or_look_again) {
  run r;
  checkpoint_directory writer(r.path, {.keep_last = 1});
  r.save(writer, 1);
  // The file of the step that was listed goes, and a newer one comes, before it is opened.
  class late final : public io::posix_storage {
   public:
    std::unique_ptr<io::file> open(const std::string& path) override {
      if (meanwhile) std::exchange(meanwhile, nullptr)();
      return io::posix_storage::open(path);
    }
    std::function<void()> meanwhile;
  } disk;
  checkpoint_directory reader(r.path, {.storage = &disk});
  float back = 0;
  state s;
  s.bind("value", back);
  disk.meanwhile = [&] { r.save(writer, 2); };
  BOOST_TEST(reader.restore_latest(s)->step == 2);
  BOOST_TEST(back == 2);
  disk.meanwhile = [&] { r.save(writer, 3); };
  BOOST_TEST(reader.latest_valid()->step == 3);
  disk.meanwhile = [&] { r.save(writer, 4); };
  BOOST_TEST(reader.list().empty());
}

BOOST_AUTO_TEST_CASE(readers_and_a_writer_at_once_never_meet_a_damaged_or_an_older_state) {
  run r;
  checkpoint_directory writer(r.path, {.keep_last = 1});
  r.save(writer, 1);
  std::atomic<bool> done{false};
  std::atomic<int> restored{0};
  std::vector<std::thread> readers;
  std::vector<std::string> wrong(2);
  for (std::string& problem : wrong)
    readers.emplace_back([&] {
      float back = 0;
      state s;
      s.bind("value", back);
      checkpoint_directory reader(r.path);
      std::int64_t last = 1;
      try {
        while (!done) {
          const auto found = reader.restore_latest(s);
          if (!found || back != static_cast<float>(found->step) || found->step < last) problem = "step " + std::to_string(last) + ", then something else";
          else last = found->step;
          ++restored;
        }
      } catch (const std::exception& e) {
        problem = e.what();
      }
    });
  for (std::int64_t step = 2; step < 200 || restored < 200; ++step) r.save(writer, step);
  done = true;
  for (std::thread& t : readers) t.join();
  for (const std::string& problem : wrong) BOOST_TEST(problem == "");
  std::cout << restored << " restores beside a writer that deletes\n";
}

BOOST_AUTO_TEST_CASE(a_file_under_the_name_of_another_step_is_not_taken_for_it) {
  const support::folder dir;
  support::trainer first(1), second(2), back(3);
  checkpoint_directory runs(dir / "r", {.keep_last = 3});
  runs.save(1, first.bound);
  runs.save(2, second.bound);
  std::filesystem::copy_file(runs.path_of(1), runs.path_of(5));
  const auto found = runs.restore_latest(back.bound);
  BOOST_TEST(found->step == 2);
  BOOST_REQUIRE(found->rejected.size() == 1u);
  support::require_all(found->rejected[0].reason, runs.path_of(5), "expected step 5", "found step 1");
  BOOST_TEST(runs.latest_valid()->step == 2);
  support::require_all(runs.list().back().damage, "expected step 5", "found step 1");

  save(runs.path_of(6), first.bound);  // without a step: somebody put it there
  BOOST_TEST(runs.restore_latest(back.bound)->step == 6);
}

BOOST_AUTO_TEST_CASE(recycled_blocks_are_those_of_what_retention_let_go) {
  const auto inode_of = [](const std::string& path) {
    struct stat s{};
    BOOST_REQUIRE(::stat(path.c_str(), &s) == 0);
    return s.st_ino;
  };
  const support::folder dir;
  support::trainer t(1), back(9);
  {
    checkpoint_directory runs(dir / "r", {.keep_last = 2, .recycle = true});
    for (std::int64_t step = 0; step < 3; ++step) runs.save(step, t.bound);
    BOOST_TEST((runs.steps() == std::vector<std::int64_t>{1, 2}));
    std::vector<ino_t> blocks{inode_of(runs.path_of(1)), inode_of(runs.path_of(2)), inode_of(dir / "r/.holdfast-spare.tmp")};
    for (std::int64_t step = 3; step < 9; ++step) {
      support::trainer now(static_cast<unsigned>(step));
      if (step % 2 == 0) runs.save(step, now.bound);
      else runs.save_async(step, now.bound).wait();
      BOOST_TEST((std::find(blocks.begin(), blocks.end(), inode_of(runs.path_of(step))) != blocks.end()), "step " << step << " has new blocks");
      BOOST_TEST(runs.restore_latest(back.bound)->step == step);
      BOOST_TEST((back.contents() == now.contents()));
    }
    BOOST_TEST((runs.steps() == std::vector<std::int64_t>{7, 8}));
  }
  BOOST_TEST(!std::filesystem::exists(dir / "r/.holdfast-spare.tmp"));
  {
    checkpoint_directory few(dir / "few", {.keep_last = 2, .recycle = true});
    few.save(0, t.bound);
  }  // which lets nothing go
  BOOST_TEST((checkpoint_directory(dir / "few").steps() == std::vector<std::int64_t>{0}));
}

BOOST_AUTO_TEST_CASE(what_somebody_still_uses_is_not_recycled) {
  const support::folder dir;
  support::trainer first(1), second(2);
  checkpoint_directory runs(dir / "r", {.recycle = true});
  runs.save(0, first.bound);
  std::filesystem::create_hard_link(runs.path_of(0), dir / "linked.h5");
  runs.save(1, second.bound);
  {
    const checkpoint_file open(runs.path_of(1));
    const auto mapped = open.map<float>("model/weight");
    const std::vector<float> before(mapped.begin(), mapped.end());
    runs.save(2, first.bound);
    runs.save(3, first.bound);
    BOOST_TEST((before == std::vector<float>(mapped.begin(), mapped.end())));
    open.verify();
  }
  support::trainer back(3);
  restore(dir / "linked.h5", back.bound);
  BOOST_TEST((back.contents() == first.contents()));
}

BOOST_AUTO_TEST_SUITE_END()
