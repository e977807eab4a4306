#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include <holdfast/core/device.hpp>
#include <holdfast/cuda/error.hpp>

namespace holdfast::cuda::detail {

/// Copies between page-locked memory and devices on one non-blocking stream a device, which is made when the device is first
/// met and waits for nothing but what `follow` names. Events mark when copies are done; they are used again. A host thread
/// waits in `wait`, `wait_for_all` and the destructor, and nowhere else.
class staging final : public holdfast::detail::device_staging {
 public:
  staging() = default;
  ~staging() override {
    for (const device& d : devices_) {
      (void)cudaStreamSynchronize(d.stream);
      (void)cudaStreamDestroy(d.stream);
      (void)cudaEventDestroy(d.fence);
      for (const cudaEvent_t e : d.free) (void)cudaEventDestroy(e);
    }
    for (const sent& s : sent_)
      for (const mark& m : s.marks) (void)cudaEventDestroy(m.event);
    (void)cudaGetLastError();
  }

  void follow(memory_space space, void* stream) override {
    const std::lock_guard lock(mutex_);
    const device& d = at(space.device);
    const on_device here(d.number);
    order(static_cast<cudaStream_t>(stream), d.stream, d);
  }

  void precede(memory_space space, void* stream) override {
    const std::lock_guard lock(mutex_);
    const device& d = at(space.device);
    const on_device here(d.number);
    order(d.stream, static_cast<cudaStream_t>(stream), d);
  }

  std::uint64_t to_host(std::span<const holdfast::detail::device_copy> copies) override { return copy(copies, cudaMemcpyDeviceToHost); }
  std::uint64_t to_device(std::span<const holdfast::detail::device_copy> copies) override { return copy(copies, cudaMemcpyHostToDevice); }

  void wait(std::uint64_t number) override {
    std::unique_lock lock(mutex_);
    const auto at = std::find_if(sent_.begin(), sent_.end(), [&](const sent& s) { return s.number == number; });
    if (at == sent_.end()) return;
    const std::vector<mark> marks = at->marks;
    lock.unlock();
    for (const mark& m : marks) check(cudaEventSynchronize(m.event), "copying between host and device");
    lock.lock();
    const auto done = std::find_if(sent_.begin(), sent_.end(), [&](const sent& s) { return s.number == number; });
    give_back(*done);
    sent_.erase(done);
  }

  void wait_for_all() override {
    const std::lock_guard lock(mutex_);
    for (const device& d : devices_) check(cudaStreamSynchronize(d.stream), "copying between host and device");
    for (const sent& s : sent_) give_back(s);
    sent_.clear();
  }

  std::shared_ptr<void> lock(std::span<std::byte> memory) override {
    check(cudaHostRegister(memory.data(), memory.size(), cudaHostRegisterPortable), ("page-locking " + std::to_string(memory.size() >> 20) + " MiB of host memory").c_str());
    return {memory.data(), [](void* p) { (void)cudaHostUnregister(p); }};
  }

 private:
  struct device {
    int number;
    cudaStream_t stream;
    cudaEvent_t fence;
    std::vector<cudaEvent_t> free;
  };
  struct mark {
    int device;
    cudaEvent_t event;
  };
  struct sent {
    std::uint64_t number;
    std::vector<mark> marks;
  };

  device& at(int number) {
    const auto found = std::find_if(devices_.begin(), devices_.end(), [&](const device& d) { return d.number == number; });
    if (found != devices_.end()) return *found;
    const on_device here(number);
    devices_.reserve(devices_.size() + 1);
    const cudaEvent_t fence = make_event();
    cudaStream_t stream = nullptr;
    if (const cudaError_t result = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); result != cudaSuccess) {
      (void)cudaEventDestroy(fence);
      check(result, "making a stream");
    }
    devices_.push_back({number, stream, fence, {}});
    return devices_.back();
  }

  /// The waiting host thread sleeps.
  static cudaEvent_t make_event() {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "making an event");
    return event;
  }

  /// What the second stream is given from now on waits for what the first was given until now. The event can be recorded anew at
  /// once: a wait is for what was recorded when it was enqueued.
  static void order(cudaStream_t first, cudaStream_t second, const device& d) {
    check(cudaEventRecord(d.fence, first), "ordering copies and a program's stream (is it a stream of the tensor's device?)");
    check(cudaStreamWaitEvent(second, d.fence, 0), "ordering copies and a program's stream (is it a stream of the tensor's device?)");
  }

  std::uint64_t copy(std::span<const holdfast::detail::device_copy> copies, cudaMemcpyKind kind) {
    if (copies.empty()) return 0;
    const std::lock_guard lock(mutex_);
    sent_.push_back({++last_, {}});
    for (std::size_t i = 0; i < copies.size(); ++i) {
      const int number = copies[i].space.device;
      if (std::any_of(copies.begin(), copies.begin() + static_cast<std::ptrdiff_t>(i), [&](const auto& c) { return c.space.device == number; })) continue;
      device& d = at(number);
      const on_device here(number);
      if (d.free.empty()) d.free.push_back(make_event());
      sent_.back().marks.reserve(sent_.back().marks.size() + 1);
      enqueue(copies, kind, d);
      check(cudaEventRecord(d.free.back(), d.stream), "marking the end of a copy");
      sent_.back().marks.push_back({number, d.free.back()});
      d.free.pop_back();
    }
    return last_;
  }

  void enqueue(std::span<const holdfast::detail::device_copy> copies, cudaMemcpyKind kind, const device& d) {
    const bool to_host = kind == cudaMemcpyDeviceToHost;
    to_.clear();
    from_.clear();
    sizes_.clear();
    for (const auto& c : copies) {
      if (c.space.device != d.number) continue;
      to_.push_back(to_host ? c.host : c.device);
      from_.push_back(to_host ? c.device : c.host);
      sizes_.push_back(c.bytes);
    }
#if CUDART_VERSION >= 13000
    if (to_.size() > 1) {
      cudaMemcpyAttributes order{};
      order.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
      std::size_t first = 0;
      return check(cudaMemcpyBatchAsync(to_.data(), from_.data(), sizes_.data(), to_.size(), &order, &first, 1, d.stream), "enqueuing copies");
    }
#endif
    for (std::size_t i = 0; i < to_.size(); ++i) check(cudaMemcpyAsync(to_[i], from_[i], sizes_[i], kind, d.stream), "enqueuing a copy");
  }

  void give_back(const sent& s) {
    for (const mark& m : s.marks) at(m.device).free.push_back(m.event);
  }

  std::mutex mutex_;
  std::vector<device> devices_;
  std::vector<sent> sent_;
  std::uint64_t last_ = 0;
  std::vector<void*> to_;
  std::vector<const void*> from_;
  std::vector<std::size_t> sizes_;
};

class engine final : public holdfast::detail::device_engine {
 public:
  std::unique_ptr<holdfast::detail::device_staging> staging() override { return std::make_unique<detail::staging>(); }

  std::string misplaced(const tensor_view& view) override {
    if (view.space() == host && device_count() == 0) return {};
    cudaPointerAttributes found{};
    check(cudaPointerGetAttributes(&found, view.data()), "asking where memory is");
    if (found.type == cudaMemoryTypeManaged) return {};
    if (view.space() == host)
      return found.type != cudaMemoryTypeDevice ? std::string() : "memory of " + name(gpu(found.device)) + ": bind it with holdfast::cuda::tensor(pointer, shape, stream)";
    if (found.type != cudaMemoryTypeDevice) return "host memory: bind it with holdfast::tensor(pointer, shape)";
    return gpu(found.device) == view.space() ? std::string() : "memory of " + name(gpu(found.device));
  }

  std::string absent(memory_space space) override {
    const int count = device_count();
    if (space.kind == gpu(0).kind && space.device >= 0 && space.device < count) return {};
    return "no memory of this machine, which has " + (count == 0 ? std::string("no GPU that CUDA can use") : count == 1 ? std::string("gpu(0)")
                                                                                                                        : "gpu(0) to " + name(gpu(count - 1)));
  }
};

inline engine* registered = [] {
  static engine only;
  holdfast::detail::registered_engine() = &only;
  return &only;
}();

}  // namespace holdfast::cuda::detail
