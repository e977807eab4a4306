#pragma once
/// Random input that can be had again, and more or less of it.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace support {

/// The seed of random tests: HOLDFAST_TEST_SEED where that is set, a new one for every run otherwise. It is printed.
inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("HOLDFAST_TEST_SEED");
    const std::uint64_t s = given != nullptr ? std::stoull(given) : std::random_device()();
    std::cout << "HOLDFAST_TEST_SEED=" << s << std::endl;
    return s;
  }();
  return value;
}

/// The engine of a test with random input, the same for every test of a run.
inline std::mt19937_64 random_engine() { return std::mt19937_64(seed()); }

/// How often to try what could be tried for ever: HOLDFAST_TEST_EFFORT times as often as in every test run.
inline std::size_t effort(std::size_t usual) {
  const char* const given = std::getenv("HOLDFAST_TEST_EFFORT");
  return given == nullptr ? usual : static_cast<std::size_t>(static_cast<double>(usual) * std::stod(given)) + 1;
}

}  // namespace support
