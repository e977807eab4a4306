#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/convert.hpp>
#include <holdfast/hdf5/reader.hpp>

#include "pieces.hpp"

namespace tool {

/// Elements as the widest numbers of their family.
template <class Wide>
std::vector<Wide> widened(const std::byte* at, holdfast::dtype type, holdfast::dtype wide, std::size_t count) {
  std::vector<Wide> numbers(count);
  auto* const out = reinterpret_cast<std::byte*>(numbers.data());
  if (type == wide) std::memcpy(out, at, count * sizeof(Wide));
  else holdfast::convert(at, type, out, wide, count);
  return numbers;
}

/// Of the finite elements; of complex numbers, of their magnitudes. A long double holds every 64-bit integer where it has 64 bits for it.
struct statistics {
  long double min = std::numeric_limits<long double>::infinity(), max = -min, sum = 0, squares = 0;
  std::uint64_t finite = 0, nan = 0, infinite = 0;

  void take(long double x) {
    if (std::isnan(x)) {
      ++nan;
    } else if (std::isinf(x)) {
      ++infinite;
    } else {
      ++finite;
      min = std::min(min, x);
      max = std::max(max, x);
      sum += x;
      squares += x * x;
    }
  }

  void take(const std::byte* at, holdfast::dtype type, std::size_t count) {
    const auto each = [&]<class Wide>(Wide, holdfast::dtype wide) {
      const std::vector<Wide> numbers = widened<Wide>(at, type, wide, count);
      if constexpr (std::is_same_v<Wide, double>)
        if (type != holdfast::dtype::float64) return take_narrow(numbers);
      for (const Wide& n : numbers) {
        if constexpr (std::is_arithmetic_v<Wide>) take(static_cast<long double>(n));
        else take(std::hypot(static_cast<long double>(n.real), static_cast<long double>(n.imaginary)));
      }
    };
    using holdfast::detail::family;
    switch (holdfast::detail::family_of(type)) {
      case family::boolean:
      case family::signed_integer: return each(std::int64_t{}, holdfast::dtype::int64);
      case family::unsigned_integer: return each(std::uint64_t{}, holdfast::dtype::uint64);
      case family::real: return each(double{}, holdfast::dtype::float64);
      case family::complex: return each(holdfast::detail::complex_number<double>{}, holdfast::dtype::complex128);
      case family::text: return;
    }
  }

  /// Numbers of which a double holds the squares, and the sums of as many as one piece has.
  void take_narrow(const std::vector<double>& numbers) {
    double low = std::numeric_limits<double>::infinity(), high = -low, total = 0, of_squares = 0;
    for (const double x : numbers) {
      if (!std::isfinite(x)) {
        ++(std::isnan(x) ? nan : infinite);
        continue;
      }
      ++finite;
      low = std::min(low, x), high = std::max(high, x);
      total += x, of_squares += x * x;
    }
    min = std::min<long double>(min, low), max = std::max<long double>(max, high);
    sum += total, squares += of_squares;
  }

  long double mean() const { return sum / static_cast<long double>(finite); }
  long double norm() const { return std::sqrt(squares); }
};

/// Reads a tensor in pieces, and compares its digest on the way.
template <class F>
void read_verified(const holdfast::hdf5::reader& in, const holdfast::entry& e, F&& take_piece) { in.verify(e, for_each_piece(in, e, take_piece)); }

}  // namespace tool
