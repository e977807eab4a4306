// docs/adapters.md shows how to write an adapter; this is a library that has none, and the adapter that the page shows.
#include "dlib_adapter.hpp"

#include <complex>
#include <string>

#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

namespace {

using dlib::matrix;
using round_trip::file;
using support::require_all;
using by_rows = matrix<float>;
using by_columns = matrix<float, 0, 0, dlib::default_memory_manager, dlib::column_major_layout>;

template <class M>
bool same_bits(M& a, M& b) {
  return a.nr() == b.nr() && a.nc() == b.nc() && bits::equal(a.begin(), b.begin(), static_cast<std::size_t>(a.size()));
}

template <class M>
void check(M x, M into) {
  bits::fill(x.begin(), static_cast<std::size_t>(x.size()));
  file f;
  f.save(x).restore(into);
  BOOST_TEST(same_bits(into, x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dlib_)

BOOST_AUTO_TEST_CASE(the_page_shows_this_adapter_and_it_is_short) {
  const std::string page = support::bytes_of(HOLDFAST_TEST_DATA_DIR "/../../docs/adapters.md");
  const std::string adapter = support::bytes_of(HOLDFAST_TEST_DATA_DIR "/../adapters/dlib_adapter.hpp");
  BOOST_TEST((page.find("```cpp\n" + adapter + "```\n") != std::string::npos), "docs/adapters.md must show tests/adapters/dlib_adapter.hpp as it is");
  BOOST_TEST(std::count(adapter.begin(), adapter.end(), '\n') < 40);
}

BOOST_AUTO_TEST_CASE(matrices_of_both_layouts_and_any_size_come_back_bit_for_bit) {
  check(by_rows(2, 3), by_rows());
  check(by_columns(2, 3), by_columns(2, 3));
  check(matrix<double, 2, 3>(), matrix<double, 2, 3>());
  check(matrix<double, 2, 3, dlib::default_memory_manager, dlib::column_major_layout>(), matrix<double, 2, 3, dlib::default_memory_manager, dlib::column_major_layout>());
  check(matrix<std::int32_t, 0, 3>(4, 3), matrix<std::int32_t, 0, 3>());
  check(matrix<std::complex<double>, 3, 0>(3, 4), matrix<std::complex<double>, 3, 0>());
  check(matrix<double, 0, 1>(5), matrix<double, 0, 1>());
  by_columns columns(2, 3), columns_back;
  columns = 0, 1, 2, 10, 11, 12;
  by_rows rows_back;
  file f;
  f.save(columns).restore(rows_back);
  BOOST_TEST((rows_back == columns));
  BOOST_TEST(true_in_h5py(f.path(), "f['x'][()].tolist() == [[0, 1, 2], [10, 11, 12]]"));
  f.save(rows_back).restore(columns_back);
  BOOST_TEST((columns_back == columns));
}

BOOST_AUTO_TEST_CASE(a_shape_that_does_not_fit_is_refused_and_nothing_is_touched) {
  by_rows saved(2, 3), other(3, 2);
  saved = 1;
  other = 2;
  const by_rows before = other;
  file f;
  f.save(saved);
  require_all(f.refusal(other), "/x: expected float32[3, 2], found float32[2, 3]; give the program's object the file's size");
  BOOST_TEST((other == before));
  matrix<float, 0, 4> four;
  require_all(f.refusal(four), "/x: expected float32[0, 4], found float32[2, 3]; the program's type cannot take that shape");
  BOOST_TEST(four.nr() == 0);
}

BOOST_AUTO_TEST_CASE(the_generator_goes_on_where_it_was) {
  dlib::rand saved(5), back;
  saved.get_random_gaussian();  // it keeps a second value
  file f;
  f.save(saved).restore(back);
  for (int i = 0; i < 1000; ++i) {
    BOOST_REQUIRE(back.get_random_gaussian() == saved.get_random_gaussian());
    BOOST_REQUIRE(back.get_random_64bit_number() == saved.get_random_64bit_number());
  }
  BOOST_TEST(back.get_seed() == saved.get_seed());
}

BOOST_AUTO_TEST_SUITE_END()
