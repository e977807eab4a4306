#pragma once
/// Opens every state that a crash may leave of a recorded run, and compares what comes back with what was saved.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "crash_model.hpp"
#include "memory_storage.hpp"

namespace support {

/// How much to try: 1 where nothing is said, less where the tests are not optimised (as under sanitizers), any factor in
/// HOLDFAST_TEST_EFFORT. 20 is a night's run.
inline double effort() {
  const char* given = std::getenv("HOLDFAST_TEST_EFFORT");
  if (given != nullptr) return std::strtod(given, nullptr);
#ifdef __OPTIMIZE__
  return 1;
#else
  return 0.02;
#endif
}

/// A training state of several pages whose every sector tells which version it is of: two tensors larger than a page,
/// small ones, a random generator.
struct crash_trainer {
  std::vector<float> weight = std::vector<float>(1500), momentum = std::vector<float>(1100), bias = std::vector<float>(30);
  std::int64_t version = -1;
  std::minstd_rand engine;
  holdfast::state bound;

  crash_trainer() {
    bound.bind("model/weight", weight).bind("model/bias", bias).bind("optimizer/momentum", momentum).bind("version", version).bind("rng", engine);
  }
  crash_trainer(const crash_trainer&) = delete;

  void become(std::int64_t v) {
    std::minstd_rand values(static_cast<unsigned>(v + 1000));
    for (auto* tensor : {&weight, &momentum, &bias})
      for (float& x : *tensor) x = static_cast<float>(values());
    version = v;
    engine = values;
  }

  void become(const crash_trainer& other) {
    weight = other.weight, momentum = other.momentum, bias = other.bias;
    version = other.version, engine = other.engine;
  }

  friend bool operator==(const crash_trainer& a, const crash_trainer& b) {
    return a.version == b.version && a.weight == b.weight && a.momentum == b.momentum && a.bias == b.bias && a.engine == b.engine;
  }
};

/// A run that was recorded. Version i of the state was saved under the step `steps[i]` (0 where there are no steps).
struct recording {
  std::shared_ptr<recording_storage> disk;
  std::string path;  ///< of the directory, or of the one file
  bool directory = true;
  std::vector<std::int64_t> steps{};
  holdfast::verify verify = holdfast::verify::before;  ///< how it is restored
  std::size_t from = 0;                                ///< the first call whose crash states are of interest
  std::size_t began = 0;                               ///< how many versions may already be on the disk when it begins
  std::optional<std::size_t> reported{};               ///< the newest of these that was reported
};

/// What a replay tried and found.
struct replay_result {
  std::size_t tried = 0;                              ///< states, as the model builds them
  std::size_t distinct = 0;                           ///< of these, each opened: the others hold the same names and bytes as one that was
  std::size_t resumed = 0, nothing = 0, refused = 0;  ///< of those tried: how it ended
  std::size_t saved_again = 0;                        ///< in how many the run went on and saved
  std::string violation{};                            ///< of the first state that breaks the promise; the replay ends there

  replay_result& operator+=(const replay_result& more) {
    tried += more.tried, distinct += more.distinct, resumed += more.resumed;
    nothing += more.nothing, refused += more.refused, saved_again += more.saved_again;
    if (violation.empty()) violation = more.violation;
    return *this;
  }
};

/// What is required of every state. `durable`: what comes back is bit for bit a state whose save had begun, and none
/// older than the newest one that was reported as saved; nothing, or an error, comes only where nothing had been
/// reported, and the program's state is then untouched. `whole`: the same, but anything may be lost.
enum class promise { durable,
                     whole };

/// `Trainer` is the state as one process has it.
template <class Trainer>
class basic_crash_replay {
 public:
  /// Tries about `most` states for each call and each size of torn writes.
  basic_crash_replay(const recording& of, std::size_t most, std::mt19937_64& engine, promise required = promise::durable)
      : of_(of), most_(most), engine_(engine), required_(required) {
    for (std::size_t v = 0; v < of.steps.size(); ++v) expected_.emplace_back().become(static_cast<std::int64_t>(v));
    blank_.become(-1);
  }

  /// Ends at the first state that breaks the promise.
  replay_result run() {
    crash_model model(of_.disk->start());
    began_ = of_.began;
    if (of_.reported) reported(*of_.reported);
    std::size_t at = 0;
    for (const disk_call& call : of_.disk->calls()) {
      model.apply(call);
      if (call.what == disk_call::kind::began) began_ = call.version + 1;
      if (call.what == disk_call::kind::reported) reported(call.version);
      // Neither a beginning nor a lease changes the disk or the promise.
      if (at++ < of_.from || call.what == disk_call::kind::began || call.what == disk_call::kind::lease) continue;
      for (const std::size_t unit : {std::size_t{0}, std::size_t{4096}, std::size_t{512}}) {
        const auto check = [&](const disk_image& image, std::uint64_t hash) { return visit(image, hash, at, unit); };
        if (!model.for_each_state(unit, most_, engine_, check)) return result_;
      }
    }
    return result_;
  }

 private:
  static constexpr int none = -1, error = -2, wrong = -3;  // instead of a version

  bool visit(const disk_image& image, std::uint64_t hash, std::size_t at, std::size_t unit) {
    ++result_.tried;
    const auto [known, is_new] = known_.try_emplace(hash, none);
    if (is_new) {
      ++result_.distinct;
      known->second = open(image);
      if (of_.directory && result_.distinct % 128 == 1 && known->second != wrong && !goes_on(image)) known->second = wrong;
    }
    const int version = known->second;
    (version == none ? result_.nothing : version == error ? result_.refused
                                                          : result_.resumed) += version != wrong;
    const bool begun = version < 0 || static_cast<std::size_t>(version) < began_;
    const bool lost = newest_ && (version < 0 || order(static_cast<std::size_t>(version)) < order(*newest_));
    if (version != wrong && begun && (!lost || required_ == promise::whole)) return true;
    if (version == none || version == error) open(image);  // for its words, where the outcome was known
    if (version == none) why_ = "nothing was found";
    if (version >= 0) why_ = name(static_cast<std::size_t>(version)) + " came back";
    result_.violation = "crash after call " + std::to_string(at) + ", writes torn at " + std::to_string(unit) + ", " +
                        (newest_ ? name(*newest_) : "nothing") + " reported as saved: " + why_;
    for (const auto& [path, inode] : image.files)
      result_.violation += "\n  on the disk: " + path + " (" + std::to_string(inode->bytes.size()) + " bytes)";
    return false;
  }

  /// Resumes as a program would; returns the version that came back.
  int open(const disk_image& image) {
    memory_storage disk(image);
    why_.clear();
    restored_.become(blank_);
    std::int64_t step = -1;
    try {
      if (of_.directory) {
        holdfast::checkpoint_directory runs(of_.path, {.storage = &disk});
        const auto found = runs.restore_latest(restored_.bound, {.verify = of_.verify});
        if (!found) return untouched(none);
        step = found->step;
      } else {
        if (!image.files.contains(of_.path)) return none;
        const holdfast::restore_options options{.verify = of_.verify};
        const auto from = holdfast::detail::open_to_restore(of_.path, options, &disk);
        step = holdfast::detail::restore_from(*from, holdfast::detail::selection(*from, options), restored_.bound, options).step;
      }
    } catch (const holdfast::error& e) {
      why_ = "an error: " + std::string(e.what());
      return untouched(error);
    }
    if (of_.directory && required_ == promise::durable && !named_rightly(disk)) return wrong;
    const auto v = static_cast<std::size_t>(restored_.version);
    if (v < expected_.size() && restored_ == expected_[v] && step == of_.steps[v]) return static_cast<int>(v);
    why_ = "a state came back that was never saved";
    return wrong;
  }

  /// Whether no file that is whole has the name of another step than it was saved under.
  bool named_rightly(memory_storage& disk) {
    const holdfast::checkpoint_directory runs(of_.path, {.storage = &disk});
    for (const std::int64_t step : runs.steps()) {
      try {
        const auto trailer = holdfast::hdf5::sealed_reader::trailer_of(*disk.open(runs.path_of(step)));
        if (!trailer || trailer->step == step) continue;
        why_ = "step " + std::to_string(trailer->step) + " lies under the name of step " + std::to_string(step);
        return false;
      } catch (const holdfast::error&) {  // it is damaged and says so
      }
    }
    return true;
  }

  int untouched(int outcome) {
    if (restored_ == blank_) return outcome;
    why_ = "nothing came back, but the program's state has changed";
    return wrong;
  }

  /// The run goes on in what the crash left: it saves, which sweeps what the dead writer left, and resumes from that.
  bool goes_on(const disk_image& image) {
    ++result_.saved_again;
    why_.clear();
    memory_storage disk(image);
    holdfast::checkpoint_directory runs(of_.path, {.keep_last = 100, .storage = &disk});
    const std::vector<std::int64_t> before = runs.steps();
    const std::int64_t next = before.empty() ? 0 : before.back() + 1;
    restored_.become(-2);
    runs.save(next, restored_.bound);
    for (const auto& [path, inode] : disk.image().files)
      if (path.ends_with(".tmp")) why_ = "a save swept not all temporaries: " + path;
    restored_.become(-3);
    const auto found = runs.restore_latest(restored_.bound);
    if (!found || found->step != next || restored_.version != -2) why_ = "the save after the crash did not come back";
    return why_.empty();
  }

  void reported(std::size_t version) {
    if (!newest_ || order(version) >= order(*newest_)) newest_ = version;
  }

  /// A directory's newest checkpoint is the one of the highest step; of one step, the one saved last.
  std::pair<std::int64_t, std::size_t> order(std::size_t version) const { return {of_.steps[version], version}; }

  std::string name(std::size_t version) const { return "version " + std::to_string(version) + " (step " + std::to_string(of_.steps[version]) + ")"; }

  const recording& of_;
  std::size_t most_;
  std::mt19937_64& engine_;
  promise required_;
  std::deque<Trainer> expected_;
  Trainer restored_, blank_;
  std::unordered_map<std::uint64_t, int> known_;
  std::size_t began_ = 0;
  std::optional<std::size_t> newest_;
  std::string why_;
  replay_result result_;
};
using crash_replay = basic_crash_replay<crash_trainer>;

}  // namespace support
