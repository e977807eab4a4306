#include <holdfast/adapters/eigen_tensor.hpp>

#include <array>
#include <complex>

#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

namespace {

using round_trip::file;
using support::require_all;

template <class X>
bool same_bits(const X& a, const X& b) {
  return Eigen::dimensions_match(a.dimensions(), b.dimensions()) && bits::equal(a.data(), b.data(), static_cast<std::size_t>(a.size()));
}

template <class X>
void check(X x, X into) {
  bits::fill(x.data(), static_cast<std::size_t>(x.size()));
  file f;
  f.save(x).restore(into);
  BOOST_TEST(same_bits(into, x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(eigen_tensor)

BOOST_AUTO_TEST_CASE(tensors_of_any_kind_come_back_bit_for_bit) {
  using Eigen::RowMajor;
  using Eigen::Tensor;
  check(Tensor<float, 3>(2, 3, 4), Tensor<float, 3>());
  check(Tensor<float, 3>(2, 3, 4), Tensor<float, 3>(2, 3, 4));
  check(Tensor<double, 4, RowMajor>(2, 3, 4, 2), Tensor<double, 4, RowMajor>());
  check(Tensor<std::int32_t, 1>(5), Tensor<std::int32_t, 1>());
  check(Tensor<float, 0>(), Tensor<float, 0>());
  check(Tensor<float, 2>(0, 3), Tensor<float, 2>());
  check(Tensor<std::complex<double>, 2, 0, int>(2, 3), Tensor<std::complex<double>, 2, 0, int>());
  check(Tensor<Eigen::bfloat16, 2>(2, 3), Tensor<Eigen::bfloat16, 2>());
  check(Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3>>(), Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3>>());
  check(Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3, 4>, RowMajor>(), Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3, 4>, RowMajor>());
}

BOOST_AUTO_TEST_CASE(h5py_reads_the_same_indices_and_the_orders_are_one_in_the_file) {
  Eigen::Tensor<float, 3> by_columns(2, 3, 4);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) by_columns(i, j, k) = static_cast<float>(100 * i + 10 * j + k);
  file f;
  f.save(by_columns);
  BOOST_TEST(true_in_h5py(f.path(), "f['x'].shape == (2, 3, 4) and f['x'][1, 2, 3] == 123 and f['x'][0, 2, 1] == 21 and f['x'][1, 0, 2] == 102"));
  Eigen::Tensor<float, 3, Eigen::RowMajor> by_rows;
  f.restore(by_rows);
  BOOST_TEST(by_rows(1, 2, 3) == 123);
  BOOST_TEST(by_rows(0, 2, 1) == 21);
  std::array<float, 24> memory{};
  f.restore(Eigen::TensorMap<Eigen::Tensor<float, 3>>(memory.data(), 2, 3, 4));
  BOOST_TEST((memory == std::array<float, 24>{0, 100, 10, 110, 20, 120, 1, 101, 11, 111, 21, 121, 2, 102, 12, 112, 22, 122, 3, 103, 13, 113, 23, 123}));
  Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3, 4>> fixed;
  f.restore(fixed);
  BOOST_TEST(fixed(0, 2, 1) == 21);
  Eigen::TensorMap<Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3, 4>>> map(memory.data(), 2, 3, 4);
  map(1, 1, 1) = 7;
  f.save(map).restore(by_columns);
  BOOST_TEST(by_columns(1, 1, 1) == 7);
}

BOOST_AUTO_TEST_CASE(a_shape_that_does_not_fit_is_refused_and_nothing_is_touched) {
  Eigen::Tensor<float, 3> saved(2, 3, 4), other(2, 4, 3);
  saved.setRandom();
  other.setConstant(1);
  const Eigen::Tensor<float, 3> before = other;
  file f;
  f.save(saved);
  require_all(f.refusal(other), "/x: expected float32[2, 4, 3], found float32[2, 3, 4]; give the program's object the file's size");
  BOOST_TEST(same_bits(other, before));
  Eigen::Tensor<float, 2> flat;
  require_all(f.refusal(flat), "/x: expected float32[0, 0], found float32[2, 3, 4]; the program's type cannot take that shape");
  Eigen::Tensor<float, 3, 0, std::int8_t> small;
  Eigen::Tensor<float, 3> large(2, 8, 8);
  large.setZero();
  f.save(large);
  require_all(f.refusal(small), "/x: expected float32[0, 0, 0], found float32[2, 8, 8]; the program's type cannot take that shape");
  Eigen::TensorFixedSize<float, Eigen::Sizes<2, 8, 7>> fixed;
  require_all(f.refusal(fixed), "/x: expected float32[2, 8, 7], found float32[2, 8, 8]");
  f.save(saved).restore(holdfast::resizable(other));
  BOOST_TEST(same_bits(other, saved));
}

BOOST_AUTO_TEST_CASE(a_map_of_const_is_saved_and_not_restored) {
  const std::array<float, 4> memory{1, 2, 3, 4};
  const Eigen::TensorMap<const Eigen::Tensor<float, 2>> map(memory.data(), 2, 2);
  const Eigen::TensorMap<Eigen::Tensor<const float, 2>> other(memory.data(), 2, 2);
  Eigen::Tensor<float, 2> back;
  file f;
  for (int i = 0; i < 2; ++i) {
    i == 0 ? f.save(map).restore(back) : f.save(other).restore(back);
    BOOST_TEST(back(1, 0) == 2);
    back.setZero();
  }
  require_all(f.refusal(Eigen::TensorMap<const Eigen::Tensor<float, 2>>(map)), "/x: expected an object that may change, found one bound as const");
  require_all(f.refusal(Eigen::TensorMap<Eigen::Tensor<const float, 2>>(other)), "/x: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_SUITE_END()
