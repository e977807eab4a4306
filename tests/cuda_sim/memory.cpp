// Where memory is: addresses that the host may not touch, the bytes behind them, and what the program's pointers mean.
#include <sys/mman.h>

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <unistd.h>

#include "machine.hpp"

namespace cuda_sim {

namespace {

constexpr std::size_t arena_bytes = std::size_t{1} << 36, granule = 512, page = 4096;
constexpr int fresh = 0xA5, gone = 0xDD;

std::size_t rounded(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::string hexadecimal(std::uintptr_t a) {
  std::ostringstream out;
  out << "0x" << std::hex << a;
  return out.str();
}

std::string name_of(const allocation& a) {
  return "allocation #" + std::to_string(a.number) + " (" + a.made_by + ", " + std::to_string(a.size) + " bytes" + (a.place == place::device ? ", gpu " + std::to_string(a.device) : "") + ")";
}

// The allocation of these that holds this address, or null.
const allocation* holder(const std::map<std::uintptr_t, allocation>& memory, std::uintptr_t at) {
  const auto next = memory.upper_bound(at);
  if (next == memory.begin()) return nullptr;
  const allocation& a = std::prev(next)->second;
  return at < a.begin + a.size ? &a : nullptr;
}

const allocation* holder(std::uintptr_t at) {
  const allocation* const a = holder(the_machine().memory, at);
  return a != nullptr ? a : holder(the_machine().freed, at);
}

// The first allocation that begins in here.
allocation* first_in(extent e) {
  const auto i = the_machine().memory.lower_bound(e.begin);
  return i != the_machine().memory.end() && i->first < e.end ? &i->second : nullptr;
}

// The device whose addresses hold this one, or -1.
int device_at(std::uintptr_t at) {
  const auto& arenas = the_machine().arenas;
  for (std::size_t d = 0; d < arenas.size(); ++d)
    if (at >= arenas[d].first && at < arenas[d].first + arena_bytes) return static_cast<int>(d);
  return -1;
}

}  // namespace

location locate(const void* address, std::size_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  if (const allocation* a = holder(at)) {
    if (a->freed) return {a->place, nullptr, nullptr, describe({at, at + bytes}) + " after it was freed"};
    location found{a->place, a, a->bytes + (at - a->begin), {}};
    if (bytes > a->begin + a->size - at) found.mistake = hexadecimal(at) + " + " + std::to_string(bytes) + " bytes reach past the end of " + name_of(*a);
    return found;
  }
  if (const int device = device_at(at); device >= 0)
    return {place::device, nullptr, nullptr, hexadecimal(at) + " lies in no allocation of gpu " + std::to_string(device)};
  location found{place::pageable, nullptr, const_cast<std::byte*>(static_cast<const std::byte*>(address)), {}};
  if (const allocation* a = first_in({at, at + bytes})) found.mistake = hexadecimal(at) + " + " + std::to_string(bytes) + " bytes reach from pageable memory into " + name_of(*a);
  return found;
}

std::string describe(extent e) {
  const allocation* a = holder(e.begin);
  if (a == nullptr) return hexadecimal(e.begin) + " to " + hexadecimal(e.end);
  return "bytes " + std::to_string(e.begin - a->begin) + " to " + std::to_string(e.end - a->begin) + " of " + name_of(*a);
}

allocation* allocate(cuda_sim::place where, int device, std::size_t bytes, const std::string& made_by) {
  machine& m = the_machine();
  allocation a{++m.allocations, where, device, 0, bytes, nullptr, made_by};
  const std::size_t room = rounded(bytes, granule);
  if (room < bytes) return nullptr;
  if (where == place::device) {
    auto& used = m.used[static_cast<std::size_t>(device)];
    if (room > m.options.memory || used > m.options.memory - room) return nullptr;
    auto& [from, next] = m.arenas[static_cast<std::size_t>(device)];
    if (room > from + arena_bytes - next) return nullptr;
    a.begin = next;
    next += room;  // in contact with its neighbour where the size allows it, as on hardware
    used += room;
  }
  // Small pinned allocations share pages on hardware: nobody should count on a page's alignment.
  a.bytes = static_cast<std::byte*>(std::aligned_alloc(bytes < page ? granule : page, rounded(bytes, bytes < page ? granule : page)));
  if (a.bytes == nullptr) return nullptr;
  a.owner.reset(a.bytes, std::free);
  std::memset(a.bytes, fresh, bytes);
  if (where != place::device) a.begin = reinterpret_cast<std::uintptr_t>(a.bytes);
  return &(m.memory[a.begin] = a);
}

void release(std::uintptr_t begin) {
  machine& m = the_machine();
  const auto i = m.memory.find(begin);
  allocation& a = i->second;
  m.accesses.forget({a.begin, a.begin + a.size});
  drop_guards({a.begin, a.begin + a.size});
  if (a.place == place::device) m.used[static_cast<std::size_t>(a.device)] -= rounded(a.size, granule);
  if (!a.registered) std::memset(a.bytes, gone, a.size);
  a.owner.reset();
  a.freed = true;
  if (a.place == place::device) m.freed[begin] = a;
  m.memory.erase(i);
}

void release_everything() {
  machine& m = the_machine();
  while (!m.memory.empty()) release(m.memory.begin()->first);
  for (const auto& [from, next] : m.arenas) ::munmap(reinterpret_cast<void*>(from), arena_bytes);
  m.arenas.clear();
  m.freed.clear();
}

namespace {

struct sigaction before_us;
thread_local sigjmp_buf* returns_to = nullptr;
thread_local char message[240];

void on_fault(int signal, siginfo_t* info, void* context) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (const int device = device_at(at); device >= 0) {
    std::snprintf(message, sizeof message, "host touched device memory of gpu %d at 0x%zx\n", device, static_cast<std::size_t>(at));
  } else if (const char* guard = guard_at(at); guard != nullptr) {
    std::snprintf(message, sizeof message, "host touched pinned memory at 0x%zx that %s uses, for which it has not waited\n", static_cast<std::size_t>(at), guard);
  } else {
    message[0] = '\0';
  }
  if (message[0] != '\0') {
    if (returns_to != nullptr) siglongjmp(*returns_to, 1);
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message, std::strlen(message));
  }
  // As if we had not been here.
  if ((before_us.sa_flags & SA_SIGINFO) != 0) return before_us.sa_sigaction(signal, info, context);
  if (before_us.sa_handler != SIG_DFL && before_us.sa_handler != SIG_IGN) return before_us.sa_handler(signal);
  ::sigaction(signal, &before_us, nullptr);
}

}  // namespace

void watch_device_addresses() {
  machine& m = the_machine();
  for (int d = 0; d < m.options.devices; ++d) {
    void* const from = ::mmap(nullptr, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (from == MAP_FAILED) std::perror("cuda_sim: no addresses for device memory"), std::abort();
    m.arenas.emplace_back(reinterpret_cast<std::uintptr_t>(from), reinterpret_cast<std::uintptr_t>(from));
  }
  struct sigaction now;
  ::sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_fault) return;
  before_us = now;
  struct sigaction ours = {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  ::sigaction(SIGSEGV, &ours, nullptr);
}

std::string touched(const std::function<void()>& function) {
  sigjmp_buf here;
  if (sigsetjmp(here, 1) == 0) {
    returns_to = &here;
    function();
    returns_to = nullptr;
    return {};
  }
  returns_to = nullptr;
  return message;
}

}  // namespace cuda_sim
