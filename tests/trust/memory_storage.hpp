#pragma once
/// A file system wholly in memory, as the library sees one, and a trace of every call that changed it.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/io/posix.hpp>
#include <holdfast/io/storage.hpp>

namespace support {

namespace io = holdfast::io;

/// A file apart from its name, as an inode.
struct memory_inode {
  std::size_t number = 0;  ///< names it in a trace
  std::vector<std::byte> bytes{};
  std::weak_ptr<void> writer{};  ///< lives as long as the one who created it has it open
};

/// What a disk holds.
struct disk_image {
  std::set<std::string> folders{};
  std::map<std::string, std::shared_ptr<memory_inode>> files{};
};

/// One call that changed a disk, or told something about the program above it. With its bytes: a trace can be replayed.
struct disk_call {
  enum class kind { make_folder,
                    create,
                    preallocate,
                    write,
                    sync,
                    rename,
                    remove,
                    sync_folder,
                    lease,
                    began,
                    reported };
  kind what;
  std::string path{};  ///< of the folder or file; the old name of a rename
  std::string to{};    ///< the new name of a rename
  std::size_t file = 0;
  std::uint64_t offset = 0, bytes = 0;
  std::vector<std::byte> content{};  ///< of a write
  std::size_t version = 0;           ///< of the state whose save began or was reported
  std::size_t node = 0;              ///< which machine made it, of several that share the disk
};

/// Behaves as `posix_storage`: same errors, same order of the calls beneath `make_folder` and `lease`. Any thread may use it.
class memory_storage : public io::storage {
 public:
  using kind = disk_call::kind;

  explicit memory_storage(disk_image start = {}) : image_(std::move(start)) {
    for (const auto& [path, inode] : image_.files) inodes_ = std::max(inodes_, inode->number + 1);
  }

  /// What a program sees there now, which is what a reader after a crash of the program alone would.
  const disk_image& image() const noexcept { return image_; }

  /// Ends every lease, as the end of the process does.
  void release_leases() {
    const std::lock_guard lock(mutex_);
    leases_.clear();
  }

  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    const std::lock_guard lock(mutex_);
    const auto inode = made(path);
    const auto writer = std::make_shared<int>();
    inode->writer = writer;
    return std::make_unique<memory_file>(*this, shown_as, inode, writer);
  }

  std::unique_ptr<io::file> open(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    return std::make_unique<memory_file>(*this, path, found(path, path, "cannot open"), nullptr);
  }

  /// Whether the name of a file that is recycled is durably gone before it is written to; a mistake otherwise.
  bool syncs_recycled = true;

  std::unique_ptr<io::file> recycle(const std::string& retired, const std::string& path, const std::string& shown_as) override {
    const std::lock_guard lock(mutex_);
    const auto at = image_.files.find(retired);
    if (at == image_.files.end() || at->second.use_count() > 1) return nullptr;  // somebody has it open or mapped
    const auto inode = at->second;
    happens({.what = kind::rename, .path = retired, .to = path, .file = inode->number});
    image_.files.erase(at);
    image_.files[path] = inode;
    if (syncs_recycled) happens({.what = kind::sync_folder, .path = io::detail::parent_of(path)});
    const auto writer = std::make_shared<int>();
    inode->writer = writer;
    return std::make_unique<memory_file>(*this, shown_as, inode, writer);
  }

  void rename(const std::string& from, const std::string& to, io::replace existing) override {
    const std::lock_guard lock(mutex_);
    const auto inode = found(from, to, "cannot take its name");
    if (existing == io::replace::no && image_.files.contains(to)) io::detail::fail(to, "cannot take its name", EEXIST);
    happens({.what = kind::rename, .path = from, .to = to, .file = inode->number});
    image_.files.erase(from);
    image_.files[to] = inode;
  }

  void remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    happens({.what = kind::remove, .path = path, .file = found(path, path, "cannot delete")->number});
    image_.files.erase(path);
  }

  bool remove_abandoned(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const auto at = image_.files.find(path);
    if (at == image_.files.end() || !at->second->writer.expired()) return false;
    happens({.what = kind::remove, .path = path, .file = at->second->number});
    image_.files.erase(at);
    return true;
  }

  void sync_folder(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    require_folder(path, path, "cannot open the folder");
    happens({.what = kind::sync_folder, .path = path});
  }

  void make_folder(const std::string& path) override {
    const std::string above = io::detail::parent_of(path);
    if (!has_folder(path)) {
      make_folder(above);
      const std::lock_guard lock(mutex_);
      happens({.what = kind::make_folder, .path = path});
      image_.folders.insert(path);
    }
    sync_folder(above);
  }

  std::vector<std::string> list(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    require_folder(path, path, "cannot list the folder");
    std::vector<std::string> names;
    const std::string within = path + "/";
    for (auto at = image_.files.lower_bound(within); at != image_.files.end() && at->first.starts_with(within); ++at)
      if (at->first.find('/', within.size()) == std::string::npos) names.push_back(at->first.substr(within.size()));
    return names;
  }

  /// The owner's name in the lock file is of no consequence after a crash: writing it is not in the trace.
  std::shared_ptr<void> lease(const std::string& path, const std::string& owner) override {
    const std::lock_guard lock(mutex_);
    if (!image_.files.contains(path)) made(path);
    happens({.what = kind::lease, .path = path});
    std::weak_ptr<void>& holder = leases_[path];
    if (!holder.expired()) return nullptr;
    const auto text = std::as_bytes(std::span(owner));
    found(path, path, "cannot lock")->bytes.assign(text.begin(), text.end());
    const auto taken = std::make_shared<int>();
    holder = taken;
    return taken;
  }

 protected:
  /// Called before each change, under the lock. What it throws keeps the change from being made.
  virtual void happens(disk_call) {}

  std::mutex mutex_;

 private:
  class memory_file final : public io::file {
   public:
    memory_file(memory_storage& of, std::string path, std::shared_ptr<memory_inode> inode, std::shared_ptr<void> writer)
        : of_(of), path_(std::move(path)), inode_(std::move(inode)), writer_(std::move(writer)) {}

    const std::string& path() const override { return path_; }

    void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      const std::lock_guard lock(of_.mutex_);
      require_writable();
      of_.happens({.what = kind::write, .file = inode_->number, .offset = offset, .bytes = bytes.size(), .content = {bytes.begin(), bytes.end()}});
      if (inode_->bytes.size() < offset + bytes.size()) inode_->bytes.resize(offset + bytes.size());
      std::memcpy(inode_->bytes.data() + offset, bytes.data(), bytes.size());
    }

    void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
      const std::uint64_t size = inode_->bytes.size();
      if (offset > size || out.size() > size - offset) throw holdfast::format_error(path_ + ": ends before its content does; the file was truncated");
      std::memcpy(out.data(), inode_->bytes.data() + offset, out.size());
    }

    std::uint64_t size() const override { return inode_->bytes.size(); }
    std::chrono::system_clock::time_point modified() const override { return {}; }

    void preallocate(std::uint64_t bytes) override {
      const std::lock_guard lock(of_.mutex_);
      require_writable();
      of_.happens({.what = kind::preallocate, .file = inode_->number, .bytes = bytes});
      if (inode_->bytes.size() < bytes) inode_->bytes.resize(bytes);
    }

    void sync() override {
      const std::lock_guard lock(of_.mutex_);
      of_.happens({.what = kind::sync, .file = inode_->number});
    }

    std::shared_ptr<const std::byte> map() const override { return {inode_, inode_->bytes.data()}; }

   private:
    void require_writable() const {
      if (!writer_) io::detail::fail(path_, "cannot write", EBADF);
    }

    memory_storage& of_;
    std::string path_;
    std::shared_ptr<memory_inode> inode_;
    std::shared_ptr<void> writer_;
  };

  std::shared_ptr<memory_inode> made(const std::string& path) {
    require_folder(io::detail::parent_of(path), path, "cannot create");
    if (image_.files.contains(path)) io::detail::fail(path, "cannot create", EEXIST);
    happens({.what = kind::create, .path = path, .file = inodes_});
    return image_.files[path] = std::make_shared<memory_inode>(memory_inode{.number = inodes_++});
  }

  std::shared_ptr<memory_inode> found(const std::string& path, const std::string& shown_as, const char* what) const {
    const auto at = image_.files.find(path);
    if (at == image_.files.end()) io::detail::fail(shown_as, what, ENOENT);
    return at->second;
  }

  bool has_folder(const std::string& path) {
    const std::lock_guard lock(mutex_);
    return image_.folders.contains(path);
  }

  void require_folder(const std::string& path, const std::string& shown_as, const char* what) const {
    if (!image_.folders.contains(path)) io::detail::fail(shown_as, what, ENOENT);
  }

  disk_image image_;
  std::size_t inodes_ = 0;
  std::map<std::string, std::weak_ptr<void>> leases_;
};

/// Keeps every call with its bytes, and the marks that the program above sets between them; and can end the process.
class recording_storage final : public memory_storage {
 public:
  /// Thrown by the call at which the process is killed, and by every later one until `revive`.
  struct killed {};

  explicit recording_storage(const disk_image& start) : memory_storage(copy_of(start)), start_(copy_of(start)) {}

  /// What was there, durably, when the recording began.
  const disk_image& start() const noexcept { return start_; }
  const std::vector<disk_call>& calls() const noexcept { return calls_; }

  /// The program is about to save this version, or has been told that its save succeeded.
  void began(std::size_t version) { append({.what = kind::began, .version = version}); }
  void reported(std::size_t version) { append({.what = kind::reported, .version = version}); }

  /// Adds a call to the trace alone.
  void append(disk_call call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }

  /// The call `nth` from now (0: the next one) is not made, nor is any after it: a SIGKILL. What was written stays in the
  /// operating system's cache.
  void kill_at(std::size_t nth) { left_ = static_cast<std::ptrdiff_t>(nth); }
  void revive() {
    left_ = -1;
    release_leases();
  }

  /// "create preallocate write ... sync rename sync_folder" of the calls from `first` on, with runs of writes as one.
  std::string order(std::size_t first = 0) const {
    static const char* const names[] = {"make_folder", "create", "preallocate", "write", "sync", "rename",
                                        "remove", "sync_folder", "lease", "began", "reported"};
    std::string text;
    for (std::size_t i = first; i < calls_.size(); ++i)
      if (i == first || calls_[i].what != kind::write || calls_[i - 1].what != kind::write)
        text += (text.empty() ? "" : " ") + std::string(names[static_cast<std::size_t>(calls_[i].what)]);
    return text;
  }

 private:
  void happens(disk_call call) override {
    if (left_ == 0) throw killed();
    if (left_ > 0) --left_;
    calls_.push_back(std::move(call));
  }

  /// With files of their own, numbered in the order of their names.
  static disk_image copy_of(const disk_image& image) {
    disk_image copy = image;
    std::size_t number = 0;
    for (auto& [path, inode] : copy.files) inode = std::make_shared<memory_inode>(memory_inode{.number = number++, .bytes = inode->bytes});
    return copy;
  }

  disk_image start_;
  std::vector<disk_call> calls_;
  std::ptrdiff_t left_ = -1;
};

}  // namespace support
