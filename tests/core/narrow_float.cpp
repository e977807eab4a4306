#include <holdfast/core/narrow_float.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_narrow_float)

namespace {

using holdfast::bfloat16;
using holdfast::float16;
using holdfast::float8_e4m3fn;
using holdfast::float8_e5m2;

template <class T>
constexpr unsigned codes = 1u << 8 * sizeof(T);

template <class T>
T code(unsigned bits) { return {static_cast<decltype(T::bits)>(bits)}; }

/// All finite values of a format by increasing magnitude, which is the order of their codes.
template <class T>
std::vector<float> magnitudes() {
  std::vector<float> all;
  for (unsigned c = 0; c < codes<T> / 2 && std::isfinite(static_cast<float>(code<T>(c))); ++c)
    all.push_back(static_cast<float>(code<T>(c)));
  return all;
}

std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }

}  // namespace

template <class T>
void check_every_code_comes_back() {
  unsigned wrong = 0, nans = 0;
  for (unsigned c = 0; c < codes<T>; ++c) {
    const auto value = static_cast<float>(code<T>(c));
    if (!std::isnan(value)) {
      wrong += T::from(value).bits != c;
    } else {
      ++nans;
      wrong += !std::isnan(static_cast<float>(T::from(value))) || std::signbit(value) != (c >= codes<T> / 2);
      wrong += std::signbit(static_cast<float>(T::from(value))) != std::signbit(value);
    }
  }
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(nans != 0u);
}

BOOST_AUTO_TEST_CASE(every_code_but_nan_decodes_and_encodes_to_itself) {
  check_every_code_comes_back<float16>();
  check_every_code_comes_back<bfloat16>();
  check_every_code_comes_back<float8_e4m3fn>();
  check_every_code_comes_back<float8_e5m2>();
}

/// Between neighbours a value goes to the nearer one, and half-way to the one with an even code.
template <class T>
void check_rounding() {
  const std::vector<float> all = magnitudes<T>();
  BOOST_TEST(std::is_sorted(all.begin(), all.end()));
  unsigned wrong = 0;
  for (unsigned c = 0; c + 1 < all.size(); ++c) {
    const double middle = (static_cast<double>(all[c]) + static_cast<double>(all[c + 1])) / 2;
    const auto tie = static_cast<float>(middle);
    if (static_cast<double>(tie) != middle) continue;  // below the smallest float
    const unsigned even = c % 2 == 0 ? c : c + 1, sign = codes<T> / 2;
    wrong += T::from(tie).bits != even;
    wrong += T::from(-tie).bits != (even | sign);
    wrong += T::from(std::nextafter(tie, 0.f)).bits != c;
    wrong += T::from(std::nextafter(tie, INFINITY)).bits != c + 1;
  }
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(rounding_is_to_nearest_with_ties_to_even) {
  check_rounding<float16>();
  check_rounding<bfloat16>();
  check_rounding<float8_e4m3fn>();
  check_rounding<float8_e5m2>();
}

BOOST_AUTO_TEST_CASE(known_values_have_the_codes_of_ieee_754_and_the_ocp_specification) {
  // clang-format off
  const struct {
    float value;
    unsigned half, brain, e4m3fn, e5m2;
  } rows[] = {{0.f, 0x0000, 0x0000, 0x00, 0x00},        {1.f, 0x3c00, 0x3f80, 0x38, 0x3c},
              {-2.f, 0xc000, 0xc000, 0xc0, 0xc0},       {0.5f, 0x3800, 0x3f00, 0x30, 0x38},
              {448.f, 0x5f00, 0x43e0, 0x7e, 0x5f},      {0x1p-9f, 0x1800, 0x3b00, 0x01, 0x18},
              {0x1p-16f, 0x0100, 0x3780, 0x00, 0x01},   {0x1p-24f, 0x0001, 0x3380, 0x00, 0x00},
              {0x1p-133f, 0x0000, 0x0001, 0x00, 0x00},  {65504.f, 0x7bff, 0x4780, 0x7f, 0x7c},
              {57344.f, 0x7b00, 0x4760, 0x7f, 0x7b},    {-0.f, 0x8000, 0x8000, 0x80, 0x80}};
  // clang-format on
  for (const auto& r : rows) {
    BOOST_TEST_CONTEXT("value " << r.value) {
      BOOST_TEST(float16::from(r.value).bits == r.half);
      BOOST_TEST(bfloat16::from(r.value).bits == r.brain);
      BOOST_TEST(unsigned{float8_e4m3fn::from(r.value).bits} == r.e4m3fn);
      BOOST_TEST(unsigned{float8_e5m2::from(r.value).bits} == r.e5m2);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_too_large_becomes_infinity_or_nan_where_there_is_none) {
  BOOST_TEST(unsigned{float8_e4m3fn::from(464.f).bits} == 0x7eu, "half-way to the code that is NaN: 448 is even");
  BOOST_TEST(unsigned{float8_e4m3fn::from(std::nextafter(464.f, 500.f)).bits} == 0x7fu);
  BOOST_TEST(unsigned{float8_e4m3fn::from(-1e9f).bits} == 0xffu);
  BOOST_TEST(unsigned{float8_e4m3fn::from(INFINITY).bits} == 0x7fu);
  BOOST_TEST(unsigned{float8_e5m2::from(std::nextafter(61440.f, 0.f)).bits} == 0x7bu);
  BOOST_TEST(unsigned{float8_e5m2::from(61440.f).bits} == 0x7cu);
  BOOST_TEST(unsigned{float8_e5m2::from(-INFINITY).bits} == 0xfcu);
  BOOST_TEST(float16::from(std::nextafter(65520.f, 0.f)).bits == 0x7bffu);
  BOOST_TEST(float16::from(65520.f).bits == 0x7c00u);
  BOOST_TEST(bfloat16::from(std::numeric_limits<float>::max()).bits == 0x7f80u);
  BOOST_TEST(bfloat16::from(-INFINITY).bits == 0xff80u);
}

BOOST_AUTO_TEST_CASE(a_nan_stays_a_nan_of_its_sign) {
  // Payloads whose upper bits are all zero must not become infinity.
  for (const std::uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xffc00000u, 0xff800001u, 0x7fffffffu}) {
    const auto x = std::bit_cast<float>(nan);
    const bool negative = nan >> 31 != 0;
    const float back[] = {static_cast<float>(float16::from(x)), static_cast<float>(bfloat16::from(x)),
                          static_cast<float>(float8_e4m3fn::from(x)), static_cast<float>(float8_e5m2::from(x))};
    for (const float y : back) {
      BOOST_TEST(std::isnan(y));
      BOOST_TEST(std::signbit(y) == negative);
    }
  }
}

BOOST_AUTO_TEST_CASE(bfloat16_rounds_as_the_general_encoder_does) {
  std::mt19937_64 engine = support::random_engine();
  for (int i = 0; i < 1'000'000; ++i) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(engine()));
    if (std::isnan(x)) continue;
    const std::uint32_t general = holdfast::detail::encode_narrow(x, {8, 7});
    if (bfloat16::from(x).bits != general) BOOST_TEST(bfloat16::from(x).bits == general, "at " << bits(x));
  }
}

BOOST_AUTO_TEST_CASE(conversions_work_at_compile_time) {
  static_assert(float16::from(1.f).bits == 0x3c00 && static_cast<float>(float16{0x3c00}) == 1.f);
  static_assert(bfloat16::from(-1.f).bits == 0xbf80 && static_cast<float>(float8_e5m2{0x3c}) == 1.f);
  BOOST_TEST(true);
}

// The compiler's own half type, where it has one, is the reference for every code and for values in between.
#ifdef __FLT16_MANT_DIG__
BOOST_AUTO_TEST_CASE(float16_is_the_compilers_float16) {
  unsigned wrong = 0;
  for (unsigned c = 0; c < 65536; ++c) {
    const auto theirs = static_cast<float>(std::bit_cast<_Float16>(static_cast<std::uint16_t>(c)));
    const auto ours = static_cast<float>(code<float16>(c));
    wrong += std::isnan(theirs) ? !std::isnan(ours) : bits(theirs) != bits(ours);
  }
  BOOST_TEST(wrong == 0u);
  std::mt19937_64 engine = support::random_engine();
  for (int i = 0; i < 1'000'000; ++i) {
    // Exponents around those of a half, so that most are neither zero nor infinity.
    const float x = std::ldexp(support::pick<int>(engine, 0, 1) ? 1.f : -1.f, support::pick<int>(engine, -27, 17)) *
                    std::bit_cast<float>(0x3f800000u | static_cast<std::uint32_t>(engine() & 0x7fffffu));
    const auto theirs = std::bit_cast<std::uint16_t>(static_cast<_Float16>(x));
    if (float16::from(x).bits != theirs) BOOST_TEST(float16::from(x).bits == theirs, "at " << x);
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
