#pragma once
#include <string>

namespace holdfast {

/// Where a tensor's bytes live, as PyTorch's `device`. A value, so that a file can hold it and a program without CUDA
/// can name a GPU.
struct memory_space {
  int kind = 0;     ///< 0 host, 1 GPU; the file's index stores it
  int device = -1;  ///< its number; -1 for the host
  friend bool operator==(const memory_space&, const memory_space&) = default;
};

/// The memory of the host.
inline constexpr memory_space host{};
/// The memory of a GPU.
constexpr memory_space gpu(int device) { return {1, device}; }

/// "host", "gpu(1)"
inline std::string name(memory_space s) {
  return s.kind == 0 ? "host" : (s.kind == 1 ? "gpu(" : "space " + std::to_string(s.kind) + "(") + std::to_string(s.device) + ")";
}

}  // namespace holdfast
