#pragma once
/// A storage that passes every call on to another one, writes down what it was asked, and can let one call fail.
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <holdfast/io/posix.hpp>
#include <holdfast/io/storage.hpp>

namespace support {

namespace io = holdfast::io;

/// One call of a storage or of a file of it. Reads, `size`, `open` and `list` change nothing and are not recorded.
struct storage_call {
  enum class kind { create,
                    preallocate,
                    write,
                    sync,
                    rename,
                    sync_folder,
                    remove,
                    make_folder,
                    lease,
                    join };
  kind what;
  std::string path{};  ///< as given to the storage: a temporary's own name, where errors show the final one
  std::string to{};    ///< of a rename
  std::uint64_t offset = 0, bytes = 0;
};

inline const char* name(storage_call::kind k) {
  static const char* const names[] = {"create", "preallocate", "write", "sync", "rename", "sync_folder", "remove", "make_folder", "lease", "join"};
  return names[static_cast<std::size_t>(k)];
}

class faulty_storage final : public io::storage {
 public:
  using kind = storage_call::kind;

  explicit faulty_storage(io::storage& below = io::posix()) : below_(below) {}

  /// Lets the call `nth` from now (0: the next one) fail once with this errno, or end the process with SIGKILL. A write that
  /// fails has written its first half.
  static constexpr int sigkill = -9;
  void fail(std::size_t nth, int code) {
    fails_at_ = calls_.size() + nth;
    code_ = code;
  }
  void forget() {
    calls_.clear();
    fails_at_ = never;
  }

  const std::vector<storage_call>& calls() const noexcept { return calls_; }

  /// "create preallocate write ... sync rename sync_folder", with runs of writes as one.
  std::string order() const {
    std::string text;
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      if (i > 0 && calls_[i].what == kind::write && calls_[i - 1].what == kind::write) continue;
      if (!text.empty()) text += ' ';
      text += support::name(calls_[i].what);
    }
    return text;
  }

  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    record({.what = kind::create, .path = path}, shown_as);
    return std::make_unique<faulty_file>(*this, path, below_.create(path, shown_as));
  }
  std::unique_ptr<io::file> open(const std::string& path) override { return below_.open(path); }
  std::unique_ptr<io::file> join(const std::string& path, const std::string& shown_as) override {
    record({.what = kind::join, .path = path}, shown_as);
    return std::make_unique<faulty_file>(*this, path, below_.join(path, shown_as));
  }
  void rename(const std::string& from, const std::string& to, io::replace existing) override {
    record({.what = kind::rename, .path = from, .to = to}, to);
    below_.rename(from, to, existing);
  }
  void remove(const std::string& path) override {
    record({.what = kind::remove, .path = path}, path);
    below_.remove(path);
  }
  void sync_folder(const std::string& path) override {
    record({.what = kind::sync_folder, .path = path}, path);
    below_.sync_folder(path);
  }
  void make_folder(const std::string& path) override {
    record({.what = kind::make_folder, .path = path}, path);
    below_.make_folder(path);
  }
  std::vector<std::string> list(const std::string& path) override { return below_.list(path); }
  bool remove_abandoned(const std::string& path) override {
    record({.what = kind::remove, .path = path}, path);
    return below_.remove_abandoned(path);
  }
  std::shared_ptr<void> lease(const std::string& path, const std::string& owner) override {
    record({.what = kind::lease, .path = path}, path);
    return below_.lease(path, owner);
  }

 private:
  static constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

  class faulty_file final : public io::file {
   public:
    faulty_file(faulty_storage& of, std::string path, std::unique_ptr<io::file> below)
        : of_(of), path_(std::move(path)), below_(std::move(below)) {}
    const std::string& path() const override { return below_->path(); }
    void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      if (of_.next_fails()) below_->write_at(offset, bytes.first(bytes.size() / 2));
      of_.record({.what = kind::write, .path = path_, .offset = offset, .bytes = bytes.size()}, path());
      below_->write_at(offset, bytes);
    }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override { below_->read_at(offset, out); }
    std::uint64_t size() const override { return below_->size(); }
    std::chrono::system_clock::time_point modified() const override { return below_->modified(); }
    void preallocate(std::uint64_t bytes) override {
      of_.record({.what = kind::preallocate, .path = path_, .offset = 0, .bytes = bytes}, path());
      below_->preallocate(bytes);
    }
    void sync() override {
      of_.record({.what = kind::sync, .path = path_}, path());
      below_->sync();
    }
    std::shared_ptr<const std::byte> map() const override { return below_->map(); }

   private:
    faulty_storage& of_;
    std::string path_;
    std::unique_ptr<io::file> below_;
  };

  bool next_fails() const noexcept { return calls_.size() == fails_at_; }

  /// Writes the call down, then fails it if it is its turn, as the operating system's storage would.
  void record(storage_call call, const std::string& shown_as) {
    const bool fails = next_fails();
    calls_.push_back(std::move(call));
    if (fails && code_ == sigkill) ::kill(::getpid(), SIGKILL);
    if (fails) io::detail::fail(shown_as, name(calls_.back().what), code_);
  }

  io::storage& below_;
  std::vector<storage_call> calls_;
  std::size_t fails_at_ = never;
  int code_ = EIO;
};

}  // namespace support
