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

extent pages_touched(extent e) { return {e.begin / page * page, (e.end + page - 1) / page * page}; }

bool active(const guarded::user& u) {
  return std::all_of(u.after.begin(), u.after.end(), [](const operation_ptr& o) { return o->state == operation::done; });
}

// Makes the pages as accessible as their users let them be.
void protect(extent pages, const guarded& g) {
  int how = PROT_READ | PROT_WRITE;
  if (g.open == 0)
    for (const guarded::user& u : g.users)
      if (active(u)) how &= u.writes ? PROT_NONE : PROT_READ;
  ::mprotect(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, how);
}

}  // namespace

void guard(const operation& o, extent e, bool writes) {
  const extent pages = pages_inside(e);
  if (!the_machine().options.guard_pinned || pages.begin == pages.end) return;
  guarded::user u{writes, o.who.when, o.who.what, {}};
  for (const operation_ptr& other : the_machine().host_functions)
    if (other->who.when.before(*o.who.known)) u.after.push_back(other);
  the_machine().guards.each_of(pages, [&](extent part, guarded& g) {
    g.users.push_back(u);
    protect(part, g);
  });
}

void open_guards(extent e) {
  the_machine().guards.each_of(pages_touched(e), [](extent pages, guarded& g) {
    if (g.open++ == 0 && !g.users.empty()) protect(pages, g);
  });
}

void close_guards(extent e) {
  the_machine().guards.each_in(pages_touched(e), [](extent pages, guarded& g) {
    if (g.open > 0 && --g.open == 0 && !g.users.empty()) protect(pages, g);
  });
}

void guard_after_host_function() {
  the_machine().guards.erase_if([](extent pages, guarded& g) { if (!g.users.empty()) protect(pages, g);
    return false; });
}

void drop_known_guards() {
  the_machine().guards.erase_if([](extent pages, guarded& g) {
    if (std::erase_if(g.users, [](const guarded::user& u) { return u.when.before(the_machine().host); }) > 0) protect(pages, g);
    return g.users.empty() && g.open == 0;
  });
}

void drop_guards(extent e) {
  the_machine().guards.each_in(pages_inside(e), [](extent pages, guarded& g) { g = {}, protect(pages, g); });
  the_machine().guards.erase(pages_inside(e));
}

const char* guard_at(std::uintptr_t at) {
  const guarded* const g = the_machine().guards.at(at);
  return g == nullptr || g->users.empty() ? nullptr : g->users.back().what->c_str();
}

}  // namespace cuda_sim
