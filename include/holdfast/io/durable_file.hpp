#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <sys/random.h>
#include <unistd.h>

#include <holdfast/io/posix.hpp>

namespace holdfast::io {

/// A file that appears under its name whole and durable, or not at all. It is written under a name of its own in the
/// same folder; `commit` makes the content durable, then gives it its name, then makes the name durable. Without a
/// commit nothing of it remains. (The order is what the crash-state replays of ALICE, OSDI 2014, leave as correct.)
template <class>
class basic_durable_file {
 public:
  /// The names of files that were being written when their process died start with this.
  static constexpr const char* temporary_prefix = ".holdfast-";

  /// With `recycled`, a file of the same folder that is no longer needed, its blocks are written again if nobody else uses
  /// it. It is gone in any case.
  basic_durable_file(storage& on, std::string path, const std::string& recycled = {}) : on_(on), path_(std::move(path)), folder_(detail::parent_of(path_)) {
    const std::size_t slash = path_.rfind('/');
    const std::string name = slash == std::string::npos ? path_ : path_.substr(slash + 1);
    if (name.empty() || name == "." || name == "..") detail::fail(path_, "cannot create: the path names a folder", EISDIR);
    temporary_ = folder_ + "/" + temporary_prefix + unique() + ".tmp";
    try {
      if (!recycled.empty() && !(file_ = on_.recycle(recycled, temporary_, path_))) discard(recycled);
      if (!file_) file_ = on_.create(temporary_, path_);
    } catch (const io_error& e) {
      throw io_error(path_ + ": cannot create a file in " + folder_, e.code());
    }
  }
  basic_durable_file(const basic_durable_file&) = delete;
  basic_durable_file& operator=(const basic_durable_file&) = delete;

  ~basic_durable_file() {
    if (committed_) return;
    file_.reset();
    discard(temporary_);  // the error that brought us here is the one to report
  }

  /// What it is called until then, for other processes that write to it.
  const std::string& temporary() const noexcept { return temporary_; }

  file& operator*() noexcept { return *file_; }
  file* operator->() noexcept { return file_.get(); }

  /// Durable under its name when it returns, unless `durable` is false: then a power failure, though no crash of the
  /// program, may take or damage it. If the folder cannot be made durable the new file may or may not survive
  /// a power failure; it is whole in both cases, and the error says so.
  void commit(replace existing, bool durable = true) {
    if (durable) file_->sync();
    on_.rename(temporary_, path_, existing);
    committed_ = true;
    file_.reset();  // only now: a temporary that nobody has open counts as abandoned
    try {
      if (durable) on_.sync_folder(folder_);
    } catch (const io_error& e) {
      throw io_error(path_ + ": written whole, but its name may not survive a power failure: cannot make the folder durable", e.code());
    }
  }

 private:
  /// Deletes a file that may be gone, be it with its folder.
  void discard(const std::string& path) noexcept {
    try {
      on_.remove(path);
    } catch (...) {
    }
  }

  static std::string unique() {
    static std::atomic<std::uint64_t> counter{0};
    static const std::uint64_t process = [] {
      std::uint64_t number = 0;
      if (::getrandom(&number, sizeof number, 0) != sizeof number) detail::fail("getrandom", "cannot name a temporary file");
      return number;
    }();
    return std::to_string(::getpid()) + "-" + std::to_string(process % 1000000007) + "-" + std::to_string(counter++);
  }

  storage& on_;
  std::string path_, folder_, temporary_;
  std::unique_ptr<file> file_;
  bool committed_ = false;
};
/// A file that is there under its name when it is whole and durable.
using durable_file = basic_durable_file<void>;

}  // namespace holdfast::io
