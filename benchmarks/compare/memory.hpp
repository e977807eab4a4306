#pragma once
#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <string>

#include <malloc.h>

namespace compare {

/// Bytes that a line of /proc/self/status tells in kB.
inline double status_bytes(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) * 1024;
  throw std::runtime_error("no " + key + " in /proc/self/status");
}

/// Bytes that this process has more while `work` runs, at most, than before.
template <class F>
double peak_more_bytes(F work) {
  ::malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5 << std::flush;  // VmHWM begins anew
  const double before = status_bytes("VmRSS");
  work();
  return std::max(0., status_bytes("VmHWM") - before);
}

}  // namespace compare
