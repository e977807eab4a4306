#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <holdfast/core/dtype.hpp>

namespace holdfast {

namespace detail {

/// As std::complex, whose header is dear.
template <class T>
struct complex_number {
  using value_type = T;
  T real = 0, imaginary = 0;
  complex_number() = default;
  explicit complex_number(T x) : real(x) {}
  template <class U>
  explicit complex_number(const complex_number<U>& x) : real(static_cast<T>(x.real)), imaginary(static_cast<T>(x.imaginary)) {}
};

/// Calls `f` with a null pointer to the C++ type of a dtype.
template <class F>
void with_type(dtype t, F&& f) {
  switch (t) {
    case dtype::boolean: return f(static_cast<bool*>(nullptr));
    case dtype::int8: return f(static_cast<std::int8_t*>(nullptr));
    case dtype::int16: return f(static_cast<std::int16_t*>(nullptr));
    case dtype::int32: return f(static_cast<std::int32_t*>(nullptr));
    case dtype::int64: return f(static_cast<std::int64_t*>(nullptr));
    case dtype::uint8: return f(static_cast<std::uint8_t*>(nullptr));
    case dtype::uint16: return f(static_cast<std::uint16_t*>(nullptr));
    case dtype::uint32: return f(static_cast<std::uint32_t*>(nullptr));
    case dtype::uint64: return f(static_cast<std::uint64_t*>(nullptr));
    case dtype::float16: return f(static_cast<float16*>(nullptr));
    case dtype::bfloat16: return f(static_cast<bfloat16*>(nullptr));
    case dtype::float32: return f(static_cast<float*>(nullptr));
    case dtype::float64: return f(static_cast<double*>(nullptr));
    case dtype::complex64: return f(static_cast<complex_number<float>*>(nullptr));
    case dtype::complex128: return f(static_cast<complex_number<double>*>(nullptr));
    case dtype::float8_e4m3fn: return f(static_cast<float8_e4m3fn*>(nullptr));
    case dtype::float8_e5m2: return f(static_cast<float8_e5m2*>(nullptr));
    case dtype::string: return;
  }
}

enum class family { boolean,
                    signed_integer,
                    unsigned_integer,
                    real,
                    complex,
                    text };

constexpr family family_of(dtype t) {
  switch (t) {
    case dtype::boolean: return family::boolean;
    case dtype::int8:
    case dtype::int16:
    case dtype::int32:
    case dtype::int64: return family::signed_integer;
    case dtype::uint8:
    case dtype::uint16:
    case dtype::uint32:
    case dtype::uint64: return family::unsigned_integer;
    case dtype::complex64:
    case dtype::complex128: return family::complex;
    case dtype::string: return family::text;
    default: return family::real;
  }
}

/// Rounds a double to a format narrower than float once: the float on the way is rounded to odd, which keeps enough of
/// the double for the second rounding (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
template <class T>
T narrowed(double x) {
  float f = static_cast<float>(x);
  if (static_cast<double>(f) != x && x == x) {
    auto bits = std::bit_cast<std::uint32_t>(f);
    const double back = static_cast<double>(f);
    if ((back < 0 ? -back : back) > (x < 0 ? -x : x)) --bits;
    f = std::bit_cast<float>(bits | 1u);
  }
  return T::from(f);
}

/// An integer as a double for `narrowed`: where it has more than a double's 53 bits, the lowest eleven become one, set
/// if any of them was, which is the same rounding to odd.
template <class = void>
double odd_double(std::uint64_t x) {
  constexpr std::uint64_t low = (1u << 11) - 1;
  return static_cast<double>(x >> 53 == 0 || (x & low) == 0 ? x : (x & ~low) | (low + 1));
}
template <class = void>
double odd_double(std::int64_t x) {
  return x < 0 ? -odd_double(0 - static_cast<std::uint64_t>(x)) : odd_double(static_cast<std::uint64_t>(x));
}
template <class = void>
double odd_double(double x) { return x; }

/// Converts by way of the widest type of the source's family: int64, uint64, or complex double.
template <class Wide>
void convert_through(const std::byte* in, dtype from, std::byte* out, dtype to, std::size_t count) {
  constexpr std::size_t block = 512;
  Wide wide[block];
  for (std::size_t done = 0; done < count; done += block) {
    const std::size_t n = std::min(block, count - done);
    with_type(from, [&]<class T>(T*) {
      for (std::size_t i = 0; i < n; ++i) {
        T x;
        std::memcpy(&x, in + (done + i) * sizeof(T), sizeof(T));
        if constexpr (requires { T::from(0.f); }) wide[i] = static_cast<Wide>(static_cast<float>(x));
        else if constexpr (std::is_arithmetic_v<T> == std::is_arithmetic_v<Wide>) wide[i] = static_cast<Wide>(x);
      }
    });
    with_type(to, [&]<class T>(T*) {
      for (std::size_t i = 0; i < n; ++i) {
        T x{};
        if constexpr (!std::is_arithmetic_v<Wide>) {
          if constexpr (!std::is_arithmetic_v<T> && !requires { T::from(0.f); }) x = T(wide[i]);
        } else if constexpr (requires { T::from(0.f); }) {
          x = narrowed<T>(odd_double(wide[i]));
        } else if constexpr (std::is_arithmetic_v<T>) {
          x = static_cast<T>(wide[i]);
        } else {
          x = T(static_cast<typename T::value_type>(wide[i]));
        }
        std::memcpy(out + (done + i) * sizeof(T), &x, sizeof(T));
      }
    });
  }
}

}  // namespace detail

/// Whether `cast::allow` converts from one dtype to the other: see `cast`.
constexpr bool castable(dtype from, dtype to) {
  using detail::family;
  const family a = detail::family_of(from), b = detail::family_of(to);
  const bool wider = size_of(to) > size_of(from);
  switch (a) {
    case family::boolean: return b != family::boolean && b != family::text;
    case family::signed_integer: return (b == family::signed_integer && wider) || b == family::real || b == family::complex;
    case family::unsigned_integer:
      return ((b == family::unsigned_integer || b == family::signed_integer) && wider) || b == family::real || b == family::complex;
    case family::real: return b == family::real || b == family::complex;
    case family::complex: return b == family::complex;
    case family::text: return false;
  }
  return false;
}

/// Converts `count` elements between dtypes of which `castable` holds; `in` and `out` need no alignment.
template <class = void>
void convert(const std::byte* in, dtype from, std::byte* out, dtype to, std::size_t count) {
  switch (detail::family_of(from)) {
    case detail::family::boolean:
    case detail::family::signed_integer: return detail::convert_through<std::int64_t>(in, from, out, to, count);
    case detail::family::unsigned_integer: return detail::convert_through<std::uint64_t>(in, from, out, to, count);
    case detail::family::real: return detail::convert_through<double>(in, from, out, to, count);
    case detail::family::complex: return detail::convert_through<detail::complex_number<double>>(in, from, out, to, count);
    case detail::family::text: return;
  }
}

}  // namespace holdfast
