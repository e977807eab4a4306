#include <holdfast/checkpoint/snapshot.hpp>

#include <complex>
#include <random>

#include <holdfast/separate.hpp>

#include "../hdf5/damage.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using holdfast::detail::manifest;
using holdfast::detail::snapshot;

namespace {

/// What a snapshot fills in pieces of these sizes, used in turn.
std::pair<std::string, hdf5::index> filled(const hdf5::layout& l, const manifest& m, std::vector<std::size_t> pieces) {
  snapshot s(l, m);
  std::string out(l.end, '\xaa');
  std::size_t at = 0;
  for (std::size_t i = 0; at < out.size(); ++i) {
    const std::size_t n = std::min(pieces[i % pieces.size()], out.size() - at);
    s.fill(at, std::as_writable_bytes(std::span(out)).subspan(at, n));
    at += n;
  }
  return {out, s.finish()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(snapshot_)

BOOST_AUTO_TEST_CASE(every_tensor_lies_in_its_place_in_logical_order) {
  std::vector<std::int32_t> grid{1, 2, 3, 4, 5, 6};
  std::vector<std::complex<double>> line{{1, 2}, {3, 4}, {5, 6}};
  state s;
  s.bind("row_major", tensor(grid.data(), {2, 3})).bind("column_major", tensor(grid.data(), {2, 3}, {1, 2}));
  s.bind("backwards", tensor(&line[2], {3}, {-1})).bind("every_other", tensor(grid.data(), {3}, {2}));
  const manifest m(s);
  auto l = hdf5::compile(m);
  const auto [bytes, index] = filled(l, m, {l.end});
  const auto at = [&, &b = bytes](const std::string& path, auto... values) {
    using T = std::common_type_t<decltype(values)...>;
    const T expected[] = {values...};
    for (const entry& e : l.entries)
      if (e.path == path) BOOST_TEST(std::memcmp(b.data() + e.offset, expected, sizeof expected) == 0, path);
  };
  at("row_major", 1, 2, 3, 4, 5, 6);
  at("column_major", 1, 3, 5, 2, 4, 6);
  at("every_other", 1, 3, 5);
  at("backwards", std::complex<double>(5, 6), std::complex<double>(3, 4), std::complex<double>(1, 2));
}

BOOST_AUTO_TEST_CASE(pieces_of_any_size_give_the_same_bytes_and_digests) {
  std::vector<std::complex<double>> wide(200);
  std::vector<float> plain(1001);
  std::vector<std::int16_t> odd(77);
  std::mt19937_64 engine = support::random_engine();
  for (auto& x : wide) x = {static_cast<double>(engine()), static_cast<double>(engine())};
  for (auto& x : plain) x = static_cast<float>(engine());
  for (auto& x : odd) x = static_cast<std::int16_t>(engine());
  state s;
  s.bind("wide", tensor(wide.data(), {10, 10}, {1, 20})).bind("plain", plain).bind("odd", tensor(odd.data() + 76, {11, 7}, {-7, -1}));
  const manifest m(s);
  auto l = hdf5::compile(m);
  const auto [whole, index] = filled(l, m, {l.end});
  for (const auto& pieces : std::vector<std::vector<std::size_t>>{{1}, {3}, {7, 16, 5}, {4096}, {1000, 1, 33}}) {
    const auto [bytes, other] = filled(l, m, pieces);
    BOOST_TEST((bytes == whole));
    for (std::size_t i = 0; i < index.entries.size(); ++i) BOOST_TEST((other.entries[i].digest == index.entries[i].digest), index.entries[i].path);
  }
  for (const entry& e : index.entries)
    BOOST_TEST((e.digest == detail::digest_of(std::as_bytes(std::span(whole)).subspan(e.offset, e.bytes))), e.path);
}

BOOST_AUTO_TEST_CASE(a_tensor_of_several_blocks_has_a_digest_of_each) {
  std::vector<std::uint8_t> big((5 << 20) / 2, 7), exact(1 << 20, 8), one(10, 9), none;
  state s;
  s.bind("big", big).bind("exact", exact).bind("one", one).bind("zero", none);
  const manifest m(s);
  auto l = hdf5::compile(m);
  const auto [bytes, index] = filled(l, m, {100000, 7});
  const auto block = [&](std::size_t first, std::size_t n) { return detail::digest_of(std::as_bytes(std::span(big)).subspan(first, n)); };
  BOOST_REQUIRE_EQUAL(index.blocks.size(), 3u);
  const std::vector<digest> expected{block(0, 1 << 20), block(1 << 20, 1 << 20), block(2 << 20, 1 << 19)};
  BOOST_TEST((index.blocks == expected));
  BOOST_TEST((index.entries[0].digest == detail::digest_of(std::as_bytes(std::span(expected)))));
  BOOST_TEST((index.entries[1].digest == detail::digest_of(std::as_bytes(std::span(exact)))));
  BOOST_TEST((index.entries[3].digest == detail::digest_of({})));
  BOOST_TEST(hdf5::counts_of(index.entries, detail::digest_block).blocks == 3u);
}

BOOST_AUTO_TEST_CASE(a_staged_image_gives_the_same_file_and_what_is_held_is_not_copied) {
  std::vector<float> large(3 << 20), frozen(1 << 20);
  std::vector<std::int16_t> strided(1000);
  std::mt19937_64 engine = support::random_engine();
  for (auto& x : large) x = static_cast<float>(engine());
  for (auto& x : frozen) x = static_cast<float>(engine());
  for (auto& x : strided) x = static_cast<std::int16_t>(engine());
  state s;
  s.bind("frozen", frozen).bind("large", large).bind("strided", tensor(strided.data(), {10, 100}, {1, 10}));
  const manifest m(s);
  const auto l = hdf5::compile(m);
  const auto [direct, expected] = filled(l, m, {100000});

  snapshot first(l, m);
  std::string image(l.end, '\x55');
  const auto bytes = std::as_writable_bytes(std::span(image));
  first.stage(bytes, std::vector<bool>(3));
  const std::vector<float> before = frozen;
  frozen.assign(frozen.size(), 0.f);
  snapshot second(l, m);
  second.stage(bytes, {true, false, false});
  second.know(expected, {true, false, false});
  large.clear();
  second.fill(0, bytes, true);
  BOOST_TEST((image == direct));
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST((second.finish().entries[i].digest == expected.entries[i].digest), expected.entries[i].path);
  BOOST_TEST(second.finish().blocks.size() == expected.blocks.size());
  const auto block = [](const hdf5::index& x, std::size_t item, std::size_t n) { return x.blocks[x.first_block[item] + n]; };
  for (std::size_t n = 0; n < 4; ++n) BOOST_TEST((block(second.finish(), 0, n) == block(expected, 0, n)));
}

BOOST_AUTO_TEST_SUITE_END()
