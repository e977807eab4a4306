#include <holdfast/cuda/error.hpp>

#include <string>

#include "trainer.hpp"

BOOST_AUTO_TEST_SUITE(cuda_error)

BOOST_AUTO_TEST_CASE(a_failed_call_is_told_with_what_it_was_for) {
  cuda_sim::reset();
  holdfast::cuda::detail::check(cudaSuccess, "nothing");
  try {
    holdfast::cuda::detail::check(cudaErrorMemoryAllocation, "allocating");
    BOOST_ERROR("did not throw");
  } catch (const holdfast::cuda::error& e) {
    BOOST_TEST(std::string(e.what()) == "CUDA: allocating: out of memory (cudaErrorMemoryAllocation)");
    BOOST_TEST(e.code() == cudaErrorMemoryAllocation);
  }
}

BOOST_AUTO_TEST_CASE(a_failure_is_not_left_for_the_programs_own_check) {
  cuda_sim::reset();
  cuda_sim::fail_call("cudaGetDevice", 1, cudaErrorUnknown);
  BOOST_CHECK_THROW(holdfast::cuda::detail::current_device(), holdfast::cuda::error);
  BOOST_TEST(cudaGetLastError() == cudaSuccess);
}

BOOST_AUTO_TEST_CASE(a_machine_without_a_gpu_has_none) {
  cuda_sim::reset({.devices = 0});
  BOOST_TEST(holdfast::cuda::detail::device_count() == 0);
  BOOST_TEST(cudaGetLastError() == cudaSuccess);
  cuda_sim::reset({.devices = 3});
  BOOST_TEST(holdfast::cuda::detail::device_count() == 3);
  cuda_sim::fail_call("cudaGetDeviceCount", 1, cudaErrorInsufficientDriver);
  BOOST_TEST(holdfast::cuda::detail::device_count() == 0);
  cuda_sim::fail_call("cudaGetDeviceCount", 1, cudaErrorUnknown);
  BOOST_CHECK_THROW(holdfast::cuda::detail::device_count(), holdfast::cuda::error);
}

BOOST_AUTO_TEST_CASE(the_current_device_is_put_back) {
  cuda_sim::reset({.devices = 2});
  {
    const holdfast::cuda::detail::on_device here(1);
    BOOST_TEST(holdfast::cuda::detail::current_device() == 1);
  }
  BOOST_TEST(holdfast::cuda::detail::current_device() == 0);
  BOOST_CHECK_THROW(holdfast::cuda::detail::on_device(2), holdfast::cuda::error);
  BOOST_TEST(holdfast::cuda::detail::current_device() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
