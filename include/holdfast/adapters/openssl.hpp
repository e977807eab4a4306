#pragma once
/// Keys for checkpoints in storage that others can write to. Needs OpenSSL 3 (libcrypto):
///
///   const holdfast::seal_key key = holdfast::hmac_sha256(secret);   // 32 random bytes that the storage does not hold
///   holdfast::save("run.h5", state, {.key = key});
///   holdfast::restore("run.h5", state, {.key = key});
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <holdfast/core/digest.hpp>
#include <holdfast/core/error.hpp>

namespace holdfast {
namespace detail {

/// HMAC-SHA256 (RFC 2104, FIPS 198-1), of which a digest holds the first 16 bytes.
class hmac_sha256_digest final : public keyed_digest {
 public:
  explicit hmac_sha256_digest(std::span<const std::byte> key) {
    const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr), &EVP_MAC_free);
    if (hmac) ready_.reset(EVP_MAC_CTX_new(hmac.get()), &EVP_MAC_CTX_free);
    char name[] = "SHA256";
    const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    if (!ready_ || EVP_MAC_init(ready_.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(), parameters.data()) != 1)
      throw error("hmac_sha256: OpenSSL cannot set it up");
  }

  std::unique_ptr<stream> start() const override { return std::make_unique<running>(ready_); }

 private:
  class running final : public stream {
   public:
    explicit running(std::shared_ptr<EVP_MAC_CTX> ready) : ready_(std::move(ready)) { begin(); }
    void update(std::span<const std::byte> bytes) override {
      if (EVP_MAC_update(now_.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 1) fail();
    }
    digest finish() override {
      std::array<unsigned char, 32> code{};
      std::size_t length = 0;
      if (EVP_MAC_final(now_.get(), code.data(), &length, code.size()) != 1 || length != code.size()) fail();
      digest d;
      std::copy_n(code.begin(), d.bytes.size(), d.bytes.begin());
      begin();
      return d;
    }

   private:
    void begin() {
      now_.reset(EVP_MAC_CTX_dup(ready_.get()));
      if (!now_) fail();
    }
    [[noreturn]] static void fail() { throw error("hmac_sha256: OpenSSL failed"); }
    std::shared_ptr<EVP_MAC_CTX> ready_;
    std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> now_{nullptr, &EVP_MAC_CTX_free};
  };

  std::shared_ptr<EVP_MAC_CTX> ready_;  // set up with the key; never used itself, only copied
};

}  // namespace detail

/// A key for `save_options::key`, `restore_options::key` and `retention::key`. Throws `error` for a key of fewer than 16
/// bytes, which can be guessed; 32 random ones are best.
inline seal_key hmac_sha256(std::span<const std::byte> key) {
  if (key.size() < 16) throw error("hmac_sha256: a key of " + std::to_string(key.size()) + " bytes, expected at least 16");
  return std::make_shared<detail::hmac_sha256_digest>(key);
}
/// The same of a key in a string.
inline seal_key hmac_sha256(std::string_view key) { return hmac_sha256(std::as_bytes(std::span(key))); }

}  // namespace holdfast
