#include <holdfast/types/string.hpp>

#include "round_trip.hpp"

BOOST_AUTO_TEST_SUITE(types_string)

using round_trip::copy;
using round_trip::file;
using namespace std::string_literals;
using strings = std::vector<std::string>;

BOOST_AUTO_TEST_CASE(a_string_of_any_bytes_comes_back_whatever_was_there) {
  for (std::string text : {""s, "a"s, "größe 重み"s, "a\0b\0"s, "\xff\xfe"s, std::string(5000, 'x')})
    for (const auto& before : {""s, "zz"s, "a longer text that was here before"s}) BOOST_TEST(copy(text, before) == text);
}

BOOST_AUTO_TEST_CASE(a_vector_of_strings_comes_back_whatever_was_there) {
  for (strings all : {strings{}, strings{""}, strings{"", "", ""}, strings{"a", "", "größe", std::string(300, 'b')}})
    for (const strings& before : {strings{}, strings{"x"}, strings{"1", "2", "3", "4", "5"}})
      BOOST_TEST(copy(all, before) == all, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_list_element_with_nul_is_refused_with_what_to_do) {
  strings all{"a", "b\0"s};
  file f;
  BOOST_TEST(support::message_of<holdfast::error>([&] { f.save(all); }) ==
             "/x: a string with NUL in it; bind it as std::vector<std::byte>");
}

BOOST_AUTO_TEST_CASE(vectors_of_vectors_of_strings_come_back) {
  std::vector<strings> all{{"a", "bb"}, {}, {"c"}};
  BOOST_TEST((copy(all) == all));
}

BOOST_AUTO_TEST_CASE(a_string_and_numbers_are_not_taken_for_each_other) {
  std::string text = "abc";
  std::vector<std::uint8_t> bytes;
  std::vector<strings> deep;
  file f;
  support::require_all(f.save(text).refusal(bytes), "\n  /x: expected uint8[0], found string[3]; holdfast does not convert between these");
  support::require_all(f.refusal(deep), "\n  /x: expected a group, found string[3]");
}

BOOST_AUTO_TEST_CASE(a_const_string_is_saved_and_not_restored) {
  const std::string text = "abc";
  const strings all{"a"};
  file f;
  support::require_all(f.save(text).refusal(text), "\n  /x: expected an object that may change, found one bound as const");
  support::require_all(f.save(all).refusal(all), "\n  /x: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_SUITE_END()
