#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/hdf5/layout.hpp>
#include <holdfast/mpi/agreement.hpp>
#include <holdfast/mpi/communicator.hpp>
#include <holdfast/mpi/naming.hpp>

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
    std::size_t number;                               ///< among the items that all ranks share
    std::shared_ptr<const std::vector<shard>> parts;  ///< by rank
  };
  std::vector<scattered> small_parts;      ///< by path
  std::vector<std::size_t> entry_of;       ///< of the layout, for the shared items in the order of paths
  std::optional<std::size_t> count_entry;  ///< of `rank_count`

  /// When all ranks have been asked about their namings, of which this rank's is `named`. Collective. Throws the same `error` on all ranks
  /// where they do not fit together.
  basic_blueprint(const basic_communicator<X>& comm, const basic_naming<X>& named, const names_asked& asked, bool keyed) : versioned(asked.versioned), shared(named.shared()) {
    if (!asked.same) {
      const auto mine = named.common();
      std::vector<std::byte> of_root(mine.begin(), mine.end());
      comm.broadcast(of_root);
      together(comm, [&] { require_same(of_root, mine); });
    }
    const auto gathered = comm.gather(named.told(), asked.same_size);
    std::vector<std::byte> decided;
    const auto met = error_of([&] {
      if (comm.root()) decided = decide(named, gathered, keyed);
    });
    std::uint64_t units = 0;
    for (const std::size_t n : shared) units += is_large(named[n]) ? blocks_in(named[n].bytes, digest_block) : 0;
    comm.broadcast(decided, 0, 4096 + shared.size() * sizeof(std::uint64_t) + units * sizeof(std::uint32_t));
    if (decided.empty()) agree(comm, met);
    take(comm, named, decided);
  }

  /// Who writes a unit, and whether it needs bytes for that which other ranks hold.
  std::size_t owner(std::uint64_t unit) const { return owners[unit] & ~needs_others; }
  bool exchanged(std::uint64_t unit) const { return (owners[unit] & needs_others) != 0; }

  std::uint64_t unit_bytes(const placed& p, std::uint64_t unit) const { return std::min(digest_block, p.bytes - (unit - p.first_unit) * digest_block); }

 private:
  static constexpr std::uint32_t needs_others = std::uint32_t{1} << 31;

  /// Rank 0: lays the file out, and gives each unit an owner.
  std::vector<std::byte> decide(const basic_naming<X>& of, const std::vector<std::vector<std::byte>>& gathered, bool keyed) {
    const std::size_t ranks = gathered.size();
    struct named {
      entry e;
      int rank;
      std::size_t number;
    };
    std::vector<named> all;
    for (std::size_t n = 0; n < shared.size(); ++n) all.push_back({of[shared[n]], -1, n});
    std::vector<std::size_t> own_entries(ranks);
    std::vector<std::uint64_t> loads(ranks);
    std::vector<unpacker> in(gathered.begin(), gathered.end());
    for (std::size_t r = 0; r < ranks; ++r) {
      for (auto left = in[r].get<std::uint64_t>(); left > 0; --left) {
        all.push_back({unpack_entry(in[r]).first, static_cast<int>(r), own_entries[r]++});
        entry& e = all.back().e;
        e.path.insert(0, own_group(static_cast<int>(r)));
        e.place = in[r].get<memory_space>();
        if (is_large(e)) loads[r] += e.bytes;
      }
    }
    std::vector<std::vector<std::uint32_t>> owners_of(shared.size());
    std::vector<basic_unpacked_parts<X>> held(in.begin(), in.end());
    arrangements known;
    for (std::size_t n = 0; n < shared.size(); ++n) {
      const entry& e = of[shared[n]];
      std::shared_ptr<const std::vector<shard>> parts;
      if (of.sharded(n)) parts = parts_of(e, held, known);
      if (is_large(e)) owners_of[n] = assign(e, parts.get(), loads);
      else if (parts && e.bytes != 0) small_parts.push_back({n, std::move(parts)});
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
      if (is_large(of[shared[n]])) by_place.push_back(n);
    holdfast::detail::sort(by_place, [&](std::size_t a, std::size_t b) { return offsets[a] < offsets[b]; });
    for (const std::size_t n : by_place) owners.insert(owners.end(), owners_of[n].begin(), owners_of[n].end());

    packer out;
    out.put(exchanges).put_all(std::span<const std::uint32_t>(owners)).put_all(std::span<const std::uint64_t>(offsets));
    for (const auto& o : own_offsets) out.put_all(std::span<const std::uint64_t>(o));
    return out.bytes();
  }

  /// What ranks hold of tensors, by a digest of their shape and the number of each rank's part: layers are cut alike. No more than
  /// 64 at a time.
  using arrangements = std::map<std::array<std::uint8_t, sizeof(digest)>, std::shared_ptr<const std::vector<shard>>>;

  /// Takes what each rank holds of a tensor. Throws `error` where that does not make it up.
  static std::shared_ptr<const std::vector<shard>> parts_of(const entry& e, std::vector<basic_unpacked_parts<X>>& of_ranks, arrangements& known) {
    packer arrangement;
    arrangement.put_all(std::span(e.shape.begin(), e.shape.end()));
    std::vector<std::uint32_t> of_each;
    for (auto& of_rank : of_ranks) of_each.push_back(of_rank.next());
    arrangement.put_all(std::span<const std::uint32_t>(of_each));
    const auto which = holdfast::detail::digest_of(arrangement.bytes()).bytes;
    if (const auto at = known.find(which); at != known.end()) return at->second;
    if (known.size() == 64) known.clear();
    auto found = std::make_shared<std::vector<shard>>();
    found->reserve(of_each.size());
    for (std::size_t r = 0; r < of_each.size(); ++r) found->push_back(of_ranks[r].part(of_each[r], e.shape));
    require_cover(e.path, *found);
    return known[which] = found;
  }

  static bool is_large(const entry& e) { return e.kind == entry_kind::tensor && e.bytes >= hdf5::detail::large_tensor; }

  /// A block goes to the rank that holds most of it already; of several, and of a replica, which all hold, to one that has least to
  /// write, in stretches of one piece of the writer. `held_by` is null for a replica.
  std::vector<std::uint32_t> assign(const entry& e, const std::vector<shard>* held_by, std::vector<std::uint64_t>& loads) {
    const bool replica = held_by == nullptr;
    std::vector<std::uint32_t> chosen;
    constexpr std::uint64_t stretch = io::overlapped_writer::piece_bytes / digest_block;
    const std::uint64_t width = size_of(e.dtype);
    std::vector<std::uint64_t> held(loads.size());
    std::vector<std::uint32_t> near, later;  // ranks whose parts reach into the block, and those that begin behind it, the next one last
    const auto part = [&](std::uint32_t r) -> const shard& { return (*held_by)[r]; };
    const auto begin = [&](std::uint32_t r) { return part(r).run(0); };
    const auto end_of = [&](std::uint32_t r) { return part(r).run(part(r).runs() - 1) + part(r).run_elements(); };
    for (std::uint32_t r = 0; r < held.size(); ++r)
      if (replica || part(r).elements() != 0) (replica ? near : later).push_back(r);
    holdfast::detail::sort(later, [&](std::uint32_t a, std::uint32_t b) { return begin(a) > begin(b); });
    std::uint32_t owner = 0;
    std::uint64_t run = stretch;
    for (std::uint64_t at = 0; at < e.bytes; at += digest_block) {
      const std::uint64_t end = std::min(at + digest_block, e.bytes);
      std::uint64_t most = 0;
      if (!replica) {
        for (; !later.empty() && begin(later.back()) < end / width; later.pop_back()) near.push_back(later.back());
        std::erase_if(near, [&](std::uint32_t r) {
          held[r] = end_of(r) > at / width ? part(r).count(at / width, end / width) : 0;
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
  void take(const basic_communicator<X>& comm, const basic_naming<X>& named, std::span<const std::byte> decided) {
    unpacker in(decided);
    exchanges = in.get<bool>();
    owners = in.all<std::uint32_t>();
    const auto offsets = in.all<std::uint64_t>();
    for (int r = 0; r < comm.rank(); ++r) (void)in.all<std::uint64_t>();
    const auto own_offsets = in.all<std::uint64_t>();
    for (std::size_t n = 0; n < shared.size(); ++n) {
      const entry& e = named[shared[n]];
      if (e.kind != entry_kind::tensor || e.bytes == 0) continue;
      const bool sharded = named.sharded(n);
      (is_large(e) ? large : sharded ? small_shards
                                     : small_replicas)
          .push_back({shared[n], offsets[n], e.bytes, sharded, n});
    }
    for (std::size_t n = 0; n < named.own().size(); ++n) {
      const std::size_t item = named.own()[n];
      const entry& e = named[item];
      if (e.kind != entry_kind::tensor || e.bytes == 0) continue;
      (is_large(e) ? own_large : own_small).push_back({item, own_offsets[n], e.bytes, false, 0});
    }
    holdfast::detail::sort(large, [](const placed& a, const placed& b) { return a.offset < b.offset; });
    std::uint64_t unit = 0;
    for (placed& p : large) p.first_unit = std::exchange(unit, unit + blocks_in(p.bytes, digest_block));
  }
};
using blueprint = basic_blueprint<void>;

}  // namespace holdfast::mpi::detail
