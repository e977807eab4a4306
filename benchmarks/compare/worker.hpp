#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "workload.hpp"

namespace compare {

/// Seconds that `work` takes.
template <class F>
double seconds(F&& work) {
  const auto start = std::chrono::steady_clock::now();
  std::forward<F>(work)();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Seconds that one of several runs of `work`, which is too short for one, takes on average.
template <class F>
double mean_seconds(int runs, F work) {
  return seconds([&] { for (int i = 0; i < runs; ++i) work(i); }) / runs;
}

/// What runs contenders when it is told to. One line is one command, answered by one line, with tabs between the words:
///
///   contenders           ok  NAME...
///   versions             ok  TEXT...
///   workload FILE        ok  BYTES        makes the tensors that FILE describes; once
///   run NAME PATH        ok  NUMBER       seconds, or bytes for a contender that measures memory
///
/// A command that fails is answered with `error` and a text. Python's peers speak the same (peers.py).
class worker {
 public:
  /// Does its work once, with a file at `path`, and returns what it measured; what it does not want to count it does
  /// before and after.
  using contender = std::function<double(workload& tensors, const std::string& path)>;

  void add(std::string name, contender run) { contenders_.emplace(std::move(name), std::move(run)); }

  /// Something that is timed as a whole.
  using action = std::function<void(workload& tensors, const std::string& path)>;

  /// Adds what writes a file and does not make it durable, under this name with an fsync after it, which counts, and as
  /// "NAME, no fsync" without.
  void add_save(std::string name, action save);

  /// Adds what loads into the tensors: it is an error if it does not.
  void add_load(std::string name, action load);

  void version(std::string text) { versions_.push_back(std::move(text)); }

  /// Answers until its input ends.
  int serve();

 private:
  std::string answer(const std::vector<std::string>& words);

  std::map<std::string, contender> contenders_;
  std::vector<std::string> versions_;
  std::unique_ptr<workload> tensors_;
};

}  // namespace compare
