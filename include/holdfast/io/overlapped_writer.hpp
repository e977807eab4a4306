#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include <holdfast/io/staging_buffer.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast::io {

/// Writes pieces of a file while the next ones are made. Several writes are in flight where the file gains from it
/// (`file::writes_at_once`); where it does not, `write` writes. Used by one thread; `finish` before anything else is
/// written to the file.
template <class>
class basic_overlapped_writer {
 public:
  static constexpr std::size_t piece_bytes = std::size_t{4} << 20;

  /// For `bytes` bytes in all. `pieces` is the memory it works in, which it keeps to itself until it ends. The caller may hold
  /// `more` pieces beside the one it fills.
  basic_overlapped_writer(file& to, staging_buffer& pieces, std::uint64_t bytes, std::size_t more = 0)
      : to_(to), most_threads_(static_cast<unsigned>(std::min<std::uint64_t>(to.writes_at_once(), bytes / piece_bytes))) {
    const std::size_t slots = (most_threads_ == 0 ? 1 : most_threads_ + 2) + more;
    memory_ = pieces.reserve(slots * piece_bytes).first(slots * piece_bytes);  // what is not touched takes none
    for (std::size_t n = 0; n < slots; ++n) free_.push_back(memory_.data() + n * piece_bytes);
    threads_.reserve(most_threads_);
  }
  basic_overlapped_writer(const basic_overlapped_writer&) = delete;
  ~basic_overlapped_writer() { end(true); }

  /// Memory for one piece, to be filled and given to `write`. Waits until there is some. Throws what writing threw.
  std::span<std::byte> piece() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !free_.empty() || error_; });
    if (error_) std::rethrow_exception(error_);
    std::byte* const p = free_.back();
    free_.pop_back();
    return {p, piece_bytes};
  }

  /// Writes bytes that are in memory of `piece`, or stay as they are until `finish`.
  void write(std::uint64_t offset, std::span<const std::byte> bytes) {
    std::unique_lock lock(mutex_);
    jobs_.push_back({offset, bytes});
    if (threads_.size() < most_threads_ && jobs_.size() - next_ > idle_) {
      try {
        threads_.emplace_back([this] { run(); });
      } catch (const std::system_error&) {
        most_threads_ = static_cast<unsigned>(threads_.size());
      }
    }
    if (threads_.empty()) {
      write_next(lock);
      if (error_) std::rethrow_exception(error_);
    } else {
      changed_.notify_all();
    }
  }

  /// Returns when everything is written; throws the first error.
  void finish() {
    end(false);
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct job {
    std::uint64_t offset;
    std::span<const std::byte> bytes;
  };

  void run() noexcept {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      changed_.wait(lock, [&] { return next_ < jobs_.size() || ended_; });
      --idle_;
      if (next_ == jobs_.size()) return;
      write_next(lock);
    }
  }

  /// Writes the next of the jobs; the lock is open meanwhile. After an error nothing more is written.
  void write_next(std::unique_lock<std::mutex>& lock) noexcept {
    const job next = jobs_[next_++];
    if (!error_) {
      lock.unlock();
      std::exception_ptr failed;
      try {
        to_.write_at(next.offset, next.bytes);
        to_.begin_write_back(next.offset, next.bytes.size());
      } catch (...) {
        failed = std::current_exception();
      }
      lock.lock();
      if (!error_) error_ = failed;
    }
    const auto* const p = next.bytes.data();
    if (p >= memory_.data() && p < memory_.data() + memory_.size()) free_.push_back(const_cast<std::byte*>(p));
    changed_.notify_all();
  }

  void end(bool drop) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (drop) next_ = jobs_.size();
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  file& to_;
  unsigned most_threads_;
  std::span<std::byte> memory_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<job> jobs_;
  std::size_t next_ = 0;  // of them, that nobody writes yet
  std::vector<std::byte*> free_;
  std::size_t idle_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};
/// What writes pieces while the next ones are made.
using overlapped_writer = basic_overlapped_writer<void>;

}  // namespace holdfast::io
