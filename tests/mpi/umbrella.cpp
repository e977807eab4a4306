#include <holdfast/mpi.hpp>

#include <filesystem>
#include <iostream>
#include <sstream>

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

BOOST_AUTO_TEST_CASE(docs_mpi) {
  const support::shared_folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  for (const int ranks : {4, 4, 3}) {  // a run, resumed, and resumed by other ranks
    const support::first_ranks some(ranks);
    if (!some) continue;
    const MPI_Comm comm = *some;
    const int rank = some.rank();
    const auto part = [&](std::int64_t n) { return std::pair(n * rank / ranks, n * (rank + 1) / ranks); };
    const auto [first_row, end_row] = part(512);
    const auto [first_element, end_element] = part(512 * 784);
    const std::int64_t rows = end_row - first_row;
    std::vector<float> weight(static_cast<std::size_t>(rows * 784)), moments(static_cast<std::size_t>(end_element - first_element));
    float* const w = weight.data();
    std::int64_t step = 0, steps = 5;
    const double loss = 0.5;
    std::mt19937_64 engine(1);
    bool derived = false;
    const auto derive = [&](std::uint64_t seed, std::int64_t, int) {
      derived = true;
      return std::mt19937_64(seed);
    };
    const auto train_one_step = [&] { w[0] += 1; };
    const std::uint64_t seed = 3;
    std::ostringstream told;
    auto* const printed = std::cout.rdbuf(told.rdbuf());

    holdfast::state state;
    state.bind("model/fc1.weight", holdfast::sharded(holdfast::tensor(w, {rows, 784}), {512, 784}, {first_row, 0}))
        .bind("optimizer/state/fc1.weight/exp_avg", holdfast::sharded(moments, {512, 784}, {first_element}))  // a std::vector
        .bind("progress/step", step)
        .bind(holdfast::mpi::rank_only(comm, "rng"), engine);

    holdfast::mpi::checkpoint_directory runs(comm, "runs/exp1", {.keep_last = 3});
    const auto another_number_of_ranks = [&](std::int64_t /*saved_ranks*/) { engine = derive(seed, step, rank); };
    if (runs.restore_latest(state, {}, another_number_of_ranks) && rank == 0) std::cout << "resumed at step " << step << '\n';
    for (; step < steps; ++step) train_one_step();
    runs.save(step, state, {.metric = loss});

    std::cout.rdbuf(printed);
    BOOST_TEST(w[0] == 5.f * static_cast<float>(first_row == 0 || ranks == 4));
    BOOST_TEST(derived == (ranks == 3));
  }
  std::filesystem::current_path(before);
}

BOOST_AUTO_TEST_SUITE_END()
