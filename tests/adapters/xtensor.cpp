#include <holdfast/adapters/xtensor.hpp>

#include <complex>
#include <numeric>
#include <vector>

#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

namespace {

using round_trip::file;
using support::require_all;

template <class X>
bool same_bits(const X& a, const X& b) {
  return a.dimension() == b.dimension() && std::equal(a.shape().begin(), a.shape().end(), b.shape().begin()) &&
         bits::equal(a.data(), b.data(), a.size());
}

template <class X>
void check(X x, X into) {
  bits::fill(x.data(), x.size());
  file f;
  f.save(x).restore(into);
  BOOST_TEST(same_bits(into, x));
}

/// a(i, j, k) = ijk
template <class X>
X numbered(X x) {
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 4; ++k) x(i, j, k) = static_cast<float>(100 * i + 10 * j + k);
  return x;
}

using by_rows = xt::xtensor<float, 3>;
using by_columns = xt::xtensor<float, 3, xt::layout_type::column_major>;
using by_any = xt::xarray<float, xt::layout_type::dynamic>;

}  // namespace

BOOST_AUTO_TEST_SUITE(xtensor)

BOOST_AUTO_TEST_CASE(containers_of_any_kind_come_back_bit_for_bit) {
  using xt::layout_type;
  const std::vector<std::size_t> shape{2, 3, 4};
  check(xt::xarray<float>(shape), xt::xarray<float>(shape));
  check(xt::xarray<float>(shape), xt::xarray<float>::from_shape({0}));
  check(xt::xarray<double, layout_type::column_major>(shape), xt::xarray<double, layout_type::column_major>(shape));
  check(by_any(shape, layout_type::column_major), by_any(shape, layout_type::column_major));
  check(by_any(shape, std::vector<std::ptrdiff_t>{1, 8, 2}), by_any(shape, std::vector<std::ptrdiff_t>{1, 8, 2}));
  check(xt::xarray<float>(), xt::xarray<float>());  // 0-d
  check(xt::xtensor<std::int64_t, 2>({2, 3}), xt::xtensor<std::int64_t, 2>());
  check(by_columns({2, 3, 4}), by_columns());
  check(xt::xtensor<std::complex<float>, 1>({5}), xt::xtensor<std::complex<float>, 1>());
  check(xt::xtensor<float, 2>({0, 5}), xt::xtensor<float, 2>());
  check(xt::xtensor<float, 3>({2, 1, 3}), xt::xtensor<float, 3>());
  check(xt::xtensor_fixed<float, xt::xshape<2, 3>>(), xt::xtensor_fixed<float, xt::xshape<2, 3>>());
  check(xt::xtensor_fixed<double, xt::xshape<2, 3>, layout_type::column_major>(), xt::xtensor_fixed<double, xt::xshape<2, 3>, layout_type::column_major>());
  xt::xtensor<bool, 1> mask{true, false, true}, back;
  file().save(mask).restore(back);
  BOOST_TEST((back == mask));
}

BOOST_AUTO_TEST_CASE(h5py_reads_the_same_indices_and_the_layouts_are_one_in_the_file) {
  const auto expected = numbered(by_rows({2, 3, 4}));
  const auto in_order = [](const file& f) { return true_in_h5py(f.path(), "f['x'].shape == (2, 3, 4) and f['x'][1, 2, 3] == 123 and f['x'][0, 2, 1] == 21 and f['x'][1, 0, 2] == 102"); };
  file f;
  f.save(expected);
  BOOST_TEST(in_order(f));
  by_columns columns;
  f.restore(columns);
  BOOST_TEST((columns == expected));
  f.save(columns);
  BOOST_TEST(in_order(f));
  by_any any({2, 3, 4}, std::vector<std::ptrdiff_t>{1, 8, 2}), none = by_any::from_shape({0});
  f.restore(any);
  BOOST_TEST((any == expected));
  f.restore(none);
  BOOST_TEST((none == expected));
  xt::xtensor_fixed<float, xt::xshape<2, 3, 4>, xt::layout_type::column_major> fixed;
  f.restore(fixed);
  BOOST_TEST((fixed == expected));
}

BOOST_AUTO_TEST_CASE(a_shape_that_does_not_fit_is_refused_and_nothing_is_touched) {
  by_rows saved = numbered(by_rows({2, 3, 4})), other = xt::ones<float>({2, 4, 3});
  const by_rows before = other;
  file f;
  f.save(saved);
  require_all(f.refusal(other), "/x: expected float32[2, 4, 3], found float32[2, 3, 4]; give the program's object the file's size");
  BOOST_TEST(same_bits(other, before));
  xt::xtensor<float, 2> flat;
  require_all(f.refusal(flat), "/x: expected float32[0, 0], found float32[2, 3, 4]");
  xt::xtensor<double, 3> wide;
  require_all(f.refusal(wide), "/x: expected float64[0, 0, 0], found float32[2, 3, 4]; pass .cast");
  xt::xtensor_fixed<float, xt::xshape<2, 3, 5>> fixed;
  require_all(f.refusal(holdfast::resizable(fixed)), "/x: expected float32[2, 3, 5], found float32[2, 3, 4]");
  xt::xarray<float> scalar;
  require_all(f.refusal(scalar), "/x: expected float32[], found float32[2, 3, 4]; give the program's object the file's size");
  f.restore(holdfast::resizable(scalar));
  BOOST_TEST((scalar == saved));
  xt::xarray<float> vector = xt::ones<float>({7});
  f.restore(holdfast::resizable(vector));
  BOOST_TEST((vector == saved));
  f.restore(holdfast::resizable(other));
  BOOST_TEST(same_bits(other, saved));
}

BOOST_AUTO_TEST_CASE(adaptors_write_where_they_refer_to) {
  std::vector<float> saved(6), back(6), columns(6);
  std::iota(saved.begin(), saved.end(), 0.f);
  const std::vector<std::size_t> shape{2, 3};
  file f;
  f.save(xt::adapt(saved, shape)).restore(xt::adapt(back.data(), 6, xt::no_ownership(), shape));
  BOOST_TEST(back == saved, boost::test_tools::per_element());
  f.restore(xt::adapt<xt::layout_type::column_major>(columns, std::array<std::size_t, 2>{2, 3}));
  BOOST_TEST((columns == std::vector<float>{0, 3, 1, 4, 2, 5}));
  std::fill(back.begin(), back.end(), 0.f);
  f.restore(xt::adapt(back, xt::xshape<2, 3>()));
  BOOST_TEST(back == saved, boost::test_tools::per_element());
  std::vector<float> spread(12, -1);
  f.restore(xt::adapt(spread.data(), 6, xt::no_ownership(), shape, std::vector<std::ptrdiff_t>{6, 2}));
  BOOST_TEST((spread == std::vector<float>{0, -1, 1, -1, 2, -1, 3, -1, 4, -1, 5, -1}));
  require_all(f.refusal(xt::adapt(back, std::vector<std::size_t>{3, 2})), "/x: expected float32[3, 2], found float32[2, 3]");

  const std::vector<float> fixed = saved;
  f.save(xt::adapt(fixed, shape));
  require_all(f.refusal(xt::adapt(fixed, shape)), "/x: expected an object that may change, found one bound as const");
  static_assert(!holdfast::is_view<decltype(xt::adapt(std::vector<float>(6), shape))>, "this one owns its elements");
  static_assert(!holdfast::checkpointable<xt::xarray<long double>>);
}

BOOST_AUTO_TEST_SUITE_END()
