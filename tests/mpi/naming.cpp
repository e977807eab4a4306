#include <holdfast/mpi/naming.hpp>

#include "ranks.hpp"

using namespace holdfast;
using support::piece;

BOOST_AUTO_TEST_SUITE(mpi_naming)

BOOST_AUTO_TEST_CASE(what_all_ranks_share_is_told_from_what_is_one_rank_s) {
  const mpi::detail::communicator all(MPI_COMM_WORLD);
  piece<float> rows(support::part_of(support::cut::rows, 40, 3, all.size(), all.rank()), 1, false);
  const std::vector<double> replica(7);
  std::vector<int> own(static_cast<std::size_t>(all.rank()));
  state s;
  s.bind("rows", rows.view()).bind("replica", replica).bind(mpi::rank_only(MPI_COMM_WORLD, "seeds"), own);
  const holdfast::detail::manifest m(s);
  const mpi::detail::naming named(m, all.rank());
  BOOST_TEST((named.own() == std::vector<std::size_t>{0}));  // "ranks" stands before "replica"
  BOOST_TEST((named.shared() == std::vector<std::size_t>{1, 2}));
  BOOST_TEST(named[2].path == "rows");
  BOOST_TEST(!named.sharded(0));
  BOOST_TEST(named.sharded(1));
  BOOST_TEST(named.ties().empty());
  const auto asked = ask(all, named);
  BOOST_TEST(asked.same);
  BOOST_TEST(asked.same_size);
  BOOST_TEST(!asked.versioned);

  std::uint64_t counter = 0;
  state t;
  t.bind("replica", replica);
  if (all.rank() == 1) t.bind(mpi::rank_only(MPI_COMM_WORLD, "seeds"), own).version("replica", counter);
  const holdfast::detail::manifest n(t);
  const auto differing = ask(all, mpi::detail::naming(n, all.rank()));
  BOOST_TEST(differing.same);
  BOOST_TEST(!differing.same_size);
  BOOST_TEST(differing.versioned);
}

BOOST_AUTO_TEST_CASE(state_of_another_rank_is_refused_and_own_state_is_told_below_its_group) {
  double x = 0;
  state s;
  s.bind("ranks/3/x", x);
  const holdfast::detail::manifest m(s);
  BOOST_TEST(support::message_of<error>([&] { mpi::detail::naming(m, 2); }) == "/ranks/3/x is bound, and belongs to rank 3");
  state t;
  t.bind("ranks/12/x", x);
  const holdfast::detail::manifest n(t);
  const mpi::detail::naming third(m, 3), twelfth(n, 12);
  BOOST_TEST(third.own().size() == 1u);
  BOOST_TEST((third.told_size() == twelfth.told_size()));  // its number is not told
}

BOOST_AUTO_TEST_CASE(an_empty_part_is_tied_where_the_parts_of_others_are) {
  const mpi::detail::communicator all(MPI_COMM_WORLD);
  std::vector<float> memory(all.rank() == 1 ? 8 : 0), other;
  const auto part = [&](std::vector<float>& of) { return sharded(tensor(of.data(), {static_cast<std::int64_t>(of.size() / 2), 2}), {4, 2}, {all.rank() > 1 ? 4 : 0, 0}); };
  state s;
  s.bind("decoder", part(all.rank() == 1 ? memory : other)).bind("encoder", part(memory));
  const holdfast::detail::manifest m(s);
  mpi::detail::naming named(m, all.rank());
  BOOST_TEST(named.ties().empty() == (all.rank() != 1));
  if (all.size() > 1) BOOST_TEST(!ask(all, named).same);
  exchange_ties(all, named);
  BOOST_TEST(ask(all, named).same);
  BOOST_TEST((named[1].kind == entry_kind::alias));
  BOOST_TEST(named[1].alias_of == "decoder");
  BOOST_TEST(named.sharded(0));
  BOOST_TEST(!named.sharded(1));
  named.tie({});  // nothing is tied any more on the others
  BOOST_TEST((named[1].kind == entry_kind::alias) == (all.rank() == 1));
}

BOOST_AUTO_TEST_SUITE_END()
