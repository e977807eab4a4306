#include <holdfast/types/c_random.hpp>

#include <cstdlib>
#include <vector>

#include <holdfast/separate.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(types_c_random)

namespace {

std::vector<long> draw(int n) {
  std::vector<long> drawn;
  for (int i = 0; i < n; ++i) drawn.push_back(i % 2 == 0 ? std::rand() : ::random());
  return drawn;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_numbers_are_those_of_srand) {
  std::srand(7);
  const auto expected = draw(100);
  holdfast::c_random generator(7);
  BOOST_TEST(draw(100) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rand_goes_on_from_where_it_was_saved) {
  const support::folder folder;
  holdfast::c_random generator(42);
  holdfast::state s;
  s.bind("rng/c", generator);
  for (const int drawn_before : {0, 1, 30, 31, 32, 1000}) {
    draw(drawn_before);
    holdfast::save(folder / "a.h5", s);
    const auto expected = draw(200);
    std::srand(99);
    draw(5);
    holdfast::restore(folder / "a.h5", s);
    BOOST_TEST(draw(200) == expected, boost::test_tools::per_element());
  }
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<std::int32_t>>("rng/c").size() == 32u);
}

BOOST_AUTO_TEST_CASE(saving_draws_nothing) {
  holdfast::c_random generator(3);
  const auto expected = draw(50);
  std::srand(3);
  const auto first = draw(20);
  (void)generator.state();
  auto all = first;
  for (const long x : draw(30)) all.push_back(x);
  BOOST_TEST(all == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_no_state_is_refused) {
  holdfast::c_random generator(3);
  const auto good = generator.state();
  for (const std::int32_t first : {-1, 0, 1, 5 * 31 + 3, 1 << 30}) {
    auto bad = good;
    bad[0] = first;
    BOOST_TEST(support::message_of<holdfast::error>([&] { generator.state(bad); }).find("none that it can be in") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(the_generator_before_it_comes_back) {
  std::srand(5);
  const auto expected = draw(10);
  std::srand(5);
  {
    holdfast::c_random generator(6);
    draw(3);
  }
  BOOST_TEST(draw(10) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
