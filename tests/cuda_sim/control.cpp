// What tests ask of the machine, and how every CUDA function begins and ends.
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string_view>

#include <unistd.h>

#include "machine.hpp"

namespace cuda_sim {

namespace {

// For programs that do not know of the simulator: CUDA_SIM="devices=2 schedule=random seed=7". They are told at their end what was wrong, and fail.
configuration from_environment() {
  configuration c;
  const char* const given = std::getenv("CUDA_SIM");
  if (given == nullptr) return c;
  c.seed = std::random_device()();
  std::istringstream words(given);
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals), value = equals == word.npos ? "" : word.substr(equals + 1);
    if (name == "devices") c.devices = std::stoi(value);
    else if (name == "memory") c.memory = std::stoull(value);
    else if (name == "seed") c.seed = std::stoull(value);
    else if (name == "bytes_per_second") c.bytes_per_second = std::stod(value);
    else if (name == "schedule") c.schedule = value == "lazy" ? schedule::lazy : value == "random" ? schedule::random
                                                                                                   : schedule::eager;
    else std::cerr << "CUDA_SIM: unknown word " << word << '\n', std::abort();
  }
  std::cerr << "CUDA_SIM=\"" << given << " seed=" << c.seed << "\"\n";
  std::atexit([] {
    const auto wrong = violations(), left = leaks();
    for (const std::string& text : wrong) std::cerr << "cuda_sim: " << text << '\n';
    for (const std::string& text : left) std::cerr << "cuda_sim: not released: " << text << '\n';
    if (!wrong.empty() || !left.empty()) ::_exit(3);
  });
  return c;
}

}  // namespace

machine& the_machine() {
  static machine* const m = new machine;
  static std::once_flag set_up;
  static thread_local bool inside = false;
  if (!inside) {
    inside = true;
    std::call_once(set_up, [] { reset(from_environment()); });
    inside = false;
  }
  return *m;
}

host_thread& this_thread() {
  static thread_local host_thread own;
  const std::uint64_t generation = the_machine().generation;
  if (own.generation != generation) {
    const operation* const inside = own.inside;
    own = {};
    own.generation = generation;
    own.inside = inside;
  }
  return own;
}

void reset(const configuration& options) {
  machine& m = the_machine();
  lock l(m.mutex);
  stop_workers(l);
  release_everything();
  m.options = options;
  ++m.generation;
  m.random.seed(options.seed);
  m.streams.clear();
  m.host_functions.clear();
  m.events.clear();
  m.legacy.clear();
  const auto devices = static_cast<std::size_t>(options.devices);
  for (int d = 0; d < options.devices; ++d) {
    CUstream_st& s = new_stream(d, "the legacy default stream");
    s.legacy = true;
    m.legacy.push_back(&s);
  }
  m.pools.assign(devices, {});
  m.broken.assign(devices, cudaSuccess);
  m.used.assign(devices, 0);
  m.peers.clear();
  m.allocations = m.numbers = m.streams_made = 0;
  m.host = {};
  m.accesses.clear();
  m.guards.clear();
  m.violations.clear();
  m.told.clear();
  m.calls.clear();
  m.failing_calls.clear();
  m.failing_copy.reset();
  m.copies = {};
  watch_device_addresses();
}

cudaError_t begin_call(const char* function, on_broken how, lock& l) {
  machine& m = the_machine();
  const host_thread& t = this_thread();
  cudaError_t error = cudaSuccess;
  for (const std::string name : {function, "*"}) {
    if (name == "*" && std::string_view(function) == "launch") continue;  // no function of CUDA's
    const std::size_t count = ++m.calls[name];
    if (const auto failing = m.failing_calls.find(name); failing != m.failing_calls.end() && failing->second.first == count) {
      error = failing->second.second;
      m.failing_calls.erase(failing);
    }
  }
  if (error != cudaSuccess) return error;
  if (t.inside != nullptr) {
    violation(std::string(function) + " is called from inside " + *t.inside->who.what);
    return cudaErrorNotPermitted;
  }
  if (m.options.devices == 0) return how == on_broken::ignore ? cudaSuccess : cudaErrorNoDevice;
  pump(l);
  return how == on_broken::refuse ? error_of(t.device) : cudaSuccess;
}

cudaError_t end_call(cudaError_t error, lock&) {
  if (error != cudaSuccess) this_thread().last_error = error;
  return error;
}

cudaError_t launch(cudaStream_t stream, const std::vector<range>& reads, const std::vector<range>& writes, kernel function, const std::string& name) {
  return stream_call("launch", stream, false, [&](CUstream_st& s, lock& l) {
    if (s.device != this_thread().device) {
      violation(name + " is launched on " + s.name + " while gpu " + std::to_string(this_thread().device) + " is current");
      return cudaErrorInvalidResourceHandle;
    }
    std::vector<const std::byte*> from;
    std::vector<std::byte*> to;
    const auto find = [&](const range& r) {
      location where = locate(r.address, r.bytes);
      if (where.mistake.empty() && where.place == place::pageable) where.mistake = "pageable memory";
      if (where.mistake.empty() && where.place == place::device && where.allocation->device != s.device && !the_machine().peers.contains({s.device, where.allocation->device}))
        where.mistake = "memory of gpu " + std::to_string(where.allocation->device) + ", to which gpu " + std::to_string(s.device) + " has no peer access";
      if (!where.mistake.empty()) violation(name + " on " + s.name + ": " + where.mistake);
      return where.mistake.empty() ? where.bytes : nullptr;
    };
    for (const range& r : reads) from.push_back(find(r));
    for (const range& r : writes) to.push_back(find(r));
    const operation_ptr o = make_operation(s, name);
    if (std::find(from.begin(), from.end(), nullptr) != from.end() || std::find(to.begin(), to.end(), nullptr) != to.end()) {
      // As hardware does: the kernel fails when it runs, and the device is lost.
      o->work = [&s] { the_machine().broken[static_cast<std::size_t>(s.device)] = cudaErrorIllegalAddress; };
    } else {
      for (const range& r : reads) note_access(*o, r.address, r.bytes, false);
      for (const range& r : writes) note_access(*o, r.address, r.bytes, true);
      o->work = [function = std::move(function), from, to] { function(from, to); };
    }
    submit(o, l);
    return cudaSuccess;
  });
}

namespace {

void host_access(const void* address, std::size_t bytes, bool writes) {
  lock l(the_machine().mutex);
  const location where = locate(address, bytes);
  if (!where.mistake.empty()) violation("the host: " + where.mistake);
  else if (where.place == place::device) violation("the host touches " + describe({reinterpret_cast<std::uintptr_t>(address), reinterpret_cast<std::uintptr_t>(address) + bytes}));
  else if (where.place != place::pageable) note_host_access(writes ? "host_writes" : "host_reads", address, bytes, writes);
}

}  // namespace

void host_reads(const void* address, std::size_t bytes) { host_access(address, bytes, false); }
void host_writes(const void* address, std::size_t bytes) { host_access(address, bytes, true); }

void fail_call(const std::string& function, std::size_t k, cudaError_t error) {
  machine& m = the_machine();
  lock l(m.mutex);
  m.failing_calls[function] = {m.calls[function] + k, error};
}

void fail_asynchronously(std::size_t k, cudaError_t error) {
  lock l(the_machine().mutex);
  the_machine().failing_copy.emplace(k, error);
}

std::vector<std::string> violations() {
  lock l(the_machine().mutex);
  return the_machine().violations;
}

std::vector<std::string> leaks() {
  machine& m = the_machine();
  lock l(m.mutex);
  std::vector<std::string> found;
  for (const auto& s : m.streams)
    if (s->made_by_program && s->alive) found.push_back(s->name);
  for (const auto& e : m.events)
    if (e->alive) found.push_back(e->name);
  for (const auto& [begin, a] : m.memory)
    if (!a.freed) found.push_back(describe({begin, begin + a.size}));
  return found;
}

std::size_t calls(const std::string& function) {
  lock l(the_machine().mutex);
  return the_machine().calls[function];
}

copy_counts copies() {
  lock l(the_machine().mutex);
  return the_machine().copies;
}

void run_enqueued() {
  lock l(the_machine().mutex);
  finish_device(-1, l);
}

}  // namespace cuda_sim
