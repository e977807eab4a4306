#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
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
template <class X>
class basic_sealed_reader final : public reader {
 public:
  /// The trailer of a sealed file, nothing for a file without one. Throws `format_error` for what is no HDF5 file.
  static std::optional<basic_trailer<X>> trailer_of(const io::file& file) {
    const std::uint64_t size = file.size();
    if (size == 0) throw format_error(file.path() + ": expected a checkpoint, found an empty file");
    std::array<std::byte, 8> start{};
    if (size >= start.size()) file.read_at(0, start);
    if (std::memcmp(start.data(), "\x89HDF\r\n\x1a\n", start.size()) != 0)
      throw format_error(file.path() + ": expected a checkpoint, found a file that is not HDF5 (it does not begin with HDF5's signature)");
    if (size < basic_trailer<X>::bytes) return std::nullopt;
    std::array<std::byte, basic_trailer<X>::bytes> end;
    file.read_at(size - basic_trailer<X>::bytes, end);
    return basic_trailer<X>::decode(end, size, file.path());
  }

  /// Reads and verifies the index; a file that was sealed with a key needs it. Throws `integrity_error` or `format_error`.
  /// With `on_demand` the index is read when it is asked for: all of it, or the few pages that tell of one entry.
  basic_sealed_reader(std::shared_ptr<io::file> opened, const basic_trailer<X>& t, const seal_key& key = {}, bool on_demand = false) : reader(opened->path(), true), disk_(std::move(opened)), trailer_(t) {
    key_ = key;
    if (t.keyed && !key) throw integrity_error(file() + ": was sealed with a key, which alone can verify it; pass it as .key");
    if (key && !t.keyed) throw integrity_error(file() + ": expected a seal made with the key, found one made without any; do not trust it, or leave .key out");
    if (key && t.code(key) != t.mac) throw integrity_error(file() + ": the seal was not made with this key; the file was changed, or the key is another");
    index_digests_.resize(t.index_digests_bytes() / sizeof(digest));
    disk_->read_at(t.index_offset + t.index_bytes(), std::as_writable_bytes(std::span(index_digests_)));
    if (holdfast::detail::root_of(index_digests_, key) != t.index_digest) damaged_index();
    step_ = t.step;
    metric_ = t.metric;
    digest_block_ = t.digest_block;
    if (!on_demand) load();
  }

  /// Searches the index in the file itself, then verifies what it says of this entry. Where anything speaks against it the
  /// whole index has the word.
  const entry* find_alone(std::string_view path) const override {
    constexpr std::size_t few = 8;  // entries; for more of them, or where the index is small, all are read
    if (const auto known = alone_.find(path); known != alone_.end()) return &known->second;
    if (loaded_ || alone_.size() == few || trailer_.index_bytes() <= few * detail::index_block / 2) return nullptr;
    const auto whole = mapped();
    const std::span in(whole.get() + trailer_.index_offset, trailer_.index_bytes());
    const detail::index_tables tables(trailer_.counts);
    const auto name = [&](std::uint64_t i) {
      const auto at = detail::get<std::uint64_t>(in, i * detail::record_bytes);
      const auto bytes = detail::get<std::uint32_t>(in, i * detail::record_bytes + 8);
      const bool sound = at <= trailer_.counts.names && bytes <= trailer_.counts.names - at;
      return sound ? std::string_view(reinterpret_cast<const char*>(in.data()) + tables.names + at, bytes) : std::string_view();
    };
    std::uint64_t first = 0, end = trailer_.counts.entries;
    while (first < end) {
      const std::uint64_t middle = first + (end - first) / 2;
      if (name(middle) < path) first = middle + 1;
      else end = middle;
    }
    if (first == trailer_.counts.entries || name(first) != path) return nullptr;
    const std::uint64_t record = first * detail::record_bytes;
    const auto name_at = static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(name(first).data()) - in.data());
    const auto rank = detail::get<std::uint16_t>(in, record + 14);
    const auto extents = tables.extents + 8 * detail::get<std::uint64_t>(in, record + 48);
    if (!intact(in, record, detail::record_bytes) || !intact(in, name_at, path.size()) || !intact(in, extents, 8 * rank)) return nullptr;
    entry e = detail::decode_record(in, trailer_.counts, first, trailer_.end, trailer_.digest_block, file(), [&](std::uint64_t, std::uint64_t) { return std::string(path); });
    if (e.kind == entry_kind::alias) return nullptr;
    return &alone_.emplace(path, std::move(e)).first->second;
  }

  const io::file* contiguous() const noexcept override { return disk_.get(); }

  void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const override {
    disk_->read_at(e.offset + first * size_of(e.dtype), {out, count * size_of(e.dtype)});
  }

  bool has_digest(const entry&) const override { return true; }

  void verify(const entry& e, std::span<const digest> blocks) const override {
    if (blocks.empty() || holdfast::detail::root_of(blocks, key_) == e.digest) return;
    for (std::size_t i = 0; blocks.size() > 1 && i < blocks.size(); ++i) verify_block(e, i, blocks[i]);
    damaged(e, "its " + std::to_string(e.bytes) + " bytes are not those that were saved (at byte " + std::to_string(e.offset) + " of the file)");
  }

  bool verifies_blocks() const override { return true; }
  void verify_block(const entry& e, std::uint64_t number, const digest& found) const override {
    load();
    const bool several = e.bytes > trailer_.digest_block;
    if (found == (several ? blocks_[first_block_[origin(*find_listed(e.path))] + number] : e.digest)) return;
    const std::uint64_t from = number * trailer_.digest_block, to = std::min(from + trailer_.digest_block, e.bytes);
    damaged(e, "bytes " + std::to_string(from) + " to " + std::to_string(to) + " of " + std::to_string(e.bytes) + " are not those that were saved (at byte " +
                   std::to_string(e.offset + from) + " of the file)");
  }

  void verify_metadata() const override {
    const auto read = [this](std::uint64_t at, std::span<std::byte> out) { disk_->read_at(at, out); };
    if (metadata_digest(ranges_of(entries()), trailer_.index_offset, key_, read) != trailer_.metadata_digest)
      throw integrity_error(file() + ": the HDF5 metadata is damaged: its digest is not the one in the trailer; take an older checkpoint");
  }

  std::shared_ptr<const std::byte> map(const entry& e) const override {
    const auto whole = mapped();
    return {whole, whole.get() + e.offset};
  }

  /// Where tensors lie, in the order of the file.
  static std::vector<byte_range> ranges_of(const std::vector<entry>& entries) {
    std::vector<byte_range> used;
    for (const entry& e : entries)
      if (e.kind == entry_kind::tensor && e.bytes != 0) used.push_back({e.offset, e.offset + e.bytes});
    holdfast::detail::sort(used, [](const byte_range& a, const byte_range& b) { return a.begin < b.begin; });
    return used;
  }

 private:
  void load() const override {
    std::call_once(once_, [this] {
      std::vector<std::byte> encoded(trailer_.index_bytes());
      disk_->read_at(trailer_.index_offset, encoded);
      if (detail::index_digests(encoded, key_) != index_digests_) damaged_index();
      index decoded = decode(encoded, trailer_.counts, trailer_.end, trailer_.digest_block, file());
      first_block_ = std::move(decoded.first_block);
      blocks_ = std::move(decoded.blocks);
      set_entries(std::move(decoded.entries));
      loaded_ = true;
    });
  }

  [[noreturn]] void damaged_index() const {
    throw integrity_error(file() + ": the index is damaged: its digest is not the one in the trailer; take an older checkpoint");
  }

  /// Whether the blocks of the index that a range lies in are those that were saved.
  bool intact(std::span<const std::byte> in, std::uint64_t from, std::uint64_t bytes) const {
    if (from > in.size() || bytes > in.size() - from) return false;
    for (std::uint64_t block = from / detail::index_block; block * detail::index_block < from + bytes; ++block) {
      const auto part = in.subspan(block * detail::index_block).first(std::min<std::uint64_t>(detail::index_block, in.size() - block * detail::index_block));
      if (holdfast::detail::digest_of(part, key_) != index_digests_[block]) return false;
    }
    return true;
  }

  std::shared_ptr<const std::byte> mapped() const {
    if (!whole_) whole_ = disk_->map();
    return whole_;
  }

  std::shared_ptr<io::file> disk_;
  basic_trailer<X> trailer_;
  std::vector<digest> index_digests_;
  mutable std::once_flag once_;
  mutable bool loaded_ = false;
  mutable std::vector<std::uint64_t> first_block_;
  mutable std::vector<digest> blocks_;
  mutable std::map<std::string, entry, std::less<>> alone_;
  mutable std::shared_ptr<const std::byte> whole_;
};
using sealed_reader = basic_sealed_reader<void>;

}  // namespace holdfast::hdf5
