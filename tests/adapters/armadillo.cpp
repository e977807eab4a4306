#include <holdfast/adapters/armadillo.hpp>

#include <vector>

#include <holdfast/holdfast.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(adapters_armadillo)

namespace {

using holdfast::restore, holdfast::save, holdfast::state;

template <class T>
std::vector<T> in_file(const std::string& file, const std::string& path) {
  const holdfast::checkpoint_file f(file);
  const auto mapped = f.map<T>(path);
  return {mapped.begin(), mapped.end()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_file_has_the_logical_order) {
  const support::folder folder;
  arma::mat m{{0, 1, 2}, {3, 4, 5}};
  arma::fvec column{1, 2};
  arma::irowvec row{3, 4, 5};
  arma::cx_mat complex{{{1, 2}, {3, 4}}};
  arma::cube cube(2, 2, 2);
  for (arma::uword i = 0; i < 2; ++i)
    for (arma::uword j = 0; j < 2; ++j)
      for (arma::uword k = 0; k < 2; ++k) cube(i, j, k) = static_cast<double>(i * 4 + j * 2 + k);
  state s;
  s.bind("m", m).bind("column", column).bind("row", row).bind("complex", complex).bind("cube", cube);
  save(folder / "a.h5", s);
  BOOST_TEST(in_file<double>(folder / "a.h5", "m") == (std::vector<double>{0, 1, 2, 3, 4, 5}), boost::test_tools::per_element());
  BOOST_TEST(in_file<double>(folder / "a.h5", "cube") == (std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7}), boost::test_tools::per_element());
  BOOST_TEST(in_file<float>(folder / "a.h5", "column") == (std::vector<float>{1, 2}), boost::test_tools::per_element());

  const auto m_was = m;
  const auto column_was = column;
  const auto row_was = row;
  const auto complex_was = complex;
  const auto cube_was = cube;
  m.reset(), column.reset(), row.reset(), complex.reset(), cube.reset();  // empty: they take the file's size
  restore(folder / "a.h5", s);
  BOOST_TEST(arma::approx_equal(m, m_was, "absdiff", 0.0));
  BOOST_TEST(arma::approx_equal(column, column_was, "absdiff", 0.0f));
  BOOST_TEST(arma::all(row == row_was));
  BOOST_TEST(arma::approx_equal(complex, complex_was, "absdiff", 0.0));
  BOOST_TEST(arma::approx_equal(cube, cube_was, "absdiff", 0.0));
}

BOOST_AUTO_TEST_CASE(another_size_is_a_mismatch_before_anything_changes) {
  const support::folder folder;
  arma::mat m{{0, 1, 2}, {3, 4, 5}}, other(3, 2, arma::fill::ones);
  state s, t;
  s.bind("m", m), t.bind("m", other);
  save(folder / "a.h5", s);
  BOOST_TEST(support::message_of<holdfast::mismatch_error>([&] { restore(folder / "a.h5", t); }).find("expected float64[3, 2], found float64[2, 3]") != std::string::npos);
  BOOST_TEST(arma::accu(other) == 6.0);
}

BOOST_AUTO_TEST_SUITE_END()
