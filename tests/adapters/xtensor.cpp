#include <holdfast/adapters/xtensor.hpp>

#include <vector>

#include <holdfast/holdfast.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(adapters_xtensor)

namespace {

using holdfast::restore, holdfast::save, holdfast::state;

template <class T>
void number(T&& a) {
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j) a(i, j) = static_cast<float>(3 * i + j);
}

/// Saves a, zeroes it, restores it, and gives what the file holds in C order.
template <class T>
std::vector<float> round_trip(T&& a) {
  const support::folder folder;
  number(a);
  state s;
  s.bind("a", a);
  save(folder / "a.h5", s);
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j) a(i, j) = -1;
  restore(folder / "a.h5", s);
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j) BOOST_TEST(a(i, j) == static_cast<float>(3 * i + j));
  const holdfast::checkpoint_file file(folder / "a.h5");
  const auto mapped = file.map<float>("a");
  return {mapped.begin(), mapped.end()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_layout_is_the_same_file) {
  const std::vector<float> expected{0, 1, 2, 3, 4, 5};
  const std::vector<std::size_t> shape{2, 3};
  xt::xtensor<float, 2> tensor(std::array<std::size_t, 2>{2, 3});
  BOOST_TEST(round_trip(tensor) == expected, boost::test_tools::per_element());
  xt::xtensor<float, 2, xt::layout_type::column_major> column_major(std::array<std::size_t, 2>{2, 3});
  BOOST_TEST(round_trip(column_major) == expected, boost::test_tools::per_element());
  xt::xarray<float> array(shape);
  BOOST_TEST(round_trip(array) == expected, boost::test_tools::per_element());
  xt::xarray<float, xt::layout_type::dynamic> dynamic(shape, xt::layout_type::column_major);
  BOOST_TEST(round_trip(dynamic) == expected, boost::test_tools::per_element());
  xt::xtensor_fixed<float, xt::xshape<2, 3>> fixed;
  BOOST_TEST(round_trip(fixed) == expected, boost::test_tools::per_element());
  std::vector<float> memory(6);
  auto adapted = xt::adapt(memory, shape);
  BOOST_TEST(round_trip(adapted) == expected, boost::test_tools::per_element());
  BOOST_TEST(memory == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_adaptor_may_be_bound_as_it_is_made) {
  const support::folder folder;
  std::vector<double> memory{1, 2, 3, 4};
  state s;
  s.bind("a", xt::adapt(memory, std::array<std::size_t, 2>{2, 2}));
  save(folder / "a.h5", s);
  memory.assign(4, 0);
  restore(folder / "a.h5", s);
  BOOST_TEST(memory == (std::vector<double>{1, 2, 3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_empty_tensor_takes_the_size_and_another_size_is_a_mismatch) {
  const support::folder folder;
  xt::xtensor<int, 1> a{1, 2, 3}, empty, other{7, 8};
  state s, t, u;
  s.bind("a", a), t.bind("a", empty), u.bind("a", other);
  save(folder / "a.h5", s);
  restore(folder / "a.h5", t);
  BOOST_TEST((empty == a));
  BOOST_CHECK_THROW(restore(folder / "a.h5", u), holdfast::mismatch_error);
  BOOST_TEST(other(1) == 8);
}

BOOST_AUTO_TEST_SUITE_END()
