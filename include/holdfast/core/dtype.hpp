#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include <holdfast/core/narrow_float.hpp>
#include <holdfast/core/standard.hpp>

namespace holdfast {

/// The type of a tensor's elements, with the numbers the file's index stores: they never change. Names are PyTorch's
/// and ml_dtypes'; `boolean` is written "bool". An element of `string` is one byte of text, and a string tensor's last
/// extent is the width of its strings.
enum class dtype : std::uint8_t {
  boolean = 1,
  int8 = 2,
  int16 = 3,
  int32 = 4,
  int64 = 5,
  uint8 = 6,
  uint16 = 7,
  uint32 = 8,
  uint64 = 9,
  float16 = 10,
  bfloat16 = 11,
  float32 = 12,
  float64 = 13,
  complex64 = 14,
  complex128 = 15,
  float8_e4m3fn = 16,
  float8_e5m2 = 17,
  string = 18,
};

namespace detail {
struct dtype_row {
  std::string_view name;
  std::size_t size;
};
// clang-format off
inline constexpr std::array<dtype_row, 19> dtype_table{{
    {"unknown", 0}, {"bool", 1}, {"int8", 1}, {"int16", 2}, {"int32", 4}, {"int64", 8}, {"uint8", 1}, {"uint16", 2},
    {"uint32", 4}, {"uint64", 8}, {"float16", 2}, {"bfloat16", 2}, {"float32", 4}, {"float64", 8}, {"complex64", 8},
    {"complex128", 16}, {"float8_e4m3fn", 1}, {"float8_e5m2", 1}, {"string", 1}}};
// clang-format on
constexpr const dtype_row& row(dtype t) {
  const auto i = static_cast<std::size_t>(t);
  return dtype_table[i < dtype_table.size() ? i : 0];
}
}  // namespace detail

/// "float32", as numpy, PyTorch and ml_dtypes print it; "unknown" for a number that is none of the enumerators.
constexpr std::string_view name(dtype t) { return detail::row(t).name; }

/// Bytes of one element; 0 for a number that is none of the enumerators.
constexpr std::size_t size_of(dtype t) { return detail::row(t).size; }

/// The inverse of `name`.
constexpr std::optional<dtype> dtype_named(std::string_view text) {
  for (std::size_t i = 1; i < detail::dtype_table.size(); ++i)
    if (detail::dtype_table[i].name == text) return static_cast<dtype>(i);
  return std::nullopt;
}

/// Which dtype a C++ element type is. Specialise it (`static constexpr dtype value`) for an element type of your own
/// that has the bytes of one of them, such as another library's half or bfloat16.
template <class T>
struct dtype_of {};
template <> struct dtype_of<bool> : std::integral_constant<dtype, dtype::boolean> {};
template <> struct dtype_of<float> : std::integral_constant<dtype, dtype::float32> {};
template <> struct dtype_of<double> : std::integral_constant<dtype, dtype::float64> {};
/// std::complex<float> and std::complex<double>.
template <class T>
  requires(detail::standard<T, "complex"> && (std::is_same_v<typename T::value_type, float> || std::is_same_v<typename T::value_type, double>))
struct dtype_of<T> {
  /// The dtype of its pairs.
  static constexpr dtype value = std::is_same_v<typename T::value_type, float> ? dtype::complex64 : dtype::complex128;
};
template <> struct dtype_of<float16> : std::integral_constant<dtype, dtype::float16> {};
template <> struct dtype_of<bfloat16> : std::integral_constant<dtype, dtype::bfloat16> {};
template <> struct dtype_of<float8_e4m3fn> : std::integral_constant<dtype, dtype::float8_e4m3fn> {};
template <> struct dtype_of<float8_e5m2> : std::integral_constant<dtype, dtype::float8_e5m2> {};
template <> struct dtype_of<std::byte> : std::integral_constant<dtype, dtype::uint8> {};
template <class T>
  requires(std::is_integral_v<T> && sizeof(T) <= 8 && !std::is_same_v<T, bool>)
struct dtype_of<T> {
 private:
  static constexpr auto base = std::is_signed_v<T> ? dtype::int8 : dtype::uint8;

 public:
  /// The dtype of that size and signedness.
  static constexpr dtype value =
      static_cast<dtype>(static_cast<std::uint8_t>(base) + static_cast<std::uint8_t>(std::countr_zero(sizeof(T))));
};
template <class T>
  requires std::is_enum_v<T>
struct dtype_of<T> : dtype_of<std::underlying_type_t<T>> {};

/// A type that can be the element of a tensor.
template <class T>
concept element = requires { { dtype_of<std::remove_cv_t<T>>::value } -> std::convertible_to<dtype>; } &&
                  std::is_trivially_copyable_v<std::remove_cv_t<T>>;

static_assert(std::endian::native == std::endian::little, "holdfast writes little-endian data and does not swap yet");

}  // namespace holdfast
