#include <holdfast/cuda/tensor.hpp>

#include <string>
#include <vector>

#include "trainer.hpp"

using cuda_test::joined;

namespace {

/// Memory of cudaMalloc.
class memory {
 public:
  memory(int device, std::size_t floats) : floats_(floats) {
    const holdfast::cuda::detail::on_device here(device);
    cuda_test::require(cudaMalloc(&p_, floats * sizeof(float)));
  }
  memory(const memory&) = delete;
  ~memory() { (void)cudaFree(p_); }
  float* data() const { return static_cast<float*>(p_); }
  void set(const std::vector<float>& v) {
    cuda_test::require(cudaMemcpy(p_, v.data(), v.size() * sizeof(float), cudaMemcpyHostToDevice));
    cuda_test::require(cudaDeviceSynchronize());  // a copy from pageable memory may return before it has arrived
  }
  std::vector<float> get() const {
    std::vector<float> v(floats_);
    cuda_test::require(cudaMemcpy(v.data(), p_, v.size() * sizeof(float), cudaMemcpyDeviceToHost));
    return v;
  }

 private:
  void* p_ = nullptr;
  std::size_t floats_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_tensor)

BOOST_AUTO_TEST_CASE(raw_device_memory_is_a_tensor_of_its_device) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2, .schedule = cuda_sim::schedule::lazy});
  {
    const cuda_test::stream zero(0), one(1);
    memory a(0, 6), b(1, 6);
    a.set({1, 2, 3, 4, 5, 6});
    b.set({7, 8, 9, 10, 11, 12});
    holdfast::state state;
    state.bind("a", holdfast::cuda::tensor(a.data(), {2, 3}, zero)).bind("b", holdfast::cuda::tensor(b.data(), {3, 2}, {1, 3}, one));
    holdfast::save(folder / "a.h5", state);
    const holdfast::checkpoint_file file(folder / "a.h5");
    file.verify();
    BOOST_TEST((file.entries()[0].shape == holdfast::shape{2, 3}));
    BOOST_TEST((file.entries()[0].place == holdfast::gpu(0)));
    BOOST_TEST((file.entries()[1].place == holdfast::gpu(1)));
    const auto map = file.map<float>("b");
    BOOST_TEST(std::vector<float>(map.begin(), map.end()) == (std::vector<float>{7, 10, 8, 11, 9, 12}), boost::test_tools::per_element());
    a.set(std::vector<float>(6));
    b.set(std::vector<float>(6));
    holdfast::restore(folder / "a.h5", state);
    BOOST_TEST(a.get() == (std::vector<float>{1, 2, 3, 4, 5, 6}), boost::test_tools::per_element());
    BOOST_TEST(b.get() == (std::vector<float>{7, 8, 9, 10, 11, 12}), boost::test_tools::per_element());
  }
  BOOST_TEST(joined(cuda_sim::violations()) == "");
  BOOST_TEST(joined(cuda_sim::leaks()) == "");
}

BOOST_AUTO_TEST_CASE(the_default_streams_are_streams_as_others) {
  const support::folder folder;
  for (const cudaStream_t stream : {cudaStreamLegacy, cudaStreamPerThread, cudaStream_t{}}) {
    cuda_sim::reset({.schedule = cuda_sim::schedule::lazy});
    memory a(0, 3);
    holdfast::state state;
    state.bind("a", holdfast::cuda::tensor(a.data(), {3}, stream));
    const auto write = [&](float first) {
      cuda_test::require(cuda_sim::launch(stream, {}, {{a.data(), 12}}, [first](const auto&, const auto& to) {
        for (float f = 0; f < 3; ++f) {
          const float value = first + f;
          std::memcpy(to[0] + 4 * static_cast<std::size_t>(f), &value, 4);
        }
      }));
    };
    write(1);
    auto pending = holdfast::save_async(folder / "a.h5", state);
    write(5);
    pending.wait();
    BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("a") == (std::vector<float>{1, 2, 3}), boost::test_tools::per_element());
    BOOST_TEST(joined(cuda_sim::violations()) == "");
  }
}

BOOST_AUTO_TEST_CASE(a_host_pointer_is_no_device_tensor) {
  cuda_sim::reset();
  std::vector<float> on_host(4);
  support::require_all(support::message_of<holdfast::error>([&] { (void)holdfast::cuda::tensor(on_host.data(), {4}, nullptr); }), "float32[4]", "found host memory", "holdfast::tensor(pointer, shape)");
  void* pinned = nullptr;
  cuda_test::require(cudaMallocHost(&pinned, 16));
  support::require_all(support::message_of<holdfast::error>([&] { (void)holdfast::cuda::tensor(static_cast<float*>(pinned), {4}, nullptr); }), "found host memory");
  cuda_test::require(cudaFreeHost(pinned));
}

BOOST_AUTO_TEST_CASE(a_device_pointer_is_no_host_tensor) {
  const support::folder folder;
  cuda_sim::reset();
  memory a(0, 4);
  holdfast::state state;
  state.bind("w", holdfast::tensor(a.data(), {4}));
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::save(folder / "a.h5", state); }), "/w: bound as a tensor in host", "memory of gpu(0)", "holdfast::cuda::tensor(pointer, shape, stream)");
  BOOST_TEST(!std::filesystem::exists(folder / "a.h5"));
  std::vector<float> on_host{1, 2, 3, 4};
  holdfast::state right;
  right.bind("w", on_host);
  holdfast::save(folder / "a.h5", right);
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", state); }), "/w: expected a tensor in host, found memory of gpu(0)");
}

BOOST_AUTO_TEST_CASE(managed_memory_may_be_either) {
  const support::folder folder;
  cuda_sim::reset({.schedule = cuda_sim::schedule::lazy});
  void* p = nullptr;
  cuda_test::require(cudaMallocManaged(&p, 16, cudaMemAttachGlobal));
  auto* const values = static_cast<float*>(p);
  for (int i = 0; i < 4; ++i) values[i] = static_cast<float>(i);
  for (const bool device : {false, true}) {
    holdfast::state state;
    if (device) state.bind("w", holdfast::cuda::tensor(values, {4}, cudaStreamPerThread));
    else state.bind("w", holdfast::tensor(values, {4}));
    holdfast::save(folder / "a.h5", state);
    BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<float>>("w") == (std::vector<float>{0, 1, 2, 3}), boost::test_tools::per_element());
  }
  cuda_test::require(cudaFree(p));
}

BOOST_AUTO_TEST_CASE(a_stream_of_another_device_is_named) {
  const support::folder folder;
  cuda_sim::reset({.devices = 2});
  const cuda_test::stream one(1);
  memory a(0, 4);
  holdfast::state state;
  state.bind("w", holdfast::cuda::tensor(a.data(), {4}, one));
  support::require_all(support::message_of<holdfast::cuda::error>([&] { holdfast::save(folder / "a.h5", state); }), "is it a stream of the tensor's device?");
}

BOOST_AUTO_TEST_CASE(without_a_gpu_the_rest_of_the_library_works) {
  const support::folder folder;
  cuda_sim::reset({.devices = 0});
  std::vector<float> x{1, 2};
  holdfast::state state;
  state.bind("x", x);
  holdfast::save(folder / "a.h5", state);
  x = {0, 0};
  holdfast::restore(folder / "a.h5", state, {.place = holdfast::host});
  BOOST_TEST(x == (std::vector<float>{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
