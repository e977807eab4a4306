#pragma once
/// Two devices without a GPU: memory that holds every byte inverted, so that whoever reads it as if it were the host's gets
/// something else, and copies that are done when they are waited for and not before.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/core/device.hpp>

namespace fake {

class engine final : public holdfast::detail::device_engine {
 public:
  engine() { holdfast::detail::registered_engine() = this; }
  ~engine() { holdfast::detail::registered_engine() = nullptr; }

  /// What was done in which order: "follow gpu(0)", "to host", …
  std::vector<std::string> log;
  std::size_t locked = 0;                                         ///< bytes
  std::size_t copies = 0, outstanding = 0, most_outstanding = 0;  ///< copies, and bytes of copies
  std::size_t fail_at = 0;                                        ///< the copy of this number fails
  std::byte flips{0};                                             ///< bits that change in the first byte of each copy to a device

  std::map<const std::byte*, std::pair<std::size_t, int>> blocks;

  std::byte* allocate(int device, std::size_t bytes) {
    auto* const p = new std::byte[bytes];
    std::fill_n(p, bytes, std::byte{0xEE});
    blocks[p] = {bytes, device};
    return p;
  }
  void free(std::byte* p) {
    blocks.erase(p);
    delete[] p;
  }
  int device_of(const void* p) const {
    for (const auto& [at, block] : blocks)
      if (p >= at && p < at + block.first) return block.second;
    return -1;
  }

  std::unique_ptr<holdfast::detail::device_staging> staging() override;
  std::string misplaced(const holdfast::tensor_view& view) override {
    const int device = device_of(view.data());
    const holdfast::memory_space real = device < 0 ? holdfast::host : holdfast::gpu(device);
    return real == view.space() ? "" : "memory of " + name(real);
  }
  std::string absent(holdfast::memory_space space) override { return space.device >= 0 && space.device < 2 ? "" : "not here, where there are gpu(0) and gpu(1)"; }
};

class staging final : public holdfast::detail::device_staging {
 public:
  explicit staging(engine& of) : of_(of) {}
  ~staging() override { run(~std::uint64_t{0}); }
  void follow(holdfast::memory_space space, void*) override { note("follow " + name(space)); }
  void precede(holdfast::memory_space space, void*) override { note("precede " + name(space)); }
  std::uint64_t to_host(std::span<const holdfast::detail::device_copy> all) override { return add(all, true); }
  std::uint64_t to_device(std::span<const holdfast::detail::device_copy> all) override { return add(all, false); }
  void wait(std::uint64_t number) override { run(number); }
  void wait_for_all() override { run(~std::uint64_t{0}); }
  std::shared_ptr<void> lock(std::span<std::byte> memory) override {
    of_.locked += memory.size();
    return {memory.data(), [&of = of_, n = memory.size()](void*) { of.locked -= n; }};
  }

 private:
  std::uint64_t add(std::span<const holdfast::detail::device_copy> all, bool to_host) {
    const std::lock_guard lock(mutex_);
    if (all.empty()) return 0;
    for (const auto& c : all) {
      if (++of_.copies == of_.fail_at) throw holdfast::error("the device is on fire");
      if (of_.device_of(c.device) != c.space.device || of_.device_of(c.device + c.bytes - 1) != c.space.device) throw std::logic_error("a copy of memory that is not the device's");
      of_.outstanding += c.bytes;
      queue_.push_back({last_ + 1, [c, to_host, flips = of_.flips] {
                          const std::byte* const from = to_host ? c.device : c.host;
                          std::transform(from, from + c.bytes, to_host ? c.host : c.device, [](std::byte b) { return ~b; });
                          if (!to_host) c.device[0] ^= flips;
                        },
                        c.bytes});
    }
    of_.most_outstanding = std::max(of_.most_outstanding, of_.outstanding);
    return ++last_;
  }
  void run(std::uint64_t until) {
    const std::lock_guard lock(mutex_);
    while (!queue_.empty() && queue_.front().number <= until) {
      queue_.front().work();
      of_.outstanding -= queue_.front().bytes;
      queue_.erase(queue_.begin());
    }
  }
  void note(std::string what) {
    const std::lock_guard lock(mutex_);
    of_.log.push_back(std::move(what));
  }

  struct operation {
    std::uint64_t number;
    std::function<void()> work;
    std::size_t bytes;
  };
  engine& of_;
  std::mutex mutex_;
  std::vector<operation> queue_;
  std::uint64_t last_ = 0;
};

inline std::unique_ptr<holdfast::detail::device_staging> engine::staging() { return std::make_unique<fake::staging>(*this); }

/// Numbers in a device's memory, that own it.
template <class T>
class array {
 public:
  array(engine& of, int device, const std::vector<T>& values = {}) : of_(of), device_(device) { set(values); }
  array(const array&) = delete;
  ~array() { of_.free(data_); }

  void set(const std::vector<T>& values) {
    resize(values.size());
    const auto* const from = reinterpret_cast<const std::byte*>(values.data());
    std::transform(from, from + values.size() * sizeof(T), data_, [](std::byte b) { return ~b; });
  }
  std::vector<T> get() const {
    std::vector<T> all(size_);
    std::transform(data_, data_ + size_ * sizeof(T), reinterpret_cast<std::byte*>(all.data()), [](std::byte b) { return ~b; });
    return all;
  }
  void resize(std::size_t n) {
    if (data_ != nullptr && n == size_) return;
    if (data_ != nullptr) of_.free(data_);
    data_ = nullptr;
    size_ = n;
    data_ = device_ < 0 ? new std::byte[n * sizeof(T) + 1] : of_.allocate(device_, n * sizeof(T) + 1);
  }
  void move_to(holdfast::memory_space where) {
    of_.free(std::exchange(data_, nullptr));
    device_ = where.device;
    resize(std::exchange(size_, 0));
  }
  T* data() const { return reinterpret_cast<T*>(data_); }
  std::size_t size() const { return size_; }
  holdfast::memory_space space() const { return device_ < 0 ? holdfast::host : holdfast::gpu(device_); }
  /// As it stands there if it is the host's.
  std::vector<T> plain() const { return {data(), data() + size_}; }

 private:
  engine& of_;
  int device_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fake

template <class T>
struct holdfast::traits<fake::array<T>> {
  static tensor_view view(fake::array<T>& a) { return tensor_view(a.data(), {static_cast<std::int64_t>(a.size())}, {}, a.space()); }
  static void resize(fake::array<T>& a, const shape& s) { a.resize(static_cast<std::size_t>(s[0])); }
  static void place(fake::array<T>& a, memory_space where) { a.move_to(where); }
};
