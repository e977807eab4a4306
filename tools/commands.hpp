#pragma once
/// The commands, each in a file of its name: what the command line gives them. They return the exit status, and throw what stops them.
/// With a key they read only what was sealed with it, and seal what they write with it.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/core/digest.hpp>

namespace tool {

/// Which paths of a file, as it names them, and how they are named afterwards.
struct selection {
  std::vector<std::string> only{}, except{};
  std::vector<std::pair<std::string, std::string>> rename{};
};

/// A checkpoint that is written. What is not given is as in the file that it comes from.
struct output {
  std::optional<std::int64_t> step{};
  std::optional<double> metric{};
  bool force = false;  ///< whether a file of its name may be replaced
};

struct ls_options {
  std::string file{};
  std::vector<std::string> only{};
  bool flat = false, json = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
  holdfast::seal_key key{};
};
int ls(const ls_options& options);

struct show_options {
  std::string file{}, path{};
  bool all = false, json = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
  holdfast::seal_key key{};
};
int show(const show_options& options);

struct verify_options {
  std::vector<std::string> files{};
  bool json = false;
  holdfast::seal_key key{};
};
int verify(const verify_options& options);

struct diff_options {
  std::string a{}, b{};
  std::uint64_t ulps = 0;
  double relative = 0;
  bool json = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
  holdfast::seal_key key{};
};
int diff(const diff_options& options);

struct history_options {
  std::string folder{};
  bool higher_is_better = false, verify = false, json = false;
  holdfast::seal_key key{};
};
int history(const history_options& options);

struct report_options {
  std::string folder{}, to{};
  std::string parameters = "model";                 ///< what is trained, as a pattern
  std::vector<std::string> curves{}, histograms{};  ///< patterns; without any: the learning rates, some of the weight matrices
  std::size_t most_read = 50;                       ///< checkpoints of which the content is read
  bool higher_is_better = false, force = false;
  holdfast::seal_key key{};
};
int report(const report_options& options);

struct prune_options {
  std::string folder{};
  std::optional<int> keep_last{}, keep_best{};
  std::optional<std::int64_t> keep_every{};
  bool higher_is_better = false, damaged = false, dry_run = false;
  holdfast::seal_key key{};
};
int prune(const prune_options& options);

struct extract_options {
  std::string file{}, to{};
  selection chosen{};
  output how{};
  holdfast::trust trust = holdfast::trust::sealed_only;
  holdfast::seal_key key{};
};
int extract(const extract_options& options);

/// Which file a path is taken from that several have.
enum class preference { none,
                        first,
                        last };

struct merge_options {
  std::vector<std::string> files{};
  std::string to{};
  preference prefer = preference::none;
  selection chosen{};
  output how{};
  holdfast::trust trust = holdfast::trust::sealed_only;
  holdfast::seal_key key{};
};
int merge(const merge_options& options);

struct import_options {
  std::string file{}, to{};
  selection chosen{};
  output how{};
  holdfast::seal_key key{};
};
int import_file(const import_options& options);

struct export_options {
  std::string file{}, to{};
  selection chosen{};
  std::vector<std::pair<std::string, std::string>> metadata{};
  bool force = false;
  holdfast::trust trust = holdfast::trust::sealed_only;
  holdfast::seal_key key{};
};
int export_file(const export_options& options);

struct seal_options {
  std::string file{};
  output how{};
  bool drop = false, dry_run = false;
  holdfast::seal_key key{};
};
int seal(const seal_options& options);

}  // namespace tool
