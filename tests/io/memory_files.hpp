#pragma once
/// A storage whose files are memory: no disk, no system call. What is renamed is there, what is synced is as it was.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/io/posix.hpp>
#include <holdfast/io/storage.hpp>

namespace support {

namespace io = holdfast::io;

class memory_files final : public io::storage {
 public:
  using bytes = std::vector<std::byte>;

  /// Whether files can share blocks, as those of xfs and btrfs; and what was written, shared and read so far.
  bool reflinks = false;
  std::uint64_t written = 0, shared = 0, read = 0;

  /// The content of a file, made where it is missing; tests put damaged copies here.
  bytes& operator[](const std::string& path) {
    auto& content = files_[path];
    if (content == nullptr) content = std::make_shared<bytes>();
    return *content;
  }

  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    if (files_.contains(path)) io::detail::fail(shown_as, "cannot create", EEXIST);
    return std::make_unique<memory_file>(*this, shown_as, files_[path] = std::make_shared<bytes>());
  }
  std::unique_ptr<io::file> open(const std::string& path) override { return std::make_unique<memory_file>(*this, path, at(path, "cannot open")); }
  void rename(const std::string& from, const std::string& to, io::replace existing) override {
    if (existing == io::replace::no && files_.contains(to)) io::detail::fail(to, "cannot take its name", EEXIST);
    files_[to] = at(from, "cannot rename");
    files_.erase(from);
  }
  void remove(const std::string& path) override {
    if (files_.erase(path) == 0) io::detail::fail(path, "cannot delete", ENOENT);
  }
  void sync_folder(const std::string&) override {}
  void make_folder(const std::string&) override {}
  std::vector<std::string> list(const std::string& path) override {
    std::vector<std::string> names;
    for (const auto& [name, content] : files_)
      if (name.starts_with(path + "/")) names.push_back(name.substr(path.size() + 1));
    return names;
  }
  bool remove_abandoned(const std::string& path) override { return files_.erase(path) != 0; }
  std::shared_ptr<void> lease(const std::string&, const std::string&) override { return std::make_shared<int>(); }

 private:
  class memory_file final : public io::file {
   public:
    memory_file(memory_files& of, std::string path, std::shared_ptr<bytes> content) : of_(of), path_(std::move(path)), content_(std::move(content)) {}
    const std::string& path() const override { return path_; }
    void write_at(std::uint64_t offset, std::span<const std::byte> from) override {
      of_.written += from.size();
      content_->resize(std::max<std::size_t>(content_->size(), offset + from.size()));
      std::copy(from.begin(), from.end(), content_->begin() + static_cast<std::ptrdiff_t>(offset));
    }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
      if (offset > content_->size() || out.size() > content_->size() - offset)
        throw holdfast::format_error(path_ + ": ends at byte " + std::to_string(content_->size()) + ", before its content does; the file was truncated");
      std::atomic_ref(of_.read) += out.size();  // several threads read
      std::copy_n(content_->begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    }
    std::uint64_t size() const override { return content_->size(); }
    std::chrono::system_clock::time_point modified() const override { return {}; }
    void preallocate(std::uint64_t n) override { content_->resize(n); }
    void sync() override {}
    std::shared_ptr<const std::byte> map() const override { return {content_, content_->data()}; }

    bool share(const file& from, std::uint64_t offset, std::uint64_t n) override {
      if (!of_.reflinks || offset % 4096 != 0 || n % 4096 != 0) return false;
      content_->resize(std::max<std::size_t>(content_->size(), offset + n));
      from.read_at(offset, std::span(*content_).subspan(offset, n));
      of_.shared += n;
      return true;
    }

   private:
    memory_files& of_;
    std::string path_;
    std::shared_ptr<bytes> content_;
  };

  std::shared_ptr<bytes> at(const std::string& path, const char* what) const {
    const auto found = files_.find(path);
    if (found == files_.end()) io::detail::fail(path, what, ENOENT);
    return found->second;
  }

  std::map<std::string, std::shared_ptr<bytes>> files_;
};

}  // namespace support
