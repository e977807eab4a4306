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

BOOST_AUTO_TEST_CASE(parts_are_sent_once_each) {
  const shape whole{1 << 20, 8};
  const std::size_t of_one = 1 + 4 * sizeof(std::int64_t);
  for (const auto& [distinct, width] : {std::pair(std::size_t{1}, 1), {256, 1}, {257, 2}, {65536, 2}, {65537, 4}}) {
    mpi::detail::packed_parts parts;
    const auto put = [&](std::size_t n) { return shard(whole, {static_cast<std::int64_t>(n), 2}, {1, 3}); };
    for (std::size_t n = 0; n < distinct; ++n) parts.put(put(n));
    for (std::size_t n = distinct; n-- > 0;) parts.put(put(n));
    mpi::detail::packer out;
    parts.to(out);
    BOOST_TEST(out.bytes().size() == sizeof(std::uint32_t) + distinct * (of_one + 2 * static_cast<std::size_t>(width)));
    mpi::detail::unpacked_parts in{mpi::detail::unpacker(out.bytes())};
    std::vector<std::uint32_t> numbers;
    for (std::size_t n = 0; n < 2 * distinct; ++n) {
      numbers.push_back(in.next());
      if (!(in.part(numbers[n], whole) == put(std::min(n, 2 * distinct - 1 - n)))) BOOST_ERROR(n);
    }
    BOOST_TEST(std::equal(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(distinct), numbers.rbegin()));
    support::message_of<error>([&] { (void)in.next(); });
  }
  // Blocks and stretches of elements, of whole tensors of which the one who unpacks knows the shape.
  mpi::detail::packed_parts parts;
  const shape small{6, 4};
  parts.put({small, {7}, {5}});
  parts.put({small, {2, 0}, {4, 4}});
  mpi::detail::packer out;
  parts.to(out);
  mpi::detail::unpacked_parts in{mpi::detail::unpacker(out.bytes())};
  BOOST_TEST((in.part(in.next(), small) == shard(small, {7}, {5})));
  BOOST_TEST((in.part(in.next(), {6, 9}) == shard({6, 9}, {2, 0}, {4, 4})));
}

BOOST_AUTO_TEST_SUITE_END()
