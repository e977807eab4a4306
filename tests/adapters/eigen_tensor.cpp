#include <holdfast/adapters/eigen_tensor.hpp>

#include <vector>

#include <holdfast/holdfast.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(adapters_eigen_tensor)

namespace {

template <class T>
void number(T&& t) {
  float x = 0;
  for (Eigen::Index i = 0; i < t.dimension(0); ++i)
    for (Eigen::Index j = 0; j < t.dimension(1); ++j)
      for (Eigen::Index k = 0; k < t.dimension(2); ++k) t(i, j, k) = x++;
}

template <class T>
void comes_back(T original) {
  const support::folder folder;
  number(original);
  T restored;
  holdfast::state s, t;
  s.bind("t", original), t.bind("t", restored);
  holdfast::save(folder / "a.h5", s);
  holdfast::restore(folder / "a.h5", t);
  for (Eigen::Index i = 0; i < 2; ++i)
    for (Eigen::Index j = 0; j < 3; ++j)
      for (Eigen::Index k = 0; k < 4; ++k) BOOST_TEST(restored(i, j, k) == static_cast<float>(i * 12 + j * 4 + k));
  const auto mapped = holdfast::checkpoint_file(folder / "a.h5");
  const auto in_file = mapped.template map<float>("t");
  BOOST_REQUIRE(in_file.size() == 24u);
  for (std::size_t n = 0; n < 24; ++n) BOOST_TEST(in_file[n] == static_cast<float>(n));
}

}  // namespace

BOOST_AUTO_TEST_CASE(either_order_is_the_same_file) {
  comes_back(Eigen::Tensor<float, 3>(2, 3, 4));
  comes_back(Eigen::Tensor<float, 3, Eigen::RowMajor>(2, 3, 4));
  comes_back(Eigen::TensorFixedSize<float, Eigen::Sizes<2, 3, 4>>());
}

BOOST_AUTO_TEST_CASE(maps_are_views) {
  const support::folder folder;
  std::vector<float> memory(24);
  using map = Eigen::TensorMap<Eigen::Tensor<float, 3>>;
  number(map(memory.data(), 2, 3, 4));
  const auto before = memory;
  holdfast::state s;
  s.bind("t", map(memory.data(), 2, 3, 4));
  holdfast::save(folder / "a.h5", s);
  memory.assign(24, -1);
  holdfast::restore(folder / "a.h5", s);
  BOOST_TEST(memory == before, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
