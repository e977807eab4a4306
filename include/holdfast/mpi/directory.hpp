#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/checkpoint/directory.hpp>
#include <holdfast/checkpoint/preemption_signal.hpp>
#include <holdfast/mpi/communicator.hpp>
#include <holdfast/mpi/rank_options.hpp>
#include <holdfast/mpi/restore.hpp>
#include <holdfast/mpi/save.hpp>

namespace holdfast::mpi {

/// Whether any rank has got a signal that says its machine will be taken away: the decision of all, for the loop to make
/// between two steps. Collective, an MPI_Allreduce of one number.
template <class X>
bool preempted(MPI_Comm comm, const basic_preemption_signal<X>& own) { return detail::communicator(comm).any(static_cast<bool>(own)); }

/// The checkpoints of one training run of many ranks, as `holdfast::checkpoint_directory`: rank 0 holds the lease and
/// deletes what retention lets go. Every function but `path` and `path_of` is collective.
template <class X>
class basic_checkpoint_directory {
 public:
  /// Creates the folder where it is missing.
  explicit basic_checkpoint_directory(MPI_Comm comm, const std::string& path, const retention& keep = {}, const rank_options& ranks = {}) : keep_(keep), ranks_(ranks), saver_(comm), world_(comm) {
    const auto open = [&] { own_.emplace(path, keep); };
    detail::together(world_, [&] {
      if (world_.root()) open();
    });
    detail::together(world_, [&] {
      if (!world_.root()) open();
    });
  }

  /// The folder, as it was given.
  const std::string& path() const noexcept { return own_->path(); }
  /// Where the checkpoint of a step is, or would be.
  std::string path_of(std::int64_t step) const { return own_->path_of(step); }

  /// Saves the state of all ranks under this step, durably, as `mpi::save`; then rank 0 deletes what retention lets go.
  void save(std::int64_t step, const state& bound, const save_note& note = {}) {
    saver_.save(path_of(step), bound, begin(step, note), ranks_);
    if (world_.root()) own_->retire(step);
  }

  /// The same in the background, as `mpi::save_async`.
  pending_save save_async(std::int64_t step, const state& bound, const save_note& note = {}, when_busy busy = when_busy::wait) {
    std::function<void()> then;
    if (world_.root()) then = [this, step] { own_->retire(step); };
    return saver_.save_async(path_of(step), bound, begin(step, note), ranks_, busy, std::move(then));
  }

  /// Returns when nothing is being written; rethrows the error of the last background save if nobody has seen it.
  void close() { saver_.close(); }

  /// Steps of which rank 0 sees a file, ascending.
  std::vector<std::int64_t> steps() const {
    std::vector<std::byte> listed;
    detail::together(world_, [&] {
      if (world_.root()) listed = detail::packer().put_all(std::span<const std::int64_t>(own_->steps())).bytes();
    });
    world_.broadcast(listed);
    return detail::unpacker(listed).all<std::int64_t>();
  }

  /// Restores, on all ranks, the newest checkpoint of which every rank found what it reads whole; nothing if there is none at all. What is
  /// read is verified on all ranks before anything changes on any. Throws as `holdfast::checkpoint_directory` does, and the same
  /// on all ranks.
  std::optional<found> restore_latest(state& bound, restore_options options = {}, const other_ranks& otherwise = {}) {
    if (options.verify == verify::during) options.verify = verify::before;
    if (!options.key) options.key = keep_.key;
    std::vector<rejected_checkpoint> rejected;
    std::vector<std::int64_t> all = steps();
    for (std::vector<std::int64_t> before; all != before; before = std::exchange(all, steps())) {
      rejected.clear();
      bool all_there = true;
      for (auto step = all.rbegin(); step != all.rend(); ++step) {
        attempt tried = attempt_on(*step, bound, options, otherwise);
        detail::agree(world_, tried.error);
        try {
          detail::agree(world_, tried.reason);
        } catch (const error& why) {
          rejected.push_back({path_of(*step), why.what()});
          all_there = !world_.any(tried.gone) && all_there;
          continue;
        }
        found taken{.step = *step, .path = path_of(*step), .report = {}, .rejected = std::move(rejected)};
        detail::together(world_, [&] { taken.report = tried.restore->act(bound, otherwise); });
        return taken;
      }
      if (all_there) break;
    }
    if (rejected.empty()) return std::nullopt;
    std::string text = path() + ": none of " + std::to_string(rejected.size()) + " checkpoints is whole";
    for (const rejected_checkpoint& r : rejected) text += "\n  " + r.reason;
    throw integrity_error(text);
  }

 private:
  /// What one rank finds of one checkpoint.
  struct attempt {
    std::unique_ptr<detail::basic_rank_restore<X>> restore{};
    std::exception_ptr reason{};  ///< why it is not whole
    std::exception_ptr error{};   ///< why an older one would not do either
    bool gone = false;
  };
  attempt attempt_on(std::int64_t step, const state& bound, const restore_options& options, const other_ranks& otherwise) const {
    attempt a;
    try {
      auto from = holdfast::detail::open_to_restore(path_of(step), options, keep_.storage);
      holdfast::detail::require_step(path_of(step), step, from->step());
      a.restore = std::make_unique<detail::basic_rank_restore<X>>(world_, std::move(from), options, otherwise);
      a.restore->decide(bound);
    } catch (const format_error&) {
      a.reason = std::current_exception();
    } catch (const integrity_error&) {
      a.reason = std::current_exception();
    } catch (const io_error& e) {
      (holdfast::detail::not_whole(e) ? a.reason : a.error) = std::current_exception();
      a.gone = holdfast::detail::gone(e);
    } catch (...) {
      a.error = std::current_exception();
    }
    return a;
  }

  save_options begin(std::int64_t step, const save_note& note) {
    save_options options;
    detail::together(world_, [&] {
      options = own_->options_of(step, note);
      if (world_.root()) own_->take_lease();
    });
    return options;
  }

  retention keep_;
  rank_options ranks_;
  std::optional<holdfast::basic_checkpoint_directory<X>> own_;
  basic_saver<X> saver_;  // ends its work before the directory that it uses
  detail::basic_communicator<X> world_;
};
/// The directory of checkpoints of a program of many processes.
using checkpoint_directory = basic_checkpoint_directory<void>;

}  // namespace holdfast::mpi
