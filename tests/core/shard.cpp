#include <holdfast/core/shard.hpp>

#include <vector>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_shard)

namespace {

using holdfast::shape;
using holdfast::detail::shard;

/// Where in the whole tensor each element of the shard is, by plain index arithmetic.
std::vector<std::uint64_t> places(const shard& s) {
  std::vector<std::uint64_t> all;
  for (std::int64_t flat = 0; flat < s.extents().elements(); ++flat) {
    std::int64_t rest = flat, at = 0, step = 1;
    for (std::size_t i = s.dimensions(); i-- > 0; rest /= s.extents()[i], step *= s.grid(i)) at += (s.offsets()[i] + rest % s.extents()[i]) * step;
    all.push_back(static_cast<std::uint64_t>(at));
  }
  return all;
}

shard random_shard(std::mt19937_64& engine) {
  const auto rank = support::pick<std::size_t>(engine, 0, 4);
  std::vector<std::int64_t> whole(rank), offsets(rank), extents(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    whole[i] = support::pick<std::int64_t>(engine, 1, 6);
    offsets[i] = support::pick<std::int64_t>(engine, 0, 1) == 0 ? 0 : support::pick<std::int64_t>(engine, 0, whole[i]);
    extents[i] = support::pick<std::int64_t>(engine, 0, 2) == 0 ? whole[i] - offsets[i] : support::pick<std::int64_t>(engine, 0, whole[i] - offsets[i]);
  }
  if (support::pick(engine, 0, 3) != 0) return {shape(whole), offsets, shape(extents)};
  const std::int64_t all = shape(whole).elements(), first = support::pick<std::int64_t>(engine, 0, all);
  return {shape(whole), {first}, shape{support::pick<std::int64_t>(engine, 0, all - first)}};
}

}  // namespace

BOOST_AUTO_TEST_CASE(stretches_are_those_of_index_arithmetic) {
  std::mt19937_64 engine = support::random_engine();
  for (int round = 0; round < 3000; ++round) {
    const shard s = random_shard(engine);
    const auto expected = places(s);
    const auto total = static_cast<std::uint64_t>(s.whole().elements());
    const auto first = support::pick<std::uint64_t>(engine, 0, total), end = support::pick<std::uint64_t>(engine, first, total);
    std::vector<std::uint64_t> in_range, found, local;
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (expected[i] >= first && expected[i] < end) in_range.push_back(expected[i]), local.push_back(i);
    std::vector<std::uint64_t> found_local;
    s.for_each(first, end, [&](std::uint64_t at, std::uint64_t from, std::uint64_t n) {
      for (std::uint64_t i = 0; i < n; ++i) found.push_back(at + i), found_local.push_back(from + i);
    });
    BOOST_REQUIRE_MESSAGE(found == in_range && found_local == local, s.text() << " from " << first << " to " << end);
    BOOST_REQUIRE_EQUAL(s.count(first, end), in_range.size());
    BOOST_REQUIRE_EQUAL(s.covers(), expected.size() == total);
  }
}

BOOST_AUTO_TEST_CASE(adjacent_dimensions_are_one_stretch) {
  const shard rows({8, 4, 4}, {2, 0, 0}, {3, 4, 4}), columns({8, 4}, {0, 2}, {8, 2}), flat({8, 4}, {5}, {20});
  BOOST_TEST(rows.runs() == 1u);
  BOOST_TEST(rows.run_elements() == 48u);
  BOOST_TEST(rows.run(0) == 32u);
  BOOST_TEST(columns.runs() == 8u);
  BOOST_TEST(columns.run(3) == 14u);
  BOOST_TEST(flat.runs() == 1u);
  BOOST_TEST(flat.flattened());
  BOOST_TEST(flat.run(0) == 5u);
  BOOST_TEST(rows.text() == "[2:5, 0:4, 0:4] of [8, 4, 4]");
  BOOST_TEST(flat.text() == "elements [5:25] of [8, 4]");
}

BOOST_AUTO_TEST_CASE(what_is_not_within_the_tensor_is_refused) {
  using holdfast::error;
  support::require_all(support::message_of<error>([] { shard({8, 4}, {6, 0}, {3, 4}); }), "shape [3, 4]", "[6, 0]", "[8, 4]");
  support::message_of<error>([] { shard({8, 4}, {-1, 0}, {3, 4}); });
  support::message_of<error>([] { shard({8, 4}, {0, 0}, {32}); });
  support::message_of<error>([] { shard({8, 4}, {0}, {8, 4}); });
  support::message_of<error>([] { shard({8, 4}, {30}, {3}); });
  support::message_of<error>([] { shard({8, 4}, {9, 0}, {0, 4}); });
  BOOST_TEST(shard({8, 4}, {8, 0}, {0, 4}).runs() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
