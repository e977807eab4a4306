#include <holdfast/core/shape.hpp>

#include <array>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_shape)

using holdfast::shape;

BOOST_AUTO_TEST_CASE(elements_are_the_product_of_the_extents) {
  const struct {
    std::vector<std::int64_t> extents;
    std::int64_t elements;
    const char* text;
  } rows[] = {{{}, 1, "[]"},
              {{0}, 0, "[0]"},
              {{7}, 7, "[7]"},
              {{50257, 768}, 50257 * 768, "[50257, 768]"},
              {{3, 0, 5}, 0, "[3, 0, 5]"},
              {{1LL << 31, 1LL << 31}, 1LL << 62, "[2147483648, 2147483648]"},
              {{1LL << 62, 1LL << 62, 0}, 0, "[4611686018427387904, 4611686018427387904, 0]"},
              {{INT64_MAX}, INT64_MAX, "[9223372036854775807]"}};
  for (const auto& r : rows) {
    const shape s(r.extents);
    BOOST_TEST(s.elements() == r.elements);
    BOOST_TEST(s.text() == r.text);
    BOOST_TEST(s.rank() == r.extents.size());
    BOOST_TEST(std::vector<std::int64_t>(s.begin(), s.end()) == r.extents, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_shape_that_cannot_be_is_refused_by_its_extents) {
  const auto message = [](const std::vector<std::int64_t>& extents) {
    return support::message_of<holdfast::error>([&] { (void)shape(extents); });
  };
  BOOST_TEST(message({3, -1}) == "shape [3, -1]: negative extent");
  BOOST_TEST(message({0, -1}) == "shape [0, -1]: negative extent");
  BOOST_TEST(message({1LL << 32, 1LL << 31}) == "shape [4294967296, 2147483648]: more than 2^63 - 1 elements");
  BOOST_TEST(message({INT64_MAX, 2}) == "shape [9223372036854775807, 2]: more than 2^63 - 1 elements");
  BOOST_TEST(message(std::vector<std::int64_t>(33, 1)) == "shape of rank 33: HDF5 holds at most 32 dimensions");
  BOOST_TEST(shape(std::vector<std::int64_t>(32, 1)).elements() == 1);
}

BOOST_AUTO_TEST_CASE(shapes_are_equal_when_all_extents_are) {
  BOOST_TEST((shape{2, 3} == shape{2, 3}));
  BOOST_TEST((shape{2, 3} != shape{3, 2}));
  BOOST_TEST((shape{2} != shape{2, 1}));
  BOOST_TEST((shape{} != shape{1}));
  BOOST_TEST((shape{0, 2} != shape{0, 3}));
}

BOOST_AUTO_TEST_CASE(extents_come_from_a_span_and_go_out_by_iteration) {
  const std::array<std::int64_t, 2> extents{4, 5};
  const shape s{std::span<const std::int64_t>(extents)};
  BOOST_TEST(std::vector<std::int64_t>(s.begin(), s.end()) == std::vector<std::int64_t>({4, 5}), boost::test_tools::per_element());
  const shape many{1, 2, 3, 4, 5, 6}, copy = many;  // more than lie in the object itself
  BOOST_TEST(copy.text() == "[1, 2, 3, 4, 5, 6]");
  BOOST_TEST(copy.elements() == 720);
  BOOST_TEST(s[0] == 4);
  BOOST_TEST(s.back() == 5);
}

BOOST_AUTO_TEST_SUITE_END()
