// What is wrong with a program: accesses that nothing orders, and what the CUDA functions find.
#include "machine.hpp"

namespace cuda_sim {

void violation(const std::string& text) {
  auto& all = the_machine().violations;
  if (all.size() < 1000) all.push_back(text);
}

cudaError_t error_of(int device) {
  const auto& broken = the_machine().broken;
  return broken.empty() ? cudaSuccess : broken[static_cast<std::size_t>(device)];
}

namespace {

void note(const accessor& who, const void* address, std::size_t bytes, bool writes) {
  machine& m = the_machine();
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  m.accesses.note({begin, begin + bytes}, writes, who, [&](const accessor& earlier, bool earlier_writes, extent where) {
    if (!m.told.insert({*earlier.what, *who.what}).second) return;
    const bool by_host = who.when.agent == 0, after_host = earlier.when.agent == 0;
    violation(*who.what + (writes ? " writes " : " reads ") + describe(where) + " while " + *earlier.what + (earlier_writes ? " writes" : " reads") + " them: " +
              (after_host ? "it may happen before the host is there"
               : by_host  ? "the host has not waited for it; synchronise with " + *earlier.agent + ", or with an event recorded there after it"
                          : "nothing orders them; record an event on " + *earlier.agent + " after it, and let " + *who.agent + " wait for that"));
  });
}

}  // namespace

void note_access(operation& o, const void* address, std::size_t bytes, bool writes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  note(o.who, address, bytes, writes);
  o.touches.push_back({begin, begin + bytes});
  const location where = locate(address, bytes);
  if (where.allocation != nullptr) o.keeps.push_back(where.allocation->owner);
  if (where.place != place::pinned) return;
  o.pinned.push_back({begin, begin + bytes});
  guard(o, {begin, begin + bytes}, writes);
}

void note_host_access(const std::string& what, const void* address, std::size_t bytes, bool writes) {
  machine& m = the_machine();
  if (const operation* inside = this_thread().inside) return note(inside->who, address, bytes, writes);
  static const auto host = std::make_shared<const std::string>("the host");
  const moment now{0, m.host.tick(0)};
  note({now, std::make_shared<const std::string>("the host (" + what + ", #" + std::to_string(++m.numbers) + ")"), host, std::make_shared<const vector_clock>(m.host)}, address, bytes, writes);
}

void host_waited_for(const vector_clock& known) {
  the_machine().host.join(known);
  drop_known_guards();
}

}  // namespace cuda_sim
