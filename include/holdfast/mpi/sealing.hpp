#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/save.hpp>
#include <holdfast/checkpoint/save_options.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/hdf5/sealed_reader.hpp>
#include <holdfast/io/durable_file.hpp>
#include <holdfast/mpi/blueprint.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi::detail {

/// Packs what rank 0 writes for this rank: its small tensors, in the order of paths, and then its parts of small ones.
template <class X>
void pack_small(const basic_blueprint<X>& plan, const std::vector<const tensor_view*>& views, packer& to) {
  const auto put = [&](const auto& p) {
    const tensor_view& v = *views[p.item];
    std::vector<std::byte> bytes(v.bytes());
    gather(v, 0, v.bytes() / size_of(v.dtype()), bytes.data());
    to.append(bytes);
  };
  for (const auto& p : plan.own_small) put(p);
  for (const auto& p : plan.small_shards) put(p);
}

/// Rank 0: writes everything but large tensors, and gives the file its name. By rank, `contents` is what `pack_small` gave, and `digests` those of
/// the blocks that it wrote.
template <class X>
void seal(io::basic_durable_file<X>& file, hdf5::basic_trailer<X>& end, basic_blueprint<X>& plan, const std::vector<const tensor_view*>& views, const std::vector<std::vector<std::byte>>& contents, const std::vector<std::vector<std::byte>>& digests, const save_options& options) {
  hdf5::basic_layout<X>& layout = *plan.layout;
  hdf5::index index{.entries = layout.entries, .first_block = std::vector<std::uint64_t>(layout.entries.size()), .blocks = {}};
  for (entry& e : index.entries)
    if (e.kind == entry_kind::tensor && e.bytes == 0) e.digest = holdfast::detail::root_of({}, options.key);

  std::vector<std::vector<std::byte>> small(layout.entries.size());
  std::vector<unpacker> given(contents.begin(), contents.end());
  std::vector<unpacker> found(digests.begin(), digests.end());
  std::vector<digest> blocks;
  const auto close_large = [&](std::size_t n) {
    index.entries[n].digest = holdfast::detail::root_of(blocks, options.key);
    index.first_block[n] = blocks.size() > 1 ? index.blocks.size() : 0;
    if (blocks.size() > 1) index.blocks.insert(index.blocks.end(), blocks.begin(), blocks.end());
    blocks.clear();
  };
  for (const auto& p : plan.large) {
    for (std::uint64_t u = 0; u < holdfast::detail::blocks_in(p.bytes, holdfast::detail::digest_block); ++u) blocks.push_back(found[plan.owner(p.first_unit + u)].template get<digest>());
    close_large(plan.entry_of[p.number]);
  }
  for (const auto& f : plan.of_ranks) {
    const entry& e = layout.entries[f.entry];
    const auto rank = static_cast<std::size_t>(f.rank);
    if (e.bytes < hdf5::detail::large_tensor) {
      const auto bytes = given[rank].take(e.bytes);
      small[f.entry].assign(bytes.begin(), bytes.end());
      continue;
    }
    for (std::uint64_t u = 0; u < holdfast::detail::blocks_in(e.bytes, holdfast::detail::digest_block); ++u) blocks.push_back(found[rank].template get<digest>());
    close_large(f.entry);
  }
  for (const auto& sharded : plan.small_parts) {
    const entry& e = layout.entries[plan.entry_of[sharded.number]];
    auto& to = small[plan.entry_of[sharded.number]];
    to.resize(e.bytes);
    const std::size_t width = size_of(e.dtype);
    for (std::size_t r = 0; r < given.size(); ++r) {
      const shard& part = (*sharded.parts)[r];
      const auto bytes = given[r].take(part.elements() * width);
      part.for_each(0, e.bytes / width, [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) { std::memcpy(to.data() + at * width, bytes.data() + local * width, count * width); });
    }
  }
  for (const auto& p : plan.small_replicas) {
    auto& to = small[plan.entry_of[p.number]];
    to.resize(p.bytes);
    gather(*views[p.item], 0, p.bytes / size_of(views[p.item]->dtype()), to.data());
  }
  if (plan.count_entry) {
    const auto ranks = static_cast<std::int64_t>(contents.size());
    const auto bytes = std::as_bytes(std::span(&ranks, 1));
    small[*plan.count_entry].assign(bytes.begin(), bytes.end());
  }

  std::vector<std::pair<std::uint64_t, std::size_t>> in_order;  // small tensors by place
  std::vector<hdf5::byte_range> large;
  for (std::size_t n = 0; n < small.size(); ++n) {
    const entry& e = layout.entries[n];
    if (!small[n].empty()) {
      index.entries[n].digest = holdfast::detail::digest_of(small[n], options.key);
      in_order.emplace_back(e.offset, n);
    } else if (e.kind == entry_kind::tensor && e.bytes != 0) {
      large.push_back({e.offset, e.offset + e.bytes});
    }
  }
  holdfast::detail::sort(in_order);
  holdfast::detail::sort(large, [](const auto& a, const auto& b) { return a.begin < b.begin; });
  const std::vector<std::byte> tail = holdfast::detail::seal(layout, hdf5::basic_sealed_reader<X>::ranges_of(layout.entries), index, end, options.key);
  auto next = in_order.begin();
  hdf5::for_each_gap(large, end.index_offset, [&](std::uint64_t from, std::uint64_t to) {
    std::vector<std::byte> bytes(to - from);
    layout.image.read(from, bytes);
    for (; next != in_order.end() && next->first < to; ++next) std::copy(small[next->second].begin(), small[next->second].end(), bytes.begin() + static_cast<std::ptrdiff_t>(next->first - from));
    file->write_at(from, bytes);
  });
  file->write_at(end.index_offset, tail);
  file.commit(options.existing, options.durable);
}

}  // namespace holdfast::mpi::detail
