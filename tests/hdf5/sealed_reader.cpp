#include <holdfast/hdf5/sealed_reader.hpp>

#include <cstring>
#include <numeric>
#include <random>

#include <holdfast/separate.hpp>

#include "../support.hpp"
#include "damage.hpp"

using namespace holdfast;
using hdf5::sealed_reader;
using support::message_of;
using support::require_all;

namespace {

/// A checkpoint with tensors of several blocks, of one, and of none.
struct checkpoint {
  support::folder dir;
  std::string path = dir / "f.h5";
  std::vector<float> big = std::vector<float>(700000);
  std::vector<std::int16_t> small = std::vector<std::int16_t>(1000);
  std::vector<double> none;
  std::int64_t step = 77;
  checkpoint() {
    std::iota(big.begin(), big.end(), 0.f);
    std::iota(small.begin(), small.end(), std::int16_t{0});
    state s;
    s.bind("big", big).bind("small", small).bind("none", none).bind("step", step).bind("tied", big);
    save(path, s, {.step = 12, .metric = 0.5});
  }
  sealed_reader reader() const {
    std::shared_ptr<io::file> file = io::posix().open(path);
    const auto t = sealed_reader::trailer_of(*file);
    return sealed_reader(std::move(file), t.value());
  }
  hdf5::trailer trailer() const { return sealed_reader::trailer_of(*io::posix().open(path)).value(); }
};

/// Reads an entry whole and compares its digests.
void check(const sealed_reader& r, const entry& e) {
  std::vector<std::byte> bytes(e.bytes);
  r.read(e, 0, e.bytes / size_of(e.dtype), bytes.data());
  holdfast::detail::block_digest d = r.content_digest();
  d.update(bytes);
  r.verify(e, d.finish());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sealed_reader_)

BOOST_AUTO_TEST_CASE(what_was_saved_is_listed_with_step_and_metric) {
  const checkpoint c;
  const auto r = c.reader();
  BOOST_TEST(r.sealed());
  BOOST_TEST(r.step() == 12);
  BOOST_TEST(r.metric() == 0.5);
  BOOST_TEST(r.file() == c.path);
  BOOST_REQUIRE_EQUAL(r.entries().size(), 5u);
  BOOST_TEST((r.find("tied")->kind == entry_kind::alias));
  BOOST_TEST(r.find("tied")->offset == r.find("big")->offset);
  for (const entry& e : r.entries()) check(r, e);
  r.verify_metadata();
}

BOOST_AUTO_TEST_CASE(any_range_of_any_tensor_is_read) {
  const checkpoint c;
  const auto r = c.reader();
  std::mt19937_64 engine = support::random_engine();
  for (int i = 0; i < 300; ++i) {
    const bool large = engine() % 2 == 0;
    const std::uint64_t n = large ? c.big.size() : c.small.size(), first = engine() % n, count = engine() % (n - first + 1);
    if (large) {
      std::vector<float> out(count);
      r.read(*r.find("big"), first, count, reinterpret_cast<std::byte*>(out.data()));
      BOOST_REQUIRE((std::equal(out.begin(), out.end(), c.big.begin() + static_cast<std::ptrdiff_t>(first))));
    } else {
      std::vector<std::int16_t> out(count);
      r.read(*r.find("small"), first, count, reinterpret_cast<std::byte*>(out.data()));
      BOOST_REQUIRE((std::equal(out.begin(), out.end(), c.small.begin() + static_cast<std::ptrdiff_t>(first))));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_tensor_is_mapped_where_it_lies) {
  const checkpoint c;
  std::shared_ptr<const std::byte> map;
  {
    const auto r = c.reader();
    map = r.map(*r.find("tied"));
  }
  BOOST_TEST(std::memcmp(map.get(), c.big.data(), c.big.size() * 4) == 0);
}

BOOST_AUTO_TEST_CASE(damage_to_a_tensor_is_found_where_it_is) {
  const checkpoint c;
  const auto r = c.reader();
  const entry &big = *r.find("big"), &small = *r.find("small");
  support::flip_bit(c.path, big.offset + (1 << 20) + 5, 3);
  require_all(message_of<integrity_error>([&] { check(r, big); }), c.path + ": /big: bytes 1048576 to 2097152 of 2800000",
              "at byte " + std::to_string(big.offset + (1 << 20)) + " of the file", "take an older checkpoint");
  check(r, small);
  support::flip_bit(c.path, small.offset + 1999);
  const auto fresh = c.reader();
  require_all(message_of<integrity_error>([&] { check(fresh, small); }), "/small: its 2000 bytes", "at byte " + std::to_string(small.offset));
  fresh.verify_metadata();
}

BOOST_AUTO_TEST_CASE(damage_to_anything_else_is_found_too) {
  const checkpoint c;
  const std::string before = support::bytes_of(c.path);
  const auto t = c.trailer();
  std::mt19937_64 engine = support::random_engine();
  std::vector<std::uint64_t> places{8};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
  const auto r = c.reader();
  hdf5::for_each_gap(sealed_reader::ranges_of(r.entries()), t.index_offset, [&](std::uint64_t from, std::uint64_t to) { gaps.emplace_back(from, to); });
  BOOST_TEST(gaps.size() >= 2u);
  for (const auto& [from, to] : gaps)
    for (int i = 0; i < 20; ++i) places.push_back(from + engine() % (to - from));
  for (const std::uint64_t at : places) {
    if (at < 8) continue;  // the signature: no HDF5 file at all then
    support::flip_bit(c.path, at, 5);
    require_all(message_of<integrity_error>([&] { c.reader().verify_metadata(); }), c.path, "the HDF5 metadata is damaged");
    support::flip_bit(c.path, at, 5);
  }
  for (std::uint64_t at = t.index_offset; at < before.size() - hdf5::trailer::bytes; at += 1 + engine() % 5) {
    support::flip_bit(c.path, at);
    require_all(message_of<integrity_error>([&] { c.reader(); }), c.path, "the index is damaged", "take an older checkpoint");
    support::flip_bit(c.path, at);
  }
  BOOST_TEST((support::bytes_of(c.path) == before));
}

BOOST_AUTO_TEST_CASE(a_file_cut_anywhere_is_refused) {
  const checkpoint c;
  const std::string whole = support::bytes_of(c.path);
  const auto t = c.trailer();
  for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{8}, std::uint64_t{191}, std::uint64_t{4096}, t.end - 1, t.end, t.index_offset, t.index_offset + 10,
                                whole.size() - 192, whole.size() - 191, whole.size() - 1}) {
    support::write_bytes(c.path, whole.substr(0, n));
    BOOST_TEST_CONTEXT("cut to " << n) {
      if (n == 0) require_all(message_of<format_error>([&] { c.trailer(); }), c.path, "found an empty file");
      else if (n < 8) require_all(message_of<format_error>([&] { c.trailer(); }), c.path, "not HDF5");
      else BOOST_TEST(!sealed_reader::trailer_of(*io::posix().open(c.path)).has_value());
    }
  }
  support::write_bytes(c.path, whole + "x");
  BOOST_TEST(!sealed_reader::trailer_of(*io::posix().open(c.path)).has_value());
  // The middle is missing: the trailer is there and knows better.
  support::write_bytes(c.path, whole.substr(0, 5000) + whole.substr(6000));
  require_all(message_of<format_error>([&] { c.trailer(); }), "expected the length its trailer says", "truncated or spliced");
  support::write_bytes(c.path, std::string(5000, 'x'));
  require_all(message_of<format_error>([&] { c.trailer(); }), "a file that is not HDF5");
}

BOOST_AUTO_TEST_CASE(a_failed_read_leaves_nothing_of_itself_behind) {
  /// Fails one read and leaves rubbish where it should have put the bytes.
  struct flaky final : io::file {
    std::unique_ptr<io::file> below;
    mutable bool fails = false;
    const std::string& path() const override { return below->path(); }
    void write_at(std::uint64_t, std::span<const std::byte>) override {}
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
      if (std::exchange(fails, false)) {
        std::fill(out.begin(), out.end(), std::byte{0xee});
        io::detail::fail(path(), "cannot read", EIO);
      }
      below->read_at(offset, out);
    }
    std::uint64_t size() const override { return below->size(); }
    std::chrono::system_clock::time_point modified() const override { return {}; }
    void preallocate(std::uint64_t) override {}
    void sync() override {}
    std::shared_ptr<const std::byte> map() const override { return below->map(); }
  };
  const checkpoint c;
  const auto disk = std::make_shared<flaky>();
  disk->below = io::posix().open(c.path);
  const sealed_reader r(disk, c.trailer());
  const entry& small = *r.find("small");
  std::vector<std::int16_t> out(1000);
  disk->fails = true;
  BOOST_CHECK_THROW(r.read(small, 0, 1000, reinterpret_cast<std::byte*>(out.data())), io_error);
  r.read(small, 0, 1000, reinterpret_cast<std::byte*>(out.data()));
  BOOST_TEST((out == c.small));
}

BOOST_AUTO_TEST_CASE(one_entry_is_found_without_the_others_and_is_the_one_that_all_have) {
  const support::folder dir;
  std::vector<std::vector<float>> tensors(3000);
  state s;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].assign(i % 7, static_cast<float>(i));
    s.bind("group" + std::to_string(i % 40) + "/tensor" + std::to_string(i), tensors[i]);
  }
  s.bind("tied", tensors[6]);
  save(dir / "f.h5", s);
  const auto open = [&](bool on_demand) {
    std::shared_ptr<io::file> file = io::posix().open(dir / "f.h5");
    const auto t = sealed_reader::trailer_of(*file);
    return std::make_unique<sealed_reader>(std::move(file), t.value(), seal_key(), on_demand);
  };
  const auto all = open(false);
  auto one = open(true);
  for (const entry& e : all->entries()) {
    if (one->find_alone(e.path) == nullptr && e.kind == entry_kind::tensor) one = open(true);  // that was enough of it
    const entry* found = one->find_alone(e.path);
    if (e.kind != entry_kind::tensor) {
      BOOST_TEST(found == nullptr);
      continue;
    }
    BOOST_REQUIRE(found != nullptr);
    BOOST_TEST((holdfast::detail::same_layout(*found, e) && found->offset == e.offset && found->bytes == e.bytes && found->digest == e.digest), e.path);
    BOOST_TEST(one->find_alone(e.path) == found);
  }
  one = open(true);
  for (const char* none : {"", "a", "group0", "group0/", "group1/tensor", "group1/tensor1x", "zzz", "tied"}) BOOST_TEST(one->find_alone(none) == nullptr);
  BOOST_TEST(one->find("tied") != nullptr);
  BOOST_TEST(one->find("nothing") == nullptr);
  BOOST_TEST(all->find_alone("group1/tensor1") == nullptr);  // it has all of them

  // Whatever byte of the index is damaged, an entry is found as it was saved, or the damage is.
  const std::string whole = support::bytes_of(dir / "f.h5");
  const auto t = sealed_reader::trailer_of(*io::posix().open(dir / "f.h5")).value();
  std::mt19937_64 engine = support::random_engine();
  std::size_t refused = 0, found = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = whole;
    const std::uint64_t at = t.index_offset + engine() % (damaged.size() - hdf5::trailer::bytes - t.index_offset);
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << engine() % 8));
    support::write_bytes(dir / "f.h5", damaged);
    const std::size_t n = engine() % tensors.size();
    const std::string path = "group" + std::to_string(n % 40) + "/tensor" + std::to_string(n);
    const entry& expected = *all->find(path);
    try {
      const auto r = open(true);
      const entry* e = r->find(path);
      BOOST_TEST((e != nullptr && holdfast::detail::same_layout(*e, expected) && e->offset == expected.offset && e->digest == expected.digest), path << " after damage at " << at);
      ++found;
    } catch (const integrity_error&) {
      ++refused;
    }
  }
  BOOST_TEST(found > 0u);
  BOOST_TEST(refused > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
