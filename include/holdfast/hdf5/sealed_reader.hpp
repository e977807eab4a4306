#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/core/order.hpp>
#include <holdfast/hdf5/index.hpp>
#include <holdfast/hdf5/reader.hpp>
#include <holdfast/hdf5/trailer.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast::hdf5 {

/// A sealed checkpoint, read at the offsets its index gives. It calls no function of libhdf5.
template <class>
class basic_sealed_reader final : public reader {
 public:
  /// The trailer of a sealed file, nothing for a file without one. Throws `format_error` for what is no HDF5 file.
  static std::optional<trailer> trailer_of(const io::file& file) {
    const std::uint64_t size = file.size();
    if (size == 0) throw format_error(file.path() + ": expected a checkpoint, found an empty file");
    std::array<std::byte, 8> start{};
    if (size >= start.size()) file.read_at(0, start);
    if (std::memcmp(start.data(), "\x89HDF\r\n\x1a\n", start.size()) != 0)
      throw format_error(file.path() + ": expected a checkpoint, found a file that is not HDF5 (it does not begin with HDF5's signature)");
    if (size < trailer::bytes) return std::nullopt;
    std::array<std::byte, trailer::bytes> end;
    file.read_at(size - trailer::bytes, end);
    return trailer::decode(end, size, file.path());
  }

  /// Reads and verifies the index; a file that was sealed with a key needs it. Throws `integrity_error` or `format_error`.
  basic_sealed_reader(std::shared_ptr<io::file> opened, const trailer& t, const seal_key& key = {}) : reader(opened->path(), true), disk_(std::move(opened)), trailer_(t) {
    key_ = key;
    if (t.keyed && !key) throw integrity_error(file() + ": was sealed with a key, which alone can verify it; pass it as .key");
    if (key && !t.keyed) throw integrity_error(file() + ": expected a seal made with the key, found one made without any; do not trust it, or leave .key out");
    if (key && t.code(key) != t.mac) throw integrity_error(file() + ": the seal was not made with this key; the file was changed, or the key is another");
    std::vector<std::byte> encoded(t.index_bytes());
    disk_->read_at(t.index_offset, encoded);
    const std::vector<digest> digests = detail::index_digests(encoded, key);
    std::vector<digest> stored(digests.size());
    disk_->read_at(t.index_offset + t.index_bytes(), std::as_writable_bytes(std::span(stored)));
    if (stored != digests || holdfast::detail::root_of(digests, key) != t.index_digest)
      throw integrity_error(file() + ": the index is damaged: its digest is not the one in the trailer; take an older checkpoint");
    index decoded = decode(encoded, t.counts, t.end, t.digest_block, file());
    first_block_ = std::move(decoded.first_block);
    blocks_ = std::move(decoded.blocks);
    set_entries(std::move(decoded.entries));
    step_ = t.step;
    metric_ = t.metric;
    digest_block_ = t.digest_block;
  }

  const io::file* contiguous() const noexcept override { return disk_.get(); }

  void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const override {
    disk_->read_at(e.offset + first * size_of(e.dtype), {out, count * size_of(e.dtype)});
  }

  bool has_digest(const entry&) const override { return true; }

  void verify(const entry& e, std::span<const digest> blocks) const override {
    if (blocks.empty() || holdfast::detail::root_of(blocks, key_) == e.digest) return;
    if (blocks.size() > 1) {
      const digest* stored = blocks_.data() + first_block_[origin(e)];
      for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (blocks[i] == stored[i]) continue;
        const std::uint64_t from = i * trailer_.digest_block, to = std::min(from + trailer_.digest_block, e.bytes);
        damaged(e, "bytes " + std::to_string(from) + " to " + std::to_string(to) + " of " + std::to_string(e.bytes) + " are not those that were saved (at byte " +
                       std::to_string(e.offset + from) + " of the file)");
      }
    }
    damaged(e, "its " + std::to_string(e.bytes) + " bytes are not those that were saved (at byte " + std::to_string(e.offset) + " of the file)");
  }

  void verify_metadata() const override {
    holdfast::detail::stream_digest d(key_);
    std::vector<std::byte> piece(std::min(std::uint64_t{64} << 10, trailer_.index_offset));
    for_each_gap(entries(), trailer_.index_offset, [&](std::uint64_t from, std::uint64_t to) {
      while (from < to) {
        const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), to - from));
        disk_->read_at(from, part);
        d.update(part);
        from += part.size();
      }
    });
    if (d.finish() != trailer_.metadata_digest)
      throw integrity_error(file() + ": the HDF5 metadata is damaged: its digest is not the one in the trailer; take an older checkpoint");
  }

  std::shared_ptr<const std::byte> map(const entry& e) const override {
    if (!whole_) whole_ = disk_->map();
    return {whole_, whole_.get() + e.offset};
  }

  /// Calls `visit(from, to)` for the stretches before `end` that hold no tensor's bytes, in order.
  template <class F>
  static void for_each_gap(const std::vector<entry>& entries, std::uint64_t end, F&& visit) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> used;
    for (const entry& e : entries)
      if (e.kind == entry_kind::tensor && e.bytes != 0) used.emplace_back(e.offset, e.offset + e.bytes);
    holdfast::detail::sort(used);
    std::uint64_t at = 0;
    for (const auto& [from, to] : used) {
      if (at < from) visit(at, from);
      at = to;
    }
    if (at < end) visit(at, end);
  }

 private:
  std::shared_ptr<io::file> disk_;
  trailer trailer_;
  std::vector<std::uint64_t> first_block_;
  std::vector<digest> blocks_;
  mutable std::shared_ptr<const std::byte> whole_;
};
using sealed_reader = basic_sealed_reader<void>;

}  // namespace holdfast::hdf5
