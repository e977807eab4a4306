#pragma once
#include <bit>
#include <cstdint>
#include <limits>

namespace holdfast::detail {

/// A binary floating-point format of at most 16 bits. `finite_only` is the "fn" of float8_e4m3fn: no infinities, and
/// all exponent and mantissa bits set is the only NaN (OCP 8-bit Floating Point Specification, 2023).
struct narrow_format {
  int exponent_bits, mantissa_bits;
  bool finite_only = false;
};

/// Rounds to nearest, ties to even. What is too large becomes infinity, or NaN where the format has no infinity, as
/// ml_dtypes and PyTorch do. A NaN keeps its sign and becomes the quiet NaN.
constexpr std::uint32_t encode_narrow(float value, narrow_format f) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 31 << (f.exponent_bits + f.mantissa_bits);
  const std::uint32_t top = (1u << f.exponent_bits) - 1;
  const std::uint32_t fraction = (1u << f.mantissa_bits) - 1;
  const std::uint32_t infinity = f.finite_only ? (top << f.mantissa_bits | fraction) : top << f.mantissa_bits;
  const std::uint32_t nan = f.finite_only ? infinity : infinity | 1u << (f.mantissa_bits - 1);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | nan;
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  int exponent = static_cast<int>(magnitude >> 23) - 127 + bias;
  std::uint64_t significand = magnitude & 0x7fffffu;
  if (magnitude >= 0x00800000u) significand |= 0x800000u;
  else ++exponent;
  int drop = 23 - f.mantissa_bits;
  if (exponent < 1) {
    drop += 1 - exponent;
    exponent = 1;
  }
  if (drop > 40) return sign;
  const std::uint64_t half = std::uint64_t{1} << (drop - 1);
  std::uint64_t kept = significand >> drop;
  const std::uint64_t rest = significand & ((half << 1) - 1);
  if (rest > half || (rest == half && (kept & 1))) ++kept;
  // `kept` still holds the implicit one, which adds one to the exponent field; a carry out of rounding does the same.
  const std::uint64_t result = (static_cast<std::uint64_t>(exponent - 1) << f.mantissa_bits) + kept;
  return sign | (result >= infinity ? infinity : static_cast<std::uint32_t>(result));
}

/// Exact, for formats whose exponent has at most 5 bits.
constexpr float decode_narrow(std::uint32_t code, narrow_format f) {
  const std::uint32_t top = (1u << f.exponent_bits) - 1;
  const std::uint32_t fraction = (1u << f.mantissa_bits) - 1;
  const std::uint32_t sign = (code >> (f.exponent_bits + f.mantissa_bits) & 1u) << 31;
  const std::uint32_t exponent = code >> f.mantissa_bits & top;
  const std::uint32_t mantissa = code & fraction;
  if (exponent == top && (!f.finite_only || mantissa == fraction)) {
    if (f.finite_only) return std::bit_cast<float>(sign | 0x7fc00000u);
    return std::bit_cast<float>(sign | 0x7f800000u | mantissa << (23 - f.mantissa_bits));
  }
  const int bias = (1 << (f.exponent_bits - 1)) - 1;
  // The power of two is built from its bits: of these formats it is a normal float.
  const int scale = (exponent == 0 ? 1 : static_cast<int>(exponent)) - bias - f.mantissa_bits;
  const auto whole = static_cast<float>(exponent == 0 ? mantissa : mantissa | 1u << f.mantissa_bits);
  const float value = whole * std::bit_cast<float>(static_cast<std::uint32_t>(scale + 127) << 23);
  return sign ? -value : value;
}

inline constexpr narrow_format half_format{5, 10}, e4m3fn_format{4, 3, true}, e5m2_format{5, 2};

}  // namespace holdfast::detail

namespace holdfast {

/// Storage types for the number formats C++20 has no name for: the bits, and exact conversion to float and
/// round-to-nearest-even from it. A program with such types of its own gives them a `dtype_of` instead.
struct float16 {
  std::uint16_t bits = 0;  ///< as they are in the file
  /// Rounds to the nearest, ties to even.
  static constexpr float16 from(float x) { return {static_cast<std::uint16_t>(detail::encode_narrow(x, detail::half_format))}; }
  /// Exact.
  explicit constexpr operator float() const { return detail::decode_narrow(bits, detail::half_format); }
};
/// The upper half of a float: see `float16`.
struct bfloat16 {
  std::uint16_t bits = 0;  ///< as they are in the file
  /// Rounds to the nearest, ties to even.
  static constexpr bfloat16 from(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>(u >> 16 | 0x40u)};
    return {static_cast<std::uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
  }
  /// Exact.
  explicit constexpr operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};
/// 4 bits of exponent, 3 of mantissa, no infinity: see `float16`.
struct float8_e4m3fn {
  std::uint8_t bits = 0;  ///< as they are in the file
  /// Rounds to the nearest, ties to even.
  static constexpr float8_e4m3fn from(float x) { return {static_cast<std::uint8_t>(detail::encode_narrow(x, detail::e4m3fn_format))}; }
  /// Exact.
  explicit constexpr operator float() const { return detail::decode_narrow(bits, detail::e4m3fn_format); }
};
/// 5 bits of exponent, 2 of mantissa: see `float16`.
struct float8_e5m2 {
  std::uint8_t bits = 0;  ///< as they are in the file
  /// Rounds to the nearest, ties to even.
  static constexpr float8_e5m2 from(float x) { return {static_cast<std::uint8_t>(detail::encode_narrow(x, detail::e5m2_format))}; }
  /// Exact.
  explicit constexpr operator float() const { return detail::decode_narrow(bits, detail::e5m2_format); }
};

}  // namespace holdfast
