// What the two translation units share: a type of the user's, saved by one and restored by the other.
#pragma once
#include <holdfast/holdfast.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace odr {

struct program {
  std::vector<float> weight;
  std::map<std::string, double> metrics;
  std::mt19937_64 engine;
  friend bool operator==(const program&, const program&) = default;
};

void save(const std::string& file, program& p);
void restore(const std::string& file, program& p);

}  // namespace odr

template <>
struct holdfast::traits<odr::program>
    : holdfast::fields<holdfast::field<&odr::program::weight>, holdfast::field<&odr::program::metrics>,
                       holdfast::field<&odr::program::engine>> {};
