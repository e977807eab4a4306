#include <holdfast/types/tuple.hpp>

#include "round_trip.hpp"

BOOST_AUTO_TEST_SUITE(types_tuple)

using round_trip::copy;
using round_trip::file;

BOOST_AUTO_TEST_CASE(pairs_and_tuples_come_back) {
  std::pair<int, std::string> pair{1, "a"}, other{5, "longer"};
  std::tuple<float, std::vector<int>, std::pair<bool, char>> tuple{1.5f, {1, 2}, {true, 'x'}};
  std::vector<std::pair<double, double>> betas{{0.9, 0.999}, {0.8, 0.99}};
  BOOST_TEST((copy(pair) == pair));
  BOOST_TEST((copy(pair, other) == pair));
  BOOST_TEST((copy(tuple) == tuple));
  BOOST_TEST((copy(betas) == betas));
}

BOOST_AUTO_TEST_CASE(parts_have_the_names_that_a_reader_of_the_file_expects) {
  std::pair<int, int> pair;
  std::tuple<int, float> tuple;
  file f;
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& e : holdfast::checkpoint_file(f.path()).entries()) all.push_back(e.path);
    return all;
  };
  f.save(pair);
  BOOST_TEST(names() == (std::vector<std::string>{"x/first", "x/second"}), boost::test_tools::per_element());
  f.save(tuple);
  BOOST_TEST(names() == (std::vector<std::string>{"x/0", "x/1"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_const_part_is_saved_and_not_restored) {
  std::pair<const int, int> pair{1, 2};
  file f;
  BOOST_TEST(f.save(pair).refusal(pair) ==
             "\n  /x/first: expected an object that may change, found one bound as const; "
             "bind it as non-const, or leave it out with .except");
}

BOOST_AUTO_TEST_SUITE_END()
