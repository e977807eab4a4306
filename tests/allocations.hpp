#pragma once
/// Counts what a program takes from operator new, and refuses single wishes and totals beyond a limit. Replaces the global
/// operators: include it in one translation unit of a program.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

#include <malloc.h>

namespace support {

/// Bytes held now, the most since `reset`, how often some were taken, and the limit beyond which operator new throws std::bad_alloc.
class allocations {
 public:
  static std::size_t held() noexcept { return held_; }
  static std::size_t peak() noexcept { return peak_; }
  static std::size_t taken() noexcept { return taken_; }
  static void reset() noexcept { peak_ = held_.load(); }
  static void limit(std::size_t bytes) noexcept { limit_ = bytes; }

  static void* take(std::size_t bytes) {
    if (bytes > limit_ || held_ > limit_ - bytes) {
      // What was wished for counts, also where it was not given.
      peak_ = std::max(peak_.load(), bytes > std::numeric_limits<std::size_t>::max() / 2 ? bytes : held_ + bytes);
      throw std::bad_alloc();
    }
    void* const p = std::malloc(bytes == 0 ? 1 : bytes);
    if (p == nullptr) throw std::bad_alloc();
    ++taken_;
    held_ += ::malloc_usable_size(p);
    peak_ = std::max(peak_.load(), held_.load());
    return p;
  }
  static void give_back(void* p) noexcept {
    if (p == nullptr) return;
    held_ -= ::malloc_usable_size(p);
    std::free(p);
  }

 private:
  static inline std::atomic<std::size_t> held_{0}, peak_{0}, taken_{0}, limit_{std::numeric_limits<std::size_t>::max()};
};

}  // namespace support

// Over-aligned ones are left to the library: nothing here asks for them.
void* operator new(std::size_t bytes) { return support::allocations::take(bytes); }
void* operator new[](std::size_t bytes) { return support::allocations::take(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return support::allocations::take(bytes);
  } catch (...) {
    return nullptr;
  }
}
void operator delete(void* p, const std::nothrow_t&) noexcept { support::allocations::give_back(p); }
void operator delete(void* p) noexcept { support::allocations::give_back(p); }
void operator delete[](void* p) noexcept { support::allocations::give_back(p); }
void operator delete(void* p, std::size_t) noexcept { support::allocations::give_back(p); }
void operator delete[](void* p, std::size_t) noexcept { support::allocations::give_back(p); }
