#pragma once
/// Faults below the library: the system calls it makes, threads it starts and allocations, of which the k-th from now fails. This program's
/// own definitions of the C functions stand in front of libc's (as LD_PRELOAD would put them), so everything above is real.
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace support::fault {

/// What happens at the chosen call: it fails with an errno, or a transfer is cut short, which is no failure.
enum class way { fail,
                 cut_short };

struct plan {
  std::atomic<bool> armed{false};
  std::atomic<bool> allocations{false};  ///< whether allocations or system calls are counted
  std::atomic<long> left{0};             ///< calls before the chosen one
  std::atomic<bool> fired{false};
  int code = EIO;
  way how = way::fail;
  const char* call = "";  ///< that fired
};
inline plan current;

/// Arms the k-th call from now (0: the next), runs `work`, disarms; returns whether the fault happened.
template <class F>
bool at(long k, int code, way how, bool allocations, F&& work) {
  struct disarm {
    ~disarm() { current.armed = false; }
  };
  current.left = k;
  current.fired = false;
  current.code = code;
  current.how = how;
  current.allocations = allocations;
  current.call = "";
  {
    const disarm when_done;
    current.armed = true;
    work();
  }
  return current.fired;
}

inline bool due(const char* call, bool allocation = false) noexcept {
  if (!current.armed || current.allocations != allocation || current.fired || current.left-- != 0) return false;
  current.call = call;
  current.fired = true;
  return true;
}

/// libc's own function of a name.
template <class F>
F* next(const char* name) noexcept {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace support::fault
