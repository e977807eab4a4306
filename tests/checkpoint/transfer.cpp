#include <holdfast/checkpoint/transfer.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include <holdfast/separate.hpp>

#include "../io/memory_files.hpp"
#include "../support.hpp"

using namespace holdfast;
using detail::transfer;
using detail::transfers;

namespace {

/// A file with tensors of every size about those at which work is cut: nothing, small ones with gaps, blocks, ranges.
struct many_sizes {
  support::folder dir;
  std::vector<std::vector<std::int32_t>> tensors;
  std::unique_ptr<hdf5::reader> file;

  many_sizes() {
    std::mt19937_64 engine = support::random_engine();
    for (const std::size_t bytes : {0u, 4u, 1020u, 1u << 16, (1u << 16) + 4, 1u << 20, (1u << 20) + 4, 4u << 20, (9u << 20) + 12, 20u, 8u, 300000u, 4096u})
      for (int copies = 0; copies < 3; ++copies) {
        auto& t = tensors.emplace_back(bytes / 4);
        for (auto& x : t) x = static_cast<std::int32_t>(engine());
      }
    state s;
    for (std::size_t i = 0; i < tensors.size(); ++i) s.bind(name(i), tensors[i]);
    save(path(), s);
    reopen();
  }
  static std::string name(std::size_t i) { return "t" + std::to_string(i); }
  std::string path() const { return dir / "f.h5"; }
  void reopen() { file = detail::open_reader(path(), trust::sealed_only); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(transfer_)

BOOST_AUTO_TEST_CASE(any_selection_in_any_order_arrives_verified) {
  const many_sizes f;
  std::mt19937_64 engine = support::random_engine();
  for (int round = 0; round < 20; ++round) {
    std::vector<std::size_t> chosen;
    for (std::size_t i = 0; i < f.tensors.size(); ++i)
      if (round == 0 || engine() % 3 == 0) chosen.push_back(i);
    std::shuffle(chosen.begin(), chosen.end(), engine);
    std::vector<std::vector<std::int32_t>> to;
    std::vector<tensor_view> views;
    for (const std::size_t i : chosen) {
      to.emplace_back(f.tensors[i].size());
      views.emplace_back(to.back().data(), shape{static_cast<std::int64_t>(to.back().size())});
    }
    std::vector<transfer> all;
    for (std::size_t n = 0; n < chosen.size(); ++n) all.push_back({f.file->find(f.name(chosen[n])), &views[n]});
    transfers t(*f.file, all, true);
    t.run();
    BOOST_TEST(t.done() == chosen.size());
    for (std::size_t n = 0; n < chosen.size(); ++n) BOOST_TEST((to[n] == f.tensors[chosen[n]]), f.name(chosen[n]));
  }
}

BOOST_AUTO_TEST_CASE(other_types_and_orders_arrive_too) {
  const many_sizes f;
  for (std::size_t i = 0; i < f.tensors.size(); ++i) {
    const std::size_t n = f.tensors[i].size();
    std::vector<std::int64_t> wide(n), backwards(n);
    const tensor_view a(wide.data(), shape{static_cast<std::int64_t>(n)});
    const tensor_view b(n == 0 ? backwards.data() : backwards.data() + n - 1, shape{static_cast<std::int64_t>(n)}, {-1});
    const entry* e = f.file->find(f.name(i));
    transfers(*f.file, {{e, &a}, {e, &b}}, true).run();
    BOOST_TEST(std::equal(wide.begin(), wide.end(), f.tensors[i].begin(), f.tensors[i].end()));
    BOOST_TEST(std::equal(backwards.rbegin(), backwards.rend(), f.tensors[i].begin(), f.tensors[i].end()));
  }
}

BOOST_AUTO_TEST_CASE(a_part_is_read_without_what_lies_between) {
  support::memory_files disk;
  std::vector<std::vector<std::int32_t>> tensors(100, std::vector<std::int32_t>(10'000));
  state s;
  for (std::size_t i = 0; i < tensors.size(); ++i) s.bind(many_sizes::name(i), tensors[i]);
  save("f.h5", s, {.storage = &disk});
  const auto file = detail::open_reader("f.h5", trust::sealed_only, &disk);
  std::vector<transfer> some;
  for (const std::size_t i : {30u, 32u, 60u}) some.push_back({file->find(many_sizes::name(i)), nullptr});
  disk.read = 0;
  transfers(*file, some, true).run();
  BOOST_TEST(disk.read == 3 * 40'000u);

  std::vector<transfer> all;
  for (const entry& e : file->entries())
    if (e.kind == entry_kind::tensor) all.push_back({&e, nullptr});
  disk.read = 0;
  transfers(*file, all, true).run();
  BOOST_TEST(disk.read >= 100 * 40'000u);
  BOOST_TEST(disk.read < 100 * 40'100u);
}

BOOST_AUTO_TEST_CASE(one_wrong_bit_anywhere_is_found_and_named) {
  many_sizes f;
  for (std::size_t i = 0; i < f.tensors.size(); ++i) {
    const entry e = *f.file->find(f.name(i));
    if (e.bytes == 0) continue;
    for (const std::uint64_t at : {std::uint64_t{0}, e.bytes / 2, e.bytes - 1}) {
      support::flip_bit(f.path(), e.offset + at, 3);
      f.reopen();
      std::vector<transfer> all;
      for (const entry& x : f.file->entries())
        if (x.kind == entry_kind::tensor) all.push_back({&x, nullptr});
      BOOST_CHECK_EXCEPTION(transfers(*f.file, all, true).run(), integrity_error, [&](const auto& x) { return std::string(x.what()).find("/" + e.path + ":") != std::string::npos; });
      transfers(*f.file, all, false).run();
      support::flip_bit(f.path(), e.offset + at, 3);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
