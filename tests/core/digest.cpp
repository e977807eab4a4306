#include <holdfast/core/digest.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_digest)

namespace {

using holdfast::digest;
using holdfast::detail::block_digest;
using holdfast::detail::digest_of;
using holdfast::detail::root_of;

std::vector<std::byte> random_bytes(std::mt19937_64& engine, std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes) b = static_cast<std::byte>(engine());
  return bytes;
}

/// The root that docs/format.md defines, without the classes under test.
digest by_hand(std::span<const std::byte> content, std::size_t block) {
  std::vector<std::byte> digests;
  std::size_t blocks = 0;
  XXH128_canonical_t c{};
  for (std::size_t at = 0; at < content.size(); at += block, ++blocks) {
    XXH128_canonicalFromHash(&c, XXH3_128bits(content.data() + at, std::min(block, content.size() - at)));
    for (unsigned char byte : c.digest) digests.push_back(std::byte{byte});
  }
  if (blocks != 1) XXH128_canonicalFromHash(&c, XXH3_128bits(digests.data(), digests.size()));
  digest d;
  std::copy(std::begin(c.digest), std::end(c.digest), d.bytes.begin());
  return d;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_digest_prints_as_xxh128sum_does) {
  // printf '' | xxh128sum; printf 'holdfast' | xxh128sum
  BOOST_TEST(digest_of({}).text() == "99aa06d3014798d86001c324468d497f");
  BOOST_TEST(digest_of(std::as_bytes(std::span("holdfast", 8))).text() == "d725ef720e130d9fdf1a3c122ca59e45");
  BOOST_TEST(digest().text() == std::string(32, '0'));
}

BOOST_AUTO_TEST_CASE(a_stream_in_pieces_has_the_digest_of_the_whole) {
  std::mt19937_64 engine = support::random_engine();
  holdfast::detail::stream_digest stream;
  for (int round = 0; round < 50; ++round) {
    const auto content = random_bytes(engine, support::pick<std::size_t>(engine, 0, 3000));
    for (std::span<const std::byte> rest = content; !rest.empty();) {
      const auto n = support::pick<std::size_t>(engine, 0, rest.size());
      stream.update(rest.first(n));
      rest = rest.subspan(n);
    }
    BOOST_TEST((stream.finish() == digest_of(content)));  // and begins anew
  }
}

BOOST_AUTO_TEST_CASE(the_root_over_blocks_does_not_depend_on_the_pieces) {
  std::mt19937_64 engine = support::random_engine();
  for (const std::size_t block : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{1000}}) {
    block_digest blocks(block);
    for (int round = 0; round < 100; ++round) {
      // Also nothing, exact multiples of a block, and one byte to either side.
      const auto whole = support::pick<std::size_t>(engine, 0, 5) * block;
      const std::size_t sizes[] = {whole, whole + 1, whole == 0 ? 0 : whole - 1, support::pick<std::size_t>(engine, 0, 4000)};
      const auto content = random_bytes(engine, sizes[support::pick(engine, 0, 3)]);
      for (std::span<const std::byte> rest = content; !rest.empty();) {
        const std::size_t most = support::pick(engine, 0, 1) == 0 ? std::min(2 * block, rest.size()) : rest.size();
        const auto n = support::pick<std::size_t>(engine, 0, most);
        blocks.update(rest.first(n));
        rest = rest.subspan(n);
      }
      const std::vector<digest>& found = blocks.finish();
      BOOST_TEST(found.size() == holdfast::detail::blocks_in(content.size(), block));
      BOOST_TEST((root_of(found) == by_hand(content, block)), "block " << block << ", bytes " << content.size());
      BOOST_TEST((root_of(blocks.finish()) == by_hand(content, block)), "finish() may be called again");
      blocks.reset();
    }
  }
}

BOOST_AUTO_TEST_CASE(one_changed_bit_changes_the_root) {
  std::mt19937_64 engine = support::random_engine();
  auto content = random_bytes(engine, 300);
  const digest before = by_hand(content, 100);
  content[support::pick<std::size_t>(engine, 0, 299)] ^= std::byte{0x10};
  block_digest blocks(100);
  blocks.update(content);
  BOOST_TEST((root_of(blocks.finish()) != before));
}

BOOST_AUTO_TEST_CASE(with_a_key_every_digest_is_its_own) {
  // Not one to trust: XXH3 over a prefix.
  struct prefixed final : holdfast::keyed_digest {
    struct running final : stream {
      std::vector<std::byte> seen{std::byte{42}};
      void update(std::span<const std::byte> bytes) override { seen.insert(seen.end(), bytes.begin(), bytes.end()); }
      digest finish() override { return digest_of(std::exchange(seen, {std::byte{42}})); }
    };
    std::unique_ptr<stream> start() const override { return std::make_unique<running>(); }
  };
  const holdfast::seal_key key = std::make_shared<prefixed>();
  std::mt19937_64 engine = support::random_engine();
  const auto content = random_bytes(engine, 250);
  const auto by_key = [&](std::size_t from, std::size_t n) { return holdfast::detail::digest_of(std::span(content).subspan(from, n), key); };
  std::vector<std::byte> with_prefix{std::byte{42}};
  with_prefix.insert(with_prefix.end(), content.begin(), content.end());
  BOOST_TEST((by_key(0, 250) == digest_of(with_prefix)));
  block_digest blocks(100, key);
  for (int round = 0; round < 2; ++round) {
    blocks.update(std::span(content).first(130));
    blocks.reset();  // in the middle of a block
    blocks.update(std::span(content).first(130));
    blocks.update(std::span(content).subspan(130));
    BOOST_TEST((blocks.finish() == std::vector<digest>{by_key(0, 100), by_key(100, 100), by_key(200, 50)}));
    BOOST_TEST((root_of(blocks.finish(), key) == holdfast::detail::digest_of(std::as_bytes(std::span(blocks.finish())), key)));
    BOOST_TEST((root_of(blocks.finish(), key) != root_of(blocks.finish())));
    blocks.reset();
  }
}

BOOST_AUTO_TEST_CASE(the_block_of_the_format_is_one_mebibyte) {
  BOOST_TEST(holdfast::detail::digest_block == 1048576u);
  BOOST_TEST(holdfast::detail::blocks_in(0, 100) == 0u);
  BOOST_TEST(holdfast::detail::blocks_in(100, 100) == 1u);
  BOOST_TEST(holdfast::detail::blocks_in(101, 100) == 2u);
}

#if defined(__x86_64__)
BOOST_AUTO_TEST_CASE(a_digest_leaves_no_wide_register_in_use) {
  unsigned leaf = 0xd, ignored = 0, part = 1, features = 0;
  asm volatile("cpuid" : "+a"(leaf), "=b"(ignored), "+c"(part), "=d"(features));
  const auto upper_halves = [] {
    unsigned low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return low & 0x44;  // of ymm and of zmm registers
  };
  const bool can_tell = __builtin_cpu_supports("avx2") && (leaf & 4) != 0;
  if (can_tell) asm volatile("vpcmpeqd %%ymm1, %%ymm1, %%ymm1" ::: "xmm1");
  const bool tells = can_tell && upper_halves() != 0;
  BOOST_TEST_MESSAGE("this processor " << (tells ? "tells" : "does not tell") << " which registers are in use");
  if (!tells) return;
  asm volatile("vzeroupper" ::: "xmm1");
  const std::vector<std::byte> content(std::size_t{1} << 20);
  (void)digest_of(content);
  BOOST_TEST(upper_halves() == 0u);
  holdfast::detail::stream_digest stream;
  stream.update(content);
  BOOST_TEST(upper_halves() == 0u);
  stream.update(std::span(content).first(1000));
  (void)stream.finish();
  BOOST_TEST(upper_halves() == 0u);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
