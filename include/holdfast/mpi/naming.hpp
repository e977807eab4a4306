#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/mpi/agreement.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi::detail {

/// What a rank has bound, told apart: what all ranks share, and what is its own. The ranks compare digests of the first, and rank 0 gets the
/// second.
template <class X>
class basic_naming {
 public:
  /// Of a manifest that outlives this. Throws `error` for what belongs to another rank.
  basic_naming(const holdfast::detail::basic_manifest<X>& m, int rank) : manifest_(m), rank_(rank) {
    for (const auto& i : manifest_.items()) {
      versioned_ = versioned_ || i.counter != nullptr;
      if (i.entry.kind != entry_kind::alias) continue;
      const auto* const first = manifest_.find(i.entry.alias_of);
      if (first != nullptr && first->view.shard() != nullptr) ties_.put(i.entry.path).put(i.entry.alias_of);
    }
    name();
  }

  /// What a path of the manifest's is in the file, by its item.
  const entry& operator[](std::size_t item) const { return *entries_[item]; }
  /// The items that all ranks share, and those that are this rank's alone, by path.
  const std::vector<std::size_t>& shared() const noexcept { return shared_; }
  const std::vector<std::size_t>& own() const noexcept { return own_; }
  /// Of the n-th that is shared: whether ranks have parts of it.
  bool sharded(std::size_t n) const { return sharded_[n]; }
  /// Whether this rank counts versions of anything.
  bool versioned() const noexcept { return versioned_; }

  /// What all ranks share, packed, and its digest.
  std::span<const std::byte> common() const noexcept { return common_.bytes(); }
  const digest& common_digest() const noexcept { return digest_; }
  /// What rank 0 is told of this rank: its own entries, below its own group, and its parts.
  std::span<const std::byte> told() const noexcept { return told_.bytes(); }
  /// A digest of how many bytes these are.
  digest told_size() const { return holdfast::detail::digest_of(packer().put(told().size()).bytes()); }

  /// What this rank has tied to a part of a tensor, packed: pairs of paths.
  std::span<const std::byte> ties() const noexcept { return ties_.bytes(); }
  /// An empty part has no memory that tells what it is tied to: where it is on ranks that have some, whose ties these are, it is here.
  void tie(std::span<const std::byte> of_all) {
    std::map<std::string, std::string> targets;
    for (unpacker in(of_all); !in.empty();) {
      std::string path = in.text();
      targets.emplace(std::move(path), in.text());
    }
    tied_.clear();
    for (const auto& i : manifest_.items()) {
      if (i.view.shard() == nullptr || i.view.bytes() != 0) continue;
      if (const auto to = targets.find(i.entry.path); to != targets.end()) tied_.push_back({.path = to->first, .kind = entry_kind::alias, .alias_of = to->second});
    }
    name();
  }

 private:
  void name() {
    entries_.clear(), shared_.clear(), own_.clear(), sharded_.clear();
    common_ = told_ = {};
    const auto& items = manifest_.items();
    entries_.reserve(items.size());
    shared_.reserve(items.size());
    common_.reserve(items.size() * 64);
    auto tied = tied_.begin();
    for (std::size_t n = 0; n < items.size(); ++n) {
      const auto& i = items[n];
      entries_.push_back(tied != tied_.end() && tied->path == i.entry.path ? &*tied++ : &i.entry);
      const int rank = rank_of(i.entry.path);
      if (rank != -1) {
        if (rank != rank_) throw error("/" + i.entry.path + " is bound, and belongs to rank " + std::to_string(rank));
        holdfast::detail::require_whole(i.entry.path, i.view);
        own_.push_back(n);
        continue;
      }
      shared_.push_back(n);
      sharded_.push_back(i.view.shard() != nullptr && entries_[n]->kind == entry_kind::tensor);
      pack(common_, *entries_[n], sharded_.back());
    }
    digest_ = holdfast::detail::digest_of(common());
    told_.put(std::uint64_t{own_.size()});
    const std::size_t group = own_group(rank_).size();
    for (const std::size_t n : own_) {
      entry below = *entries_[n];
      below.path.erase(0, group);
      pack(told_, below, false);
      told_.put(below.place);
    }
    basic_packed_parts<X> parts;
    for (std::size_t n = 0; n < shared_.size(); ++n)
      if (sharded_[n]) parts.put(*items[shared_[n]].view.shard());
    parts.to(told_);
  }

  const holdfast::detail::basic_manifest<X>& manifest_;
  int rank_;
  std::deque<entry> tied_;  // by path
  std::vector<const entry*> entries_;
  std::vector<std::size_t> shared_, own_;
  std::vector<bool> sharded_;
  bool versioned_ = false;
  packer common_, told_, ties_;
  digest digest_{};
};
using naming = basic_naming<void>;

/// What all ranks say of their namings.
struct names_asked {
  bool same;       ///< all share the same entries
  bool same_size;  ///< all have as many bytes to tell
  bool versioned;  ///< any counts versions
};

/// Collective.
template <class X>
names_asked ask(const basic_communicator<X>& comm, const basic_naming<X>& named) {
  const auto [same, same_size, unversioned] = comm.ask({named.common_digest(), named.told_size()}, {!named.versioned()});
  return {same, same_size, !unversioned};
}

/// Gives each rank the ties of all. Collective.
template <class X>
void exchange_ties(const basic_communicator<X>& comm, basic_naming<X>& named) {
  std::vector<std::byte> ties;
  for (const auto& of_rank : comm.gather(named.ties())) ties.insert(ties.end(), of_rank.begin(), of_rank.end());
  comm.broadcast(ties);
  named.tie(ties);
}

}  // namespace holdfast::mpi::detail
