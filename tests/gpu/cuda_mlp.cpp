// The trainer with kernels (examples/cuda_mlp.cu): killed and resumed on a GPU, and resumed where it was not saved. Its arguments after -- are
// the trainer and tests/examples/kill_resume.py.
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include <holdfast/holdfast.hpp>

#include "../support.hpp"

namespace {

std::string argument(int n) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  BOOST_REQUIRE_MESSAGE(suite.argc > n, "expected: -- the trainer and kill_resume.py");
  return suite.argv[n];
}

void run(const std::string& command) { BOOST_REQUIRE_MESSAGE(std::system((command + " >&2").c_str()) == 0, command); }

/// Trains on a device up to a step, from the newest checkpoint of the folder.
void train(const std::string& device, int steps, const std::string& folder, const std::string& final_file) {
  run(argument(1) + " --resume --checkpoint-every 100 --device " + device + " --steps " + std::to_string(steps) + " --checkpoint-dir '" + folder + "' --final '" + final_file + "'");
}

/// The largest difference between floats of two checkpoints, in shares of the largest number of the tensor; everything else must be equal.
double distance(const std::string& expected, const std::string& found) {
  const holdfast::checkpoint_file a(expected), b(found);
  double furthest = 0;
  for (const holdfast::tensor_difference& d : holdfast::compare(expected, found)) {
    BOOST_REQUIRE_MESSAGE(d.relative.has_value(), d.text());
    const auto x = a.map<float>(d.path), y = b.map<float>(d.path);
    float largest = 0, difference = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::abs(x[i]));
      difference = std::max(difference, std::abs(x[i] - y[i]));
    }
    BOOST_TEST_MESSAGE(d.text() << ": " << difference / largest);
    furthest = std::max(furthest, static_cast<double>(difference / largest));
  }
  return furthest;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gpu_cuda_mlp)

BOOST_AUTO_TEST_CASE(killed_and_resumed_on_a_gpu_it_ends_with_the_same_bits) {
  run("/usr/bin/python3 " + argument(2) + " " + argument(1) + " --kills 10 --steps 200000 --checkpoint-every 1000 -- --device 0");
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_elsewhere) {
  const support::folder folder;
  std::vector<std::string> devices{"cpu"};
  int gpus = 0;
  BOOST_REQUIRE(cudaGetDeviceCount(&gpus) == cudaSuccess);
  for (int n = 0; n < std::min(gpus, 2); ++n) devices.push_back(std::to_string(n));
  for (const std::string& first : devices) {
    const std::string here = folder / ("from " + first);
    train(first, 0, here, here + ".0.h5");
    BOOST_TEST(distance(folder / "from cpu.0.h5", here + ".0.h5") == 0);  // it begins alike everywhere
    train(first, 100, here, here + ".100.h5");
    train(first, 120, here, here + ".120.h5");
    for (const std::string& then : devices) {
      if (then == first) continue;
      const std::string there = here + " on " + then;
      std::filesystem::copy(here, there);
      train(then, 100, there, there + ".100.h5");
      BOOST_TEST(distance(here + ".100.h5", there + ".100.h5") == 0);  // to move changes nothing
      train(then, 120, there, there + ".120.h5");
      const double d = distance(here + ".120.h5", there + ".120.h5");
      std::cout << "20 steps of a run " << there.substr(here.size() - first.size() - 5) << ": " << d << std::endl;
      BOOST_TEST(d < 1e-4);  // 5e-7 between two builds for a processor, with fused multiply-adds and without
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
