#include "progress.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <holdfast/io/posix.hpp>

#include "tool.hpp"

namespace tool {
namespace {

namespace io = holdfast::io;

class counted_file final : public io::file {
 public:
  counted_file(std::unique_ptr<io::file> of, std::atomic<std::uint64_t>& bytes) : of_(std::move(of)), bytes_(bytes) {}

  const std::string& path() const override { return of_->path(); }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    of_->write_at(offset, bytes);
    bytes_ += bytes.size();
  }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    of_->read_at(offset, out);
    bytes_ += out.size();
  }
  std::uint64_t size() const override { return of_->size(); }
  std::chrono::system_clock::time_point modified() const override { return of_->modified(); }
  void preallocate(std::uint64_t bytes) override { of_->preallocate(bytes); }
  void sync() override { of_->sync(); }
  std::shared_ptr<const std::byte> map() const override { return of_->map(); }
  bool write_past_cache() override { return of_->write_past_cache(); }
  unsigned writes_at_once() const override { return of_->writes_at_once(); }
  void begin_write_back(std::uint64_t offset, std::uint64_t bytes) noexcept override { of_->begin_write_back(offset, bytes); }
  void will_read(std::uint64_t offset, std::uint64_t bytes) const noexcept override { of_->will_read(offset, bytes); }

 private:
  std::unique_ptr<io::file> of_;
  std::atomic<std::uint64_t>& bytes_;
};

class counted_storage final : public io::storage {
 public:
  explicit counted_storage(std::atomic<std::uint64_t>& bytes) : bytes_(bytes) {}

  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override { return counted(on_.create(path, shown_as)); }
  std::unique_ptr<io::file> open(const std::string& path) override { return counted(on_.open(path)); }
  void rename(const std::string& from, const std::string& to, io::replace existing) override { on_.rename(from, to, existing); }
  void remove(const std::string& path) override { on_.remove(path); }
  bool remove_abandoned(const std::string& path) override { return on_.remove_abandoned(path); }
  void sync_folder(const std::string& path) override { on_.sync_folder(path); }
  void make_folder(const std::string& path) override { on_.make_folder(path); }
  std::vector<std::string> list(const std::string& path) override { return on_.list(path); }
  std::shared_ptr<void> lease(const std::string& path, const std::string& owner) override { return on_.lease(path, owner); }

 private:
  std::unique_ptr<io::file> counted(std::unique_ptr<io::file> f) const { return std::make_unique<counted_file>(std::move(f), bytes_); }

  io::storage& on_ = io::posix();
  std::atomic<std::uint64_t>& bytes_;
};

}  // namespace

progress::progress(std::string what) : what_(std::move(what)), storage_(std::make_unique<counted_storage>(done_)) {
  const char *after = std::getenv("HOLDFAST_PROGRESS_AFTER"), *terminal = std::getenv("TERM");
  if (after != nullptr) after_ = std::chrono::duration<double>(std::clamp(std::strtod(after, nullptr), 0.0, 1e6));
  if (::isatty(STDERR_FILENO) != 1 || (terminal != nullptr && std::strcmp(terminal, "dumb") == 0)) return;
  try {
    watcher_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {  // then there is no bar
  }
}

progress::~progress() {
  if (!watcher_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ended_.notify_one();
  watcher_.join();
  if (std::chrono::steady_clock::now() - started_ >= after_) draw();
  if (drawn_) (void)std::fputs("\r\x1b[K", stderr);
}

void progress::watch() {
  std::unique_lock lock(mutex_);
  for (std::chrono::duration<double> wait = after_; !ended_.wait_for(lock, wait, [&] { return end_; }); wait = std::chrono::milliseconds(100)) draw();
}

void progress::draw() {
  const std::uint64_t expected = expected_, done = std::min<std::uint64_t>(done_, expected);
  if (expected == 0) return;
  const double share = static_cast<double>(done) / static_cast<double>(expected);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  const double rate = static_cast<double>(done) / std::max(seconds, 1e-3);
  constexpr int cells = 24;
  const int full = static_cast<int>(share * cells);
  std::string line = fmt::format("{} [{:#<{}}{:.<{}}] {:3.0f}%  {} of {}, {}/s", what_, "", full, "", cells - full, 100 * share, readable(done), readable(expected), readable(static_cast<std::uint64_t>(rate)));
  if (rate > 0 && done < expected) line += fmt::format(", {:.0f} s left", static_cast<double>(expected - done) / rate);
  winsize window{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 && line.size() >= window.ws_col) line.resize(window.ws_col - 1u);
  (void)std::fputs(("\r" + line + "\x1b[K").c_str(), stderr);
  (void)std::fflush(stderr);
  drawn_ = true;
}

}  // namespace tool
