#include <holdfast/mpi.hpp>

#include "../adapters/h5py.hpp"
#include "ranks.hpp"

using namespace holdfast;

BOOST_AUTO_TEST_SUITE(mpi_umbrella)

BOOST_AUTO_TEST_CASE(h5py_reads_parts_of_all_ranks_as_one_dataset) {
  const support::shared_folder folder;
  const support::first_ranks four(4);
  if (four) {
    const std::int64_t r = four.rank();
    std::vector<float> rows(6, static_cast<float>(r)), columns(8, static_cast<float>(r)), stretch(3, static_cast<float>(r)), same{1, 2, 3};
    std::uint32_t own = static_cast<std::uint32_t>(10 * r);
    state s;
    s.bind("rows", sharded(tensor(rows.data(), {2, 3}), {8, 3}, {2 * r, 0}))
        .bind("columns", sharded(tensor(columns.data(), {4, 2}), {4, 8}, {0, 2 * r}))
        .bind("stretch", sharded(stretch, {4, 3}, {3 * r}))
        .bind("same", same)
        .bind(mpi::rank_only(*four, "own"), own);
    mpi::save(*four, folder / "a.h5", s, {.step = 12});
  }
  if (four && four.rank() == 0) {
    for (const char* truth : {"(f['rows'][()] == np.arange(8)[:, None] // 2).all() and f['rows'].shape == (8, 3)", "(f['columns'][()] == np.arange(8) // 2).all() and f['columns'].shape == (4, 8)",
                              "(f['stretch'][()] == np.arange(4)[:, None]).all() and f['stretch'].dtype == np.float32", "f['same'][()].tolist() == [1, 2, 3]",
                              "[f['ranks'][str(r)]['own'][()] for r in range(4)] == [0, 10, 20, 30] and f['ranks/count'][()] == 4", "f['holdfast/step'][()] == 12", "f['rows'].chunks is None and f['columns'].chunks is None"})
      BOOST_TEST(true_in_h5py(folder / "a.h5", truth), truth);
  }
}

BOOST_AUTO_TEST_SUITE_END()
