// The main function of tests that need a GPU: without one they are skipped.
#include <iostream>

#include <boost/test/unit_test.hpp>

#include <cuda_runtime_api.h>

int main(int argc, char** argv) {
  int devices = 0;
  if (const cudaError_t result = cudaGetDeviceCount(&devices); result != cudaSuccess || devices == 0) {
    std::cout << "skipped, no GPU that CUDA can use: " << cudaGetErrorString(result) << std::endl;
    return 77;
  }
  return boost::unit_test::unit_test_main([] { return true; }, argc, argv);
}
