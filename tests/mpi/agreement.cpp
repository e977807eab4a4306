#include <holdfast/mpi/agreement.hpp>

#include "ranks.hpp"

using namespace holdfast;
using detail::shard;
using mpi::detail::rank_of;
using mpi::detail::require_cover;

BOOST_AUTO_TEST_SUITE(mpi_agreement)

BOOST_AUTO_TEST_CASE(own_state_has_the_number_of_its_rank) {
  BOOST_TEST(rank_of("model/ranks/3") == -1);
  BOOST_TEST(rank_of("ranksum") == -1);
  BOOST_TEST(rank_of("ranks/3/rng") == 3);
  BOOST_TEST(rank_of("ranks/12/rng/x") == 12);
  for (const char* wrong : {"ranks", "ranks/3", "ranks/x/rng", "ranks/03/rng", "ranks/-1/rng", "ranks/3x/rng", "ranks/count"}) support::message_of<error>([&] { rank_of(wrong); });
}

BOOST_AUTO_TEST_CASE(parts_make_up_a_tensor_or_are_refused) {
  std::mt19937_64 engine = support::random_engine();
  int covered = 0, refused = 0;
  for (int round = 0; round < 2000; ++round) {
    const auto rows = support::pick<std::int64_t>(engine, 0, 6), columns = support::pick<std::int64_t>(engine, 1, 6);
    const auto how = static_cast<support::cut>(support::pick(engine, 0, 3));
    const int ranks = support::pick(engine, 1, 8);
    std::vector<shard> parts;
    for (int r = 0; r < ranks; ++r) {
      parts.push_back(support::part_of(how, rows, columns, ranks, r));
      if (support::pick(engine, 0, 11) != 0) continue;
      if (how == support::cut::flattened) parts.back() = {{rows, columns}, {support::pick<std::int64_t>(engine, 0, rows * columns)}, {0}};
      else if (rows > 1) parts.back() = {{rows, columns}, {0, 0}, {support::pick<std::int64_t>(engine, 1, rows), columns}};
    }
    std::shuffle(parts.begin(), parts.end(), engine);
    std::vector<int> times(static_cast<std::size_t>(rows * columns));
    for (const shard& p : parts)
      p.for_each(0, times.size(), [&](std::uint64_t at, std::uint64_t, std::uint64_t n) {
        for (std::uint64_t i = 0; i < n; ++i) ++times[at + i];
      });
    const bool right = std::all_of(times.begin(), times.end(), [](int n) { return n == 1; });
    try {
      require_cover("w", parts);
      BOOST_TEST(right);
      ++covered;
    } catch (const error& e) {
      BOOST_TEST(!right, e.what());
      ++refused;
    }
  }
  BOOST_TEST(covered > 100);
  BOOST_TEST(refused > 100);
}

BOOST_AUTO_TEST_SUITE_END()
