#include <holdfast/types/array.hpp>

#include <complex>
#include <limits>
#include <numeric>
#include <valarray>

#include "round_trip.hpp"

namespace {

enum class mode : std::int16_t { train = -1,
                                 test = 300 };
struct scalars {
  bool flag = false;
  char letter = 0;
  std::int64_t step = 0;
  float f = 0;
  double d = 0;
  std::complex<float> c;
  mode m = mode::train;
  holdfast::bfloat16 b;
  friend bool operator==(const scalars& x, const scalars& y) {
    return x.flag == y.flag && x.letter == y.letter && x.step == y.step && x.f == y.f && x.d == y.d && x.c == y.c && x.m == y.m && x.b.bits == y.b.bits;
  }
};
struct arrays {
  float matrix[2][3]{};
  bool flags[3]{};
  const int fixed[2]{1, 2};
};

}  // namespace

template <>
struct holdfast::traits<scalars>
    : holdfast::fields<holdfast::field<&scalars::flag>, holdfast::field<&scalars::letter>, holdfast::field<&scalars::step>,
                       holdfast::field<&scalars::f>, holdfast::field<&scalars::d>, holdfast::field<&scalars::c>,
                       holdfast::field<&scalars::m>, holdfast::field<&scalars::b>> {};
template <>
struct holdfast::traits<arrays>
    : holdfast::fields<holdfast::field<&arrays::matrix>, holdfast::field<&arrays::flags>, holdfast::field<&arrays::fixed>> {};

BOOST_AUTO_TEST_SUITE(types_array)

using round_trip::copy;
using round_trip::file;

BOOST_AUTO_TEST_CASE(scalars_of_every_kind_come_back) {
  scalars filled{true, 'x', INT64_MIN, -0.f, 0.1, {1, -2}, mode::test, holdfast::bfloat16::from(3)};
  BOOST_TEST((copy(filled) == filled));
  BOOST_TEST(std::signbit(copy(filled).f));
}

BOOST_AUTO_TEST_CASE(standard_arrays_are_tensors_of_their_size) {
  std::array<double, 3> numbers{1, 2, 3};
  std::array<bool, 4> flags{true, false, true, true};
  std::array<mode, 2> modes{mode::test, mode::train};
  std::array<float, 0> none;
  BOOST_TEST((copy(numbers) == numbers));
  BOOST_TEST((copy(flags) == flags));
  BOOST_TEST((copy(modes) == modes));
  copy(none);
  std::array<double, 2> other{};
  file f;
  BOOST_TEST(f.save(numbers).refusal(other) == "\n  /x: expected float64[2], found float64[3]", "an array cannot be resized");
}

BOOST_AUTO_TEST_CASE(an_array_of_anything_else_is_a_group_of_its_elements) {
  std::array<std::vector<int>, 2> filled{{{1, 2}, {}}};
  std::array<std::array<std::string, 2>, 1> names{{{"a", "b"}}};
  BOOST_TEST((copy(filled) == filled));
  BOOST_TEST((copy(names) == names));
  file f;
  BOOST_TEST(holdfast::checkpoint_file(f.save(names).path()).contains("x/0/1"));
}

BOOST_AUTO_TEST_CASE(built_in_arrays_have_their_dimensions) {
  arrays filled, restored;
  std::iota(&filled.matrix[0][0], &filled.matrix[0][0] + 6, 1.f);
  filled.flags[1] = true;
  file f;
  f.save(filled);
  f.restore(restored, {.except = {"x/fixed"}});
  BOOST_TEST(restored.matrix[1][2] == 6);
  BOOST_TEST(restored.matrix[1][0] == 4);
  BOOST_TEST(restored.flags[1]);
  const holdfast::checkpoint_file read(f.path());
  BOOST_TEST((read.entries()[0].path == "x/fixed"));
  BOOST_TEST((read.entries()[2].shape == holdfast::shape{2, 3}));
  BOOST_TEST(f.refusal(restored) ==
             "\n  /x/fixed: expected an object that may change, found one bound as const; "
             "bind it as non-const, or leave it out with .except");
}

BOOST_AUTO_TEST_CASE(a_span_is_restored_into_the_memory_that_it_refers_to) {
  std::vector<float> memory{1, 2, 3, 4}, other(4, 9.f);
  file f;
  f.save(std::span(memory).subspan(1, 2)).restore(std::span(other).first(2));
  BOOST_TEST(other == (std::vector<float>{2, 3, 9, 9}), boost::test_tools::per_element());
  support::require_all(f.refusal(std::span(other)), "\n  /x: expected float32[4], found float32[2]");
}

BOOST_AUTO_TEST_CASE(memory_that_may_not_change_is_saved_and_not_restored) {
  const float memory[]{1, 2};
  std::array<const int, 2> array{3, 4};
  const std::string refused = "\n  /x: expected an object that may change, found one bound as const; ";
  file f;
  support::require_all(f.save(std::span<const float>(memory)).refusal(std::span<const float>(memory)), refused);
  support::require_all(f.save(holdfast::tensor(memory, {2})).refusal(holdfast::tensor(memory, {2})), refused);
  support::require_all(f.save(array).refusal(array), refused);
  BOOST_TEST(memory[0] == 1);
}

BOOST_AUTO_TEST_CASE(a_column_major_matrix_comes_back_in_either_order) {
  float columns[]{1, 4, 2, 5, 3, 6}, rows[6]{}, again[6]{}, backwards[6]{};  // 2 x 3
  file f;
  f.save(holdfast::tensor(columns, {2, 3}, {1, 2}));
  f.restore(holdfast::tensor(rows, {2, 3}));
  f.restore(holdfast::tensor(again, {2, 3}, {1, 2}));
  f.restore(holdfast::tensor(backwards + 5, {2, 3}, {-3, -1}));
  const float by_rows[]{1, 2, 3, 4, 5, 6}, reversed[]{6, 5, 4, 3, 2, 1};
  BOOST_TEST(rows == by_rows, boost::test_tools::per_element());
  BOOST_TEST(again == columns, boost::test_tools::per_element());
  BOOST_TEST(backwards == reversed, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(value_arrays_are_tensors_and_empty_ones_take_the_size) {
  std::valarray<double> numbers{1, -0.0, 3}, empty, other(2);
  BOOST_TEST((std::equal(std::begin(numbers), std::end(numbers), std::begin(copy(numbers)))));
  BOOST_TEST(copy(empty).size() == 0u);
  file f;
  f.save(numbers);
  BOOST_TEST(f.refusal(other) == "\n  /x: expected float64[2], found float64[3]; give the program's object the file's size, or bind it empty or as holdfast::resizable(...) to take whatever size the file has");
  f.restore(holdfast::resizable(other));
  BOOST_TEST(other.size() == 3u);
}

BOOST_AUTO_TEST_CASE(built_in_arrays_of_other_types_are_groups) {
  scalars a[2][2]{}, b[2][2]{};
  a[1][0].step = 10, a[0][1].step = 1;
  file f;
  f.save(a).restore(b);
  BOOST_TEST((b[1][0] == a[1][0] && b[0][1] == a[0][1]));
  BOOST_TEST(holdfast::checkpoint_file(f.path()).read<std::int64_t>("x/1/0/step") == 10);
  scalars three[3][2]{};
  support::require_all(f.refusal(three), "/x/2/0/step: expected int64[], not in the file");
}

BOOST_AUTO_TEST_SUITE_END()
