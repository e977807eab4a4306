#pragma once
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

/// What a training run has that must come back for it to go on as if nothing had happened.
enum class role { model,
                  optimizer,
                  scheduler,
                  rng,
                  data_order,
                  scaler,
                  progress };

/// A role and the path at or below which it is bound, for `state::expects`. Without a path it is the one of the file
/// layout's convention: "model", "optimizer", "scheduler", "rng", "data", "scaler", "progress".
struct expected_role {
  role what;         ///< it must have
  std::string path;  ///< at or below which something must be bound

  /// At the path of the convention.
  expected_role(role r) : what(r), path(convention(r)) {}
  /// At a path of the program's own.
  expected_role(role r, std::string at) : what(r), path(std::move(at)) {}

  /// The path that the file layout's convention has for a role.
  static std::string_view convention(role r) {
    switch (r) {
      case role::model: return "model";
      case role::optimizer: return "optimizer";
      case role::scheduler: return "scheduler";
      case role::rng: return "rng";
      case role::data_order: return "data";
      case role::scaler: return "scaler";
      case role::progress: return "progress";
    }
    return {};
  }

  /// What it is, in words.
  std::string_view text() const {
    switch (what) {
      case role::model: return "the model's parameters and buffers";
      case role::optimizer: return "the optimizer's state (momentum, moments, step counts)";
      case role::scheduler: return "the learning-rate scheduler's counters";
      case role::rng: return "the random generators";
      case role::data_order: return "the order of the data and the position in it";
      case role::scaler: return "the gradient scaler of mixed precision";
      case role::progress: return "the loop's counters";
    }
    return {};
  }
};

}  // namespace holdfast
