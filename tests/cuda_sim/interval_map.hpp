#pragma once
/// Something for each byte of memory.
#include <algorithm>
#include <cstdint>
#include <map>

namespace cuda_sim {

/// Addresses from begin up to and without end.
struct extent {
  std::uintptr_t begin, end;
};

/// Pieces of memory that do not overlap, and a value for all bytes of a piece. Where there is none, nothing has been said.
template <class Value>
class interval_map {
 public:
  /// Calls f(extent, value) for all of this memory, piece by piece; pieces of the default value are made where there is none.
  template <class F>
  void each_of(extent e, F&& f) {
    cut(e);
    std::uintptr_t at = e.begin;
    for (auto i = pieces_.lower_bound(e.begin); at < e.end; at = i->second.end, ++i) {
      if (i == pieces_.end() || i->first > at) i = pieces_.emplace_hint(i, at, piece{i == pieces_.end() ? e.end : std::min(e.end, i->first), {}});
      f(extent{i->first, i->second.end}, i->second.value);
    }
  }

  /// The same for those pieces that are there.
  template <class F>
  void each_in(extent e, F&& f) {
    cut(e);
    for (auto i = pieces_.lower_bound(e.begin); i != pieces_.end() && i->first < e.end; ++i) f(extent{i->first, i->second.end}, i->second.value);
  }

  /// Removes the pieces of which f(extent, value) says so.
  template <class F>
  void erase_if(F&& f) {
    for (auto i = pieces_.begin(); i != pieces_.end();) i = f(extent{i->first, i->second.end}, i->second.value) ? pieces_.erase(i) : std::next(i);
  }

  void erase(extent e) {
    cut(e);
    pieces_.erase(pieces_.lower_bound(e.begin), pieces_.lower_bound(e.end));
  }

  /// The value of a byte, or null.
  const Value* at(std::uintptr_t byte) const {
    const auto next = pieces_.upper_bound(byte);
    return next != pieces_.begin() && byte < std::prev(next)->second.end ? &std::prev(next)->second.value : nullptr;
  }

  void clear() { pieces_.clear(); }

 private:
  struct piece {
    std::uintptr_t end;
    Value value;
  };
  // No piece reaches across either end afterwards.
  void cut(extent e) {
    for (const std::uintptr_t at : {e.begin, e.end}) {
      const auto next = pieces_.lower_bound(at);
      if (next == pieces_.begin()) continue;
      piece& before = std::prev(next)->second;
      if (before.end <= at) continue;
      pieces_.emplace_hint(next, at, before);
      before.end = at;
    }
  }
  std::map<std::uintptr_t, piece> pieces_;  // by their begin
};

}  // namespace cuda_sim
