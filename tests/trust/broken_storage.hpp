#pragma once
/// Protocols with one mistake each, made by changing the calls of the library's own on their way to the storage.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/io/storage.hpp>

namespace support {

namespace io = holdfast::io;

enum class mistake {
  none,
  no_sync_before_rename,
  no_folder_sync,
  rename_before_trailer,
  delete_before_durable,
  trailer_synced_before_payload,
  reported_before_folder_sync,
  recycled_before_folder_sync,  ///< `memory_storage::syncs_recycled` makes it
};

class broken_storage final : public io::storage {
 public:
  broken_storage(io::storage& below, mistake made) : below_(below), made_(made) {}

  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    catch_up();
    return std::make_unique<broken_file>(*this, below_.create(path, shown_as));
  }
  std::unique_ptr<io::file> open(const std::string& path) override { return below_.open(path); }
  std::unique_ptr<io::file> recycle(const std::string& retired, const std::string& path, const std::string& shown_as) override {
    catch_up();
    auto taken = below_.recycle(retired, path, shown_as);
    return taken ? std::make_unique<broken_file>(*this, std::move(taken)) : nullptr;
  }

  void rename(const std::string& from, const std::string& to, io::replace existing) override {
    below_.rename(from, to, existing);
    if (made_ == mistake::rename_before_trailer) catch_up();
    if (made_ != mistake::delete_before_durable) return;
    const std::string folder = to.substr(0, to.rfind('/') + 1);
    for (const std::string& name : below_.list(folder.substr(0, folder.size() - 1)))
      if (name.starts_with("step-") && folder + name < to) below_.remove(folder + name);
  }

  void remove(const std::string& path) override { below_.remove(path); }

  void sync_folder(const std::string& path) override {
    if (made_ == mistake::no_folder_sync) return;
    if (made_ == mistake::reported_before_folder_sync) late_ = [this, path] { below_.sync_folder(path); };
    else below_.sync_folder(path);
  }

  void make_folder(const std::string& path) override { below_.make_folder(path); }
  std::vector<std::string> list(const std::string& path) override { return below_.list(path); }
  bool remove_abandoned(const std::string& path) override { return below_.remove_abandoned(path); }
  std::shared_ptr<void> lease(const std::string& path, const std::string& owner) override { return below_.lease(path, owner); }

 private:
  class broken_file final : public io::file {
   public:
    broken_file(broken_storage& of, std::shared_ptr<io::file> below) : of_(of), below_(std::move(below)) {}
    const std::string& path() const override { return below_->path(); }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override { below_->read_at(offset, out); }
    std::uint64_t size() const override { return below_->size(); }
    std::chrono::system_clock::time_point modified() const override { return below_->modified(); }
    void preallocate(std::uint64_t bytes) override { below_->preallocate(bytes); }
    std::shared_ptr<const std::byte> map() const override { return below_->map(); }

    void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      const auto write = [file = below_, offset, copy = std::vector<std::byte>(bytes.begin(), bytes.end())] { file->write_at(offset, copy); };
      const bool trailer = offset + bytes.size() == size();
      if (of_.made_ == mistake::rename_before_trailer && trailer)
        of_.late_ = [write, file = below_] {
          write();
          file->sync();
        };
      else if (of_.made_ == mistake::trailer_synced_before_payload && !trailer) payload_.push_back(write);
      else write();
    }

    void sync() override {
      if (of_.made_ != mistake::no_sync_before_rename) below_->sync();
      for (const auto& write : payload_) write();
    }

   private:
    broken_storage& of_;
    std::shared_ptr<io::file> below_;
    std::vector<std::function<void()>> payload_;
  };

  void catch_up() {
    if (const auto late = std::exchange(late_, nullptr)) late();
  }

  io::storage& below_;
  mistake made_;
  std::function<void()> late_;
};

}  // namespace support
