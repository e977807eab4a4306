/// Every state that a crash of the machine may leave of real runs of the library is opened as a program would open it.
/// HOLDFAST_TEST_EFFORT says how many: 1 is two million, of which one million differ; 20 is a long run.
#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "../support.hpp"
#include "crash_scenarios.hpp"

using support::mistake;
using support::recording;
using support::replay_result;

namespace {

using clock_type = std::chrono::steady_clock;

struct scenario {
  const char* name;
  recording (*record)(mistake);
};
constexpr scenario scenarios[] = {
    {"first save", support::first_save},
    {"replayed saves", support::replayed_saves},
    {"keep the newest one", support::retention_of_the_newest},
    {"recycled blocks", support::recycled_blocks},
    {"keep the newest and the best", support::retention_of_the_best},
    {"saves in the background", support::async_saves},
    {"a resumed run replaces steps", support::resumed_run},
    {"saves onto one path", support::saves_onto_one_path},
    {"saves onto an existing name", support::saves_onto_an_existing_name},
};

double seconds_since(clock_type::time_point start) { return std::chrono::duration<double>(clock_type::now() - start).count(); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::size_t scaled(double states) { return static_cast<std::size_t>(std::max(states * support::effort(), 8.0)); }

void print(const std::string& name, const replay_result& r, clock_type::time_point start) {
  std::cout << std::left << std::setw(38) << name << std::right;
  const std::pair<std::size_t, const char*> counts[] = {{r.tried, "states tried"}, {r.distinct, "distinct"}, {r.resumed, "resumed"}, {r.nothing, "had nothing"}, {r.refused, "refused"}, {r.saved_again, "saved again"}};
  for (const auto& [count, what] : counts) std::cout << std::setw(8) << count << " " << what << ",";
  std::cout << std::fixed << std::setprecision(1) << std::setw(6) << seconds_since(start) << " s" << std::endl;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(crash_states)

BOOST_AUTO_TEST_CASE(no_crash_loses_what_was_reported_as_saved) {
  auto engine = support::random_engine();
  replay_result total;
  const auto start = clock_type::now();
  const auto replay = [&](const recording& run, double states) {
    const replay_result r = support::crash_replay(run, scaled(states), engine).run();
    BOOST_TEST(r.violation.empty(), r.violation);
    BOOST_TEST(r.refused == 0u, "a restore threw, before anything was reported");
    total += r;
    return r;
  };
  for (const scenario& s : scenarios) {
    BOOST_TEST_CONTEXT(s.name) {
      const auto began = clock_type::now();
      print(s.name, replay(s.record(mistake::none), 12'000), began);
    }
  }
  // The machine crashes after a process was killed at any call and another one went on.
  BOOST_TEST_CONTEXT("killed and resumed") {
    const auto began = clock_type::now();
    replay_result sum;
    std::size_t kills = 0;
    for (std::size_t nth = 0; const auto run = support::killed_and_resumed(nth); ++nth, ++kills) sum += replay(*run, 1'000);
    print("killed at " + std::to_string(kills) + " calls and resumed", sum, began);
  }
  // The machine crashes, the run is resumed, the machine crashes again.
  BOOST_TEST_CONTEXT("crashed and resumed") {
    const auto began = clock_type::now();
    replay_result sum;
    const std::vector<recording> runs = support::crashed_and_resumed(40, engine);
    for (const recording& run : runs) sum += replay(run, 1'000);
    print("crashed in " + std::to_string(runs.size()) + " ways, resumed, crashed", sum, began);
  }
  print("in all", total, start);
  if (support::effort() >= 1) BOOST_TEST(total.distinct > 1'000'000u);
}

/// The second line of defence: a disk that says "synced" and did nothing may lose everything, but the digests let no
/// mixture of old and new through.
BOOST_AUTO_TEST_CASE(a_disk_that_lies_loses_checkpoints_and_mixes_none) {
  constexpr std::pair<mistake, const char*> lies[] = {
      {mistake::no_sync_before_rename, "files are never synced"},
      {mistake::trailer_synced_before_payload, "only trailers are synced"},
      {mistake::rename_before_trailer, "trailers come last"},
  };
  auto engine = support::random_engine();
  for (const auto& [made, text] : lies) {
    const auto start = clock_type::now();
    replay_result total;
    for (const scenario& s : scenarios) {
      const replay_result r = support::crash_replay(s.record(made), scaled(300), engine, support::promise::whole).run();
      BOOST_TEST(r.violation.empty(), s.name << ": " << r.violation);
      total += r;
    }
    BOOST_TEST(total.refused > 0u);
    print(text, total, start);
  }
  recording unverified = support::retention_of_the_newest(mistake::no_sync_before_rename);
  unverified.verify = holdfast::verify::off;
  const replay_result r = support::crash_replay(unverified, 300, engine, support::promise::whole).run();
  BOOST_TEST(!r.violation.empty(), "a restore that verifies nothing mixed nothing in " << r.tried << " states");
  std::cout << "planted: a restore that verifies nothing: found after " << r.tried << " states: " << first_line(r.violation) << std::endl;
}

BOOST_AUTO_TEST_CASE(every_planted_mistake_is_found) {
  constexpr std::pair<mistake, const char*> mistakes[] = {
      {mistake::no_sync_before_rename, "no fsync before the rename"},
      {mistake::no_folder_sync, "no fsync of the folder"},
      {mistake::rename_before_trailer, "rename before the trailer is written"},
      {mistake::delete_before_durable, "the old file deleted before the new one is durable"},
      {mistake::trailer_synced_before_payload, "trailer synced before the payload"},
      {mistake::reported_before_folder_sync, "success reported before the folder is synced"},
      {mistake::recycled_before_folder_sync, "a recycled file overwritten before its old name is durably gone"},
  };
  auto engine = support::random_engine();
  const auto replay = [&](mistake made, std::string& where) {
    replay_result total;
    for (const scenario& s : scenarios) {
      total += support::crash_replay(s.record(made), 64, engine).run();
      where = s.name;
      if (!total.violation.empty()) break;
    }
    return total;
  };
  std::string where;
  BOOST_TEST(replay(mistake::none, where).violation == "");  // the storage that makes the mistakes is none itself
  for (const auto& [made, text] : mistakes) {
    const auto start = clock_type::now();
    const replay_result found = replay(made, where);
    BOOST_TEST(!found.violation.empty(), text << ": not found in " << found.tried << " states");
    std::cout << "planted: " << text << ": found after " << found.tried << " states, " << std::fixed << std::setprecision(3) << seconds_since(start)
              << " s, in \"" << where << "\": " << first_line(found.violation) << std::endl;
  }
}

BOOST_AUTO_TEST_SUITE_END()
