#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/checkpoint/restore.hpp>
#include <holdfast/mpi/blueprint.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi {

/// What becomes of the ranks' own state (`rank_only`) when a file is restored by another number of ranks than saved it. Without a
/// function that is an error. With one, it is called on every rank after the restore, with the number of ranks that saved,
/// and what the rank has bound as its own is as it was before: a counter-based generator is made anew of the seed, the step and
/// the rank, a position in the data of the number of samples that all ranks have seen.
using other_ranks = std::function<void(std::int64_t saved_ranks)>;

namespace detail {

/// The restore of one rank: decided first and carried out when all ranks can.
template <class X>
class basic_rank_restore {
 public:
  /// Throws what speaks against the file, and `mismatch_error` for own state of another number of ranks.
  basic_rank_restore(const basic_communicator<X>& comm, std::unique_ptr<hdf5::reader> from, restore_options options, const other_ranks& otherwise)
      : from_(std::move(from)), options_(std::move(options)) {
    if (const entry* count = from_->find(rank_count); count != nullptr && count->kind == entry_kind::tensor && count->dtype == dtype::int64 && count->bytes == 8) {
      saved_.emplace();
      holdfast::detail::transfer read{count, nullptr};
      const tensor_view to(&*saved_, shape{});
      read.target = &to;
      holdfast::detail::basic_transfers<X>(*from_, {read}, options_.verify != verify::off).run();
    }
    other_number_ = saved_ && *saved_ != comm.size();
    if (other_number_ && !otherwise && any_own(holdfast::detail::basic_selection<X>(*from_, options_)))
      throw mismatch_error(from_->file(), {{difference::kind::structure, ranks_group, "the own state of " + std::to_string(comm.size()) + " ranks", "that of " + std::to_string(*saved_),
                                            "pass a function that makes it for another number of ranks, or leave it out with .except = {\"ranks/**\"}"}});
    if (saved_) options_.except.push_back(other_number_ ? std::string(ranks_group) + "/**" : rank_count);
    // What other ranks have for themselves is none of this rank's.
    std::string last;
    for (const entry& e : from_->entries()) {
      if (other_number_ || !holdfast::detail::within(e.path, ranks_group) || e.path == rank_count) continue;
      std::string group = e.path.substr(0, e.path.find('/', std::string_view(ranks_group).size() + 1));
      if (group == own_group(comm.rank()) || group == last) continue;
      options_.except.push_back(group);
      last = std::move(group);
    }
    chosen_.emplace(*from_, options_);
  }

  /// Throws `mismatch_error` where the file and the rank's state do not fit; `verify::before` reads everything.
  void decide(const state& bound) const {
    holdfast::detail::basic_plan_walk<X> planning(*from_, *chosen_, options_);
    plan decided = planning.run(bound);
    if (!decided.ok()) throw mismatch_error(from_->file(), std::move(decided.differences));
    if (options_.verify != verify::before) return;
    std::vector<holdfast::detail::transfer> all;
    for (const auto& m : planning.matches()) all.push_back({m.of->source, nullptr, m.view.shard()});
    holdfast::detail::basic_transfers<X>(*from_, std::move(all), true).run();
  }

  /// After `decide`, which has read everything where that comes before.
  restore_report act(state& bound, const other_ranks& otherwise) {
    const bool verified = options_.verify == verify::before;
    if (verified) options_.verify = verify::off;
    restore_report report = holdfast::detail::restore_from(*from_, *chosen_, bound, options_);
    report.verified = report.verified || (verified && from_->sealed());
    if (other_number_ && otherwise) otherwise(*saved_);
    return report;
  }

 private:
  static bool any_own(const holdfast::detail::basic_selection<X>& chosen) {
    return std::any_of(chosen.items().begin(), chosen.items().end(), [](const auto& i) { return holdfast::detail::within(i.path, ranks_group) && i.path != rank_count; });
  }

  std::unique_ptr<hdf5::reader> from_;
  restore_options options_;
  std::optional<std::int64_t> saved_;
  bool other_number_ = false;
  std::optional<holdfast::detail::basic_selection<X>> chosen_;
};

}  // namespace detail

/// As `holdfast::restore`, by all ranks of `comm`: each reads what it has bound, its parts of tensors included, from the file by
/// itself, whatever number of ranks saved it. No rank's state changes before the plans of all ranks hold. Where one
/// meets an error all throw it, with the rank's number; a rank that met none is then restored, and its neighbour is not: restore
/// another checkpoint. Collective.
template <class X = void>
restore_report restore(MPI_Comm comm, const std::string& path, state& bound, const restore_options& options = {}, const other_ranks& otherwise = {}) {
  const detail::basic_communicator<X> world(comm);
  std::optional<detail::basic_rank_restore<X>> mine;
  restore_report report;
  detail::together(world, [&] {
    mine.emplace(world, holdfast::detail::open_to_restore(path, options), options, otherwise);
    mine->decide(bound);
  });
  detail::together(world, [&] { report = mine->act(bound, otherwise); });
  return report;
}

}  // namespace holdfast::mpi
