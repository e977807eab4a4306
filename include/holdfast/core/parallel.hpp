#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace holdfast::detail {

/// The threads that moving bytes gains from: those of the machine, but no more than a memory bus serves.
template <class = void>
unsigned memory_threads() {
  static const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  return threads;
}

/// Calls `work(i)` for every i below `n`, in rising order, from up to `threads` threads of which the caller is one. After
/// an error no further call begins; of several errors that of the lowest i is thrown, when all calls have ended. A thread
/// that cannot be started is done without.
template <class = void>
void parallel(std::size_t n, unsigned threads, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr error;
  std::size_t at = std::numeric_limits<std::size_t>::max();
  const auto run = [&]() noexcept {
    while (!failed) {
      const std::size_t i = next++;
      if (i >= n) return;
      try {
        work(i);
      } catch (...) {
        failed = true;
        const std::lock_guard lock(mutex);
        if (i < at) {
          at = i;
          error = std::current_exception();
        }
      }
    }
  };
  std::vector<std::thread> others;
  try {
    others.reserve(threads);
    for (std::size_t i = 1; i < std::min<std::size_t>(threads, n); ++i) others.emplace_back(run);
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
  run();
  for (std::thread& t : others) t.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace holdfast::detail
