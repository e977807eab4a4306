#include <holdfast/adapters/eigen.hpp>

#include <complex>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(adapters_eigen)

namespace {

using holdfast::restore, holdfast::save, holdfast::state;
using support::message_of;

/// Element by element 0, 1, 2, … in logical row-major order.
template <class M>
M numbered(Eigen::Index rows, Eigen::Index columns) {
  M m(rows, columns);
  for (Eigen::Index i = 0; i < rows; ++i)
    for (Eigen::Index j = 0; j < columns; ++j) m(i, j) = static_cast<typename M::Scalar>(static_cast<float>(i * columns + j));
  return m;
}

/// Saves, restores into an empty object and into one of the size, and gives what the file holds in C order.
template <class M>
std::vector<typename M::Scalar> round_trip(const M& original) {
  const support::folder folder;
  M m = original, empty, sized = M::Zero(original.rows(), original.cols());
  state s, t, u;
  s.bind("m", m), t.bind("m", empty), u.bind("m", sized);
  save(folder / "a.h5", s);
  restore(folder / "a.h5", t);
  restore(folder / "a.h5", u);
  BOOST_TEST((empty.matrix() == original.matrix()));
  BOOST_TEST((sized.matrix() == original.matrix()));
  const holdfast::checkpoint_file file(folder / "a.h5");
  BOOST_TEST(file.entries()[0].shape == (holdfast::shape{original.rows(), original.cols()}));
  const auto mapped = file.template map<typename M::Scalar>("m");
  return {mapped.begin(), mapped.end()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(matrices_of_either_order_are_the_same_file) {
  const std::vector<float> expected{0, 1, 2, 3, 4, 5};
  BOOST_TEST(round_trip(numbered<Eigen::MatrixXf>(2, 3)) == expected, boost::test_tools::per_element());
  using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  BOOST_TEST(round_trip(numbered<row_major>(2, 3)) == expected, boost::test_tools::per_element());
  BOOST_TEST(round_trip(numbered<Eigen::ArrayXXf>(2, 3)) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(all_elements_and_sizes_known_at_compile_time) {
  const support::folder folder;
  Eigen::Matrix3d fixed = numbered<Eigen::Matrix3d>(3, 3);
  Eigen::VectorXcd complex(2);
  complex << std::complex<double>(1, 2), std::complex<double>(3, 4);
  Eigen::RowVector4i row(1, 2, 3, 4);
  Eigen::Matrix<Eigen::half, 2, 2> half = numbered<Eigen::Matrix<Eigen::half, 2, 2>>(2, 2);
  Eigen::Matrix<Eigen::bfloat16, 2, 2> brain = numbered<Eigen::Matrix<Eigen::bfloat16, 2, 2>>(2, 2);
  state s;
  s.bind("fixed", fixed).bind("complex", complex).bind("row", row).bind("half", half).bind("brain", brain);
  save(folder / "a.h5", s);
  const auto fixed_was = fixed;
  const auto complex_was = complex;
  const auto half_was = half;
  const auto brain_was = brain;
  fixed.setZero(), complex.resize(0), row.setZero(), half.setZero(), brain.setZero();
  restore(folder / "a.h5", s);
  BOOST_TEST((fixed == fixed_was));
  BOOST_TEST((complex == complex_was));
  BOOST_TEST((row == Eigen::RowVector4i(1, 2, 3, 4)));
  BOOST_TEST((half == half_was));
  BOOST_TEST((brain == brain_was));
  std::string all;
  const holdfast::checkpoint_file file(folder / "a.h5");
  for (const auto& e : file.entries()) all += e.path + " " + describe(e.dtype, e.shape) + "; ";
  BOOST_TEST(all == "brain bfloat16[2, 2]; complex complex128[2]; fixed float64[3, 3]; half float16[2, 2]; row int32[4]; ");
}

BOOST_AUTO_TEST_CASE(views_into_memory_with_strides) {
  const support::folder folder;
  Eigen::MatrixXf m = numbered<Eigen::MatrixXf>(3, 4);
  std::vector<float> raw{0, 1, 2, 3, 4, 5};
  state s;
  s.bind("row", m.row(1)).bind("corner", m.block(1, 2, 2, 2)).bind("map", Eigen::Map<Eigen::Matrix<float, 2, 3, Eigen::RowMajor>>(raw.data()));
  save(folder / "a.h5", s);
  const holdfast::checkpoint_file file(folder / "a.h5");
  BOOST_TEST(file.read<std::vector<float>>("row") == (std::vector<float>{4, 5, 6, 7}), boost::test_tools::per_element());
  const auto corner = file.map<float>("corner");
  BOOST_TEST((std::vector<float>(corner.begin(), corner.end())) == (std::vector<float>{6, 7, 10, 11}), boost::test_tools::per_element());
  m.setZero(), raw.assign(6, 0);
  restore(folder / "a.h5", s);
  BOOST_TEST(m(1, 0) == 4);
  BOOST_TEST(m(2, 3) == 11);
  BOOST_TEST(m(0, 1) == 0);
  BOOST_TEST(raw[5] == 5);
}

BOOST_AUTO_TEST_CASE(a_map_of_const_can_only_be_saved) {
  const support::folder folder;
  const std::vector<float> raw{1, 2};
  state s;
  s.bind("v", Eigen::Map<const Eigen::VectorXf>(raw.data(), 2));
  save(folder / "a.h5", s);
  BOOST_CHECK_THROW(restore(folder / "a.h5", s), holdfast::mismatch_error);
}

BOOST_AUTO_TEST_CASE(another_size_is_a_mismatch_before_anything_changes) {
  const support::folder folder;
  Eigen::MatrixXf m = numbered<Eigen::MatrixXf>(2, 3);
  Eigen::Matrix<float, 3, Eigen::Dynamic> half_fixed;  // could take [3, n], and not the file's [2, 3]
  Eigen::MatrixXf other = numbered<Eigen::MatrixXf>(3, 2);
  const Eigen::MatrixXf before = other;
  state s, t, u;
  s.bind("m", m), t.bind("m", other), u.bind("m", half_fixed);
  save(folder / "a.h5", s);
  BOOST_TEST(message_of<holdfast::mismatch_error>([&] { restore(folder / "a.h5", t); }).find("expected float32[3, 2], found float32[2, 3]") != std::string::npos);
  BOOST_TEST((other == before));
  BOOST_CHECK_THROW(restore(folder / "a.h5", u), holdfast::mismatch_error);
  BOOST_TEST(half_fixed.cols() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
