#include <holdfast/cuda/buffer.hpp>

#include <string>
#include <utility>
#include <vector>

#include "trainer.hpp"

using cuda_test::content;
using cuda_test::expected;
using cuda_test::joined;
using holdfast::gpu;
using holdfast::host;
using buffer = holdfast::cuda::buffer<float>;

namespace {

void fill(buffer& b, int seed) {
  const std::vector<float> v = expected(b.size(), seed);
  if (b.space() == host) {
    std::copy(v.begin(), v.end(), b.data());
    return;
  }
  const holdfast::cuda::detail::on_device here(b.space().device);
  cuda_test::require(cudaStreamSynchronize(b.stream()));
  cuda_test::require(cudaMemcpy(b.data(), v.data(), v.size() * sizeof(float), cudaMemcpyHostToDevice));
  cuda_test::require(cudaDeviceSynchronize());  // a copy from pageable memory may return before it has arrived
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_buffer)

BOOST_AUTO_TEST_CASE(memory_comes_and_goes_with_the_object) {
  cuda_sim::reset({.devices = 2});
  {
    buffer a({3, 4}), b({5}, gpu(1)), c({2}, host);
    BOOST_TEST((a.space() == gpu(0) && b.space() == gpu(1) && c.space() == host));
    BOOST_TEST(a.size() == 12u);
    BOOST_TEST((a.extents() == holdfast::shape{3, 4}));
    fill(b, 3);
    buffer d = std::move(b);
    BOOST_TEST(b.size() == 0u);
    BOOST_TEST((b.data() == nullptr));
    BOOST_TEST(content(d) == expected(5, 3));
    a = std::move(d);
    BOOST_TEST((a.space() == gpu(1)));
    BOOST_TEST(content(a) == expected(5, 3));
    float* const before = a.data();
    a.resize({5, 1});
    BOOST_TEST((a.data() == before));
    a.place(gpu(0));
    BOOST_TEST((a.space() == gpu(0) && a.size() == 5 && a.data() != before));
    a.resize({0});
    BOOST_TEST((a.data() == nullptr));
    const cuda_test::stream own(0);
    buffer e({4}, own);
    buffer f = std::move(e);
    BOOST_TEST((f.stream() == own));
    f.place(gpu(1));
    BOOST_TEST((f.stream() == nullptr));
  }
  BOOST_TEST(joined(cuda_sim::leaks()) == "");
  BOOST_TEST(joined(cuda_sim::violations()) == "");
  int current = -1;
  cuda_test::require(cudaGetDevice(&current));
  BOOST_TEST(current == 0);
}

BOOST_AUTO_TEST_CASE(it_is_freed_after_its_devices_work_whichever_device_is_current) {
  for (const int current : {0, 1}) {
    cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
    cuda_test::require(cudaSetDevice(current));
    {
      const buffer b({1000}, gpu(1 - current));
      const holdfast::cuda::detail::on_device here(1 - current);  // ends before the buffer
      cuda_test::require(cuda_sim::launch(nullptr, {}, {{b.data(), 4000}}, [](const auto&, const auto& to) { std::memset(to[0], 1, 4000); }));
    }
    BOOST_TEST(holdfast::cuda::detail::current_device() == current);
    cuda_sim::run_enqueued();
    BOOST_TEST(joined(cuda_sim::violations()) == "");
    BOOST_TEST(joined(cuda_sim::leaks()) == "");
  }
}

BOOST_AUTO_TEST_CASE(in_host_memory_it_calls_no_cuda) {
  cuda_sim::reset({.devices = 0});
  {
    buffer a({3, 4}, host), b({2}, host);
    fill(a, 1);
    a.place(host);
    a.resize({12});
    BOOST_TEST((a.space() == host && a.stream() == nullptr));
    BOOST_TEST(content(a) == expected(12, 1));
    a.resize({5});
    b = std::move(a);
    buffer c = std::move(b);
    c.swap(a);
  }
  BOOST_TEST(cuda_sim::calls("*") == 0u);
}

BOOST_AUTO_TEST_CASE(without_a_gpu_buffers_that_were_on_one_are_restored_to_the_host) {
  const support::folder folder;
  cuda_sim::reset({.devices = 1});
  {
    buffer on_gpu({40}, gpu(0));
    fill(on_gpu, 5);
    holdfast::state a;
    a.bind("x", on_gpu);
    holdfast::save(folder / "a.h5", a);
  }
  cuda_sim::reset({.devices = 0});
  buffer bound({40}, host), fresh;
  for (buffer* const to : {&bound, &fresh}) {
    holdfast::state b;
    b.bind("x", *to);
    holdfast::restore(folder / "a.h5", b, {.place = host});
    BOOST_TEST((to->space() == host));
    BOOST_TEST(content(*to) == expected(40, 5));
    holdfast::save(folder / "b.h5", b);
  }
}

BOOST_AUTO_TEST_CASE(every_place_to_every_place) {
  const support::folder folder;
  const std::vector<holdfast::memory_space> places{host, gpu(0), gpu(1)};
  for (const auto order : {cuda_sim::schedule::lazy, cuda_sim::schedule::eager})
    for (const auto saved : places)
      for (const auto bound : places)
        for (const auto wanted : places) {
          cuda_sim::reset({.devices = 2, .schedule = order});
          {
            buffer from({1'500'000}, saved), to({1'500'000}, bound);
            fill(from, 5);
            fill(to, 6);
            holdfast::state a, b;
            a.bind("x", from);
            b.bind("x", to);
            holdfast::save(folder / "a.h5", a);
            holdfast::restore(folder / "a.h5", b, {.place = wanted, .read_back = true});
            BOOST_TEST((to.space() == wanted));
            BOOST_TEST(content(to) == expected(1'500'000, 5));
            fill(to, 7);
            holdfast::restore(folder / "a.h5", b);
            BOOST_TEST((to.space() == wanted));
            BOOST_TEST(content(to) == expected(1'500'000, 5));
            holdfast::restore(folder / "a.h5", b, {.place = holdfast::as_saved});
            BOOST_TEST((to.space() == saved));
            BOOST_TEST(content(to) == expected(1'500'000, 5));
          }
          BOOST_TEST(joined(cuda_sim::violations()) == "");
          BOOST_TEST(joined(cuda_sim::leaks()) == "");
        }
}

BOOST_AUTO_TEST_CASE(an_empty_buffer_takes_the_files_size_where_it_lives) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
  {
    buffer from({2, 3}, gpu(1)), kept({0}, gpu(1)), fresh;
    fill(from, 5);
    holdfast::state a;
    a.bind("x", from);
    holdfast::save(folder / "a.h5", a);
    for (buffer* const to : {&kept, &fresh}) {
      holdfast::state b;
      b.bind("x", *to);
      holdfast::restore(folder / "a.h5", b);
      BOOST_TEST((to->extents() == holdfast::shape{2, 3}));
      BOOST_TEST(content(*to) == expected(6, 5));
    }
    BOOST_TEST((kept.space() == gpu(1) && fresh.space() == gpu(0)));
    std::vector<buffer> several;
    several.emplace_back(holdfast::shape{3});
    fill(several[0], 8);
    holdfast::state c;
    c.bind("all", several);
    holdfast::save(folder / "c.h5", c);
    std::vector<buffer> none;
    holdfast::state d;
    d.bind("all", none);
    holdfast::restore(folder / "c.h5", d, {.place = gpu(1)});
    BOOST_REQUIRE(none.size() == 1u);
    BOOST_TEST((none[0].space() == gpu(1)));
    BOOST_TEST(content(none[0]) == expected(3, 8));
  }
  BOOST_TEST(joined(cuda_sim::violations()) == "");
  BOOST_TEST(joined(cuda_sim::leaks()) == "");
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there_is_named_with_those_that_are) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2});
  {
    buffer from({4}, gpu(1));
    fill(from, 5);
    holdfast::state a;
    a.bind("model/w", from);
    holdfast::save(folder / "a.h5", a);
  }
  for (int devices : {0, 1}) {
    cuda_sim::reset({.devices = devices});
    buffer to({4}, host);
    holdfast::state b;
    b.bind("model/w", to);
    support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", b, {.place = holdfast::as_saved}); }), "/model/w: expected a tensor in gpu(1)",
                         devices == 0 ? "no GPU that CUDA can use" : "this machine, which has gpu(0)", ".place", "holdfast::host", "nothing was restored");
    holdfast::restore(folder / "a.h5", b, {.place = holdfast::host});
    BOOST_TEST(content(to) == expected(4, 5));
    if (devices == 0) {
      buffer fresh;
      holdfast::state c;
      c.bind("model/w", fresh);
      support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", c); }), "/model/w: expected a tensor in gpu(", "no GPU that CUDA can use");
    }
    if (devices == 1) {
      holdfast::restore(folder / "a.h5", b, {.place = [](std::string_view, holdfast::memory_space) { return gpu(0); }});
      BOOST_TEST((to.space() == gpu(0)));
      BOOST_TEST(content(to) == expected(4, 5));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_device_that_is_full_is_an_error_that_says_what_was_changed) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2, .memory = 1 << 20});
  {
    buffer from({1'000'000}, host);
    fill(from, 5);
    holdfast::state a;
    a.bind("w", from);
    holdfast::save(folder / "a.h5", a);
    buffer to;
    holdfast::state b;
    b.bind("w", to);
    support::require_all(support::message_of<holdfast::error>([&] { holdfast::restore(folder / "a.h5", b); }), "a.h5", "allocating 4000000 bytes in gpu(0)", "cudaErrorMemoryAllocation",
                         "partly restored (0 of 1 tensors)");
    BOOST_TEST(to.size() == 0u);
    BOOST_TEST((to.data() == nullptr));
    holdfast::restore(folder / "a.h5", b, {.place = host});
    BOOST_TEST(content(to) == expected(1'000'000, 5));
  }
  BOOST_TEST(joined(cuda_sim::leaks()) == "");
}

BOOST_AUTO_TEST_CASE(what_a_device_garbles_is_found_by_reading_back) {
  const support::folder folder;
  cuda_sim::reset({.schedule = cuda_sim::schedule::eager});
  buffer x({3'000'000});
  fill(x, 5);
  holdfast::state state;
  state.bind("w", x);
  holdfast::save(folder / "a.h5", state);
  // Another stream scribbles over the tensor while it is restored: nothing orders the two.
  const cuda_test::stream other(0);
  struct scribbling final : cuda_test::altered_staging {
    scribbling(float* at, cudaStream_t on) : to(at), stream(on) {}
    void wait_for_all() override {
      altered_staging::wait_for_all();
      cuda_test::require(cudaMemsetAsync(to, 1, 4, stream));
      cuda_test::require(cudaStreamSynchronize(stream));
    }
    float* to;
    cudaStream_t stream;
  };
  const cuda_test::altered_engine garbling([&] { return std::make_unique<scribbling>(x.data() + 2'000'000, other); });
  holdfast::restore(folder / "a.h5", state);  // nobody looks
  support::require_all(support::message_of<holdfast::integrity_error>([&] { holdfast::restore(folder / "a.h5", state, {.read_back = true}); }), "/w", "read back from gpu(0)", "partly restored");
}

BOOST_AUTO_TEST_CASE(docs_cuda) {
  const support::current_folder here;
  cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
  const cuda_test::stream stream(0);
  buffer b({768}, stream);
  fill(b, 5);
  float* const bias = b.data();
  const std::int64_t step = 12;
  const auto train = [] {};
  {
#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

    holdfast::state state;
    holdfast::cuda::buffer<float> embed({1024, 768}, stream);                                          // memory that holdfast owns, and can move
    state.bind("model/embed", embed).bind("model/bias", holdfast::cuda::tensor(bias, {768}, stream));  // yours: pointer, shape, stream

    holdfast::checkpoint_directory runs("runs/exp1", {.keep_last = 3});
    auto pending = runs.save_async(step, state);  // the copies are enqueued
    train();                                      // goes on meanwhile
    pending.wait();                               // or let the next save, or close(), do it

    std::filesystem::rename(runs.latest_valid()->path, "run.h5");
  }
  {
    holdfast::state state;
    buffer embed, moved;
    state.bind("model/embed", embed).bind("model/bias", moved);
    holdfast::restore("run.h5", state, {.place = holdfast::gpu(1)});
    BOOST_TEST((embed.space() == gpu(1) && moved.space() == gpu(1)));
    BOOST_TEST(content(moved) == expected(768, 5), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
