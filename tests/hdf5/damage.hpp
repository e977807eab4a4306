#pragma once
/// Damage to bytes, for what must survive any: every bit flipped alone, then random damage.
#include <cstddef>
#include <random>
#include <vector>

#include "../support.hpp"

namespace support {

/// Calls `visit` with each copy of `bytes` that has one bit flipped, then with `random` copies in which a few bytes,
/// most of them in one place, are others.
template <class F>
void for_each_damage(const std::vector<std::byte>& bytes, int random, F&& visit) {
  std::vector<std::byte> damaged = bytes;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    visit(damaged);
    damaged[bit / 8] = bytes[bit / 8];
  }
  std::mt19937_64 engine = random_engine();
  for (int i = 0; i < random; ++i) {
    const std::size_t at = engine() % bytes.size(), n = 1 + engine() % 16;
    const auto kind = engine() % 3;
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t here = kind == 0 ? engine() % bytes.size() : std::min(at + j, bytes.size() - 1);
      damaged[here] = kind == 2 ? std::byte{0xff} : static_cast<std::byte>(engine());
    }
    visit(damaged);
    damaged = bytes;
  }
}

}  // namespace support
