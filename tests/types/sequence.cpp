#include <holdfast/types/sequence.hpp>

#include <deque>
#include <list>
#include <set>
#include <unordered_set>

#include "round_trip.hpp"

namespace {

struct sample {
  int id = 0;
  std::vector<float> data;
  friend bool operator==(const sample&, const sample&) = default;
};

}  // namespace

template <>
struct holdfast::traits<sample> : holdfast::fields<holdfast::field<&sample::id>, holdfast::field<&sample::data>> {};

BOOST_AUTO_TEST_SUITE(types_sequence)

using round_trip::copy;
using round_trip::file;

BOOST_AUTO_TEST_CASE(deques_and_lists_come_back_empty_or_filled) {
  const auto check = [](auto filled) {
    BOOST_TEST((copy(filled) == filled));
    auto reversed = filled;
    std::reverse(reversed.begin(), reversed.end());
    BOOST_TEST((copy(filled, reversed) == filled));
    decltype(filled) none;
    BOOST_TEST(copy(none).empty());
  };
  check(std::deque<double>{1, 2, 3});
  check(std::deque<bool>{true, false});
  check(std::list<std::int16_t>{5, -6});
  check(std::deque<sample>{{1, {1, 2}}, {2, {3, 4}}});
  check(std::list<sample>{{1, {1}}, {2, {3}}, {3, {4}}});
  check(std::deque<std::string>{"a", "", "größe"});
}

BOOST_AUTO_TEST_CASE(numbers_are_one_dataset) {
  std::list<float> l{1, 2};
  std::set<int> s{3, 1};
  file f;
  BOOST_TEST(holdfast::checkpoint_file(f.save(l).path()).read<std::vector<float>>("x") == (std::vector<float>{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(holdfast::checkpoint_file(f.save(s).path()).read<std::vector<int>>("x") == (std::vector<int>{1, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_filled_deque_of_another_size_is_refused) {
  std::deque<float> saved{1, 2, 3}, other{7};
  std::list<sample> samples(2), one(1);
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x: expected float32[1], found float32[3]; ", "holdfast::resizable(...)");
  BOOST_TEST(other.size() == 1u);
  f.restore(holdfast::resizable(other));
  BOOST_TEST((other == saved));
  support::require_all(f.save(samples).refusal(one), "\n  /x/1/data: found float32[0], not bound by the program; ");
  f.restore(holdfast::resizable(one));
  BOOST_TEST(one.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_set_always_becomes_what_the_file_has) {
  std::set<int> saved{3, 1, 2}, other{9}, none;
  std::unordered_set<std::string> words{"b", "", "a"}, others{"a", "c"};
  BOOST_TEST((copy(saved) == saved));
  BOOST_TEST((copy(saved, other) == saved));
  BOOST_TEST((copy(none, other) == none));
  BOOST_TEST((copy(words, others) == words));
}

BOOST_AUTO_TEST_CASE(equal_sets_make_equal_files) {
  std::unordered_set<int> a, b;
  for (int i = 0; i < 100; ++i) a.insert(i), b.insert(99 - i);
  file f;
  const auto stored = [&](auto& set) { return holdfast::checkpoint_file(f.save(set).path()).read<std::vector<int>>("x"); };
  BOOST_TEST(stored(a) == stored(b), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_const_sequence_is_saved_and_not_restored) {
  const std::deque<float> numbers{1};
  const std::set<int> set{1};
  file f;
  support::require_all(f.save(numbers).refusal(numbers), "\n  /x: expected an object that may change, found one bound as const");
  support::require_all(f.save(set).refusal(set), "\n  /x: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_SUITE_END()
