#pragma once
/// Which accesses of memory must be remembered, so that the next one can be compared with them.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clock.hpp"
#include "interval_map.hpp"

namespace cuda_sim {

/// Who accesses memory: "copy D2H #12 on stream 2 of gpu 0", "the host (call #7, cudaFree)".
struct accessor {
  moment when;
  std::shared_ptr<const std::string> what;
  std::shared_ptr<const std::string> agent;   ///< "stream 2 of gpu 0", "the host"
  std::shared_ptr<const vector_clock> known;  ///< what has happened before it, and itself
};

/// The accesses of all watched memory that nothing later covers.
class history {
 public:
  /// A remembered access that conflicts with a new one, and where they overlap.
  using conflict = std::function<void(const accessor& earlier, bool earlier_writes, extent)>;

  /// Compares an access with those remembered, and remembers it. What it is ordered with may come before it or after.
  void note(extent, bool writes, const accessor&, const conflict&);
  /// Memory that is gone.
  void forget(extent e) { accesses_.erase(e); }
  void clear() { accesses_.clear(); }

 private:
  struct record {
    accessor who;
    bool writes;
  };
  interval_map<std::vector<record>> accesses_;
};

}  // namespace cuda_sim
