#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <holdfast/io/storage.hpp>

namespace tool {

/// A bar on stderr with rate and time left, where that is a terminal, once a second has passed (HOLDFAST_PROGRESS_AFTER: other
/// seconds). It counts the bytes that go through its storage; its line is gone when it is destroyed.
class progress {
 public:
  explicit progress(std::string what);
  progress(const progress&) = delete;
  ~progress();

  /// The operating system's files, counted.
  holdfast::io::storage& storage() noexcept { return *storage_; }
  std::uint64_t done() const noexcept { return done_; }
  /// At least so many bytes are done: for what does not go through the storage.
  void reach(std::uint64_t bytes) noexcept {
    if (done_ < bytes) done_ = bytes;
  }
  /// So many bytes more will be read or written.
  void expect(std::uint64_t bytes) noexcept { expected_ += bytes; }

 private:
  void watch();
  void draw();

  std::string what_;
  std::atomic<std::uint64_t> done_{0}, expected_{0};
  std::unique_ptr<holdfast::io::storage> storage_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::duration<double> after_{1};
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false, drawn_ = false;
  std::thread watcher_;  // none where nobody sees it
};

}  // namespace tool
