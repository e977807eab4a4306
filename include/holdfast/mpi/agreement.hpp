#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/digest.hpp>
#include <holdfast/core/error.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/shard.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi::detail {

using holdfast::detail::shard;

/// The group of what each rank has for itself, and the dataset in it that says how many ranks saved.
inline constexpr const char *ranks_group = "ranks", *rank_count = "ranks/count";

/// The group of what is one rank's own.
template <class = void>
std::string own_group(int rank) { return std::string(ranks_group) + "/" + std::to_string(rank); }

/// The rank whose own state a path names, -1 for state that all ranks share. Throws `error` for a path in /ranks that is
/// neither.
inline int rank_of(std::string_view path) {
  const std::string_view group = ranks_group;
  if (!holdfast::detail::within(path, group)) return -1;
  const std::string_view rest = path.substr(std::min(path.size(), group.size() + 1)), digits = rest.substr(0, rest.find('/'));
  int rank = -1;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (failed != std::errc() || end != digits.data() + digits.size() || rank < 0 || std::to_string(rank) != digits || digits.size() == rest.size())
    throw error("/" + std::string(path) + ": in /ranks a rank binds only what is its own, below /ranks/<its number>; holdfast::mpi::rank_only makes such a path");
  return rank;
}

template <class = void>
std::string describe(const entry& e, bool sharded) {
  switch (e.kind) {
    case entry_kind::tensor: return holdfast::describe(e.dtype, e.shape) + (sharded ? " in shards" : "");
    case entry_kind::group: return "a container";
    case entry_kind::alias: return "a second name of /" + e.alias_of;
    case entry_kind::absent: break;
  }
  return "nothing (an empty optional or null pointer)";
}

using numbers = std::array<std::int64_t, shape::max_rank>;

template <class = void>
std::span<const std::int64_t> unpack_numbers(unpacker& from, std::size_t count, numbers& memory) {
  const auto taken = std::span(memory).first(std::min(count, memory.size()));
  for (std::int64_t& each : taken) each = from.get<std::int64_t>();  // a copy of so few, how many is known at run time, costs more than all else
  return taken;
}
template <class = void>
shape unpack_shape(unpacker& from, std::size_t rank) {
  numbers memory;
  return shape(unpack_numbers(from, rank, memory));
}

/// What has a size of its own follows it: the path, the path of the first name, the extents.
struct packed_entry {
  std::uint32_t path, alias_of;
  entry_kind kind;
  holdfast::dtype dtype;
  std::uint8_t rank;
  bool sharded;
};
static_assert(std::has_unique_object_representations_v<packed_entry>);

template <class = void>
void pack(packer& to, const entry& e, bool sharded) {
  to.put(packed_entry{static_cast<std::uint32_t>(e.path.size()), static_cast<std::uint32_t>(e.alias_of.size()), e.kind, e.dtype, static_cast<std::uint8_t>(e.shape.rank()), sharded});
  to.append(std::as_bytes(std::span(e.path)));
  to.append(std::as_bytes(std::span(e.alias_of)));
  to.append(std::as_bytes(std::span(e.shape.begin(), e.shape.end())));
}
template <class = void>
std::pair<entry, bool> unpack_entry(unpacker& from) {
  const auto fixed = from.get<packed_entry>();
  entry e;
  e.path = from.text(fixed.path);
  e.kind = fixed.kind;
  e.dtype = fixed.dtype;
  e.alias_of = from.text(fixed.alias_of);
  e.shape = unpack_shape(from, fixed.rank);
  if (e.kind == entry_kind::tensor) e.bytes = static_cast<std::uint64_t>(e.shape.elements()) * size_of(e.dtype);
  return {std::move(e), fixed.sharded};
}

template <class = void>
void pack(packer& to, const shard& s) {
  to.put(static_cast<std::uint8_t>(s.dimensions()));
  to.append(std::as_bytes(std::span(s.offsets().begin(), s.offsets().end())));
  to.append(std::as_bytes(std::span(s.extents().begin(), s.extents().end())));
}
template <class = void>
shard unpack_shard(unpacker from, const shape& whole) {
  const auto dimensions = from.get<std::uint8_t>();
  numbers offsets;
  const auto at = unpack_numbers(from, dimensions, offsets);
  return {whole, at, unpack_shape(from, dimensions)};
}

/// The parts that one rank has of tensors, to be sent: each that differs once, since layers are cut alike, and of each tensor the number of
/// its part, in as few bytes as tell them apart.
template <class>
class basic_packed_parts {
 public:
  void put(const shard& s) {
    one_.clear();
    pack(one_, s);
    const auto [at, is_new] = known_.try_emplace(holdfast::detail::digest_of(one_.bytes()).bytes, static_cast<std::uint32_t>(known_.size()));
    if (is_new) distinct_.append(one_.bytes());
    numbers_.push_back(at->second);
  }
  void to(packer& out) const {
    out.put(static_cast<std::uint32_t>(known_.size()));
    out.append(distinct_.bytes());
    const auto put_as = [&]<class T>(T) {
      for (const std::uint32_t n : numbers_) out.put(static_cast<T>(n));
    };
    if (known_.size() <= one_byte) put_as(std::uint8_t());
    else if (known_.size() <= two_bytes) put_as(std::uint16_t());
    else put_as(std::uint32_t());
  }

  static constexpr std::size_t one_byte = 1u << 8, two_bytes = 1u << 16;

 private:
  std::map<std::array<std::uint8_t, sizeof(digest)>, std::uint32_t> known_;
  std::vector<std::uint32_t> numbers_;
  packer distinct_, one_;
};
using packed_parts = basic_packed_parts<void>;

/// The same received: the parts in the order in which they were put.
template <class>
class basic_unpacked_parts {
 public:
  explicit basic_unpacked_parts(unpacker from) : numbers_(from) {
    const auto count = numbers_.get<std::uint32_t>();
    distinct_.reserve(count);
    for (std::uint32_t n = 0; n < count; ++n) {
      const unpacker begin = numbers_;
      const std::size_t size = 2 * std::size_t{numbers_.get<std::uint8_t>()} * sizeof(std::int64_t);
      numbers_.take(size);
      distinct_.push_back(begin);
    }
  }
  /// The next one's number: one that it had before is that part again.
  std::uint32_t next() {
    if (distinct_.size() <= packed_parts::one_byte) return numbers_.get<std::uint8_t>();
    if (distinct_.size() <= packed_parts::two_bytes) return numbers_.get<std::uint16_t>();
    return numbers_.get<std::uint32_t>();
  }
  /// The part of that number.
  shard part(std::uint32_t n, const shape& whole) const { return unpack_shard(distinct_.at(n), whole); }

 private:
  std::vector<unpacker> distinct_;  // each from where it begins on
  unpacker numbers_;
};
using unpacked_parts = basic_unpacked_parts<void>;

/// Throws `error` with the first difference between what rank 0 shares with the others and what this rank does. Places are not
/// compared: each rank may have a device of its own.
template <class = void>
void require_same(std::span<const std::byte> of_root, std::span<const std::byte> mine) {
  unpacker theirs(of_root), own(mine);
  const auto refuse = [](const std::string& path, const std::string& expected, const std::string& found) {
    throw error("/" + path + ": expected " + expected + ", as rank 0 has it, found " + found + "; all ranks bind the same names, types and shapes, but for what lies below /ranks/<its number>");
  };
  while (!theirs.empty() || !own.empty()) {
    const auto a = theirs.empty() ? std::pair(entry(), false) : unpack_entry(theirs), b = own.empty() ? std::pair(entry(), false) : unpack_entry(own);
    const entry &x = a.first, &y = b.first;
    if (y.path.empty() || (!x.path.empty() && x.path < y.path)) refuse(x.path, describe(x, a.second), "nothing bound");
    if (x.path.empty() || y.path < x.path) refuse(y.path, "nothing bound", describe(y, b.second));
    if (x.kind != y.kind || x.dtype != y.dtype || x.shape != y.shape || x.alias_of != y.alias_of || a.second != b.second) refuse(x.path, describe(x, a.second), describe(y, b.second));
  }
}

/// Throws `error` where the parts that ranks hold of a tensor do not make up all of it, or two of them overlap.
template <class = void>
void require_cover(const std::string& path, const std::vector<shard>& parts) {
  std::vector<std::size_t> ranks;
  std::uint64_t held = 0;
  for (std::size_t r = 0; r < parts.size(); ++r) {
    held += parts[r].elements();
    if (parts[r].elements() != 0) ranks.push_back(r);
  }
  const auto hold = [&](std::size_t r) { return "rank " + std::to_string(r) + " holds " + parts[r].text(); };
  const auto end = [&](std::size_t r, std::size_t i) { return parts[r].offsets()[i] + parts[r].extents()[i]; };
  for (const std::size_t r : ranks)
    if (parts[r].flattened() != parts[ranks.front()].flattened()) throw error("/" + path + ": " + hold(ranks.front()) + ", " + hold(r) + ": expected blocks from all ranks, or stretches of the elements from all");
  // Those that can overlap are next to each other by the dimension that is cut most.
  const std::size_t dimensions = ranks.empty() ? 0 : parts[ranks.front()].dimensions();
  std::size_t by = 0, most = 0;
  for (std::size_t i = 0; i < dimensions; ++i) {
    std::vector<std::int64_t> starts;
    for (const std::size_t r : ranks) starts.push_back(parts[r].offsets()[i]);
    holdfast::detail::sort(starts);
    const auto distinct = static_cast<std::size_t>(std::unique(starts.begin(), starts.end()) - starts.begin());
    if (distinct > most) by = i, most = distinct;
  }
  if (dimensions != 0) holdfast::detail::sort(ranks, [&](std::size_t a, std::size_t b) { return parts[a].offsets()[by] < parts[b].offsets()[by]; });
  for (std::size_t n = 0; n < ranks.size(); ++n) {
    for (std::size_t m = n + 1; m < ranks.size() && (dimensions == 0 || parts[ranks[m]].offsets()[by] < end(ranks[n], by)); ++m) {
      const std::size_t a = std::min(ranks[n], ranks[m]), b = std::max(ranks[n], ranks[m]);
      bool apart = false;
      for (std::size_t i = 0; i < dimensions; ++i) apart = apart || end(a, i) <= parts[b].offsets()[i] || end(b, i) <= parts[a].offsets()[i];
      if (!apart) throw error("/" + path + ": " + hold(a) + " and " + hold(b) + ", which overlap; every element of a sharded tensor has one rank");
    }
  }
  const auto total = static_cast<std::uint64_t>(parts.front().whole().elements());
  if (held == total) return;
  std::string text = "/" + path + ": the ranks hold " + std::to_string(held) + " of " + std::to_string(total) + " elements";
  for (std::size_t r = 0; r < parts.size(); ++r) text += (r == 0 ? ": " : ", ") + hold(r);
  throw error(text);
}

}  // namespace holdfast::mpi::detail
