#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <holdfast/core/error.hpp>
#include <holdfast/core/version.hpp>
#include <holdfast/hdf5/index.hpp>

namespace holdfast::hdf5 {

/// The last 192 bytes of a checkpoint: the seal. A program that opens the file for writing makes libhdf5 cut it off,
/// so a file that has one is as it was saved, which its digests confirm. docs/format.md has the encoding.
template <class>
struct basic_trailer {
  static constexpr std::size_t bytes = 192;
  static constexpr std::array<char, 8> magic{'H', 'O', 'L', 'D', 'F', 'A', 'S', 'T'};

  std::uint64_t end = 0;  ///< HDF5's end of allocation
  std::uint64_t index_offset = 0;
  std::uint64_t digest_block = holdfast::detail::digest_block;
  index_counts counts{};
  std::int64_t step = -1;  ///< of the training run; -1 where none was given
  double metric = std::numeric_limits<double>::quiet_NaN();
  digest index_digest{};
  digest metadata_digest{};  ///< of every byte before the index that belongs to no tensor
  bool keyed = false;        ///< whether all these digests were made with a key
  digest mac{};              ///< of the trailer before it, by the key

  std::uint64_t index_bytes() const { return encoded_bytes(counts).value_or(0); }
  std::uint64_t index_digests_bytes() const { return holdfast::detail::blocks_in(index_bytes(), detail::index_block) * 16; }
  std::uint64_t file_bytes() const { return index_offset + index_bytes() + index_digests_bytes() + bytes; }

  std::vector<std::byte> encode() const {
    std::vector<std::byte> out = encode_numbers();
    if (keyed) detail::put(out, mac_at, mac);
    detail::put(out, checksum_at, checksum(out));
    return out;
  }

  /// What `mac` must be: the key's digest of everything before it.
  digest code(const seal_key& key) const { return holdfast::detail::digest_of(std::span<const std::byte>(encode_numbers()).first(mac_at), key); }

  /// Nothing if `in` does not begin with the magic: the file is unsealed. Throws `integrity_error` for a seal whose own
  /// checksum fails and `format_error` for a newer format or sizes that do not make up `file_bytes`.
  static std::optional<basic_trailer> decode(std::span<const std::byte> in, std::uint64_t file_bytes, const std::string& file) {
    if (in.size() != bytes || std::memcmp(in.data(), magic.data(), magic.size()) != 0) return std::nullopt;
    const auto version = detail::get<std::uint32_t>(in, 8);
    if (checksum(in) != detail::get<digest>(in, checksum_at)) {
      throw integrity_error(file + ": the trailer is damaged: its checksum is not that of its bytes; take an older checkpoint");
    }
    if (version > format_version)
      throw format_error(file + ": format version " + std::to_string(version) + ", expected at most " + std::to_string(format_version) + "; it was written by a newer holdfast: update this program's");
    basic_trailer t;
    std::uint64_t* const numbers[] = {&t.end, &t.index_offset, &t.digest_block, &t.counts.entries, &t.counts.extents, &t.counts.blocks, &t.counts.names};
    for (std::size_t i = 0; i < std::size(numbers); ++i) *numbers[i] = detail::get<std::uint64_t>(in, 16 + 8 * i);
    t.step = detail::get<std::int64_t>(in, 72);
    t.metric = detail::get<double>(in, 80);
    t.index_digest = detail::get<digest>(in, 88);
    t.metadata_digest = detail::get<digest>(in, 104);
    t.keyed = version >= 2 && detail::get<std::uint32_t>(in, 120) != 0;
    if (t.keyed) t.mac = detail::get<digest>(in, mac_at);
    const bool fits = encoded_bytes(t.counts) && t.end <= t.index_offset && t.index_offset <= file_bytes && t.digest_block >= detail::index_block && t.file_bytes() == file_bytes;
    if (!fits) throw format_error(file + ": expected the length its trailer says, found " + std::to_string(file_bytes) + " bytes; the file was truncated or spliced");
    return t;
  }

 private:
  static constexpr std::size_t mac_at = 128, checksum_at = bytes - 16;

  std::vector<std::byte> encode_numbers() const {
    std::vector<std::byte> out(bytes);
    detail::put(out, 0, magic);
    detail::put(out, 8, std::uint32_t{keyed ? 2u : 1u});
    detail::put(out, 12, static_cast<std::uint32_t>(bytes));
    const std::uint64_t numbers[] = {end, index_offset, digest_block, counts.entries, counts.extents, counts.blocks, counts.names};
    for (std::size_t i = 0; i < std::size(numbers); ++i) detail::put(out, 16 + 8 * i, numbers[i]);
    detail::put(out, 72, step);
    detail::put(out, 80, metric);
    detail::put(out, 88, index_digest);
    detail::put(out, 104, metadata_digest);
    if (keyed) detail::put(out, 120, std::uint32_t{1});
    return out;
  }

  static digest checksum(std::span<const std::byte> of) { return holdfast::detail::digest_of(of.first(checksum_at)); }
};
using trailer = basic_trailer<void>;

}  // namespace holdfast::hdf5
