#include <holdfast/adapters/armadillo.hpp>

#include <complex>
#include <memory>
#include <vector>

#include <holdfast/testing/resume_equivalence.hpp>

#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

namespace {

using round_trip::copy;
using round_trip::file;
using support::require_all;

template <class X>
bool same_bits(const X& a, const X& b) {
  return arma::size(a) == arma::size(b) && bits::equal(a.memptr(), b.memptr(), a.n_elem);
}

template <class X>
void check(X x, X into) {
  bits::fill(x.memptr(), x.n_elem);
  file f;
  f.save(x).restore(into);
  BOOST_TEST(same_bits(into, x));
}

/// Gradient descent on samples that Armadillo draws.
struct noisy_descent {
  arma::vec weight = arma::vec(3, arma::fill::zeros);
  bool binds_generator;
  explicit noisy_descent(bool binds) : binds_generator(binds) { arma::arma_rng::set_seed(5); }
  void step() {
    const arma::vec x = arma::randn<arma::vec>(3);
    weight -= 0.1 * x * (arma::dot(x, weight) - arma::accu(x) + arma::randu());
    weight += 1e-3 * arma::shuffle(weight) + 1e-4 * arma::conv_to<arma::vec>::from(arma::randi<arma::ivec>(3, arma::distr_param(0, 9)));
  }
  void bind(holdfast::state& s) {
    s.bind("weight", weight);
    if (binds_generator) s.bind("rng/armadillo", holdfast::armadillo_generator());
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(armadillo)

BOOST_AUTO_TEST_CASE(dense_types_come_back_bit_for_bit) {
  check(arma::fmat(3, 5), arma::fmat());
  check(arma::mat(3, 5), arma::mat(3, 5, arma::fill::ones));
  check(arma::mat(0, 5), arma::mat());
  check(arma::mat(30, 50), arma::mat());
  check(arma::cx_fmat(2, 3), arma::cx_fmat());
  check(arma::cx_mat(2, 3), arma::cx_mat());
  check(arma::imat(2, 3), arma::imat());
  check(arma::Mat<std::uint8_t>(2, 3), arma::Mat<std::uint8_t>());
  check(arma::Mat<std::int16_t>(2, 3), arma::Mat<std::int16_t>());
  check(arma::vec(7), arma::vec());
  check(arma::frowvec(7), arma::frowvec());
  check(arma::uvec(30), arma::uvec(30, arma::fill::zeros));
  check(arma::cube(2, 3, 4), arma::cube());
  check(arma::fcube(2, 3, 4), arma::fcube(2, 3, 4, arma::fill::ones));
  check(arma::mat::fixed<2, 3>(), arma::mat::fixed<2, 3>());
  check(arma::vec::fixed<3>(), arma::vec::fixed<3>());
  check(arma::frowvec::fixed<3>(), arma::frowvec::fixed<3>());
  check(arma::fcube::fixed<2, 3, 4>(), arma::fcube::fixed<2, 3, 4>());
}

BOOST_AUTO_TEST_CASE(h5py_reads_the_same_indices) {
  arma::fmat matrix{{0, 1, 2}, {10, 11, 12}};
  arma::vec column{5, 6};
  arma::rowvec row{7, 8};
  arma::cube cube(2, 3, 4);
  cube.imbue([n = 0]() mutable { return n++; });  // in memory order
  arma::mat::fixed<2, 2> fixed{{0, 1}, {10, 11}};
  const support::folder dir;
  holdfast::state s;
  s.bind("matrix", matrix).bind("column", column).bind("row", row).bind("cube", cube).bind("fixed", fixed);
  holdfast::save(dir / "f.h5", s);
  BOOST_TEST(cube(1, 2, 3) == 23);
  BOOST_TEST(cube(0, 1, 2) == 14);
  BOOST_TEST(true_in_h5py(dir / "f.h5",
                          "f['matrix'].dtype == 'float32' and f['matrix'][()].tolist() == [[0, 1, 2], [10, 11, 12]] and f['column'][()].tolist() == [5, 6] "
                          "and f['row'][()].tolist() == [7, 8] and f['cube'].shape == (2, 3, 4) and f['cube'][1, 2, 3] == 23 and f['cube'][0, 1, 2] == 14 "
                          "and f['fixed'][()].tolist() == [[0, 1], [10, 11]]"));
}

BOOST_AUTO_TEST_CASE(a_shape_that_does_not_fit_is_refused_and_nothing_is_touched) {
  arma::mat saved(5, 4, arma::fill::randu), other(4, 5, arma::fill::ones);
  const arma::mat before = other;
  file f;
  f.save(saved);
  require_all(f.refusal(other), "/x: expected float64[4, 5], found float64[5, 4]; give the program's object the file's size");
  BOOST_TEST(same_bits(other, before));
  arma::fmat narrow;
  require_all(f.refusal(narrow), "/x: expected float32[0, 0], found float64[5, 4]; pass .cast");
  arma::vec vector;
  require_all(f.refusal(vector), "/x: expected float64[0], found float64[5, 4]; the program's type cannot take that shape");
  arma::cube cube;
  require_all(f.refusal(cube), "/x: expected float64[0, 0, 0], found float64[5, 4]; the program's type cannot take that shape");
  arma::mat::fixed<4, 5> fixed(arma::fill::ones);
  require_all(f.refusal(holdfast::resizable(fixed)), "/x: expected float64[4, 5], found float64[5, 4]; the program's type cannot take that shape");
  require_all(f.refusal(holdfast::resizable(static_cast<arma::mat&>(fixed))), "the program's type cannot take that shape");
  std::vector<double> memory(20, 1);
  arma::mat lent(memory.data(), 4, 5, false, true);
  require_all(f.refusal(holdfast::resizable(lent)), "the program's type cannot take that shape");
  arma::mat& as_matrix = vector;  // a column, seen as a matrix, stays a column
  require_all(f.refusal(as_matrix), "/x: expected float64[0, 1], found float64[5, 4]; the program's type cannot take that shape");
  f.restore(holdfast::resizable(other));
  BOOST_TEST(same_bits(other, saved));
  std::fill(memory.begin(), memory.end(), 0);
  lent = arma::mat(memory.data(), 5, 4, false, true);
  arma::mat borrowed(memory.data(), 5, 4, false, true);
  f.restore(borrowed);
  BOOST_TEST(memory[1] == saved(1, 0));
  require_all(f.refusal(static_cast<const arma::mat&>(saved)), "/x: expected an object that may change, found one bound as const");
  static_assert(!holdfast::checkpointable<arma::sp_mat>);
}

BOOST_AUTO_TEST_CASE(a_field_is_a_group_of_its_elements) {
  arma::field<arma::mat> layers(2), layers_back(2), more(3);
  layers(0) = arma::mat(2, 3, arma::fill::randu);
  layers(1) = arma::mat(3, 1, arma::fill::randu);
  file f;
  const auto report = f.save(layers).restore(layers_back);
  BOOST_TEST((report.restored == std::vector<std::string>{"x/0", "x/1"}));
  BOOST_TEST(same_bits(layers_back(0), layers(0)));
  BOOST_TEST(same_bits(layers_back(1), layers(1)));
  require_all(f.refusal(more), "/x/2: expected float64[0, 0], not in the file");
  arma::field<arma::vec> grid(2, 3), grid_back(2, 3), deep(1, 2, 2);
  for (arma::uword i = 0; i < 2; ++i)
    for (arma::uword j = 0; j < 3; ++j) grid(i, j) = arma::vec{static_cast<double>(i), static_cast<double>(j)};
  f.save(grid).restore(grid_back);
  BOOST_TEST(grid_back(1, 2)(1) == 2);
  BOOST_TEST(true_in_h5py(f.path(), "f['x/1/2'][()].tolist() == [1, 2]"));
  deep(0, 1, 1) = arma::vec{3};
  f.save(deep);
  BOOST_TEST(true_in_h5py(f.path(), "f['x/0/1/1'][()].tolist() == [3]"));
}

BOOST_AUTO_TEST_CASE(the_generator_goes_on_where_it_was) {
  arma::arma_rng::set_seed(1);
  arma::vec used = arma::randn<arma::vec>(7);
  file f;
  f.save(holdfast::armadillo_generator());
  const arma::mat expected = arma::randu(3, 3) + arma::randn(3, 3) + arma::randg(3, 3);
  const arma::uvec order = arma::randperm(20);
  arma::arma_rng::set_seed(2);
  f.restore(holdfast::armadillo_generator());
  BOOST_TEST(same_bits(arma::mat(arma::randu(3, 3) + arma::randn(3, 3) + arma::randg(3, 3)), expected));
  BOOST_TEST(same_bits(arma::uvec(arma::randperm(20)), order));
  const auto whole = holdfast::testing::resume_equivalence([] { return std::make_unique<noisy_descent>(true); }, 10);
  BOOST_TEST(whole.equivalent(), whole.text());
  BOOST_TEST(!holdfast::testing::resume_equivalence([] { return std::make_unique<noisy_descent>(false); }, 10).equivalent());
}

BOOST_AUTO_TEST_SUITE_END()
