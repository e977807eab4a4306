#include <holdfast/core/mdspan.hpp>

#include <array>
#include <cstddef>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <holdfast/core/traits.hpp>

namespace {

/// What of std::mdspan the concept asks for, which g++ 12 does not have.
template <class T, std::size_t Rank>
struct span_of {
  using element_type = T;
  using data_handle_type = T*;
  T* data;
  std::array<std::size_t, Rank> extents, strides;
  static constexpr std::size_t rank() { return Rank; }
  T* data_handle() const { return data; }
  std::size_t extent(std::size_t r) const { return extents.at(r); }
  std::size_t stride(std::size_t r) const { return strides.at(r); }
};

struct no_pointer : span_of<float, 1> {
  using data_handle_type = std::vector<float>::iterator;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(mdspan)

BOOST_AUTO_TEST_CASE(it_is_a_tensor_in_its_own_layout) {
  std::vector<float> memory{0, 1, 2, 3, 4, 5};
  const auto left = holdfast::tensor(span_of<float, 2>{memory.data(), {2, 3}, {1, 2}}).view;
  BOOST_TEST((left.shape() == holdfast::shape{2, 3}));
  float gathered[6];
  holdfast::gather(left, 0, 6, reinterpret_cast<std::byte*>(gathered));
  BOOST_TEST(gathered == (std::vector<float>{0, 2, 4, 1, 3, 5}), boost::test_tools::per_element());
  const auto right = holdfast::tensor(span_of<float, 2>{memory.data(), {2, 3}, {3, 1}}).view;
  BOOST_TEST(right.contiguous());
  BOOST_TEST((holdfast::tensor(span_of<float, 0>{memory.data(), {}, {}}).view.shape() == holdfast::shape{}));
}

BOOST_AUTO_TEST_CASE(const_elements_can_be_saved_and_not_restored) {
  const float value = 1;
  static_assert(holdfast::traits<decltype(holdfast::tensor(span_of<const float, 1>{&value, {1}, {1}}))>::read_only);
  static_assert(!holdfast::mdspan_like<no_pointer>);
  static_assert(!holdfast::mdspan_like<span_of<int*, 1>>);
}

BOOST_AUTO_TEST_SUITE_END()
