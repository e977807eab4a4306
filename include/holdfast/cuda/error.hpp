#pragma once
#include <string>

#include <cuda_runtime_api.h>

#include <holdfast/core/error.hpp>

namespace holdfast::cuda {

/// What a CUDA call that failed, or an earlier operation whose failure it reported, becomes.
struct error : holdfast::error {
  /// Of what was done, and CUDA's code.
  error(const std::string& doing, cudaError_t why)
      : holdfast::error("CUDA: " + doing + ": " + cudaGetErrorString(why) + " (" + cudaGetErrorName(why) + ")"), code_(why) {}
  /// CUDA's code.
  cudaError_t code() const noexcept { return code_; }

 private:
  cudaError_t code_;
};

namespace detail {

/// Throws `error` unless the call succeeded; a failure that does not stick is taken out of cudaGetLastError.
inline void check(cudaError_t result, const char* doing) {
  if (result == cudaSuccess) return;
  (void)cudaGetLastError();
  throw error(doing, result);
}

/// 0 also where there is no driver, or one that is too old, which CUDA calls errors.
inline int device_count() {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaErrorNoDevice && result != cudaErrorInsufficientDriver) check(result, "counting devices");
  else (void)cudaGetLastError();
  return count;
}

inline int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  return device;
}

/// Makes a device the calling thread's current one for as long as it lives.
class on_device {
 public:
  explicit on_device(int device) : before_(current_device()), now_(device) {
    if (now_ != before_) check(cudaSetDevice(now_), ("choosing device " + std::to_string(now_)).c_str());
  }
  on_device(const on_device&) = delete;
  ~on_device() {
    if (now_ != before_) (void)cudaSetDevice(before_);
  }

 private:
  int before_, now_;
};

}  // namespace detail
}  // namespace holdfast::cuda
