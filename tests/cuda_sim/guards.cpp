// Pinned memory that the host may not touch yet.
#include <sys/mman.h>

#include "machine.hpp"

namespace cuda_sim {

namespace {

constexpr std::uintptr_t page = 4096;

extent pages_inside(extent e) {
  const std::uintptr_t begin = (e.begin + page - 1) / page * page, end = e.end / page * page;
  return {begin, std::max(begin, end)};
}

void protect(extent e, int how) {
  if (e.begin < e.end) ::mprotect(reinterpret_cast<void*>(e.begin), e.end - e.begin, how);
}

bool overlap(extent a, extent b) { return a.begin < b.end && b.begin < a.end; }

bool active(const guarded& g) {
  return g.open == 0 && std::all_of(g.after.begin(), g.after.end(), [](const operation_ptr& o) { return o->state == operation::done; });
}

// Makes the pages as accessible as the guards that are there let them be.
void protect_as_guarded(extent e) {
  const auto& guards = the_machine().guards;
  protect(e, PROT_READ | PROT_WRITE);
  for (const bool writes : {false, true})
    for (const guarded& g : guards)
      if (g.writes == writes && active(g) && overlap(g.pages, e)) protect({std::max(g.pages.begin, e.begin), std::min(g.pages.end, e.end)}, writes ? PROT_NONE : PROT_READ);
}

template <class Which>
void drop(Which&& which) {
  auto& guards = the_machine().guards;
  std::vector<extent> changed;
  std::erase_if(guards, [&](const guarded& g) {
    const bool gone = which(g);
    if (gone) changed.push_back(g.pages);
    return gone;
  });
  for (const extent e : changed) protect_as_guarded(e);
}

void count_open(extent e, int change) {
  std::vector<extent> changed;
  for (guarded& g : the_machine().guards)
    if (overlap(g.pages, e)) g.open = std::max(0, g.open + change), changed.push_back(g.pages);
  for (const extent pages : changed) protect_as_guarded(pages);
}

}  // namespace

void guard(const operation& o, extent e, bool writes) {
  if (!the_machine().options.guard_pinned) return;
  const extent pages = pages_inside(e);
  if (pages.begin == pages.end) return;
  guarded g{pages, writes, o.who.when, o.who.what, {}};
  for (const auto& s : the_machine().streams)
    for (const operation_ptr& other : s->queue)
      if (other->runs == engine::host_function && other->who.when.before(*o.who.known)) g.after.push_back(other);
  the_machine().guards.push_back(std::move(g));
  protect_as_guarded(pages);
}

void open_guards(extent e) { count_open(e, 1); }
void close_guards(extent e) { count_open(e, -1); }

void guard_after_host_function() {
  for (const guarded& g : the_machine().guards)
    if (!g.after.empty()) protect_as_guarded(g.pages);
}

void drop_known_guards() {
  drop([](const guarded& g) { return g.when.before(the_machine().host); });
}

void drop_guards(extent e) {
  drop([&](const guarded& g) { return overlap(g.pages, e); });
}

const char* guard_at(std::uintptr_t at) {
  for (const guarded& g : the_machine().guards)
    if (at >= g.pages.begin && at < g.pages.end) return g.what->c_str();
  return nullptr;
}

}  // namespace cuda_sim
