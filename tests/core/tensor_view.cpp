#include <holdfast/core/tensor_view.hpp>

#include <algorithm>
#include <numeric>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_tensor_view)

namespace {

using holdfast::shape;
using holdfast::tensor_view;
using strides = std::vector<std::int64_t>;

/// A tensor in memory of its own, with random extents, order of dimensions, gaps, and directions.
template <class T>
struct random_tensor {
  std::vector<T> memory;
  tensor_view view;

  explicit random_tensor(std::mt19937_64& engine) {
    const auto rank = support::pick<std::size_t>(engine, 0, 4);
    std::vector<std::int64_t> extents(rank), steps(rank);
    for (auto& n : extents) n = support::pick<std::int64_t>(engine, support::pick(engine, 0, 19) == 0 ? 0 : 1, 5);
    std::vector<std::size_t> order(rank);
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (support::pick(engine, 0, 1) == 0) std::shuffle(order.begin(), order.end(), engine);
    std::int64_t size = 1, origin = 0;
    for (std::size_t k = rank; k-- > 0;) {
      const std::size_t i = order[k];
      steps[i] = size * (support::pick(engine, 0, 2) == 0 ? support::pick<std::int64_t>(engine, 2, 3) : 1);
      size = steps[i] * std::max<std::int64_t>(extents[i], 1);
      if (support::pick(engine, 0, 3) == 0) {
        origin += steps[i] * std::max<std::int64_t>(extents[i] - 1, 0);
        steps[i] = -steps[i];
      }
    }
    memory.resize(static_cast<std::size_t>(size));
    for (auto& x : memory) x = static_cast<T>(engine());
    view = tensor_view(memory.data() + origin, shape(extents), steps);
    steps_ = steps;
    origin_ = origin;
  }

  /// Where in `memory` each element is, in C order, by plain index arithmetic.
  std::vector<std::size_t> places() const {
    std::vector<std::size_t> all;
    const shape& n = view.shape();
    for (std::int64_t flat = 0; flat < n.elements(); ++flat) {
      std::int64_t rest = flat, at = origin_;
      for (std::size_t i = n.rank(); i-- > 0; rest /= n[i]) at += rest % n[i] * steps_[i];
      all.push_back(static_cast<std::size_t>(at));
    }
    return all;
  }

 private:
  strides steps_;
  std::int64_t origin_ = 0;
};

/// Any part of any view against `places()`, both ways.
template <class T>
void check_random_views() {
  std::mt19937_64 engine = support::random_engine();
  for (int round = 0; round < 2000; ++round) {
    random_tensor<T> t(engine);
    const std::vector<std::size_t> places = t.places();
    const auto first = support::pick<std::size_t>(engine, 0, places.size());
    const auto count = support::pick<std::size_t>(engine, 0, places.size() - first);

    std::vector<T> expected, got(count);
    for (std::size_t i = first; i < first + count; ++i) expected.push_back(t.memory[places[i]]);
    holdfast::gather(t.view, first, count, reinterpret_cast<std::byte*>(got.data()));
    BOOST_REQUIRE_MESSAGE(expected == got, "gather in round " << round << " of " << t.view.shape().text());

    std::vector<T> after = t.memory;
    for (std::size_t i = 0; i < count; ++i) after[places[first + i]] = got[i] = static_cast<T>(engine());
    holdfast::scatter(reinterpret_cast<const std::byte*>(got.data()), t.view, first, count);
    BOOST_REQUIRE_MESSAGE(after == t.memory, "scatter in round " << round << " of " << t.view.shape().text());
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_byte_elements_are_gathered_and_scattered_in_logical_order) { check_random_views<std::uint8_t>(); }
BOOST_AUTO_TEST_CASE(two_byte_elements_are_gathered_and_scattered_in_logical_order) { check_random_views<std::uint16_t>(); }
BOOST_AUTO_TEST_CASE(four_byte_elements_are_gathered_and_scattered_in_logical_order) { check_random_views<std::uint32_t>(); }
BOOST_AUTO_TEST_CASE(eight_byte_elements_are_gathered_and_scattered_in_logical_order) { check_random_views<std::uint64_t>(); }

BOOST_AUTO_TEST_CASE(a_column_major_matrix_is_read_by_rows) {
  const double a[] = {1, 2, 3, 4, 5, 6};  // 2 rows, 3 columns, by columns
  const tensor_view view = holdfast::tensor(a, {2, 3}, {1, 2}).view;
  double rows[6];
  holdfast::gather(view, 0, 6, reinterpret_cast<std::byte*>(rows));
  const double expected[] = {1, 3, 5, 2, 4, 6};
  BOOST_TEST(rows == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_strides_of_column_major_order) {
  BOOST_TEST((holdfast::column_major({2, 3}) == strides{1, 2}));
  BOOST_TEST((holdfast::column_major({2, 3, 4}) == strides{1, 2, 6}));
  BOOST_TEST((holdfast::column_major({5}) == strides{1}));
  BOOST_TEST(holdfast::column_major({}).empty());
}

BOOST_AUTO_TEST_CASE(a_zero_dimensional_view_is_one_element) {
  float x = 3;
  const tensor_view view(&x, shape{});
  BOOST_TEST(view.bytes() == 4u);
  float out = 0;
  holdfast::gather(view, 0, 1, reinterpret_cast<std::byte*>(&out));
  BOOST_TEST(out == 3);
}

BOOST_AUTO_TEST_CASE(strides_that_are_c_order_make_a_contiguous_view) {
  float x[24];
  const struct {
    shape extents;
    strides steps;
    bool contiguous;
  } rows[] = {{{4, 6}, {6, 1}, true},
              {{4, 6}, {1, 4}, false},
              {{4, 6}, {-6, 1}, false},
              {{1, 6}, {99, 1}, true},  // the stride of a dimension of one element is never used
              {{6, 1}, {1, -7}, true},
              {{2, 1, 3}, {3, 5, 1}, true},
              {{2, 3}, {4, 1}, false},
              {{0, 6}, {1, 17}, true},  // nothing lies anywhere
              {{}, {}, true}};
  for (const auto& r : rows) {
    const tensor_view view(x, r.extents, r.steps);
    BOOST_TEST(view.contiguous() == r.contiguous, r.extents.text());
    BOOST_TEST((view.contiguous() ? strides() : r.steps) == view.strides(), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(adjacent_elements_are_visited_in_one_run) {
  std::int32_t x[64];
  const auto runs = [](const tensor_view& v, std::uint64_t first, std::uint64_t count) {
    std::vector<std::uint64_t> lengths;
    holdfast::detail::for_each_run(v, first, count, [&](std::byte*, std::uint64_t n) { lengths.push_back(n); });
    return lengths;
  };
  BOOST_TEST(runs({x, {4, 8}}, 3, 20) == std::vector<std::uint64_t>{20});
  BOOST_TEST((runs({x, {2, 2, 4}, {32, 4, 1}}, 0, 16) == std::vector<std::uint64_t>{8, 8}));
  BOOST_TEST((runs({x, {2, 2, 4}, {32, 4, 1}}, 5, 6) == std::vector<std::uint64_t>{3, 3}));
  BOOST_TEST((runs({x, {2, 3}, {1, 2}}, 1, 2) == std::vector<std::uint64_t>{1, 1}));
  BOOST_TEST(runs({x, {0, 3}}, 0, 0).empty());
}

BOOST_AUTO_TEST_CASE(a_view_of_nothing_needs_no_memory_and_any_other_does) {
  BOOST_TEST(tensor_view(static_cast<float*>(nullptr), {3, 0}).bytes() == 0u);
  BOOST_TEST(tensor_view().bytes() == 0u);
  BOOST_TEST(support::message_of<holdfast::error>([] { tensor_view(static_cast<float*>(nullptr), {3, 2}); }) ==
             "tensor_view of shape [3, 2]: null pointer");
  BOOST_TEST(support::message_of<holdfast::error>([] { tensor_view(static_cast<float*>(nullptr), shape{}); }) ==
             "tensor_view of shape []: null pointer");
}

BOOST_AUTO_TEST_CASE(a_stride_for_each_extent_is_required) {
  float x[6];
  BOOST_TEST(support::message_of<holdfast::error>([&] { tensor_view(x, {2, 3}, {1}); }) ==
             "tensor_view of shape [2, 3]: 1 strides");
}

BOOST_AUTO_TEST_CASE(views_are_the_same_memory_when_every_part_is_equal) {
  float x[12];
  const tensor_view a(x, {3, 2});
  BOOST_TEST(same_memory(a, tensor_view(x, {3, 2}, {2, 1})));
  BOOST_TEST(!same_memory(a, tensor_view(x + 1, {3, 2})));
  BOOST_TEST(!same_memory(a, tensor_view(x, {2, 3})));
  BOOST_TEST(!same_memory(a, tensor_view(x, {3, 2}, {1, 3})));
  BOOST_TEST(!same_memory(a, tensor_view(x, holdfast::dtype::int32, {3, 2})));
  BOOST_TEST(!same_memory(a, tensor_view(x, {3, 2}, {}, holdfast::gpu(0))));
}

BOOST_AUTO_TEST_CASE(a_tensor_is_described_by_dtype_and_shape) {
  BOOST_TEST(describe(holdfast::dtype::float32, {128, 64}) == "float32[128, 64]");
  BOOST_TEST(describe(holdfast::dtype::boolean, {}) == "bool[]");
}

BOOST_AUTO_TEST_SUITE_END()
