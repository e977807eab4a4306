// The checker of the simulated CUDA runtime: each mistake is found, and told; correct programs are not accused.
#include "simulator.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(simulator)

BOOST_AUTO_TEST_CASE(two_streams_without_an_event_are_not_ordered) {
  cuda_sim::reset();
  void* memory;
  cudaStream_t a, b;
  cudaMalloc(&memory, 1024);
  cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
  cudaMemsetAsync(memory, 1, 1024, a);
  cudaMemsetAsync(memory, 2, 1024, b);
  BOOST_TEST(cuda_sim::violations().size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
