#include <holdfast/cuda/staging.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "../io/faulty_storage.hpp"
#include "trainer.hpp"

using cuda_test::joined;
using cuda_test::trainer;

namespace {

enum class mistake { no_wait_for_the_producer,
                     no_back_edge,
                     no_wait_for_the_copy,
                     no_page_lock };

/// The library's staging with one mistake in it, or none.
class planted final : public cuda_test::altered_staging {
 public:
  explicit planted(std::optional<mistake> what) : what_(what) {}
  void follow(holdfast::memory_space space, void* stream) override {
    if (what_ != mistake::no_wait_for_the_producer) altered_staging::follow(space, stream);
  }
  void precede(holdfast::memory_space space, void* stream) override {
    if (what_ != mistake::no_back_edge) altered_staging::precede(space, stream);
  }
  void wait(std::uint64_t number) override {
    if (what_ != mistake::no_wait_for_the_copy) altered_staging::wait(number);
  }
  std::shared_ptr<void> lock(std::span<std::byte> memory) override { return what_ == mistake::no_page_lock ? std::make_shared<int>() : altered_staging::lock(memory); }

 private:
  std::optional<mistake> what_;
};

/// What the simulator and the file say of saves with a mistake.
struct findings {
  bool right = true, refused = false;
  std::string violations{};
  std::size_t pageable = 0;
};

/// The ways of saving.
enum class way { at_once,
                 snapshot,
                 stream_through };

holdfast::pending_save begin_save(way by, holdfast::saver& saver, const std::string& path, const holdfast::state& state, holdfast::save_options options = {}) {
  options.staging = by == way::snapshot ? holdfast::staging::snapshot : holdfast::staging::stream_through;
  if (by != way::at_once) return saver.save_async(path, state, options);
  saver.save(path, state, options);
  return {};
}

/// A step, a save that the next step does not wait for, and a restore; whether the file holds what the first step wrote.
bool saved_right(const std::string& path, way by) {
  bool right = true;
  {
    trainer t;
    holdfast::saver saver;
    t.step();
    auto pending = begin_save(by, saver, path, t.state);
    t.step();
    pending.wait();
    t.step();
    holdfast::restore(path, t.state);
    right = t.holds(1);
    t.step();
  }
  cuda_sim::run_enqueued();
  return right;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_staging)

BOOST_AUTO_TEST_CASE(training_goes_on_while_a_save_copies) {
  const support::folder folder;
  for (const auto& machine : cuda_test::schedules())
    for (const way by : {way::at_once, way::snapshot, way::stream_through}) {
      BOOST_TEST_CONTEXT("schedule " << static_cast<int>(machine.schedule) << " seed " << machine.seed << " way " << static_cast<int>(by)) {
        cuda_sim::reset(machine);
        BOOST_TEST(saved_right(folder / "a.h5", by));
        BOOST_TEST(joined(cuda_sim::violations()) == "");
        BOOST_TEST(joined(cuda_sim::leaks()) == "");
        BOOST_TEST(cuda_sim::copies().pageable_to_host == 0u);
        BOOST_TEST(cuda_sim::copies().pageable_to_device == 0u);
      }
    }
}

BOOST_AUTO_TEST_CASE(planted_mistakes_are_found) {
  const support::folder folder;
  const auto with = [&](std::optional<mistake> what) {
    const cuda_test::altered_engine engine([what] { return std::make_unique<planted>(what); });
    findings f;
    for (const auto order : {cuda_sim::schedule::lazy, cuda_sim::schedule::eager}) {
      cuda_sim::reset({.devices = 2, .schedule = order});
      try {
        f.right = saved_right(folder / "a.h5", way::snapshot) && f.right;
      } catch (const holdfast::error&) {
        f.refused = true;
      }
      f.violations += joined(cuda_sim::violations());
      f.pageable += cuda_sim::copies().pageable_to_host;
    }
    return f;
  };
  const findings none = with({});
  BOOST_TEST((none.right && !none.refused && none.violations.empty() && none.pageable == 0));
  support::require_all(with(mistake::no_wait_for_the_producer).violations, "nothing orders", "reads", "kernel");
  support::require_all(with(mistake::no_back_edge).violations, "nothing orders", "writes", "kernel");
  BOOST_TEST(with(mistake::no_page_lock).pageable > 0u);
}

BOOST_AUTO_TEST_CASE(content_that_is_used_before_it_has_come_is_found) {
  const support::folder folder;
  const cuda_test::altered_engine engine([] { return std::make_unique<planted>(mistake::no_wait_for_the_copy); });
  const cuda_sim::configuration machine{.devices = 2, .schedule = cuda_sim::schedule::lazy};
  const std::string text = support::told_by_child([&] {
    cuda_sim::reset(machine);
    return cuda_sim::touched([&] { saved_right(folder / "a.h5", way::at_once); });
  });
  support::require_all(text, "host touched pinned memory", "D2H", "for which it has not waited");
  auto unguarded = machine;  // a writer in the background is no place to catch a signal: it writes what is there
  unguarded.guard_pinned = false;
  cuda_sim::reset(unguarded);
  BOOST_TEST(!saved_right(folder / "a.h5", way::snapshot));
}

BOOST_AUTO_TEST_CASE(an_async_save_returns_before_anything_is_copied) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
  {
    trainer t;
    t.step();
    holdfast::saver saver;
    auto pending = saver.save_async(folder / "a.h5", t.state);
    t.step();
    pending.wait();
    holdfast::restore(folder / "a.h5", t.state);
    BOOST_TEST(t.holds(1));
  }
  BOOST_TEST(joined(cuda_sim::violations()) == "");
}

BOOST_AUTO_TEST_CASE(small_tensors_are_copied_in_batches) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2});
  trainer t(10, 500);
  t.step();
  holdfast::save(folder / "a.h5", t.state);
  BOOST_TEST(cuda_sim::copies().copies >= 500u);
#if CUDART_VERSION >= 13000
  BOOST_TEST(cuda_sim::calls("cudaMemcpyBatchAsync") + cuda_sim::calls("cudaMemcpyAsync") <= 8u);  // one a device and piece of the file
#endif
  BOOST_TEST(cuda_sim::calls("cudaStreamWaitEvent") == 4u);
}

BOOST_AUTO_TEST_CASE(what_a_saver_has_made_it_uses_again) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::random, .seed = support::seed()});
  {
    trainer t;
    holdfast::saver saver;
    std::size_t streams = 0, events = 0, locks = 0;
    for (int i = 0; i < 4; ++i) {
      t.step();
      saver.save_async(folder / "a.h5", t.state).wait();
      saver.save(folder / "b.h5", t.state);
      if (i > 0) {
        BOOST_TEST(cuda_sim::calls("cudaStreamCreateWithFlags") == streams);
        BOOST_TEST(cuda_sim::calls("cudaEventCreateWithFlags") == events);
        BOOST_TEST(cuda_sim::calls("cudaHostRegister") == locks);
      }
      streams = cuda_sim::calls("cudaStreamCreateWithFlags");
      events = cuda_sim::calls("cudaEventCreateWithFlags");
      locks = cuda_sim::calls("cudaHostRegister");
    }
  }
  BOOST_TEST(joined(cuda_sim::leaks()) == "");
  BOOST_TEST(joined(cuda_sim::violations()) == "");
}

#ifndef __SANITIZE_THREAD__  // most of it happens on one thread, and the time is better spent on others
BOOST_AUTO_TEST_CASE(whichever_call_fails_the_last_checkpoint_stays) {
  const support::folder folder;
  const std::string path = folder / "a.h5";
  std::size_t tried = 0;
  for (const std::string function : {"cudaGetDevice", "cudaSetDevice", "cudaGetDeviceCount", "cudaPointerGetAttributes", "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaEventRecord",
                                     "cudaStreamWaitEvent", "cudaMemcpyAsync", "cudaMemcpyBatchAsync", "cudaEventSynchronize", "cudaHostRegister"}) {
    for (int kind = 0; kind < 3; ++kind) {
      for (std::size_t k = 1;; ++k) {
        cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::random, .seed = support::seed() + k});
        bool failed = false;
        {
          trainer t(300'000, 4);
          t.step();
          holdfast::save(path, t.state);
          const std::string before = support::bytes_of(path);
          t.step();
          cuda_sim::fail_call(function, k, cudaErrorUnknown);
          try {
            if (kind == 0) holdfast::save(path, t.state);
            else if (kind == 1) holdfast::save_async(path, t.state).wait();
            else holdfast::restore(path, t.state);
          } catch (const holdfast::error& e) {
            failed = true;
            support::require_all(e.what(), "cudaErrorUnknown");
          }
          cuda_sim::fail_call(function, 1'000'000'000, cudaErrorUnknown);  // no more
          if (failed) {
            BOOST_TEST((support::bytes_of(path) == before));
            BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
          }
          t.step();
        }
        cuda_sim::run_enqueued();
        BOOST_TEST_CONTEXT(function << " " << k << " of " << (kind == 2 ? "a restore" : kind == 1 ? "an async save"
                                                                                                  : "a save")) {
          BOOST_TEST(joined(cuda_sim::leaks()) == "");
          BOOST_TEST(joined(cuda_sim::violations()) == "");
        }
        if (!failed) break;
        ++tried;
      }
    }
  }
  BOOST_TEST_MESSAGE(tried << " failing calls");
  BOOST_TEST(tried > 60u);
}
#endif

BOOST_AUTO_TEST_CASE(after_an_error_nothing_is_still_copied_to_memory_that_is_used_again) {
  const support::folder folder;
  for (const way by : {way::at_once, way::snapshot, way::stream_through})
    for (const way next : {way::at_once, way::snapshot}) {
      if (next == way::snapshot && by != next) continue;  // works in other memory
      cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
      {
        trainer t(2'000'000, 4);  // three pieces
        t.step();
        holdfast::saver saver;
        support::faulty_storage storage;
        storage.fail(2, ENOSPC);  // the first write
        BOOST_CHECK_THROW(begin_save(by, saver, folder / "a.h5", t.state, {.storage = &storage, .staging_bytes = 4 << 20}).wait(), holdfast::io_error);
        std::vector<float> x = cuda_test::expected(3'000'000, 3);
        holdfast::state of_host;
        of_host.bind("x", x);
        begin_save(next, saver, folder / "a.h5", of_host).wait();
        BOOST_TEST((holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("x") == x));
        begin_save(by, saver, folder / "a.h5", t.state).wait();
        holdfast::restore(folder / "a.h5", t.state);
        BOOST_TEST(t.holds(1));
      }
      BOOST_TEST(joined(cuda_sim::violations()) == "");
      BOOST_TEST(joined(cuda_sim::leaks()) == "");
    }
}

BOOST_AUTO_TEST_CASE(two_devices_in_one_state_come_back_to_two_to_one_and_to_none) {
  const support::folder folder;
  const auto current = [] { return holdfast::cuda::detail::current_device(); };
  for (const auto& machine : cuda_test::schedules(1))
    for (const way by : {way::at_once, way::snapshot, way::stream_through}) {
      std::vector<std::size_t> sizes;
      std::vector<holdfast::memory_space> places;
      cuda_sim::reset(machine);
      {
        trainer t;
        for (const auto& b : t.tensors) sizes.push_back(b->size()), places.push_back(b->space());
        t.step();
        cuda_test::require(cudaSetDevice(1));
        holdfast::saver saver;
        auto pending = begin_save(by, saver, folder / "a.h5", t.state);
        BOOST_TEST(current() == 1);
        t.step();
        pending.wait();
      }
      BOOST_TEST(current() == 1);
      BOOST_TEST(joined(cuda_sim::violations()) == "");
      BOOST_TEST(joined(cuda_sim::leaks()) == "");
      for (const int devices : {2, 1, 0}) {
        auto smaller = machine;
        smaller.devices = devices;
        cuda_sim::reset(smaller);
        if (devices == 2) cuda_test::require(cudaSetDevice(1));
        {
          std::vector<holdfast::cuda::buffer<float>> tensors(sizes.size());
          std::vector<float> bias;
          std::int64_t step = 0;
          holdfast::state state;
          state.bind("host/bias", bias).bind("progress/step", step);
          for (std::size_t i = 0; i < sizes.size(); ++i) state.bind("model/" + std::to_string(i), tensors[i]);
          holdfast::restore(folder / "a.h5", state, {.place = devices == 2 ? holdfast::placement(holdfast::as_saved) : devices == 1 ? holdfast::gpu(0)
                                                                                                                                    : holdfast::host});
          BOOST_TEST(step == 1);
          BOOST_TEST(bias == cuda_test::expected(100, 1));
          for (std::size_t i = 0; i < sizes.size(); ++i) {
            BOOST_TEST((tensors[i].space() == (devices == 2 ? places[i] : devices == 1 ? holdfast::gpu(0)
                                                                                       : holdfast::host)));
            BOOST_TEST(cuda_test::content(tensors[i]) == cuda_test::expected(sizes[i], 1));
          }
          if (devices == 2) BOOST_TEST(current() == 1);
        }
        BOOST_TEST(joined(cuda_sim::violations()) == "");
        BOOST_TEST(joined(cuda_sim::leaks()) == "");
      }
    }
}

BOOST_AUTO_TEST_CASE(a_restore_returns_when_all_has_arrived) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
  {
    trainer t(1000, 4);
    t.step();
    holdfast::save(folder / "a.h5", t.state);
    holdfast::restore(folder / "a.h5", t.state);
    t.step();  // nothing else orders it
  }
  cuda_sim::run_enqueued();
  BOOST_TEST(joined(cuda_sim::violations()) == "");
}

BOOST_AUTO_TEST_CASE(a_stream_that_no_tensor_names_is_not_waited_for) {
  const support::folder folder;
  cuda_sim::reset({.schedule = cuda_sim::schedule::lazy});
  const cuda_test::stream own(0);
  holdfast::cuda::buffer<float> bound({1000}, own), other({1000});  // the other in the default stream
  bool ran = false;
  cuda_test::require(cuda_sim::launch(nullptr, {}, {{other.data(), 4000}}, [&ran](const auto&, const auto&) { ran = true; }));
  holdfast::state state;
  state.bind("x", bound);
  holdfast::save(folder / "a.h5", state);
  holdfast::restore(folder / "a.h5", state);
  BOOST_TEST(!ran);
  cuda_sim::run_enqueued();
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(a_copy_that_fails_later_is_an_error_of_the_save) {
  const support::folder folder;
  const std::string path = folder / "a.h5";
  for (const bool async : {true, false}) {
    cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
    trainer t;
    t.step();
    holdfast::save(path, t.state);
    const std::string before = support::bytes_of(path);
    t.step();
    cuda_sim::fail_asynchronously(2, cudaErrorIllegalAddress);
    holdfast::saver saver;
    const std::string text = support::message_of<holdfast::cuda::error>([&] {
      if (async) saver.save_async(path, t.state).wait();
      else saver.save(path, t.state);
    });
    support::require_all(text, "CUDA", "cudaErrorIllegalAddress");
    BOOST_TEST((support::bytes_of(path) == before));
  }
}

BOOST_AUTO_TEST_CASE(a_restore_page_locks_no_more_than_its_threads_use_and_uses_it_again) {
  const support::folder folder;
  static std::size_t locked = 0;
  struct counting final : cuda_test::altered_staging {
    std::shared_ptr<void> lock(std::span<std::byte> memory) override {
      locked += memory.size();
      return altered_staging::lock(memory);
    }
  };
  const cuda_test::altered_engine engine([] { return std::make_unique<counting>(); });
  const std::size_t slot = std::size_t{2} << 20, slots = 2 * holdfast::detail::memory_threads() + 2;
  for (const std::size_t elements : {std::size_t{10}, std::size_t{1'000'000}, std::size_t{13'000'000}}) {
    cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
    trainer t(elements, 0);
    t.step();
    holdfast::save(folder / "a.h5", t.state);
    locked = 0;
    holdfast::restore(folder / "a.h5", t.state);
    BOOST_TEST(t.holds(1));
    BOOST_TEST(joined(cuda_sim::violations()) == "");
    BOOST_TEST(locked > 0u);
    BOOST_TEST(locked <= std::min(slots, 2 * (elements * 6 / slot + 2) + 2) * slot);
  }
}

#ifndef HOLDFAST_TEST_SANITIZED
BOOST_AUTO_TEST_CASE(a_save_and_a_restore_need_little_memory_of_the_host) {
  const support::folder folder;
  const std::string told = support::told_by_child([&]() -> std::string {
    cuda_sim::reset({.devices = 2, .memory = std::size_t{1} << 30});
    trainer t(64'000'000, 0);  // 244 MiB, and half of that
    t.step();
    cuda_sim::run_enqueued();
    support::forget_peak();
    const double before = support::peak_mib();
    holdfast::save(folder / "a.h5", t.state);
    const double saving = support::peak_mib() - before;
    support::forget_peak();
    const double again = support::peak_mib();
    holdfast::restore(folder / "a.h5", t.state);
    return std::to_string(saving) + " " + std::to_string(support::peak_mib() - again);
  });
  double saving = -1, restoring = -1;
  std::istringstream(told) >> saving >> restoring;
  std::cout << "366 MiB of devices: save needs " << saving << " MiB of the host, restore " << restoring << " MiB\n";
  BOOST_TEST(saving >= 0);
  BOOST_TEST(saving < 16 + 24 + 32);  // save_options::staging_bytes, the pieces being written, and the rest
  BOOST_TEST(restoring >= 0);
  BOOST_TEST(restoring < 24 + 32);
}
#endif

BOOST_AUTO_TEST_CASE(a_tensor_may_come_to_another_stream) {
  const support::folder folder;
  cuda_sim::reset({.devices = 1, .schedule = cuda_sim::schedule::lazy});
  {
    const cuda_test::stream first(0), second(0);
    holdfast::cuda::buffer<float> memory({1000}, first);
    holdfast::saver saver;
    for (const cudaStream_t now : {cudaStream_t(first), cudaStream_t(second)}) {
      cuda_test::require(cudaStreamSynchronize(first));
      cuda_test::require(cuda_sim::launch(now, {}, {{memory.data(), 4000}}, [](const auto&, const auto& to) { std::memset(to[0], 7, 4000); }));
      holdfast::state state;
      state.bind("w", holdfast::cuda::tensor(memory.data(), {1000}, now));
      saver.save_async(folder / "a.h5", state).wait();
    }
  }
  BOOST_TEST(joined(cuda_sim::violations()) == "");
}

BOOST_AUTO_TEST_CASE(two_producers_on_one_device_are_both_waited_for) {
  const support::folder folder;
  for (const auto& machine : cuda_test::schedules(20)) {
    cuda_sim::reset(machine);
    {
      trainer t(1000, 0);
      const cuda_test::stream other(0);
      holdfast::cuda::buffer<float> x({5000}, other);
      t.state.bind("other", x);
      const auto write = [&](int seed) {
        cuda_test::require(cuda_sim::launch(other, {}, {{x.data(), x.size() * sizeof(float)}}, [seed, n = x.size()](const auto&, const auto& writes) {
          const std::vector<float> v = cuda_test::expected(n, seed);
          std::memcpy(writes[0], v.data(), n * sizeof(float));
        }));
      };
      t.step();
      write(41);
      auto pending = holdfast::save_async(folder / "a.h5", t.state);
      t.step();
      write(42);
      pending.wait();
      BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("other") == cuda_test::expected(5000, 41));
    }
    cuda_sim::run_enqueued();
    BOOST_TEST(joined(cuda_sim::violations()) == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()
