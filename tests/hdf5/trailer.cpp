#include <holdfast/hdf5/trailer.hpp>

#include <cmath>
#include <cstring>

#include "../support.hpp"
#include "damage.hpp"

using namespace holdfast;
using hdf5::trailer;
using support::message_of;
using support::require_all;

namespace {

trailer sample() {
  trailer t{.end = 5000, .index_offset = 5056, .counts = {.entries = 3, .extents = 4, .blocks = 2, .names = 17}, .step = 42, .metric = 0.25};
  t.index_digest.bytes.fill(0x11);
  t.metadata_digest.bytes.fill(0x22);
  return t;
}

/// The same bytes with another value at a place, and the checksum made right for it.
template <class T>
std::vector<std::byte> resealed(std::vector<std::byte> bytes, std::size_t at, T value) {
  hdf5::detail::put(bytes, at, value);
  hdf5::detail::put(bytes, trailer::bytes - 16, holdfast::detail::digest_of(std::span(bytes).first(trailer::bytes - 16)));
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(trailer_)

BOOST_AUTO_TEST_CASE(what_is_encoded_is_decoded) {
  const trailer a = sample();
  const auto bytes = a.encode();
  BOOST_TEST(bytes.size() == trailer::bytes);
  BOOST_TEST(a.file_bytes() == 5056u + 3 * 96 + 4 * 8 + 2 * 16 + 17 + 16 + 192);
  const auto b = trailer::decode(bytes, a.file_bytes(), "f.h5");
  BOOST_REQUIRE(b.has_value());
  BOOST_TEST((b->end == a.end && b->index_offset == a.index_offset && b->digest_block == a.digest_block));
  BOOST_TEST((b->counts.entries == 3 && b->counts.extents == 4 && b->counts.blocks == 2 && b->counts.names == 17));
  BOOST_TEST((b->step == 42 && b->metric == 0.25));
  BOOST_TEST((b->index_digest == a.index_digest && b->metadata_digest == a.metadata_digest));
}

BOOST_AUTO_TEST_CASE(what_was_not_given_stays_not_given) {
  trailer a = sample();
  a.step = -1;
  a.metric = trailer().metric;
  const auto b = trailer::decode(a.encode(), a.file_bytes(), "f.h5");
  BOOST_TEST(b->step == -1);
  BOOST_TEST(std::isnan(b->metric));
}

BOOST_AUTO_TEST_CASE(only_a_trailer_with_a_key_is_of_version_2) {
  trailer a = sample();
  BOOST_TEST(hdf5::detail::get<std::uint32_t>(a.encode(), 8) == 1u);
  BOOST_TEST(!trailer::decode(a.encode(), a.file_bytes(), "f.h5")->keyed);
  a.keyed = true;
  a.mac.bytes.fill(7);
  BOOST_TEST(hdf5::detail::get<std::uint32_t>(a.encode(), 8) == 2u);
  const auto b = trailer::decode(a.encode(), a.file_bytes(), "f.h5");
  BOOST_TEST(b->keyed);
  BOOST_TEST((b->mac == a.mac));
}

BOOST_AUTO_TEST_CASE(bytes_without_the_magic_are_no_trailer) {
  const auto bytes = sample().encode();
  BOOST_TEST(!trailer::decode(std::vector<std::byte>(trailer::bytes), 10000, "f.h5").has_value());
  for (std::size_t n = 0; n < bytes.size(); ++n) BOOST_TEST(!trailer::decode(std::span(bytes).first(n), sample().file_bytes(), "f.h5").has_value());
}

BOOST_AUTO_TEST_CASE(every_damage_to_a_trailer_is_found) {
  const auto bytes = sample().encode();
  support::for_each_damage(bytes, 5000, [&](const std::vector<std::byte>& damaged) {
    if (damaged == bytes) return;
    try {
      const bool has_magic = std::memcmp(damaged.data(), trailer::magic.data(), trailer::magic.size()) == 0;
      BOOST_REQUIRE(!trailer::decode(damaged, sample().file_bytes(), "f.h5").has_value());
      BOOST_REQUIRE(!has_magic);
    } catch (const integrity_error& e) {
      require_all(e.what(), "f.h5: the trailer is damaged", "take an older checkpoint");
    }
  });
}

BOOST_AUTO_TEST_CASE(a_newer_format_is_told_from_damage) {
  const auto newer = resealed(sample().encode(), 8, std::uint32_t{3});
  const auto text = message_of<format_error>([&] { trailer::decode(newer, sample().file_bytes(), "f.h5"); });
  require_all(text, "f.h5: format version 3, expected at most 2", "newer holdfast", "update");
  // Whatever else a newer format changes.
  message_of<format_error>([&] { trailer::decode(newer, 77, "f.h5"); });
}

BOOST_AUTO_TEST_CASE(sizes_that_do_not_make_up_the_file_are_refused) {
  const std::uint64_t whole = sample().file_bytes();
  for (const std::uint64_t size : {whole - 1, whole + 1, std::uint64_t{192}, std::uint64_t{0}})
    require_all(message_of<format_error>([&] { trailer::decode(sample().encode(), size, "f.h5"); }),
                "f.h5: expected the length its trailer says, found " + std::to_string(size) + " bytes", "truncated or spliced");
  const auto refused = [&](std::size_t at, std::uint64_t value) {
    message_of<format_error>([&] { trailer::decode(resealed(sample().encode(), at, value), whole, "f.h5"); });
  };
  refused(16, 5057);               // the HDF5 part runs into the index
  refused(24, whole + 1);          // an index behind the end
  refused(24, ~std::uint64_t{0});  // and one so far that the sum wraps round
  refused(32, 0);                  // blocks of no bytes
  for (std::size_t count = 40; count < 72; count += 8) refused(count, ~std::uint64_t{0});
}

BOOST_AUTO_TEST_CASE(random_trailers_with_a_right_checksum_only_throw) {
  std::mt19937_64 engine = support::random_engine();
  for (int i = 0; i < 20000; ++i) {
    auto bytes = sample().encode();
    for (int n = 0; n < 3; ++n) bytes = resealed(bytes, 8 + 8 * (engine() % 12), engine() >> (engine() % 64));
    try {
      if (const auto t = trailer::decode(bytes, sample().file_bytes(), "f.h5")) BOOST_REQUIRE_EQUAL(t->file_bytes(), sample().file_bytes());
    } catch (const format_error&) {
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
