#pragma once
/// The most memory that a test had meanwhile, but for builds that keep memory of their own.
#include <fstream>
#include <string>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOLDFAST_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOLDFAST_TEST_SANITIZED 1
#endif
#endif

namespace support {

/// The most memory this process has had, in MiB, since `forget_peak`.
inline double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      double kib = 0;
      status >> kib;
      return kib / 1024;
    }
  return -1;
}
inline void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

}  // namespace support
