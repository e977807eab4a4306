#include <holdfast/types/chrono.hpp>

#include "round_trip.hpp"

BOOST_AUTO_TEST_SUITE(types_chrono)

using round_trip::copy;
using round_trip::file;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(durations_and_time_points_come_back) {
  std::chrono::nanoseconds ns = -123456789012345ns;
  std::chrono::duration<double, std::ratio<60>> minutes(1.5);
  std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
  std::vector<std::chrono::milliseconds> laps{1ms, 20ms};
  BOOST_TEST((copy(ns) == ns));
  BOOST_TEST((copy(ns, 5ns) == ns));
  BOOST_TEST((copy(minutes) == minutes));
  BOOST_TEST((copy(now) == now));
  BOOST_TEST((copy(laps) == laps));
}

BOOST_AUTO_TEST_CASE(the_file_holds_the_count_and_its_unit) {
  std::chrono::milliseconds ms = 1500ms;
  file f;
  const holdfast::checkpoint_file read(f.save(ms).path());
  BOOST_TEST(read.read<std::chrono::milliseconds::rep>("x/count") == 1500);
  BOOST_TEST(read.read<std::string>("x/unit") == "1/1000 s");
}

BOOST_AUTO_TEST_CASE(another_unit_is_refused) {
  std::chrono::milliseconds saved = 1500ms;
  std::chrono::seconds other = 3s;
  std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds> point;
  file f;
  const std::string refused = "\n  /x/unit: expected \"1/1 s\", found \"1/1000 s\"; bind an object of the type that was saved";
  BOOST_TEST(f.save(saved).refusal(other) == refused);
  BOOST_TEST(f.refusal(point) == refused);
  BOOST_TEST((other == 3s));
}

BOOST_AUTO_TEST_CASE(a_const_duration_is_saved_and_not_restored) {
  const std::chrono::seconds constant = 3s;
  file f;
  support::require_all(f.save(constant).refusal(constant), "\n  /x/count: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_SUITE_END()
