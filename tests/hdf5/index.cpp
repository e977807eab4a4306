#include <holdfast/hdf5/index.hpp>

#include <random>

#include "../support.hpp"
#include "damage.hpp"

using namespace holdfast;
using hdf5::counts_of;
using hdf5::decode;
using hdf5::encode;
using hdf5::index_counts;
using support::message_of;
using support::require_all;

namespace {

constexpr std::uint64_t end_of_data = 1 << 22, block = hdf5::detail::index_block;

/// Every kind of entry; "big" has more than one block of digests.
hdf5::index sample() {
  digest d;
  d.bytes.fill(0x5a);
  hdf5::index x;
  x.entries = {
      {.path = "a", .kind = entry_kind::alias, .alias_of = "m/w"},
      {.path = "big", .dtype = dtype::float64, .shape = {3, 10000}, .bytes = 240000, .offset = 8192, .digest = d, .place = gpu(2)},
      {.path = "empty", .dtype = dtype::int16, .shape = {4, 0}, .bytes = 0, .offset = 0},
      {.path = "m", .kind = entry_kind::group},
      {.path = "m/w", .dtype = dtype::complex128, .shape = {2}, .bytes = 32, .offset = 4096, .digest = d},
      {.path = "none", .kind = entry_kind::absent},
      {.path = "ten\xc3\xa9", .dtype = dtype::float32, .shape = {}, .bytes = 4, .offset = 4128, .digest = d},
      {.path = "text", .dtype = dtype::string, .shape = {2, 5}, .bytes = 10, .offset = 4132},
  };
  x.first_block.assign(x.entries.size(), 0);
  x.blocks.resize(4);
  for (std::size_t i = 0; i < 4; ++i) x.blocks[i].bytes.fill(static_cast<std::uint8_t>(i));
  return x;
}

struct encoded {
  index_counts counts;
  std::vector<std::byte> bytes;
  explicit encoded(const hdf5::index& x) : counts(counts_of(x.entries, block)), bytes(encode(x, counts)) {}
  hdf5::index read() const { return decode(bytes, counts, end_of_data, block, "f.h5"); }
  template <class T>
  encoded& put(std::size_t record, std::size_t at, T value) {
    hdf5::detail::put(bytes, record * hdf5::detail::record_bytes + at, value);
    return *this;
  }
  std::size_t extents() const { return counts.entries * hdf5::detail::record_bytes; }
  std::size_t names() const { return extents() + counts.extents * 8 + counts.blocks * 16; }
};

/// The message with which an index is refused; it names the file and says what to think of it.
std::string refusal(const encoded& e) {
  const auto text = message_of<format_error>([&] { e.read(); });
  require_all(text, "f.h5: ", "damaged or was not written by holdfast");
  return text;
}

template <class Change>
std::string refusal_after(Change change) {
  hdf5::index x = sample();
  change(x.entries);
  x.first_block.resize(x.entries.size());
  return refusal(encoded(x));
}

void same(const hdf5::index& a, const hdf5::index& b) {
  BOOST_REQUIRE_EQUAL(a.entries.size(), b.entries.size());
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    const entry &x = a.entries[i], &y = b.entries[i];
    BOOST_TEST(x.path == y.path);
    BOOST_TEST((x.kind == y.kind));
    BOOST_TEST(x.alias_of == y.alias_of);
    if (x.kind != entry_kind::tensor) continue;
    BOOST_TEST((x.dtype == y.dtype && x.shape == y.shape && x.bytes == y.bytes && x.offset == y.offset), x.path);
    BOOST_TEST((x.digest == y.digest && x.place == y.place), x.path);
  }
  BOOST_TEST((a.blocks == b.blocks));
  BOOST_TEST(a.first_block == b.first_block);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(index_)

BOOST_AUTO_TEST_CASE(what_is_encoded_is_decoded) {
  const auto x = sample();
  const encoded e(x);
  BOOST_TEST(e.counts.entries == 8u);
  BOOST_TEST(e.counts.extents == 7u);
  BOOST_TEST(e.counts.blocks == 4u);
  BOOST_TEST(e.bytes.size() == *hdf5::encoded_bytes(e.counts));
  same(x, e.read());
  BOOST_TEST(encoded(hdf5::index{}).read().entries.empty());
}

BOOST_AUTO_TEST_CASE(counts_that_overflow_have_no_length) {
  constexpr std::uint64_t huge = ~std::uint64_t{0};
  for (const index_counts& c : {index_counts{huge / 96, 0, 0, 0}, index_counts{0, huge / 8, 0, 0}, index_counts{0, 0, huge / 16, 0}, index_counts{0, 0, 0, huge}}) {
    BOOST_TEST(!hdf5::encoded_bytes(c).has_value());
    require_all(message_of<format_error>([&] { decode({}, c, 0, block, "f.h5"); }), "f.h5", "does not have the length its trailer says");
  }
}

BOOST_AUTO_TEST_CASE(a_cut_index_is_refused_at_every_length) {
  const encoded e{sample()};
  for (std::size_t n = 0; n < e.bytes.size(); ++n)
    BOOST_CHECK_THROW(decode(std::span(e.bytes).first(n), e.counts, end_of_data, block, "f.h5"), format_error);
  auto longer = e.bytes;
  longer.push_back({});
  BOOST_CHECK_THROW(decode(longer, e.counts, end_of_data, block, "f.h5"), format_error);
}

BOOST_AUTO_TEST_CASE(no_flipped_bit_and_no_random_damage_does_more_than_throw) {
  // Without the digest that the trailer has of it: what a checksum that collides, or a hostile writer, would leave.
  const encoded e{sample()};
  std::size_t refused = 0;
  support::for_each_damage(e.bytes, 20000, [&](const std::vector<std::byte>& damaged) {
    try {
      for (const entry& x : decode(damaged, e.counts, end_of_data, block, "f.h5").entries) {
        if (x.kind != entry_kind::tensor) continue;
        BOOST_REQUIRE_LE(x.offset, end_of_data);
        BOOST_REQUIRE_LE(x.bytes, end_of_data - x.offset);
        BOOST_REQUIRE_EQUAL(x.bytes, static_cast<std::uint64_t>(x.shape.elements()) * size_of(x.dtype));
      }
    } catch (const format_error&) {
      ++refused;
    }
  });
  BOOST_TEST(refused > 1000u);
}

BOOST_AUTO_TEST_CASE(names_are_checked) {
  require_all(refusal_after([](auto& all) { std::swap(all[0], all[1]); }), "record 1: names out of order");
  require_all(refusal_after([](auto& all) { all[1].path = "a"; }), "record 1: names out of order");
  require_all(refusal_after([](auto& all) { all[1].path = std::string("b\0g", 3); }), "record 1: a name with NUL in it");
  require_all(refusal_after([](auto& all) { all[0].path = ""; }), "record 0: a name outside the table of names");
  require_all(refusal(encoded(sample()).put(3, 0, std::uint64_t{1000})), "record 3: a name outside the table of names");
  require_all(refusal(encoded(sample()).put(3, 8, std::uint32_t{1000})), "record 3: a name outside the table of names");
  require_all(refusal(encoded(sample()).put(3, 0, ~std::uint64_t{0})), "record 3: a name outside the table of names");
}

BOOST_AUTO_TEST_CASE(names_that_share_bytes_are_refused) {
  // A thousand ever longer names in a table of a thousand bytes would be half a megabyte, and so on, squared.
  hdf5::index x;
  for (std::size_t i = 1; i <= 1000; ++i) x.entries.push_back({.path = std::string(i, 'n'), .kind = entry_kind::group});
  x.first_block.assign(1000, 0);
  encoded e(x);
  e.bytes.resize(e.names() + 1000);
  e.counts.names = 1000;
  for (std::size_t i = 0; i < 1000; ++i) e.put(i, 0, std::uint64_t{0});
  std::fill(e.bytes.end() - 1000, e.bytes.end(), std::byte{'n'});
  require_all(refusal(e), "record 44: names that overlap in the table of names");
  encoded links{sample()};
  links.put(0, 72, std::uint64_t{0}).put(0, 80, std::uint32_t{4});
  require_all(refusal(links), "names that overlap in the table of names");
}

BOOST_AUTO_TEST_CASE(empty_strings_are_no_more_than_the_file_has_bytes) {
  const auto with = [](shape s) { return refusal_after([&](auto& all) { all[7] = {.path = "text", .dtype = dtype::string, .shape = s, .bytes = 0}; }); };
  for (const shape& s : {shape{end_of_data + 1, 0}, shape{1 << 12, 1 << 12, 0}, shape{std::int64_t{1} << 62, std::int64_t{1} << 62, 0}})
    require_all(with(s), "record 7: more empty strings than bytes in the file");
  for (const shape& s : {shape{end_of_data, 0}, shape{0}, shape{std::int64_t{1} << 62, 0, std::int64_t{1} << 62, 0}}) {
    hdf5::index x = sample();
    x.entries[7] = {.path = "text", .dtype = dtype::string, .shape = s, .bytes = 0};
    same(x, encoded(x).read());
  }
}

BOOST_AUTO_TEST_CASE(kinds_types_and_shapes_are_checked) {
  require_all(refusal(encoded(sample()).put(5, 12, std::uint8_t{4})), "record 5: an unknown kind of entry");
  require_all(refusal(encoded(sample()).put(4, 13, std::uint8_t{0})), "record 4: an unknown dtype");
  require_all(refusal(encoded(sample()).put(4, 13, std::uint8_t{19})), "record 4: an unknown dtype");
  require_all(refusal(encoded(sample()).put(4, 13, dtype::float64)), "record 4: a length that its type and shape do not give");
  require_all(refusal(encoded(sample()).put(4, 14, std::uint16_t{33})), "record 4: extents outside the table of extents");
  require_all(refusal(encoded(sample()).put(4, 14, std::uint16_t{8})), "record 4: extents outside the table of extents");
  require_all(refusal(encoded(sample()).put(4, 48, ~std::uint64_t{0})), "record 4: extents outside the table of extents");
  require_all(refusal(encoded(sample()).put(6, 13, dtype::string)), "record 6: a string without a width");
  encoded negative{sample()}, huge{sample()};
  hdf5::detail::put(negative.bytes, negative.extents(), std::int64_t{-3});
  require_all(refusal(negative), "record 1: an impossible shape");
  hdf5::detail::put(huge.bytes, huge.extents(), std::int64_t{1} << 60);
  require_all(refusal(huge), "record 1: an impossible shape");
  require_all(refusal_after([](auto& all) { all[6].bytes = 5; }), "record 6: a length that its type and shape do not give");
  require_all(refusal_after([](auto& all) { all[2].bytes = 2; }), "record 2: a length that its type and shape do not give");
}

BOOST_AUTO_TEST_CASE(places_are_checked) {
  require_all(refusal_after([](auto& all) { all[1].offset = end_of_data - 239999; }), "record 1: data outside the file");
  require_all(refusal_after([](auto& all) { all[1].offset = ~std::uint64_t{0} - 8; }), "record 1: data outside the file");
  require_all(refusal_after([](auto& all) { all[6].offset = 4127; }), "two tensors overlap");
  require_all(refusal_after([](auto& all) { all[6].offset = 8192; }), "two tensors overlap");
  hdf5::index full = sample();
  full.entries[1].offset = end_of_data - 240000;
  same(full, encoded(full).read());
}

BOOST_AUTO_TEST_CASE(digests_of_blocks_are_checked) {
  require_all(refusal(encoded(sample()).put(1, 56, std::uint64_t{1})), "record 1: digests outside the table of digests");
  require_all(refusal(encoded(sample()).put(1, 56, ~std::uint64_t{0})), "record 1: digests outside the table of digests");
}

BOOST_AUTO_TEST_CASE(links_lead_to_data_that_is_not_a_link) {
  const char* nowhere = "record 0: a link that leads nowhere";
  require_all(refusal_after([](auto& all) { all[0].alias_of = "zzz"; }), nowhere);
  require_all(refusal_after([](auto& all) { all[0].alias_of = "bi"; }), nowhere);
  require_all(refusal_after([](auto& all) { all[0].alias_of = "a"; }), nowhere);
  require_all(refusal_after([](auto& all) { all[0].alias_of = "m/wx"; }), nowhere);
  require_all(refusal_after([](auto& all) {
                all[0].alias_of = "b";
                all.insert(all.begin() + 1, {.path = "b", .kind = entry_kind::alias, .alias_of = "a"});
              }).substr(0, 22),
              "index record");
  require_all(refusal_after([](auto& all) { all[0].alias_of = ""; }), "a name outside the table of names");
  hdf5::index group = sample();
  group.entries[0].alias_of = "m";
  same(group, encoded(group).read());
}

BOOST_AUTO_TEST_CASE(a_link_to_a_group_may_have_neighbours_that_sort_inside_and_links_in_it) {
  // '-' sorts before '/': the group "m" is then not followed by what is in it; and the first thing in it may be a link.
  hdf5::index x;
  x.entries = {{.path = "d", .dtype = dtype::uint8, .shape = {}, .bytes = 1, .offset = 100},
               {.path = "l", .kind = entry_kind::alias, .alias_of = "m"},
               {.path = "m-ema/w", .dtype = dtype::uint8, .shape = {}, .bytes = 1, .offset = 101},
               {.path = "m/a", .kind = entry_kind::alias, .alias_of = "d"},
               {.path = "m/w", .dtype = dtype::uint8, .shape = {}, .bytes = 1, .offset = 102}};
  x.first_block.assign(5, 0);
  same(x, encoded(x).read());
}

BOOST_AUTO_TEST_SUITE_END()
