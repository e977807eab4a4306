#pragma once
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <holdfast/core/notice.hpp>

namespace holdfast {

/// What `save_async` does while the save before it is still being written: wait for it, save nothing this time, or throw.
enum class when_busy { wait,
                       skip,
                       error };

namespace detail {

/// One piece of work on a thread of its own. Its error is kept until someone waits; its destructor waits and reports
/// an error that nobody has seen.
template <class>
class basic_background {
 public:
  explicit basic_background(std::function<void()> work) : thread_([this, work = std::move(work)] { run(work); }) {}
  basic_background(const basic_background&) = delete;
  ~basic_background() {
    try {
      wait();
    } catch (const std::exception& e) {
      notices::unobserved_errors().report(e.what());
    } catch (...) {
      notices::unobserved_errors().report("an exception that is no std::exception");
    }
  }

  bool done() const noexcept { return done_.load(std::memory_order_acquire); }

  /// Returns when the work has ended; its error is left for `wait`.
  void finish() {
    const std::lock_guard lock(mutex_);
    if (thread_.joinable()) thread_.join();
  }

  /// Returns when the work has ended; the first call rethrows its error.
  void wait() {
    finish();
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void run(const std::function<void()>& work) noexcept {
    try {
      work();
    } catch (...) {
      error_ = std::current_exception();
    }
    done_.store(true, std::memory_order_release);
  }

  std::mutex mutex_;  // of those who wait
  std::exception_ptr error_;
  std::atomic<bool> done_{false};
  std::thread thread_;  // last: it uses the others
};
using background = basic_background<void>;

}  // namespace detail

/// A save that is being written. The state it was made from may be changed. An error is thrown once: by `wait`, or by the
/// next save of the same `saver` or `checkpoint_directory`; if by neither, its text goes to `on_unobserved_error`.
class pending_save {
 public:
  pending_save() = default;
  /// Of work that has begun.
  explicit pending_save(std::shared_ptr<detail::background> work) : work_(std::move(work)) {}
  /// The same save, which keeps `owner` alive until it has ended.
  pending_save(const pending_save& of, std::shared_ptr<void> owner) : work_(std::move(owner), of.work_.get()) {}

  /// Whether it was left out because another one was being written (`when_busy::skip`).
  bool skipped() const noexcept { return work_ == nullptr; }
  /// Whether `wait` would return at once.
  bool done() const noexcept { return work_ == nullptr || work_->done(); }
  /// Returns when the file is durable under its name; rethrows the writer's error.
  void wait() {
    if (work_ != nullptr) work_->wait();
  }

 private:
  std::shared_ptr<detail::background> work_;
};

}  // namespace holdfast
