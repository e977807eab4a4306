#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <holdfast/core/error.hpp>
#include <holdfast/core/tensor_view.hpp>

namespace holdfast::detail {

/// Bytes to be copied between a device's memory and page-locked memory of the host.
struct device_copy {
  std::byte* device;
  std::byte* host;
  std::size_t bytes;
  memory_space space;
};

/// Copies between the host and devices, on streams of its own. The streams that a program computes on are fenced by `follow`
/// and `precede`, which are called by the thread that gives those streams their work; the rest may be called by any thread.
/// All of it throws `error` where the device refuses or an earlier operation on it failed. Its destructor waits for what
/// has been enqueued.
class device_staging {
 public:
  device_staging() = default;
  device_staging(const device_staging&) = delete;
  virtual ~device_staging() = default;

  /// Copies enqueued from now on begin when what `stream` has been given until now is done.
  virtual void follow(memory_space space, void* stream) = 0;
  /// What `stream` is given from now on begins when the copies enqueued until now are done.
  virtual void precede(memory_space space, void* stream) = 0;

  /// Enqueues copies and returns a number for `wait`. They may run in any order among themselves.
  virtual std::uint64_t to_host(std::span<const device_copy> copies) = 0;
  virtual std::uint64_t to_device(std::span<const device_copy> copies) = 0;
  /// Returns when the copies of one call are done. Each number is waited for once.
  virtual void wait(std::uint64_t number) = 0;
  /// Returns when all of them are.
  virtual void wait_for_all() = 0;

  /// Page-locks host memory until what it returns is destroyed.
  virtual std::shared_ptr<void> lock(std::span<std::byte> memory) = 0;
};

/// What gives the library access to the memory of GPUs. A program has one at most: it registers itself where a header of
/// holdfast/cuda/ is included, and the rest of the library knows no more of devices than this.
class device_engine {
 public:
  virtual std::unique_ptr<device_staging> staging() = 0;
  /// Why a tensor's memory is not in the space that its view claims; empty if it is.
  virtual std::string misplaced(const tensor_view& view) = 0;
  /// Why there is no such space here, and what there is; empty if there is.
  virtual std::string absent(memory_space space) = 0;

 protected:
  ~device_engine() = default;
};

inline device_engine*& registered_engine() {
  static device_engine* engine = nullptr;
  return engine;
}

/// Why bytes of this space cannot be reached by this program; empty if they can.
template <class = void>
std::string out_of_reach(memory_space space) {
  if (space == host) return {};
  if (registered_engine() == nullptr) return "memory that this program was not built to reach: include <holdfast/cuda.hpp>";
  return registered_engine()->absent(space);
}

/// Why a tensor's memory is not where its view says; empty if it is.
template <class = void>
std::string misplaced(const tensor_view& view) {
  if (view.bytes() == 0) return {};
  if (std::string why = out_of_reach(view.space()); !why.empty()) return why;
  return registered_engine() == nullptr ? std::string() : registered_engine()->misplaced(view);
}

/// Throws `error` for a tensor whose memory is not where its view says.
template <class = void>
void require_in_place(const std::string& path, const tensor_view& view) {
  if (const std::string why = misplaced(view); !why.empty()) throw error("/" + path + ": bound as a tensor in " + name(view.space()) + ", but that is " + why);
}

}  // namespace holdfast::detail
