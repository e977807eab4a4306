#pragma once
/// What the checkpoints of a run say about the training: the facts behind `holdfast report`.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <holdfast/checkpoint/directory.hpp>

#include "commands.hpp"
#include "statistics.hpp"

namespace tool {

/// L2 norms of what belongs to a layer: all tensors whose names agree up to the last dot or slash. Finite elements count.
struct layer_norms {
  std::optional<double> parameters{};
  std::optional<double> update{};                          ///< of what changed since the checkpoint that was read before
  std::map<std::string, std::optional<double>> moments{};  ///< and gradients; by kind, as "exp_avg"
};

struct surveyed_checkpoint {
  holdfast::checkpoint_info info{};
  std::string note{};                       ///< "newest", "best"
  bool unverifiable = false, read = false;  ///< read: every byte was, and is as it was saved
  std::optional<double> seconds{};          ///< that the save took
  std::map<std::string, layer_norms> layers{};
  std::map<std::string, double> curves{};
};

/// A tensor of the newest checkpoint that was read.
struct surveyed_tensor {
  std::string path{}, type{};
  statistics numbers{};
  bool trained = false;  ///< whether it is a parameter
  std::optional<double> update{};
};

/// A tensor with NaN or Inf.
struct alarm {
  std::int64_t first = 0, last = 0;                                    ///< the steps of the first and the last checkpoint with some
  std::uint64_t checkpoints = 0, nan = 0, infinite = 0, elements = 0;  ///< counts of elements: in the last one
};

/// How the finite elements of a tensor are spread over equal bins, at one step or two.
struct histogram {
  struct line {
    std::int64_t step = 0;
    std::vector<double> shares{};  ///< of the finite elements
  };
  std::string path{}, type{};
  double low = 0, high = 0;
  std::vector<line> lines{};
};

struct survey {
  std::vector<surveyed_checkpoint> checkpoints{};  ///< all of the folder, by ascending step
  std::vector<std::string> layers{};               ///< of all checkpoints, in natural order
  std::vector<surveyed_tensor> tensors{};          ///< parameters first
  std::map<std::string, alarm> alarms{};
  std::vector<histogram> histograms{};
  std::size_t histograms_left_out = 0;
};

/// Numbers that are drawn over the steps; a tensor of more elements is none.
inline constexpr std::size_t most_curves = 8;

/// Up to `most` of `n` things that are evenly spread, the first and the last among them.
std::set<std::size_t> spread(std::size_t n, std::size_t most);

/// Reads the checkpoints of a folder one after the other. What is damaged or cannot be read is noted and passed over; throws `error` if
/// there is no checkpoint at all, or a pattern matches nothing in the newest.
survey survey_of(const report_options& options);

}  // namespace tool
