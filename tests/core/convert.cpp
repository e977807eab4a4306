#include <holdfast/core/convert.hpp>

#include <cmath>
#include <vector>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_convert)

namespace {

using holdfast::dtype;

std::vector<dtype> all_types() {
  std::vector<dtype> all;
  for (int i = 1; i <= 18; ++i) all.push_back(static_cast<dtype>(i));
  return all;
}

/// The value of one element by the definition of its dtype; long double holds every int64, uint64 and double.
struct value {
  long double real = 0, imaginary = 0;
};
value read(const std::byte* p, dtype t) {
  value v;
  holdfast::detail::with_type(t, [&]<class T>(T*) {
    T x;
    std::memcpy(&x, p, sizeof x);
    if constexpr (requires { x.imaginary; }) v = {x.real, x.imaginary};
    else if constexpr (requires { T::from(0.f); }) v = {static_cast<float>(x), 0};
    else v = {static_cast<long double>(x), 0};
  });
  return v;
}

/// Rounds to a format of `digits` significant bits and at least `lowest` for the unit in the last place, ties to even.
long double rounded(long double x, int digits, int lowest) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int unit = std::max(std::ilogb(x) - digits + 1, lowest);
  return std::ldexp(std::nearbyint(std::ldexp(x, -unit)), unit);
}

/// What a value becomes in a dtype.
long double expected(long double x, dtype t) {
  const auto real = [&](int digits, int lowest, long double largest, bool finite) {
    const long double r = rounded(x, digits, lowest);
    if (std::fabs(r) <= largest || std::isnan(r)) return r;
    return finite ? std::numeric_limits<long double>::quiet_NaN() : std::copysign(std::numeric_limits<long double>::infinity(), r);
  };
  switch (t) {
    case dtype::float16: return real(11, -24, 65504, false);
    case dtype::bfloat16: return real(8, -133, 0x1.fep127L, false);
    case dtype::float32:
    case dtype::complex64: return real(24, -149, std::numeric_limits<float>::max(), false);
    case dtype::float64:
    case dtype::complex128: return real(53, -1074, std::numeric_limits<double>::max(), false);
    case dtype::float8_e4m3fn: return real(4, -9, 448, true);
    case dtype::float8_e5m2: return real(3, -16, 57344, false);
    default: return x;  // integers only widen
  }
}

bool equal(long double a, long double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

/// Random elements of every size: any bits, and integers of few bits, which are the ones near ties.
std::vector<std::byte> random_elements(std::mt19937_64& engine, dtype t, std::size_t count) {
  std::vector<std::byte> bytes(count * size_of(t));
  for (std::size_t i = 0; i < count; ++i)
    holdfast::detail::with_type(t, [&]<class T>(T*) {
      T x{};
      if constexpr (std::is_same_v<T, bool>) {
        x = (engine() & 1) != 0;
      } else {
        std::uint64_t raw[2] = {engine() >> support::pick(engine, 0, 63), engine()};
        if constexpr (std::is_integral_v<T>) {
          raw[0] <<= support::pick(engine, 0, 40);
          if (engine() & 1) raw[0] = 0 - raw[0];
        }
        std::memcpy(&x, raw, sizeof x);
        if constexpr (std::is_same_v<T, double>) {
          // The exponents that narrow formats have, with a significand near one of theirs.
          if (engine() & 1) x = std::ldexp(1 + static_cast<double>(engine() & 0xfff) / 4096 + 0x1p-50 * support::pick(engine, -1, 1), support::pick(engine, -30, 20));
        }
      }
      std::memcpy(bytes.data() + i * sizeof x, &x, sizeof x);
    });
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_converts_to_what_is_a_table) {
  // Rows convert from, columns to: bool, int8..64, uint8..64, float16, bfloat16, float32, float64, complex64, complex128,
  // float8_e4m3fn, float8_e5m2, string.
  const char* const table[] = {
      "-1111111111111111-",   // bool: to every number
      "--111----11111111-",   // int8
      "---11----11111111-",   // int16
      "----1----11111111-",   // int32
      "---------11111111-",   // int64
      "--111-11111111111-",   // uint8: also to a wider signed integer
      "---11--1111111111-",   // uint16
      "----1---111111111-",   // uint32
      "---------11111111-",   // uint64
      "---------11111111-",   // float16
      "---------11111111-",   // bfloat16
      "---------11111111-",   // float32
      "---------11111111-",   // float64
      "-------------11---",   // complex64
      "-------------11---",   // complex128
      "---------11111111-",   // float8_e4m3fn
      "---------11111111-",   // float8_e5m2
      "------------------"};  // string
  const std::vector<dtype> all = all_types();
  for (std::size_t from = 0; from < all.size(); ++from)
    for (std::size_t to = 0; to < all.size(); ++to)
      BOOST_TEST(castable(all[from], all[to]) == (table[from][to] == '1'), name(all[from]) << " to " << name(all[to]));
}

BOOST_AUTO_TEST_CASE(every_conversion_rounds_once_and_to_nearest) {
  std::mt19937_64 engine = support::random_engine();
  const std::vector<dtype> all = all_types();
  for (const dtype from : all)
    for (const dtype to : all) {
      if (!castable(from, to)) continue;
      const std::size_t count = 1500;  // more than two of the blocks it works in
      const std::vector<std::byte> in = random_elements(engine, from, count);
      std::vector<std::byte> out(count * size_of(to));
      holdfast::convert(in.data(), from, out.data(), to, count);
      for (std::size_t i = 0; i < count; ++i) {
        const value x = read(in.data() + i * size_of(from), from), y = read(out.data() + i * size_of(to), to);
        if (equal(y.real, expected(x.real, to)) && equal(y.imaginary, expected(x.imaginary, to))) continue;
        BOOST_ERROR(name(from) << " " << x.real << " became " << name(to) << " " << y.real << ", expected " << expected(x.real, to));
        break;
      }
    }
}

BOOST_AUTO_TEST_CASE(a_double_next_to_a_tie_is_not_rounded_twice) {
  const auto to = []<class T>(T, double x) {
    T out;
    holdfast::convert(reinterpret_cast<const std::byte*>(&x), dtype::float64, reinterpret_cast<std::byte*>(&out), holdfast::dtype_of<T>::value, 1);
    return unsigned{out.bits};
  };
  // 1 + half a unit of a float16 is a tie to 1; by way of float it would be one whichever side of the tie x is on.
  BOOST_TEST(to(holdfast::float16(), 1 + 0x1p-11) == 0x3c00u);
  BOOST_TEST(to(holdfast::float16(), 1 + 0x1p-11 + 0x1p-50) == 0x3c01u);
  BOOST_TEST(to(holdfast::float16(), -(1 + 0x1p-11 + 0x1p-50)) == 0xbc01u);
  BOOST_TEST(to(holdfast::float16(), 1 + 0x3p-11 - 0x1p-50) == 0x3c01u);
  BOOST_TEST(to(holdfast::bfloat16(), 1 + 0x1p-8 + 0x1p-50) == 0x3f81u);
  BOOST_TEST(to(holdfast::float8_e4m3fn(), 464 + 0x1p-40) == 0x7fu);
  BOOST_TEST(to(holdfast::float8_e4m3fn(), 464) == 0x7eu);
  BOOST_TEST(to(holdfast::float16(), 1e300) == 0x7c00u);
  BOOST_TEST(to(holdfast::float16(), -1e-300) == 0x8000u);
  BOOST_TEST(to(holdfast::float16(), -INFINITY) == 0xfc00u);
}

BOOST_AUTO_TEST_CASE(an_integer_next_to_a_tie_is_not_rounded_twice) {
  const auto to_brain = []<class T>(T x) {
    holdfast::bfloat16 out;
    holdfast::convert(reinterpret_cast<const std::byte*>(&x), holdfast::dtype_of<T>::value, reinterpret_cast<std::byte*>(&out), dtype::bfloat16, 1);
    return static_cast<double>(static_cast<float>(out));
  };
  const std::int64_t tie = (std::int64_t{1} << 62) + (std::int64_t{1} << 54);  // half-way, and the even side is below
  BOOST_TEST(to_brain(tie) == 0x1p62);
  BOOST_TEST(to_brain(tie + 1) == 0x1.02p62);
  BOOST_TEST(to_brain(-tie - 1) == -0x1.02p62);
  BOOST_TEST(to_brain(static_cast<std::uint64_t>(tie) * 2 + 1) == 0x1.02p63);
  BOOST_TEST(to_brain(std::numeric_limits<std::int64_t>::min()) == -0x1p63);
  BOOST_TEST(to_brain(std::numeric_limits<std::uint64_t>::max()) == 0x1p64);
}

BOOST_AUTO_TEST_CASE(unaligned_data_converts) {
  std::byte in[1 + 3 * 4], out[1 + 3 * 8];
  const float x[] = {1, -2.5f, 3};
  std::memcpy(in + 1, x, sizeof x);
  holdfast::convert(in + 1, dtype::float32, out + 1, dtype::float64, 3);
  double y[3];
  std::memcpy(y, out + 1, sizeof y);
  BOOST_TEST(std::vector<double>(y, y + 3) == (std::vector<double>{1, -2.5, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
