#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/hdf5/layout.hpp>
#include <holdfast/mpi/agreement.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi::detail {

using holdfast::detail::blocks_in;
using holdfast::detail::digest_block;

/// What all ranks know of the file that they are about to write together: where each tensor's bytes belong and who writes them.
/// Tensors of less than 64 KiB and all metadata are rank 0's. Larger ones begin on a page and are written in their digest
/// blocks (`units`): each by one rank, so that no two write one page at a time and who writes a block digests it.
template <class X>
class basic_blueprint {
 public:
  /// A tensor of this rank's manifest.
  struct placed {
    std::size_t item;
    std::uint64_t offset, bytes;
    bool sharded;
    std::size_t number;  ///< among the items that all ranks share
    std::uint64_t first_unit = 0;
  };
  std::vector<placed> large;                 ///< that all ranks share, by their place in the file
  std::vector<placed> small_shards;          ///< that all ranks share and have parts of, by path
  std::vector<placed> small_replicas;        ///< the other small ones, by path
  std::vector<placed> own_large, own_small;  ///< of this rank alone, by path
  std::vector<std::uint32_t> owners;         ///< by unit: see `owner` and `exchanged`. Units are the blocks of `large`, in order
  bool exchanges = false;                    ///< whether any unit is exchanged
  bool versioned = false;                    ///< whether any rank counts versions of anything
  std::vector<std::size_t> shared;           ///< the items of this rank's manifest that all ranks share, by path

  // What rank 0 alone knows.
  std::optional<hdf5::basic_layout<X>> layout;
  /// A tensor that not only rank 0 has: an entry of the layout, and the rank whose own it is.
  struct foreign {
    std::size_t entry;
    int rank;
  };
  std::vector<foreign> of_ranks;  ///< with bytes, by rank and then by path
  /// What the ranks have of one of `small_shards`.
  struct scattered {
    std::size_t number;  ///< among the items that all ranks share
    std::vector<shard> parts;
  };
  std::vector<scattered> small_parts;      ///< by path
  std::vector<std::size_t> entry_of;       ///< of the layout, for the shared items in the order of paths
  std::optional<std::size_t> count_entry;  ///< of `rank_count`

  /// Collective. Throws the same `error` on all ranks where they do not fit together.
  basic_blueprint(const basic_communicator<X>& comm, const holdfast::detail::basic_manifest<X>& m, bool keyed) {
    std::vector<const entry*> bound;
    for (const auto& i : m.items()) bound.push_back(&i.entry);
    const packer ties = ties_of(m);
    std::deque<entry> tied;
    packer common, own;
    std::vector<std::size_t> mine;
    const auto compare = [&] {
      const auto met = error_of([&] { name(comm, m, bound, mine, common, own); });
      auto agreed = comm.ask(holdfast::detail::digest_of(common.bytes()), {met == nullptr, ties.bytes().empty(), !versioned});
      if (!agreed[1]) agree(comm, met);
      return agreed;
    };
    auto agreed = compare();
    if (!agreed[2]) {
      tie_empty_shards(comm, m, ties, bound, tied);
      agreed = compare();
    }
    versioned = !agreed[3];
    if (!agreed[0]) {
      std::vector<std::byte> of_root = common.bytes();
      comm.broadcast(of_root);
      together(comm, [&] { require_same(of_root, common.bytes()); });
    }
    const auto gathered = comm.gather(own.bytes());
    std::vector<std::byte> decided;
    const auto met = error_of([&] {
      if (comm.root()) decided = decide(bound, gathered, keyed);
    });
    comm.broadcast(decided);
    if (decided.empty()) agree(comm, met);
    take(comm, bound, mine, decided);
  }

  /// Who writes a unit, and whether it needs bytes for that which other ranks hold.
  std::size_t owner(std::uint64_t unit) const { return owners[unit] & ~needs_others; }
  bool exchanged(std::uint64_t unit) const { return (owners[unit] & needs_others) != 0; }

  std::uint64_t unit_bytes(const placed& p, std::uint64_t unit) const { return std::min(digest_block, p.bytes - (unit - p.first_unit) * digest_block); }

 private:
  static constexpr std::uint32_t needs_others = std::uint32_t{1} << 31;

  using manifest = holdfast::detail::basic_manifest<X>;

  /// What this rank has tied to a part of a tensor: pairs of paths.
  static packer ties_of(const manifest& m) {
    packer ties;
    for (const auto& i : m.items()) {
      if (i.entry.kind != entry_kind::alias) continue;
      const auto* const first = m.find(i.entry.alias_of);
      if (first != nullptr && first->view.shard() != nullptr) ties.put(i.entry.path).put(i.entry.alias_of);
    }
    return ties;
  }

  /// An empty part has no memory that tells what it is tied to: where it is on ranks that have some, it is here.
  static void tie_empty_shards(const basic_communicator<X>& comm, const manifest& m, const packer& mine, std::vector<const entry*>& bound, std::deque<entry>& tied) {
    std::vector<std::byte> ties;
    for (const auto& of_rank : comm.gather(mine.bytes())) ties.insert(ties.end(), of_rank.begin(), of_rank.end());
    comm.broadcast(ties);
    std::map<std::string, std::string> targets;
    for (unpacker in(ties); !in.empty();) {
      std::string path = in.text();
      targets.emplace(std::move(path), in.text());
    }
    for (std::size_t n = 0; n < bound.size(); ++n) {
      const tensor_view& view = m.items()[n].view;
      if (view.shard() == nullptr || view.bytes() != 0) continue;
      if (const auto to = targets.find(bound[n]->path); to != targets.end()) bound[n] = &tied.emplace_back(entry{.path = to->first, .kind = entry_kind::alias, .alias_of = to->second});
    }
  }

  /// Tells what all ranks share from what is this rank's own, which are `mine`, and packs both, the second with this rank's parts.
  void name(const basic_communicator<X>& comm, const manifest& m, const std::vector<const entry*>& bound, std::vector<std::size_t>& mine, packer& common, packer& own) {
    shared.clear(), sharded_.clear(), mine.clear();
    common = own = {};
    common.reserve(bound.size() * 64);
    for (std::size_t n = 0; n < bound.size(); ++n) {
      const auto& i = m.items()[n];
      const int rank = rank_of(i.entry.path);
      if (rank != -1 && rank != comm.rank()) throw error("/" + i.entry.path + " is bound, and belongs to rank " + std::to_string(rank));
      if (rank != -1) holdfast::detail::require_whole(i.entry.path, i.view);
      (rank == -1 ? shared : mine).push_back(n);
      if (rank == -1) sharded_.push_back(i.view.shard() != nullptr && bound[n]->kind == entry_kind::tensor);
      if (rank == -1) pack(common, *bound[n], sharded_.back());
      versioned = versioned || i.counter != nullptr;
    }
    own.put(std::uint64_t{mine.size()});
    for (const std::size_t n : mine) {
      pack(own, *bound[n], false);
      own.put(bound[n]->place);
    }
    for (std::size_t n = 0; n < shared.size(); ++n)
      if (sharded_[n]) pack(own, *m.items()[shared[n]].view.shard());
  }

  /// Rank 0: lays the file out, and gives each unit an owner.
  std::vector<std::byte> decide(const std::vector<const entry*>& bound, const std::vector<std::vector<std::byte>>& gathered, bool keyed) {
    const std::size_t ranks = gathered.size();
    struct named {
      entry e;
      int rank;
      std::size_t number;
    };
    std::vector<named> all;
    for (std::size_t n = 0; n < shared.size(); ++n) all.push_back({*bound[shared[n]], -1, n});
    std::vector<std::size_t> own_entries(ranks);
    std::vector<std::uint64_t> loads(ranks);
    std::vector<unpacker> in(gathered.begin(), gathered.end());
    for (std::size_t r = 0; r < ranks; ++r) {
      for (auto left = in[r].get<std::uint64_t>(); left > 0; --left) {
        all.push_back({unpack_entry(in[r]).first, static_cast<int>(r), own_entries[r]++});
        all.back().e.place = in[r].get<memory_space>();
        if (is_large(all.back().e)) loads[r] += all.back().e.bytes;
      }
    }
    std::vector<std::vector<std::uint32_t>> owners_of(shared.size());
    std::vector<shard> parts;
    for (std::size_t n = 0; n < shared.size(); ++n) {
      const entry& e = *bound[shared[n]];
      parts.clear();
      if (sharded_[n]) {
        parts.reserve(ranks);
        for (unpacker& of_rank : in) parts.push_back(unpack_shard(of_rank, e.shape));
        require_cover(e.path, parts);
      }
      if (is_large(e)) owners_of[n] = assign(e, parts, loads);
      else if (sharded_[n] && e.bytes != 0) small_parts.push_back({n, std::exchange(parts, {})});
    }
    const bool any_own = all.size() > shared.size();
    if (any_own) all.push_back({{.path = rank_count, .dtype = dtype::int64, .shape = shape{}, .bytes = 8}, -1, shared.size()});
    holdfast::detail::sort(all, [](const named& a, const named& b) { return a.e.path < b.e.path; });

    std::vector<entry> entries;
    for (named& n : all) entries.push_back(std::move(n.e));
    layout = holdfast::detail::lay_out<X>(std::move(entries), keyed);
    entry_of.resize(shared.size() + any_own);
    std::vector<std::vector<std::uint64_t>> own_offsets(ranks);
    std::vector<std::uint64_t> offsets(shared.size());
    for (std::size_t r = 0; r < ranks; ++r) own_offsets[r].resize(own_entries[r]);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const entry& e = layout->entries[i];
      if (all[i].rank == -1) {
        entry_of[all[i].number] = i;
        if (all[i].number < shared.size()) offsets[all[i].number] = e.offset;
        continue;
      }
      const auto r = static_cast<std::size_t>(all[i].rank);
      own_offsets[r][all[i].number] = e.offset;
      if (e.bytes != 0) of_ranks.push_back({i, all[i].rank});
    }
    holdfast::detail::sort(of_ranks, [](const foreign& a, const foreign& b) { return a.rank < b.rank; });
    if (any_own) count_entry = entry_of.back();

    std::vector<std::size_t> by_place;
    for (std::size_t n = 0; n < shared.size(); ++n)
      if (is_large(*bound[shared[n]])) by_place.push_back(n);
    holdfast::detail::sort(by_place, [&](std::size_t a, std::size_t b) { return offsets[a] < offsets[b]; });
    for (const std::size_t n : by_place) owners.insert(owners.end(), owners_of[n].begin(), owners_of[n].end());

    packer out;
    out.put(exchanges).put_all(std::span<const std::uint32_t>(owners)).put_all(std::span<const std::uint64_t>(offsets));
    for (const auto& o : own_offsets) out.put_all(std::span<const std::uint64_t>(o));
    return out.bytes();
  }

  static bool is_large(const entry& e) { return e.kind == entry_kind::tensor && e.bytes >= hdf5::detail::large_tensor; }

  /// A block goes to the rank that holds most of it already; of several, and of a replica, which all hold, to one that has least to
  /// write, in stretches of one piece of the writer.
  std::vector<std::uint32_t> assign(const entry& e, const std::vector<shard>& parts, std::vector<std::uint64_t>& loads) {
    const bool replica = parts.empty();
    std::vector<std::uint32_t> chosen;
    constexpr std::uint64_t stretch = io::overlapped_writer::piece_bytes / digest_block;
    const std::uint64_t width = size_of(e.dtype);
    std::vector<std::uint64_t> held(loads.size());
    std::vector<std::uint32_t> near, later;  // ranks whose parts reach into the block, and those that begin behind it, the next one last
    const auto begin = [&](std::uint32_t r) { return parts[r].run(0); };
    const auto end_of = [&](std::uint32_t r) { return parts[r].run(parts[r].runs() - 1) + parts[r].run_elements(); };
    for (std::uint32_t r = 0; r < held.size(); ++r)
      if (replica || parts[r].elements() != 0) (replica ? near : later).push_back(r);
    holdfast::detail::sort(later, [&](std::uint32_t a, std::uint32_t b) { return begin(a) > begin(b); });
    std::uint32_t owner = 0;
    std::uint64_t run = stretch;
    for (std::uint64_t at = 0; at < e.bytes; at += digest_block) {
      const std::uint64_t end = std::min(at + digest_block, e.bytes);
      std::uint64_t most = 0;
      if (!replica) {
        for (; !later.empty() && begin(later.back()) < end / width; later.pop_back()) near.push_back(later.back());
        std::erase_if(near, [&](std::uint32_t r) {
          held[r] = end_of(r) > at / width ? parts[r].count(at / width, end / width) : 0;
          most = std::max(most, held[r]);
          return end_of(r) <= at / width;
        });
      }
      if (run >= stretch || held[owner] != most) {
        std::optional<std::uint32_t> best;
        for (const std::uint32_t r : near)
          if (held[r] == most && (!best || std::pair(loads[r], r) < std::pair(loads[*best], *best))) best = r;
        owner = *best;
        run = 0;
      }
      ++run;
      loads[owner] += end - at;
      const bool alone = replica || held[owner] * width == end - at;
      chosen.push_back(owner | (alone ? 0 : needs_others));
      exchanges = exchanges || !alone;
    }
    return chosen;
  }

  /// Every rank: finds its own in what rank 0 decided.
  void take(const basic_communicator<X>& comm, const std::vector<const entry*>& bound, const std::vector<std::size_t>& mine, std::span<const std::byte> decided) {
    unpacker in(decided);
    exchanges = in.get<bool>();
    owners = in.all<std::uint32_t>();
    const auto offsets = in.all<std::uint64_t>();
    for (int r = 0; r < comm.rank(); ++r) (void)in.all<std::uint64_t>();
    const auto own_offsets = in.all<std::uint64_t>();
    for (std::size_t n = 0; n < shared.size(); ++n) {
      const entry& e = *bound[shared[n]];
      if (e.kind != entry_kind::tensor || e.bytes == 0) continue;
      (is_large(e) ? large : sharded_[n] ? small_shards
                                         : small_replicas)
          .push_back({shared[n], offsets[n], e.bytes, sharded_[n], n});
    }
    for (std::size_t n = 0; n < mine.size(); ++n) {
      const entry& e = *bound[mine[n]];
      if (e.kind != entry_kind::tensor || e.bytes == 0) continue;
      (is_large(e) ? own_large : own_small).push_back({mine[n], own_offsets[n], e.bytes, false, 0});
    }
    holdfast::detail::sort(large, [](const placed& a, const placed& b) { return a.offset < b.offset; });
    std::uint64_t unit = 0;
    for (placed& p : large) p.first_unit = std::exchange(unit, unit + blocks_in(p.bytes, digest_block));
  }

  std::vector<bool> sharded_;  // of the shared ones
};
using blueprint = basic_blueprint<void>;

}  // namespace holdfast::mpi::detail
