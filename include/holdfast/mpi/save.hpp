#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/checkpoint/device.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/checkpoint/save_async.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/state.hpp>
#include <holdfast/io/durable_file.hpp>
#include <holdfast/io/overlapped_writer.hpp>
#include <holdfast/mpi/blueprint.hpp>
#include <holdfast/mpi/communicator.hpp>
#include <holdfast/mpi/naming.hpp>
#include <holdfast/mpi/rank_options.hpp>
#include <holdfast/mpi/sealing.hpp>
#include <holdfast/mpi/writing.hpp>

namespace holdfast::mpi {

/// The path for state of this rank alone: "ranks/3/rng" for "rng" on rank 3. What differs from rank to rank, as random
/// generators do, is bound under such a path; everything else is the same on all ranks or `sharded`.
template <class = void>
std::string rank_only(MPI_Comm comm, std::string_view path) {
  return detail::own_group(detail::communicator(comm).rank()) + "/" + std::string(path);
}

/// Saves one state of all ranks of a communicator again and again, as `holdfast::saver` does for one process: what the ranks
/// agreed on is used again for as long as nothing changes on any of them, and what `state::version` says has changed on none is not copied,
/// digested and compared again. Every function is collective, and is called by one thread of each rank.
template <class X>
class basic_saver {
 public:
  /// Duplicates the communicator, so that the library's messages do not meet the program's. Its destruction, before
  /// MPI_Finalize, is collective too.
  explicit basic_saver(MPI_Comm comm) : calling_(comm), writing_(comm), world_(calling_.comm), background_(writing_.comm) {}
  basic_saver(const basic_saver&) = delete;
  ~basic_saver() {
    if (running_) running_->finish();
  }

  /// As `mpi::save`, after a save in the background has ended; its error, if it had one, is thrown instead.
  void save(const std::string& path, const state& bound, const save_options& options = {}, const rank_options& ranks = {}) {
    close();
    prepare(path, bound, options, ranks);
    meet([&] { write(world_, path, options, ranks); });
  }

  /// As `mpi::save_async`. Whether a save is still in the background, and what `busy` makes of that, is decided by all ranks.
  pending_save save_async(const std::string& path, const state& bound, const save_options& options = {}, const rank_options& ranks = {}, when_busy busy = when_busy::wait,
                          std::function<void()> then = {}) {
    int level = MPI_THREAD_SINGLE;
    detail::check(MPI_Query_thread(&level), "MPI_Query_thread");
    detail::together(world_, [&] {
      if (level < MPI_THREAD_MULTIPLE) throw error(path + ": mpi::save_async calls MPI from a thread of its own: start with MPI_Init_thread and MPI_THREAD_MULTIPLE");
    });
    if (world_.any(running_ && !running_->done())) {
      if (busy == when_busy::skip) return {};
      if (busy == when_busy::error) throw error(path + ": the save before this one is still being written");
    }
    close();
    prepare(path, bound, options, ranks);
    meet([&] { detail::together(world_, [&] { copy(); }); });
    std::promise<bool> all_started;
    const std::shared_future<bool> go = all_started.get_future().share();
    try {
      detail::together(world_, [&] {
        try {
          running_ = std::make_shared<holdfast::detail::background>([this, go, path, options, ranks, then = std::move(then)] {
            if (!go.get()) return;
            try {
              meet([&] { write(background_, path, options, ranks); });
              if (then) then();
            } catch (...) {
              failure_ = std::current_exception();
              throw;
            }
          });
        } catch (const std::system_error& e) {
          throw io_error(path + ": cannot start the thread that writes it", e.code());
        }
      });
    } catch (...) {
      all_started.set_value(false);
      running_.reset();
      throw;
    }
    all_started.set_value(true);
    return pending_save(running_);
  }

  /// Returns when nothing is in the background on any rank; rethrows the error of the last save there if nobody has seen it. All
  /// ranks have the same.
  void close() {
    const auto ended = std::exchange(running_, nullptr);
    if (!ended) return;  // on any rank
    const bool unseen = detail::error_of([&] { ended->wait(); }) != nullptr;
    const std::exception_ptr failed = std::exchange(failure_, nullptr);  // the ranks have agreed on it
    if (world_.any(unseen)) std::rethrow_exception(failed);
  }

 private:
  struct duplicate {
    MPI_Comm comm = MPI_COMM_NULL;
    explicit duplicate(MPI_Comm of) { detail::check(MPI_Comm_dup(of, &comm), "MPI_Comm_dup"); }
    duplicate(const duplicate&) = delete;
    ~duplicate() {
      int ended = 0;
      MPI_Finalized(&ended);
      if (!ended) MPI_Comm_free(&comm);
    }
  };

  /// After an error nothing that was agreed on is used again, on any rank.
  template <class F>
  void meet(F&& work) {
    try {
      work();
    } catch (...) {
      forget();
      named_.reset();
      manifest_.reset();
      throw;
    }
  }

  void forget() {
    plan_.reset();
    last_ = {};
    staged_.clear();
  }

  using versions = std::vector<std::optional<std::uint64_t>>;

  /// Finds what has the content of the last save: what is shared, on all ranks.
  void find_known(const seal_key& key, const rank_options& ranks) {
    versions_.clear();
    for (const auto& i : manifest_->items()) versions_.push_back(i.version);
    known_.assign(versions_.size(), false);
    if (!plan_->versioned) return;
    const bool usable = last_.of.size() == versions_.size() && last_.key == key && (last_.compared || ranks.replicas == replicas::trust);
    for (std::size_t n = 0; n < known_.size(); ++n) known_[n] = usable && versions_[n] && versions_[n] == last_.of[n];
    std::vector<std::uint8_t> mine;
    for (const std::size_t n : plan_->shared) mine.push_back(known_[n]);
    const auto all = world_.least(mine);
    for (std::size_t n = 0; n < all.size(); ++n) known_[plan_->shared[n]] = all[n] != 0;
  }

  void prepare(const std::string& path, const state& bound, const save_options& options, const rank_options& ranks) {
    meet([&] {
      const bool keyed = options.key != nullptr;
      detail::packer call;
      call.put(path).put(options.step).put(keyed).put(options.durable).put(ranks.replicas).put(ranks.writes);
      bool same = false;
      const auto met = detail::error_of([&] {
        bound.run_before_save();
        same = manifest_ && plan_ && keyed_ == keyed && manifest_->refresh(bound);
        if (!same) {
          named_.reset();
          named_.emplace(manifest_.emplace(bound), world_.rank());
        }
        look();
      });
      const bool named = named_.has_value();
      const auto [same_call, same_names, same_size, well, unchanged, untied, unversioned] =
          world_.ask({holdfast::detail::digest_of(call.bytes()), named ? named_->common_digest() : digest{}, named ? named_->told_size() : digest{}},
                     {met == nullptr, same, !named || named_->ties().empty(), !named || !named_->versioned()});
      if (!same_call) {
        std::vector<std::byte> of_root = call.bytes();
        world_.broadcast(of_root);
        detail::together(world_, [&] {
          if (of_root != call.bytes()) throw error(path + ": expected the path, step, key, durability and rank_options that rank 0 saves with");
        });
      }
      if (!well) detail::agree(world_, met);
      keyed_ = keyed;
      if (!unchanged) {
        forget();
        detail::names_asked asked{same_names, same_size, !unversioned};
        if (!untied) {
          detail::exchange_ties(world_, *named_);
          asked = detail::ask(world_, *named_);
        }
        plan_.emplace(world_, *named_, asked, keyed_);
      }
      find_known(options.key, ranks);
    });
  }

  /// Finds the content in host memory, to which that of devices is copied.
  void look() {
    views_.clear();
    fetched_.clear();
    copies_.clear();
    views_.reserve(manifest_->items().size());
    holdfast::detail::basic_streams<X> streams;
    for (const auto& i : manifest_->items()) {
      holdfast::detail::require_in_place(i.entry.path, i.view);
      streams.add(i.view);
    }
    std::unique_ptr<holdfast::detail::device_staging> staging;
    if (!streams.empty()) {
      staging = holdfast::detail::registered_engine()->staging();
      streams.are_followed_by(*staging);
    }
    for (const auto& i : manifest_->items()) {
      if (holdfast::detail::on_device(i.view)) {
        fetched_.push_back(holdfast::detail::fetch<X>(*staging, i.view));
        views_.push_back(&fetched_.back().view);
      } else {
        views_.push_back(&i.view);
      }
    }
  }

  /// Copies what the program may change while it is written; what came from devices is a copy.
  void copy() {
    const auto copied = [this](std::size_t n) { return views_[n]->bytes() != 0 && !holdfast::detail::on_device(manifest_->items()[n].view); };
    std::size_t bytes = 0;
    for (std::size_t n = 0; n < views_.size(); ++n) bytes += copied(n) ? (views_[n]->bytes() + 63) / 64 * 64 : 0;
    if (bytes > image_.memory().size()) staged_.clear();
    const auto image = image_.reserve(bytes);
    const versions held = std::exchange(staged_, {});
    std::size_t at = 0;
    for (std::size_t n = 0; n < views_.size(); ++n) {
      if (!copied(n)) continue;
      const tensor_view& v = *views_[n];
      if (held.empty() || !versions_[n] || versions_[n] != held[n]) gather(v, 0, v.bytes() / size_of(v.dtype()), image.data() + at);
      views_[n] = &copies_.emplace_back(v.in_host(image.data() + at));
      at += (v.bytes() + 63) / 64 * 64;
    }
    staged_ = versions_;
  }

  /// Throws `error` on all ranks where a tensor that is bound whole is not the same on all.
  void compare(const detail::basic_communicator<X>& comm, const detail::basic_writing<X>& writing) {
    std::vector<std::size_t> all;
    detail::packer mine;
    const auto put = [&](const auto& p, const digest& d) {
      all.push_back(p.item);
      mine.put(d);
    };
    const auto met = detail::error_of([&] {
      for (const auto& p : plan_->small_replicas)
        if (!known_[p.item]) put(p, detail::content_digest<X>(*views_[p.item]));
      writing.for_each_replica(put);
    });
    const auto [same, well] = comm.ask({holdfast::detail::digest_of(mine.bytes())}, {met == nullptr});
    if (!well) detail::agree(comm, met);
    if (same) return;
    std::vector<std::byte> of_root = mine.bytes();
    comm.broadcast(of_root);
    detail::together(comm, [&] {
      if (of_root == mine.bytes()) return;
      std::string text = "its replicas differ from those of rank 0:";
      detail::unpacker a(of_root), b(mine.bytes());
      for (const std::size_t item : all) {
        const auto theirs = a.get<digest>(), own = b.get<digest>();
        if (theirs != own) text += " /" + manifest_->items()[item].entry.path + " (digest " + own.text() + ", rank 0 has " + theirs.text() + ")";
      }
      throw error(text + "; bind what is each rank's own under holdfast::mpi::rank_only, or pass replicas::trust to save what one rank has");
    });
  }

  void write(const detail::basic_communicator<X>& comm, const std::string& path, const save_options& options, const rank_options& ranks) {
    io::storage& on = options.storage != nullptr ? *options.storage : io::posix();
    detail::basic_blueprint<X>& plan = *plan_;
    const bool compared = ranks.replicas == replicas::compare && comm.size() > 1;
    detail::basic_writing<X> writing(comm, plan, views_, options, known_, last_.digests, compared);
    std::optional<io::basic_durable_file<X>> durable;
    std::optional<hdf5::basic_trailer<X>> end;
    std::vector<std::byte> name;
    detail::packer small;
    std::exception_ptr met = detail::error_of([&] {
      detail::pack_small(plan, views_, small);
      if (!comm.root()) return;
      end = holdfast::detail::trailer_for(*plan.layout, options);
      durable.emplace(on, path, options.recycle);
      (*durable)->preallocate(end->file_bytes());
      name = detail::packer().put(durable->temporary()).put(end->file_bytes()).bytes();
    });
    comm.broadcast(name);
    std::unique_ptr<io::file> joined;
    io::file* file = nullptr;
    const bool collective = ranks.writes == writes::collective;
    std::string temporary;
    const auto open = [&] {
      if (name.empty()) return;  // rank 0 met an error
      detail::unpacker in(name);
      temporary = in.text();
      if (writing.bytes() == 0 && !collective) return;
      if (comm.root()) file = &**durable;
      else file = (joined = on.join(temporary, path)).get();
      if (!collective) holdfast::detail::choose_mode(*file, options, in.get<std::uint64_t>());
    };
    if (!met) met = detail::error_of(open);
    detail::agree(comm, met);
    const auto contents = comm.gather(small.bytes());
    detail::agree(comm, collective ? writing.write_collectively(*file, temporary, ranks.hints, pieces_) : writing.write(file, pieces_));
    joined.reset();
    if (compared) compare(comm, writing);
    const auto digests = comm.gather(std::as_bytes(std::span(writing.digests())));
    detail::together(comm, [&] {
      if (comm.root()) detail::seal(*durable, *end, plan, views_, contents, digests, options);
    });
    if (plan.versioned) last_ = {versions_, writing.digests(), options.key, compared || comm.size() == 1};
  }

  duplicate calling_, writing_;
  detail::basic_communicator<X> world_, background_;
  std::optional<holdfast::detail::basic_manifest<X>> manifest_;
  std::optional<detail::basic_naming<X>> named_;    // of it
  std::optional<detail::basic_blueprint<X>> plan_;  // of them
  bool keyed_ = false;
  std::vector<const tensor_view*> views_;  // of the manifest's items, in host memory: its own, or of what follows
  std::deque<holdfast::detail::basic_fetched<X>> fetched_;
  std::deque<tensor_view> copies_;
  versions versions_;        // of its items
  std::vector<bool> known_;  // of them, what has the content of the last save
  struct {
    versions of;
    std::vector<digest> digests;
    seal_key key;
    bool compared = false;
  } last_;           // what this rank wrote by this plan
  versions staged_;  // what is in image_
  io::staging_buffer pieces_, image_;
  std::exception_ptr failure_;                             // of the last save in the background
  std::shared_ptr<holdfast::detail::background> running_;  // last: it uses the others until it ends
};
/// What saves one state of many processes again and again.
using saver = basic_saver<void>;

/// Saves what all ranks of `comm` have bound as one HDF5 file at `path`, which any number of processes restores, with MPI or
/// without. Every rank binds the same paths: a tensor that it holds a part of by `sharded`, everything else whole and
/// equal on all ranks, which is compared, and what is its own under `rank_only`. Collective; the file is durable and
/// visible under its name when this returns. Where any rank meets an error all throw it, with the rank's number, and a
/// file that was there before is still what it was. The path is one file for all ranks: a shared file system.
template <class X = void>
void save(MPI_Comm comm, const std::string& path, const state& bound, const save_options& options = {}, const rank_options& ranks = {}) {
  basic_saver<X>(comm).save(path, bound, options, ranks);
}

}  // namespace holdfast::mpi
