#include <holdfast/mpi/writing.hpp>

#include "../io/faulty_storage.hpp"
#include "ranks.hpp"

using namespace holdfast;
using support::first_ranks;
using support::piece;

BOOST_AUTO_TEST_SUITE(mpi_writing)

BOOST_AUTO_TEST_CASE(a_rank_may_have_nothing_to_write) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    piece<float> all(holdfast::detail::shard({1000, 300}, {four.rank() == 1 ? 0 : 1000, 0}, {four.rank() == 1 ? 1000 : 0, 300}), 3, true);
    float x = 1;
    state s;
    s.bind("w", all.view()).bind("x", x);
    support::faulty_storage storage;
    mpi::save(*four, folder / "a.h5", s, {.storage = &storage});
    BOOST_TEST(storage.calls().empty() == (four.rank() > 1));
    if (four.rank() == 0) {
      piece<float> whole(holdfast::detail::shard({1000, 300}, {0, 0}, {1000, 300}), 3, false);
      state t;
      t.bind("w", whole.view());
      restore(folder / "a.h5", t, {.only = {"w"}});
      BOOST_TEST(whole.right());
    }
    state nothing;
    mpi::save(*four, folder / "b.h5", nothing);
    if (four.rank() == 0) checkpoint_file(folder / "b.h5").verify();
  }
}

BOOST_AUTO_TEST_CASE(rows_move_hardly_and_every_block_has_one_writer) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    piece<float> rows(support::part_of(support::cut::rows, 4096, 1024, 4, four.rank()), 1, true), columns(support::part_of(support::cut::columns, 4096, 1024, 4, four.rank()), 2, true);
    std::vector<float> replica(1 << 22, 1);
    state s;
    s.bind("rows", rows.view()).bind("columns", columns.view()).bind("replica", replica);
    support::faulty_storage storage;
    mpi::save(*four, folder / "a.h5", s, {.storage = &storage, .io = io::mode::buffered});
    std::int64_t bytes = 0;
    for (const auto& c : storage.calls())
      if (c.what == support::storage_call::kind::write) bytes += static_cast<std::int64_t>(c.bytes);
    // Of three times 16 MiB each rank writes a quarter, rank 0 the metadata too.
    BOOST_TEST(bytes >= 12 << 20);
    BOOST_TEST(bytes < (12 << 20) + 65536);
  }
}

BOOST_AUTO_TEST_SUITE_END()
