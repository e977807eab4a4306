#include <holdfast/mpi/sealing.hpp>

#include "ranks.hpp"

using namespace holdfast;
using support::first_ranks;
using support::piece;

BOOST_AUTO_TEST_SUITE(mpi_sealing)

BOOST_AUTO_TEST_CASE(small_tensors_of_all_ranks_are_put_together_by_rank_0) {
  const support::shared_folder folder;
  if (const first_ranks three(3); three) {
    piece<float> columns(support::part_of(support::cut::columns, 20, 30, 3, three.rank()), 5, true);
    float scale = 0.5f;
    std::int32_t seed = 40 + three.rank();
    state s;
    s.bind("columns", columns.view()).bind("scale", scale).bind(mpi::rank_only(*three, "seed"), seed);

    const mpi::detail::communicator comm(*three);
    const holdfast::detail::manifest manifest(s);
    mpi::detail::blueprint plan = support::planned(comm, manifest);
    std::vector<const tensor_view*> views;
    for (const auto& i : manifest.items()) views.push_back(&i.view);
    mpi::detail::packer small;
    mpi::detail::pack_small(plan, views, small);
    BOOST_TEST(small.bytes().size() == sizeof seed + columns.memory.size() * sizeof(float));  // rank 0 has what all have

    const auto contents = comm.gather(small.bytes()), digests = comm.gather({});
    if (comm.root()) {
      io::durable_file file(io::posix(), folder / "a.h5");
      auto end = holdfast::detail::trailer_for(*plan.layout, {});
      mpi::detail::seal(file, end, plan, views, contents, digests, {});
      checkpoint_file(folder / "a.h5").verify();
      piece<float> whole(holdfast::detail::shard({20, 30}, {0, 0}, {20, 30}), 5, false);
      std::vector<std::int32_t> seeds(3);
      std::int64_t ranks = 0;
      float read = 0;
      state t;
      t.bind("columns", whole.view()).bind("scale", read).bind("ranks/count", ranks);
      for (std::size_t r = 0; r < 3; ++r) t.bind("ranks/" + std::to_string(r) + "/seed", seeds[r]);
      restore(folder / "a.h5", t);
      BOOST_TEST(whole.right());
      BOOST_TEST(read == scale);
      BOOST_TEST((seeds == std::vector{40, 41, 42}));
      BOOST_TEST(ranks == 3);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
