#pragma once
/// Runs of the library whose calls are recorded.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "broken_storage.hpp"
#include "crash_replay.hpp"

namespace support {

/// A program that saves its state and writes down what it was told.
class recorded_run {
 public:
  static disk_image empty_disk() { return {.folders = {"/", "/disk"}}; }

  /// `steps` are those of versions saved before the recording, to what is on the disk at its start.
  explicit recorded_run(mistake made = mistake::none, const disk_image& start = empty_disk(), std::vector<std::int64_t> steps = {})
      : disk_(std::make_shared<recording_storage>(start)), storage_(*disk_, made), steps_(std::move(steps)) {
    disk_->syncs_recycled = made != mistake::recycled_before_folder_sync;
  }

  recording_storage& disk() { return *disk_; }
  std::string folder = "/disk/runs/exp1", file = "/disk/latest.h5";

  holdfast::checkpoint_directory open(holdfast::retention keep = {.keep_last = 100}) {
    keep.storage = &storage_;
    return {folder, keep};
  }

  /// Another program on the same, running machine.
  void next_process() { disk_->revive(); }

  /// Changes the state and calls `save(state)`, which returns when the program is told that it is saved.
  template <class Save>
  void saving(std::int64_t step, Save&& save) {
    const std::size_t version = next(step);
    save(trainer_.bound);
    disk_->reported(version);
  }
  void save(holdfast::checkpoint_directory& runs, std::int64_t step, double metric = std::nan("")) {
    saving(step, [&](const holdfast::state& s) { runs.save(step, s, {.metric = metric}); });
  }

  /// Begins to save; `report` comes later.
  std::size_t save_async(holdfast::checkpoint_directory& runs, std::int64_t step, holdfast::pending_save& pending) {
    const std::size_t version = next(step);
    pending = runs.save_async(step, trainer_.bound);
    trainer_.become(-7);  // it may change now
    return version;
  }

  holdfast::save_options options(holdfast::io::replace existing = holdfast::io::replace::yes) {
    return {.step = 0, .existing = existing, .storage = &storage_};
  }

  crash_trainer& trainer() { return trainer_; }
  std::size_t versions() const { return steps_.size(); }

  recording of_directory(std::size_t from = 0) const { return {.disk = disk_, .path = folder, .steps = steps_, .from = from}; }
  recording of_file() const { return {.disk = disk_, .path = file, .directory = false, .steps = steps_}; }

 private:
  std::size_t next(std::int64_t step) {
    const std::size_t version = steps_.size();
    steps_.push_back(step);
    trainer_.become(static_cast<std::int64_t>(version));
    disk_->began(version);
    return version;
  }

  std::shared_ptr<recording_storage> disk_;
  broken_storage storage_;
  crash_trainer trainer_;
  std::vector<std::int64_t> steps_;
};

inline recording first_save(mistake made = mistake::none) {
  recorded_run run(made);
  auto runs = run.open();
  run.save(runs, 0);
  return run.of_directory();
}

inline recording replayed_saves(mistake made = mistake::none) {
  recorded_run run(made);
  auto runs = run.open();
  for (std::int64_t step = 0; step < 60; step += 10) run.save(runs, step);
  return run.of_directory();
}

inline recording retention_of_the_newest(mistake made = mistake::none) {
  recorded_run run(made);
  auto runs = run.open({.keep_last = 1});
  for (std::int64_t step = 0; step < 6; ++step) run.save(runs, step);
  return run.of_directory();
}

inline recording retention_of_the_best(mistake made = mistake::none) {
  recorded_run run(made);
  auto runs = run.open({.keep_last = 2, .keep_best = 1, .keep_every = 4});
  const double metrics[] = {0.5, 0.2, 0.4, 0.1, 0.6, 0.7, 0.8};
  for (std::int64_t step = 0; step < 7; ++step) run.save(runs, step, metrics[step]);
  return run.of_directory();
}

/// What retention lets go becomes the next file, but where a reader has it open.
inline recording recycled_blocks(mistake made = mistake::none) {
  recorded_run run(made);
  auto runs = run.open({.keep_last = 1, .recycle = true});
  std::unique_ptr<holdfast::io::file> reader;
  for (std::int64_t step = 0; step < 7; ++step) {
    run.save(runs, step);
    if (step == 3) reader = run.disk().open(runs.path_of(step));
    if (step == 5) reader.reset();
  }
  return run.of_directory();
}

inline recording async_saves(mistake made = mistake::none) {
  recorded_run run(made);
  auto runs = run.open({.keep_last = 2});
  for (std::int64_t step = 0; step < 4; ++step) {
    holdfast::pending_save pending;
    const std::size_t version = run.save_async(runs, step, pending);
    pending.wait();
    run.disk().reported(version);
  }
  // Without a wait: the next save tells by not throwing that the one before has succeeded, `close` tells of the last.
  std::optional<std::size_t> before;
  for (std::int64_t step = 4; step < 8; ++step) {
    holdfast::pending_save pending;
    const std::size_t version = run.save_async(runs, step, pending);
    if (before) run.disk().reported(*before);
    before = version;
  }
  runs.close();
  run.disk().reported(*before);
  return run.of_directory();
}

/// A run that resumes from an older step and replaces the newer ones on its way, also the newest itself.
inline recording resumed_run(mistake made = mistake::none) {
  recorded_run run(made);
  {
    auto runs = run.open({.keep_last = 3});
    for (std::int64_t step = 0; step < 4; ++step) run.save(runs, step);
  }
  run.next_process();
  auto runs = run.open({.keep_last = 2, .recycle = true});
  runs.restore_latest(run.trainer().bound);
  for (const std::int64_t step : {2, 3, 3, 4}) run.save(runs, step);
  return run.of_directory();
}

/// `holdfast::save` onto one path, each with a layout of its own.
inline recording saves_onto_one_path(mistake made = mistake::none) {
  recorded_run run(made);
  for (int i = 0; i < 6; ++i) run.saving(0, [&](const holdfast::state& s) { holdfast::save(run.file, s, run.options()); });
  return run.of_file();
}

/// A saver that replays its layout onto a name that exists, once refused because it does.
inline recording saves_onto_an_existing_name(mistake made = mistake::none) {
  recorded_run run(made);
  holdfast::saver saver;
  run.saving(0, [&](const holdfast::state& s) { saver.save(run.file, s, run.options(holdfast::io::replace::no)); });
  for (int i = 0; i < 4; ++i) {
    try {
      saver.save(run.file, run.trainer().bound, run.options(holdfast::io::replace::no));
    } catch (const holdfast::io_error&) {  // the name is taken
    }
    run.saving(0, [&](const holdfast::state& s) { saver.save(run.file, s, run.options()); });
  }
  return run.of_file();
}

/// The process is killed at the call `nth` of a run, the machine stays up, another process resumes and saves.
/// The crash comes after that. Nothing if the run has no more than `nth` calls.
inline std::optional<recording> killed_and_resumed(std::size_t nth) {
  recorded_run run;
  bool killed = false;
  run.disk().kill_at(nth);
  try {
    auto runs = run.open({.keep_last = 1});
    for (std::int64_t step = 0; step < 3; ++step) run.save(runs, step);
  } catch (const recording_storage::killed&) {
    killed = true;
  }
  if (!killed) return std::nullopt;
  run.next_process();
  const std::size_t from = run.disk().calls().size();
  auto runs = run.open({.keep_last = 1});
  const auto found = runs.restore_latest(run.trainer().bound);
  const std::int64_t step = found ? found->step + 1 : 0;
  run.save(runs, step);
  run.save(runs, step + 1);
  return run.of_directory(from);
}

/// Runs that resume from `number` of the states that a crash may leave of a run with retention, and save twice. What a
/// crash leaves is all durable.
inline std::vector<recording> crashed_and_resumed(std::size_t number, std::mt19937_64& engine) {
  const recording first = retention_of_the_newest();
  std::vector<recording> resumed;
  crash_model model(first.disk->start());
  std::optional<std::size_t> reported;
  const std::size_t every = (first.disk->calls().size() + number - 1) / number;
  std::size_t at = 0, began = 0;
  for (const disk_call& call : first.disk->calls()) {
    model.apply(call);
    if (call.what == disk_call::kind::began) began = call.version + 1;
    if (call.what == disk_call::kind::reported) reported = call.version;
    if (at++ % every != 0) continue;
    std::vector<disk_image> left;
    model.for_each_state(512, 50, engine, [&](const disk_image& image, std::uint64_t) {
      left.push_back(image);
      return true;
    });
    recorded_run run(mistake::none, left[engine() % left.size()], {first.steps.begin(), first.steps.begin() + static_cast<std::ptrdiff_t>(began)});
    auto runs = run.open({.keep_last = 1});
    const auto found = runs.restore_latest(run.trainer().bound);
    for (std::int64_t step = found ? found->step + 1 : 0, end = step + 2; step < end; ++step) run.save(runs, step);
    resumed.push_back(run.of_directory());
    resumed.back().began = began;
    resumed.back().reported = reported;
  }
  return resumed;
}

}  // namespace support
