// The command line that the trainers share, and how they report errors. command_line.cpp has it compiled once.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace example {

/// An example fills in its defaults; the command line replaces what it names.
struct options {
  std::int64_t steps = 0;
  std::int64_t checkpoint_every = 0;
  std::string checkpoint_dir = {};
  std::string data = {};
  std::string final_file = {};
  bool resume = false;
};

/// An option that only one example has.
struct text_option {
  std::string name;
  std::string* value;
  std::string description;
};

/// The body of `main`: reads the command line, calls `train` and returns the exit status, which is 2 for a bad command
/// line, 1 for an exception, otherwise what `train` returns.
int run(int argc, char** argv, const std::string& description, options chosen,
        const std::function<int(const options&)>& train, const std::vector<text_option>& more = {});

}  // namespace example
