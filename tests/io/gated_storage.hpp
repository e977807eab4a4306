#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include <holdfast/io/posix.hpp>

namespace support {

namespace io = holdfast::io;

/// The operating system's files, of which none can be created, or renamed, before the gate is opened.
class gated_storage : public io::posix_storage {
 public:
  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    if (!only_rename) pass();
    return io::posix_storage::create(path, shown_as);
  }
  void rename(const std::string& from, const std::string& to, io::replace existing) override {
    pass();
    io::posix_storage::rename(from, to, existing);
  }
  void open_gate() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  bool only_rename = false;

 private:
  void pass() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
  }

  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

}  // namespace support
