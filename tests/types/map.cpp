#include <holdfast/types/map.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "round_trip.hpp"

namespace {

struct moment {
  std::vector<float> average;
  int step = 0;
  friend bool operator==(const moment&, const moment&) = default;
};

}  // namespace

template <>
struct holdfast::traits<moment> : holdfast::fields<holdfast::field<&moment::average>, holdfast::field<&moment::step>> {};

BOOST_AUTO_TEST_SUITE(types_map)

using round_trip::copy;
using round_trip::file;
using namespace std::string_literals;

/// Texts that are not names in HDF5, and some that sort apart from what is below them.
const std::vector<std::string> awkward{"model/fc1.weight", "/", "", "größe", "重み", "a\0b"s, "a", "a.b", "a!", "a/b",
                                       ".", "..", "...", "%", "%2F", "%41", "50%", " ", "\n", "holdfast"};

BOOST_AUTO_TEST_CASE(any_key_comes_back) {
  std::map<std::string, float> saved;
  std::unordered_map<std::string, std::string> unordered;
  for (const std::string& key : awkward) {
    unordered[key] = key;
    saved[key] = static_cast<float>(saved.size());
  }
  BOOST_TEST((copy(saved) == saved));
  BOOST_TEST((copy(unordered) == unordered));
  auto filled = saved;
  for (auto& [key, value] : filled) value = -1;
  BOOST_TEST((copy(saved, filled) == saved));
}

BOOST_AUTO_TEST_CASE(groups_of_any_key_come_back_and_are_restored_once) {
  std::map<std::string, moment> saved, other;
  std::map<std::string, std::map<std::string, std::vector<moment>>> deep, deep_other;
  for (const std::string& key : awkward) {
    saved[key] = {{1, 2}, static_cast<int>(saved.size())};
    for (const std::string& inner : awkward) deep[key][inner] = {saved[key]};
    deep[key]["empty"] = {};
  }
  file f;
  auto report = f.save(saved).restore(other);
  BOOST_TEST((other == saved));
  BOOST_TEST(report.restored.size() == 2 * awkward.size());
  report = f.save(deep).restore(deep_other);
  BOOST_TEST((deep_other == deep));
  std::sort(report.restored.begin(), report.restored.end());
  BOOST_TEST((std::adjacent_find(report.restored.begin(), report.restored.end()) == report.restored.end()));
}

BOOST_AUTO_TEST_CASE(integer_keys_come_back) {
  const auto check = [](auto filled) {
    BOOST_TEST((copy(filled) == filled));
    auto other = filled;
    for (auto& [key, value] : other) value = {};
    BOOST_TEST((copy(filled, other) == filled));
  };
  check(std::map<int, double>{{-5, 1}, {0, 2}, {10, 3}, {9, 4}, {INT_MIN, 5}});
  check(std::unordered_map<std::uint64_t, int>{{0, 1}, {UINT64_MAX, 2}});
  check(std::map<std::int8_t, int>{{-128, 1}, {65, 2}});
  check(std::map<char, int>{{'a', 1}, {'/', 2}});
  check(std::map<bool, int>{{false, 1}, {true, 2}});
  check(std::map<int, std::map<int, std::vector<float>>>{{-1, {{2, {1, 2}}, {3, {}}}}, {4, {}}});
}

BOOST_AUTO_TEST_CASE(a_filled_map_must_have_the_files_keys) {
  std::map<std::string, int> saved{{"a/b", 1}, {"c", 2}}, other{{"c", 7}, {"d", 8}};
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x/d: expected int32[], not in the file; pass .missing",
                       "\n  /x/a%2Fb: found int32[], not bound by the program; bind it, or pass .unexpected");
  BOOST_TEST(other["c"] == 7);
  f.restore(holdfast::resizable(other));
  BOOST_TEST((other == saved));
}

BOOST_AUTO_TEST_CASE(an_empty_map_in_the_file_empties_only_what_may_be_resized) {
  std::map<std::string, moment> none, other{{"a", {}}};
  file f;
  support::require_all(f.save(none).refusal(other), "\n  /x/a/step: expected int32[], not in the file");
  f.restore(holdfast::resizable(other));
  BOOST_TEST(other.empty());
  f.restore(other);
}

BOOST_AUTO_TEST_CASE(a_resizable_map_keeps_the_objects_of_the_keys_it_had) {
  std::map<std::string, std::unique_ptr<int>> saved, other;
  saved["a"] = std::make_unique<int>(1);
  saved["b"] = std::make_unique<int>(2);
  other["b"] = std::make_unique<int>(0);
  other["c"] = nullptr;
  const int* const kept = other["b"].get();
  file f;
  f.save(saved).restore(holdfast::resizable(other));
  BOOST_REQUIRE(other.size() == 2u);
  BOOST_TEST((other["b"].get() == kept));
  BOOST_TEST(*other["b"] == 2);
  BOOST_TEST(*other["a"] == 1);
}

BOOST_AUTO_TEST_CASE(a_refused_restore_adds_no_key) {
  std::map<std::string, int> saved{{"a", 1}}, other;
  int x = 0;
  file f;
  f.save(saved);
  holdfast::state s;
  s.bind("x", other).bind("y", x);
  BOOST_CHECK_THROW(holdfast::restore(f.path(), s), holdfast::mismatch_error);
  BOOST_TEST(other.empty());
}

BOOST_AUTO_TEST_CASE(a_key_that_is_no_integer_is_refused) {
  std::map<std::string, int> saved{{"1", 1}, {"two", 2}, {"3x", 3}, {"", 4}};
  std::map<std::int8_t, int> other;
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x: expected keys that are integers, found \"two\"; bind a map with string keys",
                       "found \"3x\"", "found \"\"");
  std::map<std::string, int> large{{"300", 1}};
  support::require_all(f.save(large).refusal(other), "expected keys that are integers, found \"300\"");
}

BOOST_AUTO_TEST_CASE(a_map_and_a_tensor_are_not_taken_for_each_other) {
  std::map<std::string, float> map{{"a", 1.f}}, none;
  std::vector<float> vector{1};
  file f;
  support::require_all(f.save(vector).refusal(none), "\n  /x: expected a group, found float32[1]");
  support::require_all(f.save(map).refusal(vector), "\n  /x: expected float32[1], found a group");
  support::require_all(f.save(none).refusal(vector), "\n  /x: expected float32[1], found a group");
}

BOOST_AUTO_TEST_CASE(a_const_map_is_saved_and_not_restored) {
  const std::map<std::string, float> map{{"a", 1.f}};
  file f;
  support::require_all(f.save(map).refusal(map), "\n  /x/a: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_CASE(keys_that_were_not_asked_for_stay) {
  const support::folder folder;
  std::map<std::string, float> saved{{"a", 1}, {"b", 2}}, m{{"b", 7}, {"c", 8}};
  holdfast::state s, t;
  s.bind("m", saved), t.bind("m", holdfast::resizable(m));
  holdfast::save(folder / "a.h5", s);
  holdfast::restore(folder / "a.h5", t, {.only = {"m/a"}});
  BOOST_TEST((m == std::map<std::string, float>{{"a", 1}, {"b", 7}, {"c", 8}}));
  holdfast::restore(folder / "a.h5", t);
  BOOST_TEST((m == saved));
}

BOOST_AUTO_TEST_CASE(equal_keys_of_a_multimap_keep_their_order) {
  std::multimap<int, std::string> m{{2, "b"}, {1, "z"}, {1, "a"}, {1, "m"}}, other{{7, "x"}};
  BOOST_TEST((copy(m) == m));
  BOOST_TEST((copy(m, other) == m));
  const std::multimap<int, std::string> none;
  file f;
  f.save(none).restore(other);
  BOOST_TEST(other.empty());
}

BOOST_AUTO_TEST_SUITE_END()
