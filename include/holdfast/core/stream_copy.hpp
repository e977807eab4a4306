#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace holdfast::detail {

/// Copies bytes that nobody reads soon with stores that go past the processor's caches: a copy of gigabytes then moves
/// each byte twice and not three times, and leaves the caches to the program.
inline void stream_copy(std::byte* to, const std::byte* from, std::size_t n) {
#if defined(__SSE2__)
  constexpr std::size_t width = 16, least = 4096;
  using word [[gnu::vector_size(16)]] = long long;
  if (n >= least) {
    const std::size_t head = (width - reinterpret_cast<std::uintptr_t>(to) % width) % width, body = (n - head) / (4 * width) * (4 * width);
    std::memcpy(to, from, head);
    to += head;
    from += head;
    for (std::size_t i = 0; i < body; i += 4 * width) {
      word w[4];
      std::memcpy(w, from + i, sizeof w);
      for (std::size_t k = 0; k < 4; ++k) {
        auto* const at = reinterpret_cast<word*>(to + i + k * width);
#if defined(__clang__)
        __builtin_nontemporal_store(w[k], at);
#else
        __builtin_ia32_movntdq(at, w[k]);
#endif
      }
    }
    __builtin_ia32_sfence();  // before anyone is told that the copy is there
    to += body;
    from += body;
    n -= head + body;
  }
#endif
  std::memcpy(to, from, n);
}

}  // namespace holdfast::detail
