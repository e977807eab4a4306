// The command line that the four trainers share, and how they report errors.
#pragma once
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

namespace example {

/// An example fills in its defaults; the command line replaces what it names.
struct options {
  std::int64_t steps = 0;
  std::int64_t checkpoint_every = 0;
  std::string checkpoint_dir;
  std::string data;
  std::string final_file = {};
  bool resume = false;
};

class command_line {
 public:
  command_line(const std::string& description, options defaults) : app(description), chosen_(std::move(defaults)) {
    constexpr std::int64_t most = 1'000'000'000'000;
    app.add_option("--steps", chosen_.steps, "train until this step")
        ->check(CLI::Range(std::int64_t{0}, most))
        ->capture_default_str();
    app.add_option("--checkpoint-dir", chosen_.checkpoint_dir, "where the checkpoints go")->capture_default_str();
    app.add_option("--checkpoint-every", chosen_.checkpoint_every, "steps from one checkpoint to the next")
        ->check(CLI::Range(std::int64_t{1}, most))
        ->capture_default_str();
    app.add_flag("--resume", chosen_.resume, "go on from the newest checkpoint; without one, start");
    app.add_option("--data", chosen_.data, "what to train on")->capture_default_str();
    app.add_option("--final", chosen_.final_file, "save the state after the last step to this file, too");
  }

  /// Calls `train(options)`. The exit status is 2 for a bad command line, 1 for an error, otherwise what `train`
  /// returns.
  template <class F>
  int run(int argc, char** argv, F&& train) {
    try {
      app.parse(argc, argv);
      if (!chosen_.resume) require_no_checkpoints();
      return std::forward<F>(train)(std::as_const(chosen_));
    } catch (const CLI::ParseError& e) {
      return app.exit(e) == 0 ? 0 : 2;
    } catch (const std::exception& e) {  // holdfast::error is one
      std::cerr << argv[0] << ": " << e.what() << std::endl;
      return 1;
    }
  }

  CLI::App app;  // for options of one example

 private:
  void require_no_checkpoints() const {
    const std::string& dir = chosen_.checkpoint_dir;
    if (std::filesystem::is_directory(dir) && !std::filesystem::is_empty(dir))
      throw std::runtime_error(
          dir + ": not empty; pass --resume to go on from its newest checkpoint, or another --checkpoint-dir");
  }

  options chosen_;
};

}  // namespace example
