#include <holdfast/types/atomic.hpp>

#include "round_trip.hpp"

BOOST_AUTO_TEST_SUITE(types_atomic)

using round_trip::file;

BOOST_AUTO_TEST_CASE(atomics_come_back) {
  std::atomic<std::int64_t> step = 7, other_step = 1;
  std::atomic<bool> flag = true, other_flag = false;
  std::atomic<double> loss = 0.25, other_loss = 0;
  file f;
  f.save(step).restore(other_step);
  f.save(flag).restore(other_flag);
  f.save(loss).restore(other_loss);
  BOOST_TEST(other_step == 7);
  BOOST_TEST(other_flag);
  BOOST_TEST(other_loss == 0.25);
}

BOOST_AUTO_TEST_CASE(an_atomic_and_a_plain_number_are_one_to_the_file) {
  std::atomic<int> atomic = 3;
  int plain = 0;
  file f;
  f.save(atomic).restore(plain);
  BOOST_TEST(plain == 3);
  plain = 4;
  f.save(plain).restore(atomic);
  BOOST_TEST(atomic == 4);
}

BOOST_AUTO_TEST_CASE(another_type_is_refused_and_nothing_stored) {
  std::atomic<int> saved = 3;
  std::atomic<float> other = 1;
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x: expected float32[], found int32[]; pass .cast");
  BOOST_TEST(other == 1);
}

BOOST_AUTO_TEST_CASE(a_const_atomic_is_saved_and_not_restored) {
  const std::atomic<int> atomic = 3;
  file f;
  support::require_all(f.save(atomic).refusal(atomic), "\n  /x: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_SUITE_END()
