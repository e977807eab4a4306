#pragma once
/// Proves, in your own test suite, that your training run resumes bit for bit:
///
///   auto result = holdfast::testing::resume_equivalence([] { return std::make_unique<my_trainer>(seed); }, 50);
///   REQUIRE_MESSAGE(result, result.text());
///
/// where my_trainer has `void step()` and `void bind(holdfast::state&)`. A run of 100 steps is compared with runs that
/// are cut, saved, and restored into a new trainer in a new process.
#include <algorithm>
#include <cerrno>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/checkpoint/compare.hpp>
#include <holdfast/checkpoint/restore.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/order.hpp>

namespace holdfast::testing {

/// One training run: `step` advances it, `bind` names everything it depends on.
template <class T>
concept trainer = requires(T& t, state& s) {
  t.step();
  t.bind(s);
};

/// How `resume_equivalence` tries.
struct equivalence_options {
  /// After how many steps the run is cut; empty: after 1, half, all and one less than twice `steps`, and an odd number.
  std::vector<std::int64_t> cuts{};
  /// Where checkpoints are kept for a look at them; empty: in a folder that is deleted.
  std::string folder{};
  /// Whether each part of a run is a process of its own (fork), so that global variables are fresh too. A program that
  /// has started threads, CUDA or MPI cannot fork and needs `false`; what it keeps in globals then goes unnoticed.
  bool processes = true;
};

/// Where a resumed run went another way.
struct divergence {
  std::int64_t cut = 0;                      ///< steps before the run was saved
  std::int64_t step = 0;                     ///< the earliest step after which a difference was looked for and found; `cut`: on restore itself
  std::vector<tensor_difference> tensors{};  ///< which differ there
  std::string failure{};                     ///< instead of that, why a part of the run ended with an error
};

/// What `resume_equivalence` found.
struct equivalence_report {
  std::vector<std::int64_t> cuts{};       ///< after how many steps runs were cut
  std::int64_t steps = 0;                 ///< of each run
  std::vector<divergence> divergences{};  ///< one for each cut after which the run went another way
  bool reproducible = true;               ///< whether two uninterrupted runs end alike; only looked at after a divergence

  /// Whether every resumed run was the uninterrupted one.
  bool equivalent() const noexcept { return divergences.empty(); }
  /// The same.
  explicit operator bool() const noexcept { return equivalent(); }

  /// What happened, with the first path that differs, by how much, and what is commonly forgotten.
  std::string text() const {
    if (equivalent()) return "resumed runs are bit for bit the uninterrupted run of " + std::to_string(steps) + " steps, cut after " + list(cuts);
    const divergence& d = divergences.front();
    std::string s = "cut after step " + std::to_string(d.cut) + " of " + std::to_string(steps) + ": ";
    if (!d.failure.empty()) return s + d.failure;
    if (d.step == d.cut) s += "the restored state is not the saved one:";
    else s += "the resumed run differs from the uninterrupted one after step " + std::to_string(d.step) + ":";
    constexpr std::size_t shown = 5;
    for (std::size_t i = 0; i < d.tensors.size() && i < shown; ++i) s += "\n  " + d.tensors[i].text();
    if (d.tensors.size() > shown) s += "\n  … and " + std::to_string(d.tensors.size() - shown) + " more";
    if (!reproducible) return s + "\nTwo uninterrupted runs differ as well: the training itself is not reproducible (threads, uninitialised memory, time, addresses).";
    if (d.step != d.cut)
      s += "\nEverything bound came back as it was saved, so a step depends on something that is not bound. Commonly forgotten: momentum and Adam moments, "
           "step counts, scheduler counters, random generators (and values a distribution has drawn ahead), the position in the data and its shuffled order, "
           "batch-norm statistics, accumulated gradients, or an object made anew after the restore.";
    return s;
  }

 private:
  static std::string list(const std::vector<std::int64_t>& numbers) {
    std::string s;
    for (std::int64_t n : numbers) s += (s.empty() ? "" : ", ") + std::to_string(n);
    return s;
  }
};

namespace detail {

/// Runs `part` in a forked process and returns the message of what it threw, empty if nothing.
inline std::string in_process(const std::function<void()>& part) {
  int ends[2];
  if (::pipe(ends) != 0) throw io_error("cannot make a pipe", std::error_code(errno, std::generic_category()));
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw io_error("cannot fork", std::error_code(errno, std::generic_category()));
  if (child == 0) {
    ::close(ends[0]);
    int status = 0;
    std::string message;
    try {
      part();
    } catch (const std::exception& e) {
      message = e.what();
      status = 1;
    } catch (...) {
      message = "something that is not a std::exception was thrown";
      status = 1;
    }
    std::fflush(nullptr);
    for (std::string_view rest = message; !rest.empty();) {
      const auto n = ::write(ends[1], rest.data(), rest.size());
      if (n <= 0) break;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    ::_exit(status);
  }
  ::close(ends[1]);
  std::string message;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) message.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && message.empty()) return "ended with status " + std::to_string(WEXITSTATUS(status));
  return message;
}

inline std::string in_place(const std::function<void()>& part) {
  try {
    part();
    return {};
  } catch (const std::exception& e) {
    return std::string(e.what()).empty() ? "an exception without a message" : e.what();
  }
}

/// A folder that is deleted with the object, unless it was given.
class scratch {
 public:
  explicit scratch(const std::string& given) : path_(given), owned_(given.empty()) {
    if (!owned_) {
      std::filesystem::create_directories(path_);
      return;
    }
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-equivalence-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw io_error(pattern + ": cannot create the folder", std::error_code(errno, std::generic_category()));
    path_ = pattern;
  }
  scratch(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    if (owned_) std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  bool owned_;
};

/// A trainer as the factory returns it: by value, or owned by a smart pointer.
template <class Made>
auto& trainer_of(Made& made) {
  if constexpr (trainer<Made>) return made;
  else return *made;
}

/// Runs a new trainer from a checkpoint (none: from its start) and saves at the given steps.
template <class Factory>
void run_part(Factory& make, std::int64_t from, const std::string& checkpoint, const std::vector<std::pair<std::int64_t, std::string>>& saves) {
  auto made = make();
  auto& t = trainer_of(made);
  if (!checkpoint.empty()) {
    state bound;
    t.bind(bound);
    restore(checkpoint, bound);
  }
  for (const auto& [step, file] : saves) {
    for (; from < step; ++from) t.step();
    state bound;
    t.bind(bound);
    save(file, bound, {.step = step});
  }
}

}  // namespace detail

/// Compares a run of 2 * `steps` steps with runs that are cut, saved, restored into a new trainer made by `make` in a new
/// process, and continued, for several cuts: bit for bit, over everything that is bound. `make()` returns a `trainer`, or
/// a smart pointer to one; it is called anew for each part and must make the same trainer each time. `bind` is called
/// again for each save, so it may bind what exists only later. Throws `error` for cuts outside the run and `io_error`
/// where files or processes cannot be made; what trainers throw becomes a divergence.
template <class Factory>
equivalence_report resume_equivalence(Factory make, std::int64_t steps, const equivalence_options& options = {}) {
  equivalence_report report{.cuts = options.cuts, .steps = 2 * steps};
  const std::int64_t end = 2 * steps;
  if (steps < 1) throw error("resume_equivalence: " + std::to_string(steps) + " steps, expected at least 1");
  if (report.cuts.empty()) report.cuts = {1, std::max<std::int64_t>(steps / 2, 1), std::min(steps / 3 * 2 + 1, end - 1), steps, end - 1};
  holdfast::detail::sort(report.cuts);
  report.cuts.erase(std::unique(report.cuts.begin(), report.cuts.end()), report.cuts.end());
  for (std::int64_t c : report.cuts)
    if (c < 1 || c >= end) throw error("resume_equivalence: cut after step " + std::to_string(c) + ", expected 1 to " + std::to_string(end - 1));

  const detail::scratch folder(options.folder);
  const auto run = [&](const std::function<void()>& part) { return options.processes ? detail::in_process(part) : detail::in_place(part); };
  const auto fail = [&](std::int64_t cut, const char* who, const std::string& why) { report.divergences.push_back({.cut = cut, .step = cut, .failure = std::string(who) + " failed: " + why}); };

  const std::string whole = folder / "uninterrupted.h5";
  if (const std::string why = run([&] { detail::run_part(make, 0, "", {{end, whole}}); }); !why.empty()) {
    fail(end, "the uninterrupted run", why);
    return report;
  }
  for (const std::int64_t cut : report.cuts) {
    const std::string name = "cut-" + std::to_string(cut);
    const std::string saved = folder / (name + "-saved.h5"), next = folder / (name + "-next.h5");
    const std::string restored = folder / (name + "-restored.h5"), resumed_next = folder / (name + "-resumed-next.h5"), resumed = folder / (name + "-resumed.h5");
    if (const std::string why = run([&] { detail::run_part(make, 0, "", {{cut, saved}, {cut + 1, next}}); }); !why.empty()) {
      fail(cut, "the run to be cut", why);
      continue;
    }
    if (const std::string why = run([&] { detail::run_part(make, cut, saved, {{cut, restored}, {cut + 1, resumed_next}, {end, resumed}}); }); !why.empty()) {
      fail(cut, "the resumed run", why);
      continue;
    }
    const std::pair<std::int64_t, std::pair<std::string, std::string>> looks[] = {{cut, {saved, restored}}, {cut + 1, {next, resumed_next}}, {end, {whole, resumed}}};
    for (const auto& [step, files] : looks) {
      std::vector<tensor_difference> tensors = compare(files.first, files.second);
      if (tensors.empty()) continue;
      report.divergences.push_back({.cut = cut, .step = step, .tensors = std::move(tensors)});
      break;
    }
  }
  if (!report.equivalent()) {
    const std::string again = folder / "uninterrupted-again.h5";
    report.reproducible = run([&] { detail::run_part(make, 0, "", {{end, again}}); }).empty() && compare(whole, again).empty();
  }
  return report;
}

}  // namespace holdfast::testing
