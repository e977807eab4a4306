#include <holdfast/core/memory_space.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_memory_space)

BOOST_AUTO_TEST_CASE(places_are_values_with_names) {
  BOOST_TEST(name(holdfast::host) == "host");
  BOOST_TEST(name(holdfast::gpu(0)) == "gpu(0)");
  BOOST_TEST(name(holdfast::gpu(11)) == "gpu(11)");
  BOOST_TEST(name(holdfast::memory_space{7, 2}) == "space 7(2)", "of a newer version");
  BOOST_TEST((holdfast::gpu(1) == holdfast::gpu(1)));
  BOOST_TEST((holdfast::gpu(1) != holdfast::gpu(0)));
  BOOST_TEST((holdfast::gpu(0) != holdfast::host));
  BOOST_TEST((holdfast::memory_space() == holdfast::host));
}

BOOST_AUTO_TEST_CASE(kinds_have_the_numbers_of_the_file_format) {
  BOOST_TEST(holdfast::host.kind == 0);
  BOOST_TEST(holdfast::gpu(3).kind == 1);
  BOOST_TEST(holdfast::gpu(3).device == 3);
}

BOOST_AUTO_TEST_SUITE_END()
