#pragma once
/// Vector clocks: what has happened before what.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cuda_sim {

/// For each agent (the host, and every stream) how many of its steps are known to have happened. Agents beyond the end: none.
class vector_clock {
 public:
  std::uint64_t of(std::size_t agent) const { return agent < steps_.size() ? steps_[agent] : 0; }
  void join(const vector_clock& other) {
    if (steps_.size() < other.steps_.size()) steps_.resize(other.steps_.size());
    for (std::size_t i = 0; i < other.steps_.size(); ++i) steps_[i] = std::max(steps_[i], other.steps_[i]);
  }
  std::uint64_t tick(std::size_t agent) {
    if (steps_.size() <= agent) steps_.resize(agent + 1);
    return ++steps_[agent];
  }

 private:
  std::vector<std::uint64_t> steps_;
};

/// One step of one agent. It happened before whoever's clock knows it.
struct moment {
  std::size_t agent;
  std::uint64_t step;
  bool before(const vector_clock& c) const { return c.of(agent) >= step; }
};

}  // namespace cuda_sim
