#pragma once
/// The commands, each in a file of its name: what the command line gives them. They return the exit status, and throw what stops them.
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/restore_options.hpp>

namespace tool {

/// Which paths of a file, as it names them, and how they are named afterwards.
struct selection {
  std::vector<std::string> only{}, except{};
  std::vector<std::pair<std::string, std::string>> rename{};
};

struct ls_options {
  std::string file{};
  std::vector<std::string> only{};
  bool flat = false, json = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
};
int ls(const ls_options& options);

struct show_options {
  std::string file{}, path{};
  bool all = false, json = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
};
int show(const show_options& options);

struct verify_options {
  std::vector<std::string> files{};
  bool json = false;
};
int verify(const verify_options& options);

struct diff_options {
  std::string a{}, b{};
  std::uint64_t ulps = 0;
  double relative = 0;
  bool json = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
};
int diff(const diff_options& options);

}  // namespace tool
