#include <holdfast/checkpoint/device.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

#include <holdfast/separate.hpp>

#include "../support.hpp"
#include "fake_devices.hpp"

namespace {

std::vector<float> numbers(std::size_t n, float first = 1.f) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), first);
  return v;
}

/// Tensors larger than a piece of the file, small ones among those of the host, on two devices.
struct model {
  fake::array<float> large, embedding;
  std::vector<std::unique_ptr<fake::array<float>>> small;
  std::vector<std::vector<float>> biases;
  holdfast::state state;

  explicit model(fake::engine& on, float first = 1.f) : large(on, 0, numbers(3'000'001, first)), embedding(on, 1, numbers(70'000, first + 1)) {
    state.bind("large", large).bind("embedding", embedding);
    biases.resize(50);
    for (std::size_t i = 0; i < biases.size(); ++i) {
      small.push_back(std::make_unique<fake::array<float>>(on, static_cast<int>(i % 2), numbers(i, first + 7)));
      biases[i] = numbers(i + 3, first + 9);
      state.bind("small/" + std::to_string(i), *small[i]).bind("bias/" + std::to_string(i), biases[i]);
    }
  }
  bool operator==(const model& other) const {
    for (std::size_t i = 0; i < small.size(); ++i)
      if (small[i]->get() != other.small[i]->get()) return false;
    return large.get() == other.large.get() && embedding.get() == other.embedding.get() && biases == other.biases;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(device)

BOOST_AUTO_TEST_CASE(what_lives_on_devices_is_saved_and_restored_there) {
  const support::folder folder;
  fake::engine devices;
  model saved(devices), restored(devices, 1000.f);
  for (const bool async : {false, true}) {
    if (async) holdfast::save_async(folder / "a.h5", saved.state).wait();
    else holdfast::save(folder / "a.h5", saved.state);
    holdfast::checkpoint_file(folder / "a.h5").verify();
    BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("large") == saved.large.get());
    restored.large.set(numbers(3'000'001, -5.f));
    holdfast::restore(folder / "a.h5", restored.state, {.read_back = true});
    BOOST_TEST((restored == saved));
    BOOST_TEST(devices.outstanding == 0u);
    BOOST_TEST(devices.locked == 0u);
  }
}

BOOST_AUTO_TEST_CASE(the_file_says_where_a_tensor_was) {
  const support::folder folder;
  fake::engine devices;
  model saved(devices);
  holdfast::save(folder / "a.h5", saved.state);
  for (const holdfast::entry& e : holdfast::checkpoint_file(folder / "a.h5").entries())
    if (e.path == "embedding") BOOST_TEST((e.place == holdfast::gpu(1)));
}

BOOST_AUTO_TEST_CASE(copies_are_fenced_by_the_streams_of_the_program) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  const std::vector<std::string> both{"follow gpu(1)", "follow gpu(0)", "precede gpu(1)", "precede gpu(0)"};
  holdfast::save(folder / "a.h5", m.state);
  BOOST_TEST(devices.log == both, boost::test_tools::per_element());
  devices.log.clear();
  auto pending = holdfast::save_async(folder / "a.h5", m.state);
  BOOST_TEST(devices.log == both, boost::test_tools::per_element());
  pending.wait();
  devices.log.clear();
  holdfast::restore(folder / "a.h5", m.state);
  std::sort(devices.log.begin(), devices.log.end());
  BOOST_TEST(devices.log == (std::vector<std::string>{"follow gpu(0)", "follow gpu(1)"}), boost::test_tools::per_element());  // it returns when all has arrived
}

BOOST_AUTO_TEST_CASE(an_async_save_does_not_wait_for_the_copies_and_keeps_its_memory) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  holdfast::saver saver;
  for (int round = 0; round < 3; ++round) {
    m.large.set(numbers(3'000'001, static_cast<float>(round)));
    saver.save_async(folder / "a.h5", m.state).wait();
    BOOST_TEST(devices.locked > 12'000'000u);
    BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("large") == m.large.get());
  }
  BOOST_TEST(devices.most_outstanding > 12'000'000u);
}

BOOST_AUTO_TEST_CASE(a_save_brings_devices_through_a_few_pieces) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  m.large.set(numbers(16'000'000));
  holdfast::saver saver;
  saver.save(folder / "a.h5", m.state, {.staging_bytes = 8 << 20});
  BOOST_TEST(devices.most_outstanding <= (12u << 20));
  BOOST_TEST(devices.most_outstanding > (4u << 20));  // and more than one at once
  BOOST_TEST(devices.locked <= (40u << 20));
  devices.most_outstanding = 0;
  saver.save(folder / "a.h5", m.state, {.staging_bytes = 0});
  BOOST_TEST(devices.most_outstanding > (4u << 20));
  holdfast::checkpoint_file(folder / "a.h5").verify();
}

BOOST_AUTO_TEST_CASE(an_async_save_may_go_through_pieces_too) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  m.large.set(numbers(16'000'000));
  holdfast::saver saver;
  auto pending = saver.save_async(folder / "a.h5", m.state, {.staging_bytes = 8 << 20, .staging = holdfast::staging::stream_through});
  BOOST_TEST(devices.outstanding == 0u);
  BOOST_TEST(devices.most_outstanding <= (12u << 20));
  const auto large = m.large.get();
  const auto bias = m.biases[40];
  m.large.set(std::vector<float>(16'000'000));
  std::fill(m.biases[40].begin(), m.biases[40].end(), 0.f);
  pending.wait();
  const holdfast::checkpoint_file file(folder / "a.h5");
  file.verify();
  BOOST_TEST(file.read<std::vector<float>>("large") == large);
  BOOST_TEST(file.read<std::vector<float>>("bias/40") == bias);
  devices.copies = 0;
  devices.fail_at = 2;
  support::require_all(support::message_of<holdfast::error>([&] { saver.save_async(folder / "a.h5", m.state, {.staging = holdfast::staging::stream_through}).wait(); }), "on fire");
}

BOOST_AUTO_TEST_CASE(unchanged_tensors_are_not_copied_again) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  std::uint64_t frozen = 1;
  m.state.version("large", frozen);
  holdfast::saver saver;
  saver.save_async(folder / "a.h5", m.state).wait();
  devices.most_outstanding = 0;
  saver.save_async(folder / "b.h5", m.state).wait();
  BOOST_TEST(devices.most_outstanding < 1'000'000u);
  holdfast::checkpoint_file(folder / "b.h5").verify();
  BOOST_TEST(holdfast::checkpoint_file(folder / "b.h5").read<std::vector<float>>("large") == m.large.get());
}

BOOST_AUTO_TEST_CASE(strided_tensors_keep_their_logical_order) {
  const support::folder folder;
  fake::engine devices;
  fake::array<std::int32_t> memory(devices, 0, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const auto bound = [&] {
    holdfast::state s;
    // Columns of a matrix with a gap, and a row read backwards.
    s.bind("columns", holdfast::tensor_view(memory.data(), {2, 3}, {1, 3}, holdfast::gpu(0)));
    s.bind("backwards", holdfast::tensor_view(memory.data() + 11, {2}, {-1}, holdfast::gpu(0)));
    return s;
  };
  holdfast::state state = bound();
  for (const bool async : {false, true}) {
    memory.set({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
    if (async) holdfast::save_async(folder / "a.h5", state).wait();
    else holdfast::save(folder / "a.h5", state);
    const holdfast::checkpoint_file file(folder / "a.h5");
    file.verify();
    const auto map = file.map<std::int32_t>("columns");
    BOOST_TEST(std::vector<std::int32_t>(map.begin(), map.end()) == (std::vector<std::int32_t>{0, 3, 6, 1, 4, 7}), boost::test_tools::per_element());
    BOOST_TEST(file.read<std::vector<std::int32_t>>("backwards") == (std::vector<std::int32_t>{11, 10}), boost::test_tools::per_element());
    memory.set(std::vector<std::int32_t>(12, -1));
    holdfast::restore(folder / "a.h5", state);
    BOOST_TEST(memory.get() == (std::vector<std::int32_t>{0, 1, -1, 3, 4, -1, 6, 7, -1, -1, 10, 11}), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(content_is_converted_on_its_way) {
  const support::folder folder;
  fake::engine devices;
  std::vector<float> on_host = numbers(5'000'000);
  holdfast::state from;
  from.bind("x", on_host);
  holdfast::save(folder / "a.h5", from);
  fake::array<double> on_device(devices, 1, std::vector<double>(on_host.size()));
  holdfast::state to;
  to.bind("x", on_device);
  BOOST_TEST(holdfast::restore(folder / "a.h5", to, {.cast = holdfast::cast::allow}).converted.size() == 1u);
  BOOST_TEST(on_device.get() == std::vector<double>(on_host.begin(), on_host.end()));
}

BOOST_AUTO_TEST_CASE(a_restore_puts_tensors_where_place_says) {
  const support::folder folder;
  fake::engine devices;
  fake::array<float> a(devices, 0, numbers(100)), b(devices, 1, numbers(200));
  holdfast::state state;
  state.bind("a", a).bind("b", b);
  holdfast::save(folder / "a.h5", state);
  const auto same = [&] { return a.space() == holdfast::host ? a.plain() == numbers(100) : a.get() == numbers(100); };

  holdfast::restore(folder / "a.h5", state, {.place = holdfast::gpu(1)});
  BOOST_TEST((a.space() == holdfast::gpu(1) && b.space() == holdfast::gpu(1) && same()));
  holdfast::restore(folder / "a.h5", state, {.place = holdfast::as_saved});
  BOOST_TEST((a.space() == holdfast::gpu(0) && b.space() == holdfast::gpu(1) && same()));
  holdfast::restore(folder / "a.h5", state, {.place = [](std::string_view, holdfast::memory_space saved) { return holdfast::gpu(1 - saved.device); }});
  BOOST_TEST((a.space() == holdfast::gpu(1) && b.space() == holdfast::gpu(0) && same()));
  holdfast::restore(folder / "a.h5", state);
  BOOST_TEST((a.space() == holdfast::gpu(1) && b.space() == holdfast::gpu(0) && same()));
  holdfast::restore(folder / "a.h5", state, {.place = holdfast::host});
  BOOST_TEST((a.space() == holdfast::host && b.space() == holdfast::host && same()));

  const std::string none = support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", state, {.place = holdfast::gpu(7)}); });
  support::require_all(none, "/a: expected a tensor in gpu(7), found not here, where there are gpu(0) and gpu(1)", ".place", "nothing was restored");
  BOOST_TEST(same());
}

BOOST_AUTO_TEST_CASE(a_type_that_cannot_move_stays) {
  const support::folder folder;
  fake::engine devices;
  std::vector<float> x = numbers(10);
  holdfast::state state;
  state.bind("x", x);
  holdfast::save(folder / "a.h5", state);
  const auto to_gpu = [](std::string_view, holdfast::memory_space) { return holdfast::gpu(0); };
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", state, {.place = to_gpu}); }),
                       "/x: expected a tensor in gpu(0), found one bound in host", "cannot move");
  // Of a whole state that goes to a GPU, what only lives on the host stays there; a view of another GPU's memory is a difference.
  fake::array<float> weight(devices, 1, numbers(10));
  holdfast::state whole;
  whole.bind("x", x).bind("weight", weight);
  holdfast::save(folder / "a.h5", whole);
  x.assign(10, 0.f);
  holdfast::restore(folder / "a.h5", whole, {.place = holdfast::gpu(0)});
  BOOST_TEST((x == numbers(10) && weight.space() == holdfast::gpu(0) && weight.get() == numbers(10)));
  holdfast::state view;
  view.bind("x", x).bind("weight", holdfast::tensor_view(weight.data(), {10}, {}, holdfast::gpu(0)));
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", view, {.place = holdfast::gpu(1)}); }),
                       "/weight: expected a tensor in gpu(1), found one bound in gpu(0)", "cannot move");
}

BOOST_AUTO_TEST_CASE(memory_that_is_not_where_it_is_claimed_to_be) {
  const support::folder folder;
  std::vector<float> x = numbers(10);
  holdfast::state claimed;
  claimed.bind("x", holdfast::tensor_view(x.data(), {10}, {}, holdfast::gpu(0)));
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::save(folder / "a.h5", claimed); }), "/x", "gpu(0)", "include <holdfast/cuda.hpp>");

  fake::engine devices;
  fake::array<float> d(devices, 0, numbers(10));
  holdfast::state wrong, right;
  wrong.bind("x", holdfast::tensor(d.data(), {10}));
  right.bind("x", d);
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::save(folder / "a.h5", wrong); }), "/x: bound as a tensor in host, but that is memory of gpu(0)");
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::save(folder / "a.h5", claimed); }), "/x: bound as a tensor in gpu(0), but that is memory of host");
  BOOST_TEST(!std::filesystem::exists(folder / "a.h5"));
  holdfast::save(folder / "a.h5", right);
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", wrong); }), "/x: expected a tensor in host, found memory of gpu(0)");
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", claimed); }), "found memory of host");
}

BOOST_AUTO_TEST_CASE(a_device_that_fails_leaves_the_last_checkpoint) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  holdfast::saver saver;
  saver.save(folder / "a.h5", m.state);
  const std::string before = support::bytes_of(folder / "a.h5");
  m.large.set(numbers(3'000'001, 77.f));
  for (const bool async : {false, true})
    for (std::size_t k : {1u, 3u, 40u}) {
      devices.copies = 0;
      devices.fail_at = k;
      const auto attempt = [&] {
        if (async) saver.save_async(folder / "a.h5", m.state).wait();
        else saver.save(folder / "a.h5", m.state);
      };
      support::require_all(support::message_of<holdfast::error>(attempt), "on fire");
      BOOST_TEST((support::bytes_of(folder / "a.h5") == before));
      BOOST_TEST(devices.outstanding == 0u);
    }
  devices.fail_at = 0;
  saver.save_async(folder / "a.h5", m.state).wait();
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("large") == m.large.get());

  devices.copies = 0;
  devices.fail_at = 2;
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::restore(folder / "a.h5", m.state); }), "on fire", "partly restored");
}

BOOST_AUTO_TEST_CASE(what_the_memory_of_a_device_changes_is_found_when_it_is_read_back) {
  const support::folder folder;
  fake::engine devices;
  fake::array<float> x(devices, 1, numbers(1000));
  holdfast::state state;
  state.bind("w/x", x);
  holdfast::save(folder / "a.h5", state);
  devices.flips = std::byte{4};
  holdfast::restore(folder / "a.h5", state);
  BOOST_TEST((x.get() != numbers(1000)));
  support::require_all(support::message_of<holdfast::integrity_error>([&] { holdfast::restore(folder / "a.h5", state, {.read_back = true}); }), folder / "a.h5", "/w/x: its 4000 bytes are not those",
                       "read back from gpu(1)", "suspect the device's memory", "partly restored");
  devices.flips = std::byte{0};
  holdfast::restore(folder / "a.h5", state, {.read_back = true});
  BOOST_TEST((x.get() == numbers(1000)));
}

BOOST_AUTO_TEST_CASE(page_locking_leaves_what_is_in_memory_and_happens_once) {
  fake::engine devices;
  const auto staging = devices.staging();
  holdfast::io::staging_buffer memory;
  const auto all = memory.reserve(std::size_t{5} << 20);
  std::fill(all.begin(), all.end(), std::byte{7});
  for (int i = 0; i < 2; ++i) {
    holdfast::detail::page_lock(*staging, memory);
    BOOST_TEST(devices.locked == memory.memory().size());
    BOOST_TEST(std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{7}; }));
  }
}

BOOST_AUTO_TEST_CASE(no_copy_goes_to_two_tensors) {
  const support::folder folder;
  fake::engine devices;
  // On hardware these may be of two allocations that touch.
  fake::array<float> both(devices, 0, numbers(2048));
  holdfast::tensor_view first(both.data(), {1024}, {}, holdfast::gpu(0)), second(both.data() + 1024, {1024}, {}, holdfast::gpu(0));
  holdfast::state state;
  state.bind("a", first).bind("b", second);
  holdfast::save(folder / "a.h5", state);
  BOOST_TEST(devices.copies == 2u);
  devices.copies = 0;
  both.set(numbers(2048, 5.f));
  holdfast::restore(folder / "a.h5", state);
  BOOST_TEST(devices.copies == 2u);
  BOOST_TEST(both.get() == numbers(2048));
}

BOOST_AUTO_TEST_CASE(after_a_save_that_failed_nothing_is_waited_for) {
  const support::folder folder;
  fake::engine devices;
  model m(devices);
  holdfast::saver saver;
  BOOST_CHECK_THROW(saver.save_async(folder / "no/such/folder.h5", m.state).wait(), holdfast::io_error);
  BOOST_TEST(devices.outstanding == 0u);
  std::vector<float> x = numbers(10);
  holdfast::state on_host;
  on_host.bind("x", x);
  saver.save(folder / "a.h5", on_host);
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("x") == x);
}

BOOST_AUTO_TEST_SUITE_END()
