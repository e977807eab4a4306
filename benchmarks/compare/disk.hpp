#pragma once
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace compare {

/// An open file, by system calls only; what fails throws.
class disk_file {
 public:
  disk_file(const std::string& path, int flags) : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) { check(fd_); }
  disk_file(const disk_file&) = delete;
  ~disk_file() { ::close(fd_); }

  void reserve(std::uint64_t bytes) { check(::fallocate(fd_, 0, 0, static_cast<off_t>(bytes))); }
  void will_need_all() { (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_WILLNEED); }
  void sync() { check(::fsync(fd_)); }

  void write(std::uint64_t at, std::span<const std::byte> bytes) {
    whole(bytes.size(), [&](std::size_t done) { return ::pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(at + done)); });
  }
  void read(std::uint64_t at, std::span<std::byte> out) const {
    whole(out.size(), [&](std::size_t done) { return ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(at + done)); });
  }

 private:
  void check(long result) const {
    if (result < 0) throw std::system_error(errno, std::generic_category(), path_);
  }
  template <class Call>
  void whole(std::size_t bytes, Call call) const {
    for (std::size_t done = 0; done < bytes;) {
      const auto n = call(done);
      check(n);
      if (n == 0) throw std::runtime_error(path_ + ": ends too early");
      done += static_cast<std::size_t>(n);
    }
  }

  std::string path_;
  int fd_;
};
}  // namespace compare
