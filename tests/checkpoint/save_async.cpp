#include <holdfast/separate.hpp>

#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "../io/gated_storage.hpp"
#include "../support.hpp"

namespace {

struct training {
  std::vector<float> weight = std::vector<float>(100'000);
  std::int64_t step = 0;
  holdfast::state state;
  training() {
    std::iota(weight.begin(), weight.end(), 0.f);
    state.bind("model/weight", weight).bind("progress/step", step);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(save_async)

BOOST_AUTO_TEST_CASE(the_state_may_change_while_it_is_written) {
  const support::folder folder;
  training t;
  support::gated_storage storage;
  holdfast::saver saver;
  const auto before = t.weight;
  auto pending = saver.save_async(folder / "a.h5", t.state, {.storage = &storage});
  BOOST_TEST(!pending.done());
  std::fill(t.weight.begin(), t.weight.end(), -1.f);
  t.step = 99;
  storage.open_gate();
  pending.wait();
  BOOST_TEST(pending.done());
  const holdfast::checkpoint_file file(folder / "a.h5");
  BOOST_TEST((file.read<std::vector<float>>("model/weight") == before));
  BOOST_TEST(file.read<std::int64_t>("progress/step") == 0);
}

BOOST_AUTO_TEST_CASE(it_writes_the_same_bytes_as_save) {
  const support::folder folder;
  training t;
  std::vector<double> column_major{1, 2, 3, 4, 5, 6};
  t.state.bind("model/matrix", holdfast::tensor(column_major.data(), {2, 3}, {1, 2})).bind("model/tied", holdfast::tensor(t.weight.data(), {100'000}));
  holdfast::save(folder / "a.h5", t.state);
  holdfast::save_async(folder / "b.h5", t.state).wait();
  BOOST_TEST((support::bytes_of(folder / "a.h5") == support::bytes_of(folder / "b.h5")));
}

BOOST_AUTO_TEST_CASE(while_one_is_written_the_next_waits_is_skipped_or_is_an_error) {
  const support::folder folder;
  training t;
  support::gated_storage storage;
  holdfast::saver saver;
  auto first = saver.save_async(folder / "1.h5", t.state, {.storage = &storage});
  BOOST_TEST(saver.save_async(folder / "2.h5", t.state, {}, holdfast::when_busy::skip).skipped());
  const std::string message = support::message_of<holdfast::error>([&] { auto p = saver.save_async(folder / "3.h5", t.state, {}, holdfast::when_busy::error); });
  support::require_all(message, "3.h5", "still being written");
  storage.open_gate();
  auto next = saver.save_async(folder / "4.h5", t.state);
  BOOST_TEST(first.done());
  next.wait();
  for (const char* name : {"1.h5", "4.h5"}) BOOST_TEST(std::filesystem::exists(folder / name));
  for (const char* name : {"2.h5", "3.h5"}) BOOST_TEST(!std::filesystem::exists(folder / name));
}

BOOST_AUTO_TEST_CASE(an_error_is_thrown_once_by_wait_or_by_the_next_save) {
  const support::folder folder;
  training t;
  holdfast::saver saver;
  auto failed = saver.save_async(folder / "missing/a.h5", t.state);
  support::require_all(support::message_of<holdfast::io_error>([&] { failed.wait(); }), "missing/a.h5", "No such file");
  failed.wait();
  saver.save(folder / "b.h5", t.state);

  auto unseen = saver.save_async(folder / "missing/c.h5", t.state);
  support::require_all(support::message_of<holdfast::io_error>([&] { saver.save(folder / "d.h5", t.state); }), "missing/c.h5");
  saver.save(folder / "d.h5", t.state);
  BOOST_TEST(holdfast::checkpoint_file(folder / "d.h5").contains("model/weight"));
}

BOOST_AUTO_TEST_CASE(a_saver_ends_its_save_before_it_is_gone_and_leaves_the_error_to_whoever_waits) {
  const support::folder folder;
  training t;
  for (const std::string& path : {folder / "a.h5", folder / "none/a.h5"}) {
    support::gated_storage storage;
    holdfast::pending_save pending;
    std::thread opener;
    {
      holdfast::saver saver;
      pending = saver.save_async(path, t.state, {.storage = &storage});
      opener = std::thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        storage.open_gate();
      });
    }
    BOOST_TEST(pending.done());
    opener.join();
    if (path == folder / "a.h5") pending.wait();
    else support::message_of<holdfast::io_error>([&] { pending.wait(); });
  }
}

BOOST_AUTO_TEST_CASE(an_error_nobody_asked_for_goes_to_the_hook_and_ends_nothing) {
  const support::folder folder;
  training t;
  std::vector<std::string> messages;
  holdfast::on_unobserved_error([&](const std::string& m) { messages.push_back(m); });
  { auto dropped = holdfast::save_async(folder / "missing/a.h5", t.state); }
  {
    auto seen = holdfast::save_async(folder / "missing/b.h5", t.state);
    BOOST_CHECK_THROW(seen.wait(), holdfast::io_error);
  }
  {
    const holdfast::detail::background other([] { throw 5; });
  }
  holdfast::on_unobserved_error([](const std::string&) { throw 1; });
  { auto dropped = holdfast::save_async(folder / "missing/c.h5", t.state); }
  holdfast::on_unobserved_error({});
  BOOST_REQUIRE(messages.size() == 2u);
  support::require_all(messages[0], "missing/a.h5", "No such file");
  BOOST_TEST(messages[1] == "an exception that is no std::exception");
}

BOOST_AUTO_TEST_CASE(a_directory_saves_and_retires_in_the_background) {
  const support::folder folder;
  training t;
  {
    holdfast::checkpoint_directory runs(folder / "runs", {.keep_last = 2});
    for (t.step = 1; t.step <= 5; ++t.step) runs.save_async(t.step, t.state, {.metric = 1.0 / static_cast<double>(t.step)});
    runs.close();
    BOOST_TEST((runs.steps() == std::vector<std::int64_t>{4, 5}));
    auto p = runs.save_async(6, t.state);
  }  // the destructor waits
  holdfast::checkpoint_directory runs(folder / "runs");
  const auto found = runs.restore_latest(t.state);
  BOOST_TEST(found->step == 6);
}

BOOST_AUTO_TEST_CASE(streamed_through_the_state_may_change_before_the_file_is_there) {
  const support::folder folder;
  training t;
  support::gated_storage storage;
  storage.only_rename = true;
  holdfast::saver saver;
  const auto before = t.weight;
  auto pending = saver.save_async(folder / "a.h5", t.state, {.storage = &storage, .staging = holdfast::staging::stream_through});
  BOOST_TEST(!pending.done());
  BOOST_TEST(!std::filesystem::exists(folder / "a.h5"));
  std::fill(t.weight.begin(), t.weight.end(), -1.f);
  storage.open_gate();
  pending.wait();
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("model/weight") == before);
  // An error does not leave the program waiting.
  BOOST_CHECK_THROW(saver.save_async(folder / "no/such/folder.h5", t.state, {.staging = holdfast::staging::stream_through}).wait(), holdfast::io_error);
}

BOOST_AUTO_TEST_SUITE_END()
