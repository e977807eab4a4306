#include <holdfast/core/standard.hpp>

#include <complex>
#include <list>
#include <random>

#include "../support.hpp"

namespace {

template <class T>
struct list {};
template <class T, int N>
struct box {};
struct secret {};

}  // namespace

BOOST_AUTO_TEST_SUITE(standard_)

BOOST_AUTO_TEST_CASE(standard_types_are_known_by_name_and_no_others_of_that_name) {
  using holdfast::detail::standard, holdfast::detail::standard_name;
  BOOST_TEST(standard_name<std::list<secret>> == "list");
  BOOST_TEST((standard_name<std::list<std::list<box<int, 3>>>> == "list"));
  BOOST_TEST(standard_name<std::mt19937_64> == "mersenne_twister_engine");
  BOOST_TEST(standard_name<std::normal_distribution<float>> == "normal_distribution");
  BOOST_TEST(standard_name<std::normal_distribution<float>::param_type> == "");
  BOOST_TEST((standard_name<box<std::list<int>, 3>>) == "");
  BOOST_TEST(standard_name<list<int>> == "");
  BOOST_TEST(standard_name<list<std::list<int>>> == "");
  BOOST_TEST(standard_name<std::list<int>*> == "");
  BOOST_TEST(standard_name<secret> == "");
  BOOST_TEST(standard_name<int> == "");
  BOOST_TEST((standard<std::list<int>, "deque", "list">));
  BOOST_TEST((!standard<std::list<int>, "deque", "set">));
}

BOOST_AUTO_TEST_SUITE_END()
