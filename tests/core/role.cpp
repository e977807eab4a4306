#include <holdfast/core/role.hpp>

#include <set>

#include "../support.hpp"

using namespace holdfast;

BOOST_AUTO_TEST_SUITE(role_)

BOOST_AUTO_TEST_CASE(every_role_has_a_place_and_words_of_its_own) {
  std::set<std::string> paths, words;
  for (const role r : {role::model, role::optimizer, role::scheduler, role::rng, role::data_order, role::scaler, role::progress}) {
    const expected_role e(r);
    BOOST_TEST((e.what == r));
    paths.insert(e.path);
    words.emplace(e.text());
  }
  BOOST_TEST(paths.size() == 7u);
  BOOST_TEST(words.size() == 7u);
  BOOST_TEST(!paths.contains(""));
  BOOST_TEST(!words.contains(""));
  BOOST_TEST(expected_role(role::data_order).path == "data");
  BOOST_TEST(expected_role(role::data_order, "loader").path == "loader");
}

BOOST_AUTO_TEST_SUITE_END()
