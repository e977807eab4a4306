#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <holdfast/core/device.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/parallel.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/io/staging_buffer.hpp>

namespace holdfast::detail {

inline bool on_device(const tensor_view& view) { return view.space() != host && view.bytes() != 0; }

/// The streams that the tensors of a state are produced and consumed on, each once.
template <class>
class basic_streams {
 public:
  void add(const tensor_view& view) {
    if (!on_device(view)) return;
    const of_device one{view.space(), view.stream()};
    if (std::find(all_.begin(), all_.end(), one) == all_.end()) all_.push_back(one);
  }
  bool empty() const noexcept { return all_.empty(); }
  void clear() noexcept { all_.clear(); }

  /// Copies from now on see what the streams were given before.
  void are_followed_by(device_staging& staging) const {
    for (const of_device& s : all_) staging.follow(s.space, s.stream);
  }
  /// What the streams are given from now on comes after the copies.
  void wait_for(device_staging& staging) const {
    for (const of_device& s : all_) staging.precede(s.space, s.stream);
  }

 private:
  struct of_device {
    memory_space space;
    void* stream;
    friend bool operator==(const of_device&, const of_device&) = default;
  };
  std::vector<of_device> all_;
};
using streams = basic_streams<void>;

/// A copy in host memory, as it lies, of the stretch of a device's memory that a tensor takes.
template <class>
struct basic_fetched {
  std::unique_ptr<std::byte[]> memory;
  device_copy copy;  ///< between the two
  tensor_view view;  ///< the same elements in `memory`
};
using fetched = basic_fetched<void>;

template <class X = void>
basic_fetched<X> fetch(device_staging& by, const tensor_view& of) {
  std::int64_t low = 0, high = of.contiguous() ? of.shape().elements() - 1 : 0;
  for (std::size_t i = 0; i < of.strides().size(); ++i) {
    const std::int64_t reach = of.strides()[i] * (of.shape()[i] - 1);
    (reach < 0 ? low : high) += reach;
  }
  const auto item = static_cast<std::int64_t>(size_of(of.dtype()));
  const auto bytes = static_cast<std::size_t>((high - low + 1) * item);
  auto memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
  const device_copy copy{of.data() + low * item, memory.get(), bytes, of.space()};
  by.wait(by.to_host({&copy, 1}));
  tensor_view view = of.in_host(memory.get() - low * item, of.strides());
  return {std::move(memory), copy, std::move(view)};
}

/// Page-locks memory that is not yet. The threads of the machine touch its pages before, which leaves what is in them: the driver
/// would have them made one after the other.
template <class = void>
void page_lock(device_staging& by, io::staging_buffer& memory) {
  if (memory.attached()) return;
  const std::span<std::byte> all = memory.memory();
  constexpr std::size_t stretch = std::size_t{2} << 20;
  parallel(blocks_in(all.size(), stretch), memory_threads(), [&](std::size_t i) {
    for (std::size_t at = i * stretch; at < std::min((i + 1) * stretch, all.size()); at += io::page_bytes) {
      volatile std::byte& touched = all[at];
      touched = touched;
    }
  });
  memory.attach(by.lock(all));
}

/// Page-locked memory in slots, from which bytes go to devices. A slot can be taken again when its copies have arrived. Any
/// thread may take and send; there must be two slots for each of them, and each may hold two. All are page-locked at once.
template <class>
class basic_device_slots {
 public:
  basic_device_slots(device_staging& by, io::staging_buffer& memory, std::size_t slot_bytes, std::size_t slots) : by_(by), bytes_(slot_bytes) {
    const auto all = memory.reserve(slot_bytes * slots);
    page_lock(by, memory);
    for (std::size_t n = 0; n < slots; ++n) free_.push_back(all.data() + n * slot_bytes);
    sent_.reserve(slots);
  }

  device_staging& staging() const noexcept { return by_; }

  std::span<std::byte> take() {
    std::unique_lock lock(mutex_);
    if (free_.empty()) {
      const sent first = sent_.front();
      sent_.erase(sent_.begin());
      lock.unlock();
      by_.wait(first.number);
      return {first.slot, bytes_};
    }
    std::byte* const slot = free_.back();
    free_.pop_back();
    return {slot, bytes_};
  }

  /// Sends copies from a slot that was taken, and gives it back.
  void send(std::byte* slot, std::span<const device_copy> copies) {
    const std::uint64_t number = copies.empty() ? 0 : by_.to_device(copies);
    const std::lock_guard lock(mutex_);
    if (copies.empty()) free_.push_back(slot);
    else sent_.push_back({slot, number});
  }

 private:
  struct sent {
    std::byte* slot;
    std::uint64_t number;
  };
  device_staging& by_;
  std::size_t bytes_;
  std::mutex mutex_;
  std::vector<std::byte*> free_;
  std::vector<sent> sent_;
};
using device_slots = basic_device_slots<void>;

}  // namespace holdfast::detail
