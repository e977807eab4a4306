#include <holdfast/separate.hpp>

#include <cmath>
#include <complex>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../support.hpp"

namespace {

/// Saves two values under one name and compares the files.
template <class T>
std::vector<holdfast::tensor_difference> differences(T a, T b) {
  const support::folder folder;
  holdfast::state x, y;
  x.bind("x", a);
  y.bind("x", b);
  holdfast::save(folder / "a.h5", x);
  holdfast::save(folder / "b.h5", y);
  return holdfast::compare(folder / "a.h5", folder / "b.h5");
}

template <class T>
std::string only_difference(T a, T b) {
  const auto all = differences(a, b);
  BOOST_REQUIRE(all.size() == 1u);
  return all.front().text();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(compare)

BOOST_AUTO_TEST_CASE(equal_files_have_no_differences) {
  BOOST_TEST(differences(1.5f, 1.5f).empty());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(differences(nan, nan).empty());
}

BOOST_AUTO_TEST_CASE(the_first_differing_element_is_named_with_the_largest_distance) {
  std::vector<float> a(6, 1.0f), b = a;
  b[3] = std::nextafter(1.0f, 2.0f);
  b[5] = std::nextafter(std::nextafter(1.0f, 0.0f), 0.0f);
  const auto d = differences(a, b);
  BOOST_REQUIRE(d.size() == 1u);
  BOOST_TEST(d[0].elements == 2u);
  BOOST_TEST(d[0].ulps.value() == 2u);
  BOOST_TEST(d[0].relative.value() == std::ldexp(1.0, -23));
  BOOST_TEST(d[0].text() == "/x: 2 of 6 elements differ, first [3]: expected 1, found 1.00000012, at most 2 ULPs apart");
}

BOOST_AUTO_TEST_CASE(indices_are_those_of_the_tensor) {
  const support::folder folder;
  std::vector<std::int32_t> a(24), b(24);
  b[17] = -3;
  holdfast::state x, y;
  x.bind("t", holdfast::tensor(a.data(), {2, 3, 4}));
  y.bind("t", holdfast::tensor(b.data(), {2, 3, 4}));
  holdfast::save(folder / "a.h5", x);
  holdfast::save(folder / "b.h5", y);
  const auto d = holdfast::compare(folder / "a.h5", folder / "b.h5");
  BOOST_REQUIRE(d.size() == 1u);
  BOOST_TEST(d[0].text() == "/t: 1 of 24 elements differ, first [1, 1, 1]: expected 0, found -3");
}

BOOST_AUTO_TEST_CASE(distances_cross_zero_and_are_left_out_for_nan) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  BOOST_TEST(only_difference(-tiny, tiny).ends_with("at most 2 ULPs apart"));
  BOOST_TEST(only_difference(-0.0f, 0.0f).ends_with("expected -0, found 0, at most 0 ULPs apart"));
  BOOST_TEST(only_difference(1.0, std::numeric_limits<double>::quiet_NaN()) == "/x: 1 of 1 element differs: expected 1, found nan");
  BOOST_TEST(only_difference(std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max()).find("18437736874454810622") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(relative_distances_are_of_the_larger_number) {
  const auto relative = [](double a, double b) { return differences(a, b).at(0).relative; };
  const double infinity = std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::max();
  BOOST_TEST(relative(1, -3).value() == 4.0 / 3, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(relative(-most, most).value() == 2);
  BOOST_TEST(relative(-0.0, 0.0).value() == 0);
  BOOST_TEST(relative(0, 1e-300).value() == 1);
  BOOST_TEST(relative(1, -infinity).value() == infinity);
  BOOST_TEST(!relative(1, std::nan("")).has_value());
}

BOOST_AUTO_TEST_CASE(every_family_of_elements_is_shown_as_itself) {
  BOOST_TEST(only_difference(std::uint64_t{1} << 63, std::uint64_t{0}) == "/x: 1 of 1 element differs: expected 9223372036854775808, found 0");
  BOOST_TEST(only_difference(true, false) == "/x: 1 of 1 element differs: expected 1, found 0");
  BOOST_TEST(only_difference(std::complex<float>(1, -2), std::complex<float>(1, 2)) == "/x: 1 of 1 element differs: expected 1-2j, found 1+2j");
  BOOST_TEST(only_difference(holdfast::bfloat16::from(1), holdfast::bfloat16::from(1.0078125f)).ends_with("expected 1, found 1.0078125, at most 1 ULP apart"));
  BOOST_TEST(only_difference(std::string("ab"), std::string("ac")) == "/x: 1 of 2 elements differ, first [1]: expected byte 98, found byte 99");
}

BOOST_AUTO_TEST_CASE(shapes_dtypes_and_presence_differ_too) {
  BOOST_TEST(only_difference(std::vector<float>(2), std::vector<float>(3)) == "/x: expected float32[2], found float32[3]");
  BOOST_TEST(only_difference(std::optional<float>(1.f), std::optional<float>()) == "/x: expected float32[], found an empty optional or null pointer");
  const support::folder folder;
  float a = 1, b = 2;
  holdfast::state x, y;
  x.bind("a", a).bind("m", a);
  y.bind("m", a).bind("z", b);
  holdfast::save(folder / "a.h5", x);
  holdfast::save(folder / "b.h5", y);
  const auto d = holdfast::compare(folder / "a.h5", folder / "b.h5");
  BOOST_REQUIRE(d.size() == 2u);
  BOOST_TEST(d[0].text() == "/a: expected float32[], found nothing of that name");
  BOOST_TEST(d[1].text() == "/z: expected nothing of that name, found float32[]");
}

BOOST_AUTO_TEST_CASE(a_group_is_one_whether_the_file_lists_it_or_only_what_is_in_it) {
  const support::folder folder;
  std::map<std::string, float> map{{"a", 1.f}};
  float same = 1, beside = 1;
  holdfast::state listed, implied, none;
  listed.bind("m", map);
  implied.bind("m/a", same);
  none.bind("m!", beside).bind("ma", beside);  // either side of what would be in it
  holdfast::save(folder / "listed.h5", listed);
  holdfast::save(folder / "implied.h5", implied);
  holdfast::save(folder / "none.h5", none);
  BOOST_TEST(holdfast::compare(folder / "listed.h5", folder / "implied.h5").empty());
  BOOST_TEST(holdfast::compare(folder / "implied.h5", folder / "listed.h5").empty());
  const auto d = holdfast::compare(folder / "listed.h5", folder / "none.h5");
  BOOST_REQUIRE(d.size() == 4u);
  BOOST_TEST(d[0].text() == "/m: expected a group, found nothing of that name");
}

BOOST_AUTO_TEST_SUITE_END()
