#include "history.hpp"

namespace cuda_sim {

// No piece reaches across `at` afterwards.
void history::cut(std::uintptr_t at) {
  auto next = pieces_.lower_bound(at);
  if (next == pieces_.begin()) return;
  auto& [begin, before] = *std::prev(next);
  if (before.end <= at) return;
  pieces_.emplace_hint(next, at, before);
  before.end = at;
}

void history::note(extent e, bool writes, const accessor& who, const conflict& report) {
  if (e.begin >= e.end) return;
  cut(e.begin);
  cut(e.end);
  std::uintptr_t at = e.begin;
  for (auto i = pieces_.lower_bound(e.begin); at < e.end; ++i) {
    if (i == pieces_.end() || i->first > at)  // nobody has been here
      i = pieces_.emplace_hint(i, at, piece{i == pieces_.end() ? e.end : std::min(e.end, i->first), {}});
    auto& records = i->second.records;
    for (const record& r : records)
      if ((r.writes || writes) && !r.who.when.before(*who.known) && !who.when.before(*r.who.known)) report(r.who, r.writes, {i->first, i->second.end});
    // Whatever conflicts with an access that this one follows and outdoes would conflict with this one, too.
    std::erase_if(records, [&](const record& r) { return (writes || !r.writes) && r.who.when.before(*who.known); });
    records.push_back({who, writes});
    at = i->second.end;
  }
}

void history::forget(extent e) {
  cut(e.begin);
  cut(e.end);
  pieces_.erase(pieces_.lower_bound(e.begin), pieces_.lower_bound(e.end));
}

}  // namespace cuda_sim
