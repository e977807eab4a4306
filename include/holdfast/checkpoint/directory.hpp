#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/file.hpp>
#include <holdfast/checkpoint/restore.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/order.hpp>

namespace holdfast {

/// Which checkpoints of a directory are kept when a new one is durable: the newest `keep_last`, the `keep_best` with the
/// lowest metric, and every one whose step is a multiple of `keep_every` (0: none).
struct retention {
  int keep_last = 1;
  int keep_best = 0;
  std::int64_t keep_every = 0;
  bool higher_is_better = false;      ///< for `keep_best`: whether the metric is one to maximise
  io::storage* storage = nullptr;     ///< where to write; null: the operating system's files
};

/// What a run knows about the checkpoint it saves.
struct save_note {
  std::optional<double> metric{};
};

/// A checkpoint that was not taken, and why.
struct rejected_checkpoint {
  std::string path;
  std::string reason;
};

/// What `restore_latest` took.
struct found {
  std::int64_t step = -1;
  std::string path{};
  restore_report report{};
  std::vector<rejected_checkpoint> rejected{};  ///< newer ones that are damaged
};

/// The checkpoints of one training run: a folder of files named by step, of which the newest is whole whatever happens.
/// One process at a time may write to it; any number may read. Used by one thread.
class checkpoint_directory {
 public:
  /// Creates the folder where it is missing. Nothing is locked until the first save.
  checkpoint_directory(const std::string& path, retention keep = {}) : path_(path), keep_(keep), storage_(keep.storage != nullptr ? *keep.storage : io::posix()) {
    if (path.empty()) throw error("checkpoint_directory: empty path");
    while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
    if (keep.keep_last < 1) throw error(path_ + ": keep_last is " + std::to_string(keep.keep_last) + ", expected at least 1: the newest checkpoint is never deleted");
    storage_.make_folder(path_);
  }

  const std::string& path() const noexcept { return path_; }

  /// Saves the state under this step, durably, then deletes what retention lets go. A checkpoint of that step, which a
  /// run that was resumed from an older one meets, is replaced. Throws `io_error` if another process writes to the directory.
  void save(std::int64_t step, const state& bound, save_note note = {}) {
    if (step < 0) throw error(path_ + ": step " + std::to_string(step) + ", expected 0 or more");
    take_lease();
    saver_.save(path_of(step), bound, options_of(step, note));
    retire(step);
  }

  /// The same in the background: returns when the state may be changed again, as `holdfast::save_async`. An error is
  /// thrown by `wait` of what it returns, or else by the next save or `close`.
  pending_save save_async(std::int64_t step, const state& bound, save_note note = {}, when_busy busy = when_busy::wait) {
    if (step < 0) throw error(path_ + ": step " + std::to_string(step) + ", expected 0 or more");
    take_lease();
    return saver_.save_async(path_of(step), bound, options_of(step, note), busy, [this, step] { retire(step); });
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

  std::string path_of(std::int64_t step) const {
    std::string digits = std::to_string(step);
    return path_ + "/" + prefix + std::string(digits.size() < 12 ? 12 - digits.size() : 0, '0') + digits + suffix;
  }

  /// Restores the newest checkpoint that is whole; nothing if there is none at all. Damaged ones are passed over and
  /// listed in the result; what is read is verified before anything is changed, so that falling back is safe. Throws
  /// `integrity_error` if there are checkpoints and none is whole, and `mismatch_error` if the newest whole one does not
  /// fit the program: an older one would not either.
  std::optional<found> restore_latest(state& bound, restore_options options = {}) {
    if (options.verify == verify::during) options.verify = verify::before;
    found result;
    const std::vector<std::int64_t> all = steps();
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
      const std::string file = path_of(*at);
      try {
        const auto from = detail::open_to_restore(file, options, &storage_);
        result.report = detail::restore_from(*from, detail::selection(*from, options), bound, options);
        result.step = *at;
        result.path = file;
        return result;
      } catch (const format_error& e) {
        result.rejected.push_back({file, e.what()});
      } catch (const integrity_error& e) {
        result.rejected.push_back({file, e.what()});
      } catch (const io_error& e) {
        if (e.code() != std::errc::no_such_file_or_directory) throw;
        result.rejected.push_back({file, e.what()});  // deleted between listing and opening
      }
    }
    if (result.rejected.empty()) return std::nullopt;
    std::string text = path_ + ": none of " + std::to_string(result.rejected.size()) + " checkpoints is whole";
    for (const rejected_checkpoint& r : result.rejected) text += "\n  " + r.reason;
    throw integrity_error(text);
  }

 private:
  static constexpr const char *prefix = "step-", *suffix = ".h5", *lock_name = ".holdfast-lock";

  static std::optional<std::int64_t> step_of(std::string_view name) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
    const std::string_view digits = name.substr(5, name.size() - 8);
    if (digits.size() < 12 || (digits.size() > 12 && digits.front() == '0')) return std::nullopt;  // not as path_of writes it
    std::int64_t step = -1;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    return failed == std::errc() && end == digits.data() + digits.size() && step >= 0 ? std::optional(step) : std::nullopt;
  }

  save_options options_of(std::int64_t step, const save_note& note) const {
    return {.step = step, .metric = note.metric.value_or(std::numeric_limits<double>::quiet_NaN()), .existing = io::replace::yes, .storage = &storage_};
  }

  /// Locks the directory for as long as this object lives and deletes what writers that died have left behind.
  void take_lease() {
    if (lease_) return;
    lease_ = storage_.lease(path_ + "/" + lock_name);
    if (!lease_) throw io_error(path_ + ": another process is saving checkpoints here; give each run a directory of its own", std::make_error_code(std::errc::resource_unavailable_try_again));
    for (const std::string& name : storage_.list(path_))
      if (name.starts_with(io::durable_file::temporary_prefix) && name.ends_with(".tmp")) storage_.remove(path_ + "/" + name);
  }

  /// Deletes what is not kept. Only files with a valid seal count as kept, and the one just written always does.
  void retire(std::int64_t newest) {
    struct candidate {
      std::int64_t step;
      double metric;
    };
    std::vector<candidate> all;
    for (const std::int64_t step : steps()) {
      if (step > newest) continue;
      try {
        const auto file = storage_.open(path_of(step));
        if (const auto t = hdf5::sealed_reader::trailer_of(*file)) all.push_back({step, t->metric});
      } catch (const error&) {  // a damaged file is left for its owner to look at
      }
    }
    std::set<std::int64_t> kept{newest};
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all.size() - i <= static_cast<std::size_t>(keep_.keep_last)) kept.insert(all[i].step);
      if (keep_.keep_every > 0 && all[i].step % keep_.keep_every == 0) kept.insert(all[i].step);
    }
    std::vector<candidate> ranked = all;
    std::erase_if(ranked, [](const candidate& c) { return std::isnan(c.metric); });
    detail::sort(ranked, [&](const candidate& a, const candidate& b) { return keep_.higher_is_better ? a.metric > b.metric : a.metric < b.metric; });
    for (std::size_t i = 0; i < ranked.size() && i < static_cast<std::size_t>(std::max(keep_.keep_best, 0)); ++i) kept.insert(ranked[i].step);
    for (const candidate& c : all)
      if (!kept.contains(c.step)) storage_.remove(path_of(c.step));
  }

  std::string path_;
  retention keep_;
  io::storage& storage_;
  std::shared_ptr<void> lease_;
  saver saver_;  // last: it ends its work first, which uses the others
};

}  // namespace holdfast
