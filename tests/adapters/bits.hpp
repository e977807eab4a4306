#pragma once
/// Any bits, so that NaNs and negative zeros are among them, and their comparison.
#include <algorithm>
#include <cstddef>
#include <random>

#include "../seed.hpp"

namespace bits {

template <class T>
void fill(T* data, std::size_t count) {
  static std::mt19937_64 engine = support::random_engine();
  auto* const bytes = reinterpret_cast<unsigned char*>(data);
  for (std::size_t i = 0; i < count * sizeof(T); ++i) bytes[i] = static_cast<unsigned char>(engine());
}

template <class T>
bool equal(const T* a, const T* b, std::size_t count) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(a);
  return std::equal(bytes, bytes + count * sizeof(T), reinterpret_cast<const unsigned char*>(b));
}

}  // namespace bits
