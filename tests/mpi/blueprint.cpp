#include <holdfast/mpi/blueprint.hpp>

#include "ranks.hpp"

using namespace holdfast;
using holdfast::detail::digest_block;
using support::first_ranks;
using support::piece;

namespace {

/// Of each rank, how many units it is to write.
std::vector<std::size_t> shares(const mpi::detail::blueprint& plan, int ranks) {
  std::vector<std::size_t> all(static_cast<std::size_t>(ranks));
  for (std::size_t u = 0; u < plan.owners.size(); ++u) ++all[plan.owner(u)];
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mpi_blueprint)

BOOST_AUTO_TEST_CASE(replicas_are_shared_out_to_those_who_have_least_to_write) {
  if (const first_ranks four(4); four) {
    const std::unique_ptr<float[]> memory(new float[24 << 18]);  // 24 units, nobody reads them
    std::vector<float> own(four.rank() == 3 ? 8 << 18 : 0);
    state s;
    s.bind("replica", tensor(memory.get(), {24 << 18}));
    s.bind(mpi::rank_only(*four, "own"), own);
    const mpi::detail::blueprint plan = support::planned(mpi::detail::communicator(*four), holdfast::detail::manifest(s));
    BOOST_TEST((shares(plan, 4) == std::vector<std::size_t>{8, 8, 8, 0}));
    BOOST_TEST(!plan.exchanges);
    BOOST_TEST(plan.own_large.size() == (four.rank() == 3 ? 1u : 0u));
  }
}

BOOST_AUTO_TEST_CASE(a_block_is_written_by_who_holds_most_of_it) {
  if (const first_ranks three(3); three) {
    piece<float> rows(support::part_of(support::cut::rows, 4000, 1000, 3, three.rank()), 1, false);  // 5.09 units each
    state s;
    s.bind("rows", rows.view());
    const mpi::detail::blueprint plan = support::planned(mpi::detail::communicator(*three), holdfast::detail::manifest(s));
    const auto shared = std::count_if(plan.owners.begin(), plan.owners.end(), [&, u = std::uint64_t{0}](auto) mutable { return plan.exchanged(u++); });
    BOOST_TEST((shares(plan, 3) == std::vector<std::size_t>{5, 5, 6}));
    BOOST_TEST(shared == 2);
    BOOST_TEST(plan.exchanges);
    BOOST_TEST(plan.unit_bytes(plan.large.front(), 15) == 16'000'000 - 15 * digest_block);
  }
}

BOOST_AUTO_TEST_CASE(parts_that_make_up_one_tensor_need_not_make_up_another) {
  if (const first_ranks three(3); three) {
    std::vector<float> memory(3 * 8);
    const auto part = [&](std::size_t at, shape whole) { return sharded(tensor(memory.data() + at, {2, 4}), std::move(whole), {2 * three.rank(), 0}); };
    state s;
    s.bind("a", part(0, {6, 4})).bind("b", part(8, {6, 4}));
    BOOST_TEST((support::planned(mpi::detail::communicator(*three), holdfast::detail::manifest(s)).small_shards.size() == 2u));
    s.bind("c", part(16, {6, 5}));
    const auto refused = support::message_of<error>([&] { support::planned(mpi::detail::communicator(*three), holdfast::detail::manifest(s)); });
    BOOST_TEST(refused.find("/c: the ranks hold 24 of 30 elements") != std::string::npos, refused);
  }
}

BOOST_AUTO_TEST_SUITE_END()
