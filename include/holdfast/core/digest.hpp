#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>  // the same functions for the widest vectors that this processor has, chosen when the program runs
#endif

namespace holdfast {

/// A 128-bit XXH3 digest, in xxHash's canonical (big-endian) byte order. It tells accidents from intact data; it is no
/// protection against someone who can write the file.
struct digest {
  std::array<std::uint8_t, 16> bytes{};  ///< the most significant first
  friend bool operator==(const digest&, const digest&) = default;

  /// 32 hexadecimal digits, as `xxh128sum` prints them.
  template <class = void>
  std::string text() const {
    std::string s;
    append_to(s);
    return s;
  }
  /// Appends `text()`.
  template <class = void>
  void append_to(std::string& s) const {
    for (const std::uint8_t byte : bytes) {
      s += "0123456789abcdef"[byte >> 4];
      s += "0123456789abcdef"[byte & 15];
    }
  }
};

/// Digests that only someone with a key can make, for storage that others can write to: a message authentication code of
/// at least 128 bits of strength, such as HMAC-SHA256 (adapters/openssl.hpp). With one, every digest of a file is made
/// by it. It keeps others from changing a checkpoint unseen, not from putting an older one back in its place.
class keyed_digest {
 public:
  /// The code of bytes that come in pieces.
  class stream {
   public:
    virtual ~stream() = default;
    /// Takes the next bytes.
    virtual void update(std::span<const std::byte> bytes) = 0;
    /// The code of everything since the start; the stream is then at a new start.
    virtual digest finish() = 0;
  };
  virtual ~keyed_digest() = default;
  /// A stream at its start. Called by several threads at once.
  virtual std::unique_ptr<stream> start() const = 0;
};

/// A key as options carry it; null where digests are only to find accidents.
using seal_key = std::shared_ptr<const keyed_digest>;

namespace detail {

template <class = void>
digest canonical(XXH128_hash_t h) {
  XXH128_canonical_t c;
  XXH128_canonicalFromHash(&c, h);
  digest d;
  std::copy(std::begin(c.digest), std::end(c.digest), d.bytes.begin());
  return d;
}

/// Calls xxHash. Its code for AVX-512 leaves the upper halves of the vector registers in use, and as long as they are, code for SSE, which is
/// what compilers make for any x86-64, takes several times as long: all of the program, until somebody clears them (Intel's optimization manual,
/// "Mixing AVX code with SSE code").
template <class F>
auto with_wide_vectors(F&& call) {
  const auto result = call();
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
  static const bool wide = __builtin_cpu_supports("avx");
  if (wide) asm volatile("vzeroupper" ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#endif
  return result;
}

template <class = void>
digest digest_of(std::span<const std::byte> bytes) {
  return canonical(with_wide_vectors([&] { return XXH3_128bits(bytes.data(), bytes.size()); }));
}

/// A digest over bytes that come in pieces: XXH3-128, or that of a key.
template <class>
class basic_stream_digest {
 public:
  explicit basic_stream_digest(const seal_key& key = {}) : keyed_(key ? key->start() : nullptr), state_(XXH3_createState(), &XXH3_freeState) {
    if (!state_) throw std::bad_alloc();
    XXH3_128bits_reset(state_.get());
  }
  void update(std::span<const std::byte> bytes) {
    if (keyed_) keyed_->update(bytes);
    else with_wide_vectors([&] { return XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); });
  }
  /// The digest of everything since the start, which is then anew.
  digest finish() {
    if (keyed_) return keyed_->finish();
    const digest d = canonical(with_wide_vectors([&] { return XXH3_128bits_digest(state_.get()); }));
    XXH3_128bits_reset(state_.get());
    return d;
  }
  bool keyed() const noexcept { return keyed_ != nullptr; }

 private:
  std::unique_ptr<keyed_digest::stream> keyed_;
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};
using stream_digest = basic_stream_digest<void>;

template <class = void>
digest digest_of(std::span<const std::byte> bytes, const seal_key& key) {
  if (!key) return digest_of(bytes);
  stream_digest d(key);
  d.update(bytes);
  return d.finish();
}

/// A tensor's digest is taken over blocks of this many bytes of its logical content, so that blocks can be digested
/// and verified apart: by threads, by ranks, and where only a part is read. Part of the file format.
inline constexpr std::uint64_t digest_block = std::uint64_t{1} << 20;

constexpr std::uint64_t blocks_in(std::uint64_t bytes, std::uint64_t block) { return bytes / block + (bytes % block != 0); }

/// The digest of content whose blocks have these digests: the only one, or the digest of them all in order.
template <class = void>
digest root_of(std::span<const digest> blocks, const seal_key& key = {}) {
  if (blocks.size() == 1) return blocks.front();
  return digest_of(std::as_bytes(blocks), key);
}

/// Digests content that comes in order, in pieces of any size, block by block.
template <class X>
class basic_block_digest {
 public:
  explicit basic_block_digest(std::uint64_t block = digest_block, const seal_key& key = {}) : block_(block), partial_(key) {}

  void update(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t n = std::min<std::uint64_t>(block_ - filled_, bytes.size());
      if (filled_ == 0 && n == block_ && !partial_.keyed()) {
        blocks_.push_back(digest_of(bytes.first(n)));
      } else {
        partial_.update(bytes.first(n));
        filled_ += n;
        if (filled_ == block_) close_block();
      }
      bytes = bytes.subspan(n);
    }
  }

  /// The digests of the blocks: none for no content.
  const std::vector<digest>& finish() {
    if (filled_ != 0) close_block();
    return blocks_;
  }

  /// Begins anew.
  void reset() {
    if (filled_ != 0) close_block();
    blocks_.clear();
  }

 private:
  void close_block() {
    blocks_.push_back(partial_.finish());
    filled_ = 0;
  }
  std::uint64_t block_, filled_ = 0;
  std::vector<digest> blocks_;
  basic_stream_digest<X> partial_;
};
using block_digest = basic_block_digest<void>;

}  // namespace detail
}  // namespace holdfast
