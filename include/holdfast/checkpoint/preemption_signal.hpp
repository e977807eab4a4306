#pragma once
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <system_error>
#include <vector>

#include <time.h>

#include <holdfast/core/error.hpp>

namespace holdfast {

/// Tells a training loop that its machine will be taken away: schedulers such as Slurm, LSF or Kubernetes send SIGTERM,
/// or the signal one asks for (`sbatch --signal=USR1@120`), and SIGKILL after a time of grace. While this object lives the
/// signals only set a flag, by an async-signal-safe handler, for the loop to look at between two steps:
///
///   holdfast::preemption_signal preempted;
///   for (; step < steps && !preempted; ) train_one_step();
///   if (preempted) runs.save(step, state);     // and end, before the time of grace does
///
/// The handlers of before come back with its destruction. There is one at a time in a process; a second one throws `error`.
template <class>
class basic_preemption_signal {
 public:
  /// Handles the signals from now on. Throws `error` if there is another such object, and `io_error` if a signal cannot be handled.
  explicit basic_preemption_signal(std::initializer_list<int> signals = {SIGTERM, SIGUSR1}) {
    if (taken_.exchange(true)) throw error("preemption_signal: there is one already in this process; share it");
    number_ = 0;
    struct sigaction action{};
    action.sa_handler = &basic_preemption_signal::note;
    action.sa_flags = SA_RESTART;  // a save in progress is not disturbed
    ::sigemptyset(&action.sa_mask);
    for (const int s : signals) {
      struct sigaction before{};
      if (::sigaction(s, &action, &before) != 0) {
        const int code = errno;
        restore();
        throw io_error("preemption_signal: cannot handle signal " + std::to_string(s), std::error_code(code, std::generic_category()));
      }
      before_.push_back({s, before});
    }
  }
  basic_preemption_signal(const basic_preemption_signal&) = delete;
  ~basic_preemption_signal() { restore(); }

  /// Whether one of the signals has come.
  explicit operator bool() const noexcept { return number() != 0; }
  /// Which came first; 0 if none has.
  int number() const noexcept { return number_.load(std::memory_order_acquire); }
  /// How long ago, which is how much of the time of grace is gone; zero if none has come.
  std::chrono::nanoseconds elapsed() const noexcept { return std::chrono::nanoseconds(number() == 0 ? 0 : now() - came_at_.load(std::memory_order_relaxed)); }

 private:
  static std::int64_t now() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);  // async-signal-safe, as std::chrono need not be
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }

  static void note(int signal) noexcept {
    const int code = errno;
    std::int64_t unset = 0;
    if (number_.load(std::memory_order_relaxed) == 0 && came_at_.compare_exchange_strong(unset, now())) number_.store(signal, std::memory_order_release);
    errno = code;
  }

  void restore() noexcept {
    for (const auto& [signal, action] : before_) ::sigaction(signal, &action, nullptr);
    came_at_ = 0;
    taken_ = false;
  }

  static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free, "a signal handler may not lock");
  static inline std::atomic<bool> taken_{false};
  static inline std::atomic<int> number_{0};
  static inline std::atomic<std::int64_t> came_at_{0};
  struct handler {
    int signal;
    struct sigaction action;
  };
  std::vector<handler> before_;
};
/// The flag of a loop that its machine will be taken away.
using preemption_signal = basic_preemption_signal<void>;

}  // namespace holdfast
