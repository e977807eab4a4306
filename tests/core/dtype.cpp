#include <holdfast/core/dtype.hpp>

#include <complex>
#include <string>

#include "../support.hpp"

namespace {

enum class colour : std::uint16_t { red,
                                    green };
enum plain { zero,
             one };
struct foreign_half {  // another library's, with the bytes of a float16
  std::uint16_t bits;
};
struct not_trivial {
  not_trivial(const not_trivial&) {}
};

}  // namespace

template <> struct holdfast::dtype_of<foreign_half> {
  static constexpr dtype value = dtype::float16;
};
template <> struct holdfast::dtype_of<not_trivial> {
  static constexpr dtype value = dtype::float16;
};

BOOST_AUTO_TEST_SUITE(core_dtype)

using holdfast::dtype;
using holdfast::dtype_of;

BOOST_AUTO_TEST_CASE(numbers_names_and_sizes_are_those_of_the_file_format) {
  // clang-format off
  const struct {
    int number;
    dtype type;
    const char* name;
    std::size_t size;
  } rows[] = {{1, dtype::boolean, "bool", 1},         {2, dtype::int8, "int8", 1},
              {3, dtype::int16, "int16", 2},          {4, dtype::int32, "int32", 4},
              {5, dtype::int64, "int64", 8},          {6, dtype::uint8, "uint8", 1},
              {7, dtype::uint16, "uint16", 2},        {8, dtype::uint32, "uint32", 4},
              {9, dtype::uint64, "uint64", 8},        {10, dtype::float16, "float16", 2},
              {11, dtype::bfloat16, "bfloat16", 2},   {12, dtype::float32, "float32", 4},
              {13, dtype::float64, "float64", 8},     {14, dtype::complex64, "complex64", 8},
              {15, dtype::complex128, "complex128", 16}, {16, dtype::float8_e4m3fn, "float8_e4m3fn", 1},
              {17, dtype::float8_e5m2, "float8_e5m2", 1}, {18, dtype::string, "string", 1}};
  // clang-format on
  for (const auto& r : rows) {
    BOOST_TEST(static_cast<int>(r.type) == r.number);
    BOOST_TEST(name(r.type) == r.name);
    BOOST_TEST(size_of(r.type) == r.size);
    BOOST_TEST((holdfast::dtype_named(r.name) == r.type));
  }
}

BOOST_AUTO_TEST_CASE(a_number_that_is_no_dtype_is_unknown_and_has_no_size) {
  for (int number : {0, 19, 255}) {
    BOOST_TEST(name(static_cast<dtype>(number)) == "unknown");
    BOOST_TEST(size_of(static_cast<dtype>(number)) == 0u);
  }
  BOOST_TEST(!holdfast::dtype_named("unknown").has_value());
  BOOST_TEST(!holdfast::dtype_named("float").has_value());
  BOOST_TEST(!holdfast::dtype_named("").has_value());
}

BOOST_AUTO_TEST_CASE(every_cpp_number_type_has_the_dtype_of_its_bytes) {
  static_assert(dtype_of<bool>::value == dtype::boolean);
  static_assert(dtype_of<signed char>::value == dtype::int8 && dtype_of<unsigned char>::value == dtype::uint8);
  static_assert(dtype_of<char>::value == (std::is_signed_v<char> ? dtype::int8 : dtype::uint8));
  static_assert(dtype_of<short>::value == dtype::int16 && dtype_of<unsigned short>::value == dtype::uint16);
  static_assert(dtype_of<int>::value == dtype::int32 && dtype_of<unsigned>::value == dtype::uint32);
  static_assert(dtype_of<long long>::value == dtype::int64 && dtype_of<unsigned long long>::value == dtype::uint64);
  static_assert(dtype_of<long>::value == (sizeof(long) == 8 ? dtype::int64 : dtype::int32));
  static_assert(dtype_of<char16_t>::value == dtype::uint16 && dtype_of<std::byte>::value == dtype::uint8);
  static_assert(dtype_of<float>::value == dtype::float32 && dtype_of<double>::value == dtype::float64);
  static_assert(dtype_of<std::complex<float>>::value == dtype::complex64);
  static_assert(dtype_of<std::complex<double>>::value == dtype::complex128);
  static_assert(dtype_of<holdfast::float16>::value == dtype::float16);
  static_assert(dtype_of<holdfast::bfloat16>::value == dtype::bfloat16);
  static_assert(dtype_of<holdfast::float8_e4m3fn>::value == dtype::float8_e4m3fn);
  static_assert(dtype_of<holdfast::float8_e5m2>::value == dtype::float8_e5m2);
  static_assert(dtype_of<colour>::value == dtype::uint16, "an enum is its underlying type");
  static_assert(dtype_of<plain>::value == dtype_of<std::underlying_type_t<plain>>::value);
  static_assert(dtype_of<foreign_half>::value == dtype::float16, "a program's own");
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(an_element_is_trivially_copyable_and_has_a_dtype) {
  static_assert(holdfast::element<float> && holdfast::element<const float> && holdfast::element<foreign_half>);
  static_assert(!holdfast::element<not_trivial>);
  static_assert(!holdfast::element<long double>, "no dtype holds its bytes");
  static_assert(!holdfast::element<float*> && !holdfast::element<std::string> && !holdfast::element<void>);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
