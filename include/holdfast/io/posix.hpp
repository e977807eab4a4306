#pragma once
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/core/error.hpp>
#include <holdfast/io/staging_buffer.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast::io {

namespace detail {

template <class = void>
[[noreturn]] void fail(const std::string& path, const char* what, int code = errno) {
  std::string advice;
  if (code == ENOSPC || code == EDQUOT) advice = " (free some space, or save elsewhere; existing files are unchanged)";
  throw io_error(path + ": " + what + advice, std::error_code(code, std::generic_category()));
}

/// The folder that holds `path`.
template <class = void>
std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/"
                                                       : path.substr(0, slash);
}

class descriptor {
 public:
  explicit descriptor(int fd = -1) noexcept : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

template <class>
class basic_posix_file final : public file {
 public:
  basic_posix_file(std::string path, descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  const std::string& path() const override { return path_; }

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (direct_.get() >= 0 && offset % page_bytes == 0 && reinterpret_cast<std::uintptr_t>(bytes.data()) % page_bytes == 0) {
      const std::size_t done = put(direct_, offset, bytes.first(bytes.size() / page_bytes * page_bytes), true);
      offset += done;
      bytes = bytes.subspan(done);
    }
    put(fd_, offset, bytes, false);
  }

  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const auto n = uninterrupted([&] { return ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset)); });
      if (n < 0) fail(path_, "cannot read");
      if (n == 0) throw format_error(path_ + ": ends at byte " + std::to_string(offset) + ", " + std::to_string(out.size()) + " bytes before its content does; the file was truncated");
      offset += static_cast<std::uint64_t>(n);
      out = out.subspan(static_cast<std::size_t>(n));
    }
  }

  std::uint64_t size() const override {
    struct stat s{};
    if (::fstat(fd_.get(), &s) != 0) fail(path_, "cannot stat");
    return static_cast<std::uint64_t>(s.st_size);
  }

  std::chrono::system_clock::time_point modified() const override {
    struct stat s{};
    if (::fstat(fd_.get(), &s) != 0) fail(path_, "cannot stat");
    const auto since = std::chrono::seconds(s.st_mtim.tv_sec) + std::chrono::nanoseconds(s.st_mtim.tv_nsec);
    return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(since));
  }

  void preallocate(std::uint64_t bytes) override {
    if (bytes == 0) return;
    if (size() > bytes && ::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) fail(path_, "cannot set the length");  // of one that is recycled
    const int code = uninterrupted([&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(bytes)); }) == 0 ? 0 : errno;
    if (code == 0) return;
    if (code != EOPNOTSUPP && code != ENOSYS) fail(path_, ("cannot reserve " + std::to_string(bytes) + " bytes").c_str(), code);
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) fail(path_, "cannot set the length");
  }

  /// With a second descriptor, so that what is not whole pages still goes through the cache.
  bool write_past_cache() override {
    if (direct_.get() < 0) direct_ = descriptor(uninterrupted([&] { return ::open(("/proc/self/fd/" + std::to_string(fd_.get())).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC); }));
    return direct_.get() >= 0;
  }

  /// Direct writes wait for the device, so several keep it busy; buffered ones exclude each other (the inode's lock).
  unsigned writes_at_once() const override { return direct_.get() >= 0 ? 4 : 1; }

  void begin_write_back(std::uint64_t offset, std::uint64_t bytes) noexcept override {
    if (direct_.get() < 0) (void)::sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
  }

  void will_read(std::uint64_t offset, std::uint64_t bytes) const noexcept override {
    (void)::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
  }

  bool share(const file& from, std::uint64_t offset, std::uint64_t bytes) override {
    const auto* const other = dynamic_cast<const basic_posix_file*>(&from);
    if (other == nullptr) return false;
    file_clone_range range{.src_fd = other->fd_.get(), .src_offset = offset, .src_length = bytes, .dest_offset = offset};
    return ::ioctl(fd_.get(), FICLONERANGE, &range) == 0;
  }

  /// Some network file systems have no locks.
  void lock() noexcept {
    (void)uninterrupted([&] { return ::flock(fd_.get(), LOCK_EX); });
  }

  /// Becomes the file of a descriptor and locks it.
  void take(descriptor fd) noexcept {
    fd_ = std::move(fd);
    lock();
  }

  /// Whether nobody else has the file open or mapped and it has one name; false where that cannot be told. The system
  /// grants a write lease only then (fcntl(2), F_SETLEASE).
  bool sole_user() const noexcept {
    struct stat s{};
    if (::fstat(fd_.get(), &s) != 0 || s.st_nlink != 1 || !S_ISREG(s.st_mode)) return false;
    // Should it be opened while we have the lease, the signal is one that does nothing unless asked for.
    if (::fcntl(fd_.get(), F_SETSIG, SIGURG) != 0 || ::fcntl(fd_.get(), F_SETLEASE, F_WRLCK) != 0) return false;
    return ::fcntl(fd_.get(), F_SETLEASE, F_UNLCK) == 0;
  }

  /// Names the file has; 1 where that cannot be told.
  std::uint64_t links() const noexcept {
    struct stat s{};
    return ::fstat(fd_.get(), &s) == 0 ? s.st_nlink : 1;
  }

  void sync() override {
    if (::fsync(fd_.get()) != 0) fail(path_, "cannot make the file durable (fsync)");
  }

  std::shared_ptr<const std::byte> map() const override {
    const std::uint64_t n = size();
    if (n == 0) return nullptr;
    void* p = ::mmap(nullptr, n, PROT_READ, MAP_SHARED, fd_.get(), 0);
    if (p == MAP_FAILED) fail(path_, "cannot map");
    return {static_cast<const std::byte*>(p), [n](const std::byte* q) { ::munmap(const_cast<std::byte*>(q), n); }};
  }

 private:
  /// Returns how much was written: all but, where `some` will do, what the device refused for its size or place.
  std::size_t put(const descriptor& to, std::uint64_t offset, std::span<const std::byte> bytes, bool some) {
    std::size_t done = 0;
    while (done < bytes.size() && !(some && done % page_bytes != 0)) {
      const auto n = uninterrupted([&] { return ::pwrite(to.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done)); });
      if (n < 0 && some && errno == EINVAL) break;
      if (n < 0) fail(path_, "cannot write");
      if (n == 0) fail(path_, "cannot write", ENOSPC);
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  std::string path_;
  descriptor fd_, direct_;
};
using posix_file = basic_posix_file<void>;

}  // namespace detail

/// The operating system's own files.
template <class X>
class basic_posix_storage : public storage {
 public:
  /// The file is locked for as long as it is open, which tells `remove_abandoned` that its writer lives.
  std::unique_ptr<file> create(const std::string& path, const std::string& shown_as) override {
    auto made = std::make_unique<detail::basic_posix_file<X>>(shown_as, detail::descriptor());  // first: without memory for it there is no file
    do {
      made->take(opened(path, O_RDWR | O_CREAT | O_EXCL, "cannot create"));
    } while (made->links() == 0);  // it was deleted before it was locked
    return made;
  }

  std::unique_ptr<file> open(const std::string& path) override {
    detail::descriptor fd = opened(path, O_RDONLY | O_NONBLOCK, "cannot open");
    struct stat s{};
    if (::fstat(fd.get(), &s) != 0) detail::fail(path, "cannot stat");
    if (S_ISDIR(s.st_mode)) detail::fail(path, "cannot open as a checkpoint (checkpoint_directory reads a folder of them)", EISDIR);
    if (!S_ISREG(s.st_mode)) detail::fail(path, "cannot open: not a regular file", EINVAL);
    return std::make_unique<detail::basic_posix_file<X>>(path, std::move(fd));
  }

  std::unique_ptr<file> join(const std::string& path, const std::string& shown_as) override {
    detail::descriptor fd(detail::uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CLOEXEC); }));
    if (fd.get() < 0) detail::fail(shown_as, "cannot open what another process has created");
    return std::make_unique<detail::basic_posix_file<X>>(shown_as, std::move(fd));
  }

  std::unique_ptr<file> recycle(const std::string& retired, const std::string& path, const std::string& shown_as) override {
    auto taken = std::make_unique<detail::basic_posix_file<X>>(shown_as, detail::descriptor(detail::uninterrupted([&] { return ::open(retired.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); })));
    if (!taken->sole_user()) return nullptr;
    taken->lock();
    try {
      rename(retired, path, replace::no);
    } catch (const io_error&) {
      return nullptr;
    }
    try {
      sync_folder(detail::parent_of(path));
      if (taken->sole_user()) return taken;  // still: nobody opened it under its old name meanwhile
    } catch (const io_error&) {              // its old name may come back, so it must not be written to
    }
    remove(path);
    return nullptr;
  }

  void rename(const std::string& from, const std::string& to, replace existing) override {
    const auto result = existing == replace::yes ? ::rename(from.c_str(), to.c_str())
                                                 : ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
    if (result == 0) return;
    if (existing == replace::no && (errno == EINVAL || errno == ENOSYS)) {  // a file system without the flag
      if (::link(from.c_str(), to.c_str()) == 0) return remove(from);
    }
    detail::fail(to, "cannot take its name");
  }

  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) detail::fail(path, "cannot delete");
  }

  bool remove_abandoned(const std::string& path) override {
    const detail::descriptor fd(detail::uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); }));
    if (fd.get() < 0 || detail::uninterrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) return false;
    return ::unlink(path.c_str()) == 0;
  }

  void sync_folder(const std::string& path) override {
    const detail::descriptor fd = opened(path, O_RDONLY | O_DIRECTORY, "cannot open the folder");
    // EINVAL: a file system that has no such thing for folders, and makes names durable in its own way.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) detail::fail(path, "cannot make the folder durable (fsync)");
  }

  void make_folder(const std::string& path) override {
    struct stat s{};
    if (::stat(path.c_str(), &s) == 0) {
      if (!S_ISDIR(s.st_mode)) detail::fail(path, "cannot be a folder", ENOTDIR);
      try {
        sync_folder(detail::parent_of(path));  // whoever made it may have been killed before its name was durable
      } catch (const io_error& e) {
        const int code = e.code().value();
        if (code != EACCES && code != EPERM && code != EROFS) throw;  // otherwise we could not have made it either
      }
      return;
    }
    if (errno != ENOENT) detail::fail(path, "cannot create the folder");
    const std::string above = detail::parent_of(path);
    make_folder(above);
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) detail::fail(path, "cannot create the folder");
    sync_folder(above);
  }

  std::vector<std::string> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
    if (!folder) detail::fail(path, "cannot list the folder");
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* d = ::readdir(folder.get())) {
      const std::string_view found = d->d_name;
      if (found != "." && found != "..") names.emplace_back(found);
    }
    if (errno != 0) detail::fail(path, "cannot list the folder");
    return names;
  }

  std::shared_ptr<void> lease(const std::string& path, const std::string& owner) override {
    auto fd = std::make_shared<detail::descriptor>(opened(path, O_RDWR | O_CREAT, "cannot open the lock file"));
    if (detail::uninterrupted([&] { return ::flock(fd->get(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) return nullptr;
      detail::fail(path, "cannot lock");
    }
    // The text helps whoever is refused; a lock without it is as good.
    if (::ftruncate(fd->get(), 0) == 0) (void)!::pwrite(fd->get(), owner.data(), owner.size(), 0);
    return fd;
  }

 private:
  static detail::descriptor opened(const std::string& path, int flags, const char* what) {
    const int fd = detail::uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
    if (fd < 0) detail::fail(path, what);
    return detail::descriptor(fd);
  }
};
/// The operating system's files.
using posix_storage = basic_posix_storage<void>;

/// The storage that is used where none is given.
template <class X = void>
storage& posix() {
  static basic_posix_storage<X> instance;
  return instance;
}

}  // namespace holdfast::io
