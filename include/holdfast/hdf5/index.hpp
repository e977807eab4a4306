#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>

namespace holdfast::hdf5 {

/// What the file says of itself behind its HDF5 part: every path with type, shape, place and digest. It is enough to
/// restore, map and list a checkpoint without libhdf5. docs/format.md has the encoding byte by byte.
struct index {
  std::vector<entry> entries;              ///< sorted by path
  std::vector<std::uint64_t> first_block;  ///< beside `entries`: where in `blocks` its digests start
  std::vector<digest> blocks;              ///< digests of the blocks of tensors that have more than one
};

/// The sizes of an encoded index, kept in the trailer.
struct index_counts {
  std::uint64_t entries = 0, extents = 0, blocks = 0, names = 0;
};

namespace detail {

inline constexpr std::size_t record_bytes = 96, index_block = 64 * 1024;

/// Fixed-size numbers at fixed places. Every platform this compiles on is little-endian (core/dtype.hpp).
template <class T>
void put(std::vector<std::byte>& out, std::size_t at, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(out.data() + at, &value, sizeof value);
}
template <class T>
T get(std::span<const std::byte> in, std::size_t at) {
  T value;
  std::memcpy(&value, in.data() + at, sizeof value);
  return value;
}

/// The digest of an index: over blocks, so that a reader of one record can verify the blocks it touches and no more.
template <class = void>
std::vector<digest> index_digests(std::span<const std::byte> encoded, const seal_key& key = {}) {
  holdfast::detail::block_digest d(index_block, key);
  d.update(encoded);
  return d.finish();
}

/// Whether strings of this shape, whose width is its last extent, are more than `most`. HDF5 gives each a byte at least,
/// and a restore makes each of them.
template <class = void>
bool more_rows_than(const shape& s, std::uint64_t most) {
  std::uint64_t rows = 1;
  bool too_many = false;
  for (std::size_t i = 0; i + 1 < s.rank(); ++i) {
    const auto n = static_cast<std::uint64_t>(s[i]);
    if (n == 0) return false;
    too_many = too_many || rows > most / n;
    rows *= n;
  }
  return too_many;
}

}  // namespace detail

/// Bytes of an index with these counts, without the digests that follow it; nothing if that overflows.
template <class = void>
std::optional<std::uint64_t> encoded_bytes(const index_counts& c) {
  constexpr std::uint64_t limit = std::uint64_t{1} << 48;
  if (c.entries > limit / detail::record_bytes || c.extents > limit / 8 || c.blocks > limit / 16 || c.names > limit) return std::nullopt;
  return c.entries * detail::record_bytes + c.extents * 8 + c.blocks * 16 + c.names;
}

/// The counts of the index of these entries, known before their digests are.
template <class = void>
index_counts counts_of(const std::vector<entry>& entries, std::uint64_t digest_block) {
  index_counts counts{.entries = entries.size()};
  for (const entry& e : entries) {
    counts.names += e.path.size() + e.alias_of.size();
    if (e.kind != entry_kind::tensor) continue;
    counts.extents += e.shape.rank();
    if (const std::uint64_t blocks = holdfast::detail::blocks_in(e.bytes, digest_block); blocks > 1) counts.blocks += blocks;
  }
  return counts;
}

/// Records, then extents, then block digests, then names.
template <class = void>
std::vector<std::byte> encode(const index& from, const index_counts& counts) {
  std::vector<std::byte> out(*encoded_bytes(counts));
  const std::size_t extents_at = counts.entries * detail::record_bytes, blocks_at = extents_at + counts.extents * 8;
  const std::size_t names_at = blocks_at + counts.blocks * 16;
  std::uint64_t extent = 0, name = 0;
  const auto text = [&](const std::string& s) {
    std::memcpy(out.data() + names_at + name, s.data(), s.size());
    return std::exchange(name, name + s.size());
  };
  for (std::size_t i = 0; i < from.entries.size(); ++i) {
    const entry& e = from.entries[i];
    const std::size_t at = i * detail::record_bytes;
    detail::put(out, at, text(e.path));
    detail::put(out, at + 8, static_cast<std::uint32_t>(e.path.size()));
    detail::put(out, at + 12, e.kind);
    if (e.kind == entry_kind::alias) {
      detail::put(out, at + 72, text(e.alias_of));
      detail::put(out, at + 80, static_cast<std::uint32_t>(e.alias_of.size()));
    }
    if (e.kind != entry_kind::tensor) continue;
    detail::put(out, at + 13, e.dtype);
    detail::put(out, at + 14, static_cast<std::uint16_t>(e.shape.rank()));
    detail::put(out, at + 16, e.offset);
    detail::put(out, at + 24, e.bytes);
    detail::put(out, at + 32, e.digest);
    detail::put(out, at + 48, extent);
    detail::put(out, at + 56, from.first_block[i]);
    detail::put(out, at + 64, static_cast<std::int32_t>(e.place.kind));
    detail::put(out, at + 68, static_cast<std::int32_t>(e.place.device));
    for (std::int64_t n : e.shape) detail::put(out, extents_at + 8 * extent++, n);
  }
  if (!from.blocks.empty()) std::memcpy(out.data() + blocks_at, from.blocks.data(), from.blocks.size() * 16);
  return out;
}

namespace detail {

/// Where the tables of an encoded index begin.
struct index_tables {
  std::uint64_t extents, blocks, names;
  explicit index_tables(const index_counts& c) : extents(c.entries * record_bytes), blocks(extents + c.extents * 8), names(blocks + c.blocks * 16) {}
};

template <class = void>
[[noreturn]] void refuse_record(const std::string& file, std::uint64_t record, const char* why) {
  throw format_error(file + ": index record " + std::to_string(record) + ": " + why + "; the file is damaged or was not written by holdfast");
}

/// Decodes one record of an index and checks all that can be told of one alone. `text(at, bytes)` reads a name that lies in
/// the table of names.
template <class Text>
entry decode_record(std::span<const std::byte> in, const index_counts& counts, std::uint64_t i, std::uint64_t end, std::uint64_t digest_block, const std::string& file, Text&& text) {
  const auto refuse = [&](const char* why) { refuse_record(file, i, why); };
  const auto name = [&](std::uint64_t at, std::uint64_t bytes) {
    if (at > counts.names || bytes > counts.names - at || bytes == 0) refuse("a name outside the table of names");
    std::string s = text(at, bytes);
    if (s.find('\0') != std::string::npos) refuse("a name with NUL in it");
    return s;
  };
  const std::span<const std::byte> r = in.subspan(i * record_bytes, record_bytes);
  entry e;
  e.path = name(get<std::uint64_t>(r, 0), get<std::uint32_t>(r, 8));
  const auto kind = get<std::uint8_t>(r, 12);
  if (kind > static_cast<std::uint8_t>(entry_kind::absent)) refuse("an unknown kind of entry");
  e.kind = static_cast<entry_kind>(kind);
  if (e.kind == entry_kind::alias) e.alias_of = name(get<std::uint64_t>(r, 72), get<std::uint32_t>(r, 80));
  if (e.kind != entry_kind::tensor) return e;
  e.dtype = get<holdfast::dtype>(r, 13);
  if (size_of(e.dtype) == 0) refuse("an unknown dtype");
  const auto rank = get<std::uint16_t>(r, 14);
  const auto extent = get<std::uint64_t>(r, 48), first_block = get<std::uint64_t>(r, 56);
  if (rank > shape::max_rank || extent > counts.extents || rank > counts.extents - extent) refuse("extents outside the table of extents");
  if (e.dtype == dtype::string && rank == 0) refuse("a string without a width");
  std::array<std::int64_t, shape::max_rank> extents;
  if (rank != 0) std::memcpy(extents.data(), in.data() + index_tables(counts).extents + 8 * extent, 8 * std::size_t{rank});
  try {
    e.shape = shape(std::span<const std::int64_t>(extents).first(rank));
  } catch (const error&) {
    refuse("an impossible shape");
  }
  e.offset = get<std::uint64_t>(r, 16);
  e.bytes = get<std::uint64_t>(r, 24);
  const auto elements = static_cast<std::uint64_t>(e.shape.elements());
  if (e.bytes / size_of(e.dtype) != elements || e.bytes % size_of(e.dtype) != 0) refuse("a length that its type and shape do not give");
  if (e.offset > end || e.bytes > end - e.offset) refuse("data outside the file");
  if (e.dtype == dtype::string && e.shape.back() == 0 && more_rows_than(e.shape, end)) refuse("more empty strings than bytes in the file");
  const std::uint64_t blocks = holdfast::detail::blocks_in(e.bytes, digest_block);
  if (blocks > 1 && (first_block > counts.blocks || blocks > counts.blocks - first_block)) refuse("digests outside the table of digests");
  e.digest = get<holdfast::digest>(r, 32);
  e.place = {get<std::int32_t>(r, 64), get<std::int32_t>(r, 68)};
  return e;
}

}  // namespace detail

/// Decodes and checks everything a reader relies on: counts, bounds, order, that types and shapes give the stored
/// lengths, that no two tensors overlap, that links lead somewhere. `end` is HDF5's end of allocation. Allocates no
/// more than a small multiple of `in`. Throws `format_error` beginning with `file`.
template <class = void>
index decode(std::span<const std::byte> in, const index_counts& counts, std::uint64_t end, std::uint64_t digest_block, const std::string& file) {
  if (encoded_bytes(counts) != in.size()) throw format_error(file + ": the index does not have the length its trailer says");
  const detail::index_tables tables(counts);
  index result;
  result.entries.reserve(counts.entries);
  result.first_block.reserve(counts.entries);
  result.blocks.resize(counts.blocks);
  if (counts.blocks != 0) std::memcpy(result.blocks.data(), in.data() + tables.blocks, counts.blocks * 16);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> used;
  std::uint64_t unused_names = counts.names;
  for (std::uint64_t i = 0; i < counts.entries; ++i) {
    entry e = detail::decode_record(in, counts, i, end, digest_block, file, [&](std::uint64_t at, std::uint64_t bytes) {
      // Names that shared bytes could together be as long as the square of the index.
      if (bytes > unused_names) detail::refuse_record(file, i, "names that overlap in the table of names");
      unused_names -= bytes;
      return std::string(reinterpret_cast<const char*>(in.data()) + tables.names + at, bytes);
    });
    if (!result.entries.empty() && result.entries.back().path >= e.path) detail::refuse_record(file, i, "names out of order");
    if (e.bytes != 0) used.emplace_back(e.offset, e.bytes);
    result.entries.push_back(std::move(e));
    result.first_block.push_back(detail::get<std::uint64_t>(in, i * detail::record_bytes + 56));
  }
  holdfast::detail::sort(used);
  for (std::size_t i = 1; i < used.size(); ++i)
    if (used[i - 1].first + used[i - 1].second > used[i].first) throw format_error(file + ": two tensors overlap; the file is damaged or was not written by holdfast");
  for (std::uint64_t i = 0; i < counts.entries; ++i) {
    const entry& e = result.entries[i];
    if (e.kind != entry_kind::alias) continue;
    const auto from = [&](const std::string& path) {
      return std::lower_bound(result.entries.begin(), result.entries.end(), path, [](const entry& x, const std::string& p) { return x.path < p; });
    };
    const auto at = from(e.alias_of), below = from(e.alias_of + "/");  // not neighbours: "a-b" sorts between "a" and "a/b"
    const bool is_entry = at != result.entries.end() && at->path == e.alias_of;
    const bool leads = is_entry ? at->kind != entry_kind::alias : below != result.entries.end() && holdfast::detail::within(below->path, e.alias_of);
    if (!leads || holdfast::detail::within(e.path, e.alias_of)) detail::refuse_record(file, i, "a link that leads nowhere");
  }
  return result;
}

/// Bytes of a file.
struct byte_range {
  std::uint64_t begin, end;
};

/// Calls `visit(from, to)` for the stretches before `end` that lie in none of the ranges, which are sorted and disjoint.
template <class Ranges, class F>
void for_each_gap(const Ranges& ranges, std::uint64_t end, F&& visit) {
  std::uint64_t at = 0;
  for (const auto& r : ranges) {
    if (at < r.begin) visit(at, r.begin);
    at = r.end;
  }
  if (at < end) visit(at, end);
}

/// The digest of every byte before `end` that belongs to no tensor; `read(at, bytes)` gives them.
template <class Ranges, class Read>
digest metadata_digest(const Ranges& tensors, std::uint64_t end, const seal_key& key, Read&& read) {
  holdfast::detail::stream_digest d(key);
  std::vector<std::byte> piece(std::size_t{64} << 10);
  for_each_gap(tensors, end, [&](std::uint64_t from, std::uint64_t to) {
    while (from < to) {
      const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), to - from));
      read(from, bytes);
      d.update(bytes);
      from += bytes.size();
    }
  });
  return d.finish();
}

}  // namespace holdfast::hdf5
