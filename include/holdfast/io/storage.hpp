#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <holdfast/core/error.hpp>

namespace holdfast::io {

/// An open file. Every function throws `io_error` naming the file. Bytes are at offsets: there is no file position, so
/// several threads may read or write disjoint ranges at once.
class file {
 public:
  virtual ~file() = default;
  /// What messages call it.
  virtual const std::string& path() const = 0;
  /// Writes all of `bytes`.
  virtual void write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// Reads all of `out`; throws `format_error` if the file ends before.
  virtual void read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  /// Its length in bytes.
  virtual std::uint64_t size() const = 0;
  /// When its content last changed.
  virtual std::chrono::system_clock::time_point modified() const = 0;
  /// Gives the file its length and, where the file system can, its blocks, so that a full disk is met here.
  virtual void preallocate(std::uint64_t bytes) = 0;
  /// Makes the content durable. After a failure nothing is known about the content: abandon the file (fsyncgate).
  virtual void sync() = 0;
  /// A read-only map of the whole file, valid as long as someone holds it.
  virtual std::shared_ptr<const std::byte> map() const = 0;

  // What follows is for speed, and optional.

  /// From now on writes whole pages from page-aligned memory to the device and not to the page cache (O_DIRECT); false
  /// where that is refused (tmpfs, some network file systems).
  virtual bool write_past_cache() { return false; }
  /// How many writes from threads of their own it gains from; 0: from none.
  virtual unsigned writes_at_once() const { return 0; }
  /// Begins to bring to the device what was written to a range, and does not wait.
  virtual void begin_write_back(std::uint64_t /*offset*/, std::uint64_t /*bytes*/) noexcept {}
  /// Begins to bring a range into memory, and does not wait.
  virtual void will_read(std::uint64_t /*offset*/, std::uint64_t /*bytes*/) const noexcept {}
  /// Gives a range of whole pages the content of the same range of another file of this storage by sharing its blocks
  /// (a reflink); false where the file system cannot.
  virtual bool share(const file& /*from*/, std::uint64_t /*offset*/, std::uint64_t /*bytes*/) { return false; }
};

/// How bytes get to a file: past the page cache where that is possible and pays, always, or never.
enum class mode { automatic,
                  direct,
                  buffered };

/// Whether `rename` may replace what has the new name.
enum class replace { no,
                     yes };

/// What the library asks of a file system, and nothing else: the seam where tests record, delay and fail each step.
/// Paths are the caller's own. Every function throws `io_error` naming the path.
class storage {
 public:
  virtual ~storage() = default;
  /// Creates a file that must not exist, for reading and writing. Errors call it `shown_as`.
  virtual std::unique_ptr<file> create(const std::string& path, const std::string& shown_as) = 0;
  /// Opens a file for reading.
  virtual std::unique_ptr<file> open(const std::string& path) = 0;
  /// Opens a file that another process has made by `create`, to write to it too. Errors call it `shown_as`.
  virtual std::unique_ptr<file> join(const std::string& /*path*/, const std::string& shown_as) {
    throw io_error(shown_as + ": this storage cannot be written by several processes", std::make_error_code(std::errc::operation_not_supported));
  }
  /// As `create`, but takes a file that is no longer needed, with its blocks, instead of making one: its old name is durably
  /// gone before the new one can be written to. Null where somebody else has it open or mapped, it has a second name, or
  /// that cannot be told; it may be gone then.
  virtual std::unique_ptr<file> recycle(const std::string& /*retired*/, const std::string& /*path*/, const std::string& /*shown_as*/) { return nullptr; }
  /// Gives a file another name in one step: at any time one of the two is there, whole.
  virtual void rename(const std::string& from, const std::string& to, replace existing) = 0;
  /// Deletes a file.
  virtual void remove(const std::string& path) = 0;
  /// Deletes a file that `create` made and nobody commits any more, because its writer died; a file whose writer lives,
  /// in this process or another, stays. Returns whether it was deleted.
  virtual bool remove_abandoned(const std::string& path) = 0;
  /// Makes the names in a folder durable.
  virtual void sync_folder(const std::string& path) = 0;
  /// Creates the folder and those above it where they are missing. Its name is durable when this returns, also if it was
  /// there: a process that made it may have been killed just after.
  virtual void make_folder(const std::string& path) = 0;
  /// Names of what is in the folder, in no order.
  virtual std::vector<std::string> list(const std::string& path) = 0;
  /// Takes an exclusive lease that ends with the returned object or the process, and leaves `owner` in the file as text;
  /// null if somebody else has it.
  virtual std::shared_ptr<void> lease(const std::string& path, const std::string& owner) = 0;
};

}  // namespace holdfast::io
