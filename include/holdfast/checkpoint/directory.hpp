#pragma once
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

#include <holdfast/checkpoint/file.hpp>
#include <holdfast/checkpoint/restore.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/notice.hpp>
#include <holdfast/core/order.hpp>

namespace holdfast {

/// Which checkpoints of a directory are kept when a new one is durable: the newest `keep_last`, the `keep_best` with the
/// lowest metric, and every one whose step is a multiple of `keep_every` (0: none).
struct retention {
  int keep_last = 1;                  ///< the newest; the one just saved is always kept
  int keep_best = 0;                  ///< those with the best metric, of those that have one; 0: none
  std::int64_t keep_every = 0;        ///< every one whose step is a multiple of it; 0: none
  bool higher_is_better = false;      ///< for `keep_best`: whether the metric is one to maximise
  io::storage* storage = nullptr;     ///< where to write; null: the operating system's files
  seal_key key{};                     ///< of every checkpoint, as in `save_options` and `restore_options`
  io::mode io = io::mode::automatic;  ///< how the bytes get to the files
  /// Whether the blocks of a checkpoint that is let go are written again for the next one, so that a steady run allocates
  /// none. Not for one that somebody has open or mapped or that has a second name (a hard link): it is deleted as ever.
  bool recycle = false;
};

/// What a run knows about the checkpoint it saves.
struct save_note {
  std::optional<double> metric{};  ///< for `keep_best`, kept in the file
};

/// A checkpoint that was not taken, and why.
struct rejected_checkpoint {
  std::string path;    ///< of the file
  std::string reason;  ///< the error that reading it gave
};

/// A checkpoint of a directory as its trailer describes it; its content has not been verified.
struct checkpoint_info {
  std::int64_t step = -1;                        ///< as the file's name has it
  std::string path{};                            ///< of the file
  std::optional<double> metric{};                ///< that it was saved with
  std::uint64_t bytes = 0;                       ///< size of the file
  std::chrono::system_clock::time_point time{};  ///< when it was written
  std::string damage{};                          ///< why it cannot be one that is whole; empty if nothing speaks against it
};

/// What `restore_latest` took.
struct found {
  std::int64_t step = -1;                       ///< that it was saved under
  std::string path{};                           ///< of the file
  restore_report report{};                      ///< what the restore did
  std::vector<rejected_checkpoint> rejected{};  ///< newer ones that are damaged, newest first
};

namespace detail {

/// Why retention keeps each of some checkpoints that are whole and by ascending step; empty: it lets it go.
template <class = void>
std::vector<std::string> reasons_to_keep(const std::vector<checkpoint_info>& all, const retention& keep) {
  std::vector<std::string> reasons(all.size());
  const auto add = [&](std::size_t i, const std::string& why) { reasons[i] += (reasons[i].empty() ? "" : ", ") + why; };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i + 1 == all.size()) add(i, "newest");
    else if (all.size() - i <= static_cast<std::size_t>(keep.keep_last)) add(i, "one of the newest " + std::to_string(keep.keep_last));
    if (keep.keep_every > 0 && all[i].step % keep.keep_every == 0) add(i, "a multiple of " + std::to_string(keep.keep_every));
  }
  std::vector<std::size_t> ranked;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].metric) ranked.push_back(i);
  sort(ranked, [&](std::size_t a, std::size_t b) { return keep.higher_is_better ? *all[a].metric > *all[b].metric : *all[a].metric < *all[b].metric; });
  for (std::size_t n = 0; n < ranked.size() && n < static_cast<std::size_t>(std::max(keep.keep_best, 0)); ++n) add(ranked[n], n == 0 ? "best" : "one of the best " + std::to_string(keep.keep_best));
  return reasons;
}

/// A disk that lost what it said was durable may leave an older file whole under the name of the one that was to
/// overwrite it. A file that was saved without a step may have any name.
template <class = void>
void require_step(const std::string& path, std::int64_t expected, std::int64_t found) {
  if (found != expected && found != -1)
    throw integrity_error(path + ": expected step " + std::to_string(expected) + " as its name says, found step " + std::to_string(found) +
                          ": the disk lost the newer file, or it was renamed; holdfast::restore reads it as it is");
}

/// Whether a file of a directory was deleted between listing and opening, and whether an error means that it is not whole: a disk
/// that cannot read a file has damaged it.
inline bool gone(const io_error& e) { return e.code() == std::errc::no_such_file_or_directory; }
inline bool not_whole(const io_error& e) { return gone(e) || e.code() == std::errc::io_error; }

inline constexpr const char* lock_name = ".holdfast-lock";

/// The right to write to a directory of checkpoints, for as long as somebody holds what is returned. Throws `io_error` that names
/// who has it.
template <class = void>
std::shared_ptr<void> lease_directory(io::storage& on, const std::string& path) {
  const std::string lock = path + "/" + lock_name;
  char machine[256] = {};
  if (::gethostname(machine, sizeof machine - 1) != 0) machine[0] = '?';
  auto lease = on.lease(lock, "process " + std::to_string(::getpid()) + " on " + machine);
  if (lease) return lease;
  std::string holder = "unknown";
  try {
    const auto file = on.open(lock);
    std::string text(std::min<std::uint64_t>(file->size(), 512), '\0');
    file->read_at(0, std::as_writable_bytes(std::span(text)));
    if (!text.empty()) holder = text;
  } catch (const error&) {  // the text is a help, not more
  }
  throw io_error(path + ": another writer (" + holder + ") is saving checkpoints here; give each run a directory of its own", std::make_error_code(std::errc::resource_unavailable_try_again));
}

}  // namespace detail

/// The checkpoints of one training run: a folder of files named by step, of which the newest is whole whatever happens.
/// One process at a time may write to it; any number may read. Used by one thread.
template <class X>
class basic_checkpoint_directory {
 public:
  /// Creates the folder where it is missing. Nothing is locked until the first save.
  basic_checkpoint_directory(const std::string& path, retention keep = {}) : path_(path), keep_(keep), storage_(keep.storage != nullptr ? *keep.storage : io::posix()) {
    if (path.empty()) throw error("checkpoint_directory: empty path");
    while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
    if (keep.keep_last < 1) throw error(path_ + ": keep_last is " + std::to_string(keep.keep_last) + ", expected at least 1: the newest checkpoint is never deleted");
    storage_.make_folder(path_);
  }

  /// The folder, as it was given.
  const std::string& path() const noexcept { return path_; }

  /// Saves the state under this step, durably, then deletes what retention lets go. A checkpoint of that step, which a
  /// run that was resumed from an older one meets, is replaced. Throws `io_error` if another process writes to the directory.
  void save(std::int64_t step, const state& bound, save_note note = {}) {
    const save_options options = options_of(step, note);
    take_lease();
    saver_.save(path_of(step), bound, options);
    retire(step);
  }

  /// The same in the background: returns when the state may be changed again, as `holdfast::save_async`. An error is
  /// thrown by `wait` of what it returns, or else by the next save or `close`.
  pending_save save_async(std::int64_t step, const state& bound, save_note note = {}, when_busy busy = when_busy::wait) {
    const save_options options = options_of(step, note);
    take_lease();
    return saver_.save_async(path_of(step), bound, options, busy, [this, step] { retire(step); });
  }

  /// Returns when nothing is being written; rethrows the error of the last background save if nobody has seen it.
  void close() { saver_.close(); }

  /// Steps of which there is a file, ascending.
  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> all;
    for (const std::string& name : storage_.list(path_))
      if (const auto step = step_of(name)) all.push_back(*step);
    detail::sort(all);
    return all;
  }

  /// The checkpoints with what their trailers say, by ascending step. Reads 200 bytes of each; `latest_valid` and
  /// `checkpoint_file::verify` look at the content. A file that another process deletes meanwhile is left out.
  std::vector<checkpoint_info> list() const {
    std::vector<checkpoint_info> all;
    for (const std::int64_t step : steps()) {
      checkpoint_info info{.step = step, .path = path_of(step)};
      try {
        describe(info);
      } catch (const io_error& e) {
        if (detail::gone(e)) continue;
        info.damage = e.what();
      } catch (const error& e) {
        info.damage = e.what();
      }
      all.push_back(std::move(info));
    }
    return all;
  }

  /// The newest checkpoint of which every byte is as it was saved; reads it whole. Nothing if there is none.
  std::optional<checkpoint_info> latest_valid() const {
    std::vector<rejected_checkpoint> rejected;
    return newest_first<checkpoint_info>(rejected, [&](std::int64_t step, const std::string& path) {
      auto opened = detail::open_reader(path, trust::sealed_only, &storage_, keep_.key);
      detail::require_step(path, step, opened->step());
      basic_checkpoint_file<X>(std::move(opened)).verify();
      checkpoint_info info{.step = step, .path = path};
      describe(info);
      return info;
    });
  }

  // What `save` does beside saving, for those who write checkpoints of a directory in another way (mpi/).

  /// Locks the directory for as long as this object lives and deletes what writers that died have left behind.
  void take_lease() {
    if (lease_) return;
    lease_ = detail::lease_directory(storage_, path_);
    for (const std::string& name : storage_.list(path_))
      if (name.starts_with(io::durable_file::temporary_prefix) && name.ends_with(".tmp")) storage_.remove_abandoned(path_ + "/" + name);
    if (keep_.recycle) spare_ = remover();
  }

  /// What a checkpoint of this step is saved with.
  save_options options_of(std::int64_t step, const save_note& note) const {
    if (step < 0) throw error(path_ + ": step " + std::to_string(step) + ", expected 0 or more");
    return {.step = step, .metric = note.metric.value_or(std::numeric_limits<double>::quiet_NaN()), .existing = io::replace::yes, .storage = &storage_, .key = keep_.key, .io = keep_.io, .recycle = keep_.recycle ? spare() : std::string()};
  }

  /// Deletes what is not kept. What cannot be deleted is no failure of the save, which is durable by now: there is a
  /// warning, and the next save tries again.
  void retire(std::int64_t newest) const {
    try {
      delete_retired(newest);
    } catch (const error& e) {
      detail::notices::warnings().report(std::string(e.what()) + "; the new checkpoint is durable, an old one stays until the next save");
    }
  }

  /// Where the checkpoint of a step is, or would be.
  std::string path_of(std::int64_t step) const {
    std::string digits = std::to_string(step);
    return path_ + "/" + prefix + std::string(digits.size() < 12 ? 12 - digits.size() : 0, '0') + digits + suffix;
  }

  /// Restores the newest checkpoint that is whole; nothing if there is none at all. Damaged ones are passed over and
  /// listed in the result; what is read is verified before anything is changed, so that falling back is safe. Throws
  /// `integrity_error` if there are checkpoints and none is whole, and `mismatch_error` if the newest whole one does not
  /// fit the program: an older one would not either. Another process may save and delete checkpoints meanwhile.
  std::optional<found> restore_latest(state& bound, restore_options options = {}) {
    if (options.verify == verify::during) options.verify = verify::before;
    if (!options.key) options.key = keep_.key;
    std::vector<rejected_checkpoint> rejected;
    auto taken = newest_first<found>(rejected, [&](std::int64_t step, const std::string& path) {
      const auto from = detail::open_to_restore(path, options, &storage_);
      detail::require_step(path, step, from->step());
      return found{.step = step, .path = path, .report = detail::restore_from(*from, detail::basic_selection<X>(*from, options), bound, options)};
    });
    if (taken) {
      taken->rejected = std::move(rejected);
      return taken;
    }
    if (rejected.empty()) return std::nullopt;
    std::string text = path_ + ": none of " + std::to_string(rejected.size()) + " checkpoints is whole";
    for (const rejected_checkpoint& r : rejected) text += "\n  " + r.reason;
    throw integrity_error(text);
  }

 private:
  static constexpr const char *prefix = "step-", *suffix = ".h5";

  static std::optional<std::int64_t> step_of(std::string_view name) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
    const std::string_view digits = name.substr(5, name.size() - 8);
    if (digits.size() < 12 || (digits.size() > 12 && digits.front() == '0')) return std::nullopt;  // not as path_of writes it
    std::int64_t step = -1;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    return failed == std::errc() && end == digits.data() + digits.size() && step >= 0 ? std::optional(step) : std::nullopt;
  }

  /// Fills in what the file and its trailer say.
  void describe(checkpoint_info& info) const {
    const auto file = storage_.open(info.path);
    info.bytes = file->size();
    info.time = file->modified();
    const auto trailer = hdf5::basic_sealed_reader<X>::trailer_of(*file);
    if (!trailer) info.damage = info.path + ": not sealed: it was truncated, or written to by another program";
    else if (trailer->metric == trailer->metric) info.metric = trailer->metric;
    if (trailer) detail::require_step(info.path, info.step, trailer->step);
  }

  /// What `take(step, path)` makes of the newest checkpoint that it does not throw over; the others go to `rejected`. A
  /// file that its writer deletes between listing and opening means that there is a newer one: the folder is listed again.
  template <class T, class F>
  std::optional<T> newest_first(std::vector<rejected_checkpoint>& rejected, F take) const {
    std::vector<std::int64_t> all = steps();
    for (std::vector<std::int64_t> before; all != before; before = std::exchange(all, steps())) {
      rejected.clear();
      bool all_there = true;
      for (auto step = all.rbegin(); step != all.rend(); ++step) {
        const std::string path = path_of(*step);
        const auto reject = [&](const error& e) { rejected.push_back({path, e.what()}); };
        try {
          return take(*step, path);
        } catch (const format_error& e) {
          reject(e);
        } catch (const integrity_error& e) {
          reject(e);
        } catch (const io_error& e) {
          if (!detail::not_whole(e)) throw;
          all_there = all_there && !detail::gone(e);
          reject(e);
        }
      }
      if (all_there) break;
    }
    return std::nullopt;
  }

  /// Where a checkpoint that was let go waits for the next save.
  std::string spare() const { return path_ + "/" + io::durable_file::temporary_prefix + "spare.tmp"; }

  /// Deletes it when the last save has ended.
  std::shared_ptr<void> remover() const {
    return {nullptr, [&on = storage_, path = spare()](void*) {
              try {
                on.remove(path);
              } catch (const error&) {  // there is none
              }
            }};
  }

  /// Only files with a valid seal count as kept, and the one just written always does.
  void delete_retired(std::int64_t newest) const {
    std::vector<checkpoint_info> all = list();
    std::erase_if(all, [&](const checkpoint_info& c) { return c.step > newest || !c.damage.empty(); });  // a damaged file is left for its owner to look at
    const std::vector<std::string> reasons = detail::reasons_to_keep(all, keep_);
    std::vector<checkpoint_info> retired;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (reasons[i].empty() && all[i].step != newest) retired.push_back(std::move(all[i]));
    for (const checkpoint_info& c : retired) {
      if (keep_.recycle && &c == &retired.back()) storage_.rename(c.path, spare(), io::replace::yes);
      else storage_.remove(c.path);
    }
  }

  std::string path_;
  retention keep_;
  io::storage& storage_;
  std::shared_ptr<void> lease_, spare_;
  basic_saver<X> saver_;  // last: it ends its work first, which uses the others
};
/// The directory of checkpoints of a program of one process.
using checkpoint_directory = basic_checkpoint_directory<void>;

}  // namespace holdfast
