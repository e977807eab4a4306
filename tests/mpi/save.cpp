#include <holdfast/mpi/save.hpp>

#include <map>
#include <numeric>
#include <optional>

#include "../checkpoint/fake_devices.hpp"
#include "../io/faulty_storage.hpp"
#include "../io/gated_storage.hpp"
#include "ranks.hpp"

using namespace holdfast;
using support::first_ranks;
using support::message_of;
using support::piece;
using support::require_all;
using support::sharded_trainer;

namespace {

/// What a save on four ranks throws, with a state that `bind` makes on each.
template <class Bind>
std::string refused(Bind&& bind) {
  const support::shared_folder folder;
  const first_ranks four(4);
  std::string text;
  if (four) {
    state s;
    bind(s, four.rank());
    text = message_of<error>([&] { mpi::save(*four, folder / "a.h5", s); });
    BOOST_TEST(support::names_in(folder.path()).empty());
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mpi_save)

BOOST_AUTO_TEST_CASE(the_same_content_is_the_same_file_but_for_what_is_each_ranks_own) {
  const support::shared_folder folder;
  for (const int n : {1, 3, 8}) {
    if (const first_ranks ranks(n); ranks) {
      sharded_trainer t(n, ranks.rank(), true);
      state shared;
      for (std::size_t i = 0; i < t.pieces.size(); ++i) shared.bind("model/" + std::to_string(i), t.pieces[i]->view());
      shared.bind("optimizer/replica", t.replica).bind("bias", t.bias);
      mpi::save(*ranks, folder / std::to_string(n), shared);
      if (n == 1) save(folder / "alone", shared);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (support::world_rank() == 0) BOOST_TEST((support::bytes_of(folder / std::to_string(n)) == support::bytes_of(folder / "alone")));
  }
}

BOOST_AUTO_TEST_CASE(ranks_that_disagree_are_named_with_the_first_difference) {
  std::vector<float> w(12), more(13);
  float x = 0;
  double y = 0;
  const auto both = [&](const std::string& text, const auto&... pieces) {
    if (!text.empty()) require_all(text, pieces...);
  };
  both(refused([&](state& s, int rank) { rank == 2 ? s.bind("w", more) : s.bind("w", w); }), "rank 2: ", "/w", "expected float32[12]", "found float32[13]");
  both(refused([&](state& s, int rank) { rank == 1 ? s.bind("x", y) : s.bind("x", x); }), "rank 1: ", "/x", "expected float32[]", "found float64[]");
  std::map<std::string, float> map;
  std::optional<float> none;
  both(refused([&](state& s, int rank) { rank == 1 ? s.bind("x", map) : s.bind("x", x); }), "rank 1: ", "/x", "found a container");
  both(refused([&](state& s, int rank) { rank == 1 ? s.bind("x", none) : s.bind("x", x); }), "rank 1: ", "/x", "found nothing (an empty optional or null pointer)");
  both(refused([&](state& s, int rank) { s.bind("w", w); rank == 1 ? s.bind("z", w) : s.bind("z", more); }), "rank 1: ", "/z", "expected float32[13]", "found a second name of /w");
  both(refused([&](state& s, int rank) { s.bind("w", w); if (rank == 3) s.bind("a", x); }), "rank 3: ", "/a", "expected nothing bound");
  both(refused([&](state& s, int rank) { s.bind("w", w); if (rank != 3) s.bind("z", x); }), "rank 3: ", "/z", "found nothing bound");
  both(refused([&](state& s, int rank) { rank == 0 ? s.bind("w", w) : s.bind("w", sharded(w, {48}, {12 * rank})); }), "rank 1: ", "/w", "float32[48] in shards");
  both(refused([&](state& s, int rank) { s.bind("ranks/" + std::to_string(rank == 2 ? 1 : rank) + "/x", x); }), "rank 2: ", "/ranks/1/x", "belongs to rank 1");
  both(refused([&](state& s, int) { s.bind("ranks/x", x); }), "/ranks/x", "rank_only");
  both(refused([&](state& s, int rank) { s.bind("w", sharded(w, {48}, {rank == 3 ? 30 : 12 * rank})); }), "/w", "rank 2 holds [24:36] of [48]", "rank 3 holds [30:42] of [48]", "overlap");
  both(refused([&](state& s, int rank) { s.bind("w", sharded(w, {50}, {12 * rank})); }), "/w", "48 of 50 elements", "rank 3 holds [36:48] of [50]");
  both(refused([&](state& s, int rank) { rank == 1 ? s.bind("w", sharded(tensor(w.data(), {12}), {4, 12}, {12})) : s.bind("w", sharded(tensor(w.data(), {1, 12}), {4, 12}, {rank, 0})); }), "/w", "rank 1 holds elements [12:24] of [4, 12]");
}

BOOST_AUTO_TEST_CASE(replicas_that_differ_are_named) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    std::vector<double> large(50'000, 1);
    float small = four.rank() == 3 ? 2.0f : 1.0f;
    if (four.rank() == 2) large[49'999] = 3;
    state s;
    s.bind("large", large).bind("small", small);
    const std::string text = message_of<error>([&] { mpi::save(*four, folder / "a.h5", s); });
    require_all(text, "rank 2: ", "/large", "digest");
    BOOST_TEST(text.find("/small") == std::string::npos);
    mpi::saver background(*four);
    pending_save p = background.save_async(folder / "a.h5", s);
    require_all(message_of<error>([&] { p.wait(); }), "rank 2: ", "/large");
    MPI_Barrier(*four);
    BOOST_TEST(support::names_in(folder.path()).empty());
    mpi::save(*four, folder / "a.h5", s, {}, {.replicas = mpi::replicas::trust});
    if (four.rank() == 0) checkpoint_file(folder / "a.h5").verify();
    MPI_Barrier(*four);
    large[49'999] = 1;
    require_all(message_of<error>([&] { mpi::save(*four, folder / "a.h5", s); }), "rank 3: ", "/small");
  }
}

BOOST_AUTO_TEST_CASE(what_the_ranks_agreed_on_is_used_again) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    mpi::saver saver(*four);
    sharded_trainer t(4, four.rank(), true, 1);
    for (std::int64_t step : {1, 2, 3}) {
      t.step = step;
      saver.save(folder / "a.h5", t.bound, {.step = step});
      sharded_trainer back(4, four.rank(), false);
      BOOST_TEST(mpi::restore(*four, folder / "a.h5", back.bound).step == step);
      BOOST_TEST(back.right());
      BOOST_TEST(back.step == step);
    }
    // One rank that binds its own in another size is a new layout for all.
    if (four.rank() == 1) t.own.resize(200'000, 2);
    saver.save(folder / "a.h5", t.bound);
    sharded_trainer back(4, four.rank(), false);
    if (four.rank() == 1) back.own.resize(200'000);
    mpi::restore(*four, folder / "a.h5", back.bound);
    BOOST_TEST(back.right());
    BOOST_TEST(back.right_of_rank(four.rank()));
  }
}

BOOST_AUTO_TEST_CASE(what_has_not_changed_on_any_rank_is_not_digested_compared_and_copied_again) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    piece<float> trunk(support::part_of(support::cut::columns, 300, 1000, 4, four.rank()), 1, true);
    std::vector<double> replica(100'000, 2);
    std::uint64_t of_trunk = 1, of_replica = 1;
    std::int64_t step = 0;
    state s;
    s.bind("trunk", trunk.view()).bind("replica", replica).bind("step", step).version("trunk", of_trunk).version("replica", of_replica);
    mpi::saver saver(*four);
    const auto save = [&] { saver.save(folder / "a.h5", s, {.step = ++step}); };
    const auto verified = [&] {
      MPI_Barrier(*four);
      checkpoint_file(folder / "a.h5").verify();
      MPI_Barrier(*four);
    };
    save();
    save();
    verified();
    // What breaks its word is found out: the bytes are written, and the digests are those of before.
    if (four.rank() == 1) trunk.memory[0] = -5;
    save();
    require_all(message_of<integrity_error>(verified), "/trunk");
    MPI_Barrier(*four);
    // One rank that counts on is enough.
    if (four.rank() == 2) ++of_trunk;
    save();
    verified();
    if (four.rank() == 3) replica[7] = 1;
    save();
    if (four.rank() == 0) ++of_replica;
    require_all(message_of<error>([&] { save(); }), "rank 3: ", "/replica");
    // What was trusted is compared when that is wanted again.
    saver.save(folder / "a.h5", s, {}, {.replicas = mpi::replicas::trust});
    require_all(message_of<error>([&] { save(); }), "rank 3: ", "/replica");
    replica[7] = 2;
    for (int round = 0; round < 2; ++round) {
      saver.save_async(folder / "a.h5", s).wait();
      trunk.memory[0] = four.rank() == 1 ? -5.f : trunk.memory[0];
      std::fill(replica.begin(), replica.end(), -1.);
      verified();
      BOOST_TEST((checkpoint_file(folder / "a.h5").read<std::vector<double>>("replica") == std::vector<double>(100'000, 2)));
    }
  }
}

BOOST_AUTO_TEST_CASE(parts_that_are_empty_are_tied_as_those_of_other_ranks_are) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    piece<float> rows(support::part_of(support::cut::rows, 2, 30'000, 4, four.rank()), 1, true), back(rows.part, 1, false), other(rows.part, 2, true);
    BOOST_TEST(rows.memory.empty() == (four.rank() % 2 == 0));
    state s, t;
    s.bind("encoder", rows.view()).bind("decoder", rows.view());
    t.bind("encoder", back.view()).bind("decoder", back.view());
    mpi::saver saver(*four);
    for (int round = 0; round < 2; ++round) saver.save(folder / "a.h5", s);
    mpi::restore(*four, folder / "a.h5", t);
    BOOST_TEST(back.right());
    if (four.rank() == 0) {
      const checkpoint_file file(folder / "a.h5");
      file.verify();
      BOOST_TEST(std::count_if(file.entries().begin(), file.entries().end(), [](const entry& e) { return e.kind == entry_kind::alias; }) == 1);
      piece<float> whole(holdfast::detail::shard({2, 30'000}, {0, 0}, {2, 30'000}), 1, false);
      state one;
      one.bind("encoder", whole.view()).bind("decoder", whole.view());
      restore(folder / "a.h5", one);
      BOOST_TEST(whole.right());
    }
    state untied;
    untied.bind("encoder", rows.view()).bind("decoder", four.rank() == 3 ? other.view() : rows.view());
    require_all(message_of<error>([&] { saver.save(folder / "a.h5", untied); }), "rank 3: ", "second name of");
  }
}

BOOST_AUTO_TEST_CASE(another_cut_of_the_same_tensors_is_agreed_on_anew) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    mpi::saver saver(*four);
    std::vector<float> memory;  // of the part that a rank has, one digest block, at one place for all cuts
    for (const int shift : {0, 1, 2, 3}) {
      piece<float> own(holdfast::detail::shard({4, 1 << 18}, {(four.rank() + shift) % 4, 0}, {1, 1 << 18}), 8 + static_cast<std::uint64_t>(shift), true), back(own.part, own.number, false);
      memory = own.memory;
      state s, t;
      s.bind("w", sharded(tensor(memory.data(), own.part.extents()), own.part.whole(), {own.part.offsets().begin(), own.part.offsets().end()}));
      t.bind("w", back.view());
      saver.save(folder / "a.h5", s);
      mpi::restore(*four, folder / "a.h5", t);
      BOOST_TEST(back.right());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rank_that_fails_at_any_step_fails_all_and_leaves_the_file_of_before) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    sharded_trainer before(4, four.rank(), true, 1), t(4, four.rank(), true, 2);
    mpi::saver saver(*four);
    saver.save(folder / "a.h5", before.bound, {.step = 1});
    for (int failing = 0; failing < 4; ++failing) {
      std::size_t steps = 0;
      for (bool failed = true; failed; ++steps) {
        support::faulty_storage storage;
        if (four.rank() == failing) storage.fail(steps, EIO);
        failed = false;
        std::string text;
        try {
          saver.save(folder / "a.h5", t.bound, {.step = 2, .storage = &storage});
        } catch (const io_error& e) {
          failed = true;
          text = e.what();
          BOOST_TEST((e.code() == std::errc::io_error));
        }
        MPI_Barrier(*four);
        const auto names = support::names_in(folder.path());
        BOOST_TEST(names.size() == 1u, "left behind after step " << steps << " of rank " << failing << ": " << text);
        const checkpoint_file file(folder / "a.h5");
        file.verify();
        if (failed) {
          require_all(text, "rank " + std::to_string(failing) + ": ", folder / "a.h5");
          // The folder's fsync is the only step after the new name.
          if (text.find("written whole") == std::string::npos) BOOST_TEST(file.step() == 1, text);
        } else {
          BOOST_TEST(file.step() == 2);
        }
        MPI_Barrier(*four);
        if (file.step() == 2) saver.save(folder / "a.h5", before.bound, {.step = 1});
      }
      BOOST_TEST(steps > (failing == 0 ? 6u : 3u));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_file_is_sealed_with_a_key_of_all) {
  struct sum final : keyed_digest {
    struct adder final : stream {
      std::uint8_t total = 7;
      void update(std::span<const std::byte> bytes) override {
        for (const std::byte b : bytes) total = static_cast<std::uint8_t>(total * 31 + static_cast<std::uint8_t>(b));
      }
      digest finish() override {
        digest d;
        d.bytes.fill(std::exchange(total, std::uint8_t{7}));
        return d;
      }
    };
    std::unique_ptr<stream> start() const override { return std::make_unique<adder>(); }
  };
  const support::shared_folder folder;
  if (const first_ranks three(3); three) {
    const seal_key key = std::make_shared<sum>();
    sharded_trainer t(3, three.rank(), true), back(3, three.rank(), false);
    mpi::save(*three, folder / "a.h5", t.bound, {.key = key});
    mpi::restore(*three, folder / "a.h5", back.bound, {.key = key});
    BOOST_TEST(back.right());
    BOOST_TEST(back.right_of_rank(three.rank()));
    require_all(message_of<integrity_error>([&] { mpi::restore(*three, folder / "a.h5", back.bound); }), "rank 0: ", "key");
  }
}

BOOST_AUTO_TEST_CASE(in_the_background_the_state_is_as_of_the_call) {
  const support::shared_folder folder;
  if (const first_ranks four(4); four) {
    mpi::saver saver(*four);
    sharded_trainer t(4, four.rank(), true);
    for (int round = 0; round < 3; ++round) {
      pending_save p = saver.save_async(folder / "a.h5", t.bound);
      for (auto& piece : t.pieces) std::fill(piece->memory.begin(), piece->memory.end(), -5.0f);
      std::fill(t.replica.begin(), t.replica.end(), -5.0);
      MPI_Barrier(*four);
      p.wait();
      sharded_trainer back(4, four.rank(), false);
      mpi::restore(*four, folder / "a.h5", back.bound);
      BOOST_TEST(back.right());
      BOOST_TEST(back.right_of_rank(four.rank()));
      mpi::restore(*four, folder / "a.h5", t.bound);
    }
    // An error is thrown once on every rank, whoever has seen it where.
    support::faulty_storage storage;
    if (four.rank() == 1) storage.fail(1, ENOSPC);
    pending_save p = saver.save_async(folder / "a.h5", t.bound, {.storage = &storage});
    if (four.rank() == 2) require_all(message_of<io_error>([&] { p.wait(); }), "rank 1: ");
    require_all(message_of<io_error>([&] { saver.close(); }), "rank 1: ");
    saver.close();
    saver.save(folder / "a.h5", t.bound);
    BOOST_TEST(support::names_in(folder.path()).size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(what_a_save_beside_another_does_is_decided_by_all) {
  const support::shared_folder folder;
  if (const first_ranks three(3); three) {
    float x = 1;
    state s;
    s.bind("x", x);
    support::gated_storage storage;
    if (three.rank() != 0) storage.open_gate();  // rank 0 alone is not done
    mpi::saver saver(*three);
    auto first = saver.save_async(folder / "1.h5", s, {.storage = &storage});
    BOOST_TEST(saver.save_async(folder / "2.h5", s, {}, {}, when_busy::skip).skipped());
    require_all(message_of<error>([&] { saver.save_async(folder / "3.h5", s, {}, {}, when_busy::error); }), "3.h5", "still being written");
    storage.open_gate();
    saver.save_async(folder / "4.h5", s).wait();
    first.wait();
    saver.close();
    BOOST_TEST((support::names_in(folder.path()) == std::vector<std::string>{"1.h5", "4.h5"}));
  }
}

BOOST_AUTO_TEST_CASE(tensors_of_devices_are_saved_as_of_the_call) {
  const support::shared_folder folder;
  fake::engine devices;
  if (const first_ranks two(2); two) {
    const auto numbers = [](std::size_t n, float first) {
      std::vector<float> v(n);
      std::iota(v.begin(), v.end(), first);
      return v;
    };
    const std::size_t half = 400'000;  // of a tensor of several blocks
    fake::array<float> part(devices, 0, numbers(half, static_cast<float>(half) * static_cast<float>(two.rank()))), replica(devices, 1, numbers(300'000, 7)), small(devices, 0, numbers(10, 3));
    std::vector<float> on_host = numbers(50, 1);
    state s;
    s.bind("sharded", sharded(tensor_view(part.data(), {static_cast<std::int64_t>(half)}, {}, gpu(0)), {static_cast<std::int64_t>(2 * half)}, {two.rank() * static_cast<std::int64_t>(half)}));
    s.bind("replica", replica).bind("small", small).bind("host", on_host);
    mpi::saver saver(*two);
    for (const bool background : {false, true}) {
      pending_save p;
      if (background) p = saver.save_async(folder / "a.h5", s);
      else saver.save(folder / "a.h5", s);
      part.set(numbers(half, -1));
      replica.set(numbers(300'000, -1));
      on_host.assign(50, -1.f);
      p.wait();
      MPI_Barrier(*two);
      const checkpoint_file file(folder / "a.h5");
      file.verify();
      BOOST_TEST((file.read<std::vector<float>>("sharded") == numbers(2 * half, 0)));
      BOOST_TEST((file.read<std::vector<float>>("replica") == numbers(300'000, 7)));
      BOOST_TEST((file.read<std::vector<float>>("small") == numbers(10, 3)));
      BOOST_TEST((file.read<std::vector<float>>("host") == numbers(50, 1)));
      MPI_Barrier(*two);
      mpi::restore(*two, folder / "a.h5", s);
      BOOST_TEST((part.get() == numbers(half, static_cast<float>(half) * static_cast<float>(two.rank())) && replica.get() == numbers(300'000, 7) && small.get() == numbers(10, 3)));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
