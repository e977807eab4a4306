#include <holdfast/hdf5/datatype.hpp>

#include <array>
#include <cstring>

#include "../support.hpp"

using holdfast::dtype;
using holdfast::hdf5::datatype_of;
using holdfast::hdf5::dtype_from;
using holdfast::hdf5::handle;

namespace {

handle copy(hid_t id) { return {H5Tcopy(id), &H5Tclose}; }
handle compound(std::size_t size, std::initializer_list<std::pair<const char*, hid_t>> members) {
  handle t(H5Tcreate(H5T_COMPOUND, size), &H5Tclose);
  std::size_t at = 0;
  for (const auto& [name, type] : members) {
    H5Tinsert(t.get(), name, at, type);
    at += H5Tget_size(type);
  }
  return t;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(datatype)

BOOST_AUTO_TEST_CASE(every_dtype_comes_back_from_its_hdf5_type) {
  for (std::size_t i = 1; i < holdfast::detail::dtype_table.size(); ++i) {
    const auto type = static_cast<dtype>(i);
    const handle t = datatype_of(type, 5);
    BOOST_TEST_CONTEXT(name(type)) {
      BOOST_TEST(H5Tget_size(t.get()) == (type == dtype::string ? 5u : size_of(type)));
      const auto back = dtype_from(t.get());
      BOOST_REQUIRE(back.has_value());
      BOOST_TEST((*back == (holdfast::hdf5::needs_attribute(type) ? dtype::uint8 : type)));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_big_endian_type_has_the_dtype_of_its_values) {
  // clang-format off
  const std::pair<hid_t, dtype> known[] = {
      {H5T_STD_I16BE, dtype::int16},   {H5T_STD_I32BE, dtype::int32},    {H5T_STD_I64BE, dtype::int64},
      {H5T_STD_U16BE, dtype::uint16},  {H5T_STD_U32BE, dtype::uint32},   {H5T_STD_U64BE, dtype::uint64},
      {H5T_IEEE_F32BE, dtype::float32}, {H5T_IEEE_F64BE, dtype::float64}, {H5T_STD_I8BE, dtype::int8}};
  // clang-format on
  for (const auto& [id, type] : known) BOOST_TEST((dtype_from(id) == type), name(type));
  for (const dtype type : {dtype::float16, dtype::bfloat16}) {
    const handle t = datatype_of(type);
    BOOST_REQUIRE(H5Tset_order(t.get(), H5T_ORDER_BE) >= 0);
    BOOST_TEST((dtype_from(t.get()) == type), name(type));
  }
  BOOST_TEST((dtype_from(compound(8, {{"r", H5T_IEEE_F32BE}, {"i", H5T_IEEE_F32BE}}).get()) == dtype::complex64));
  BOOST_TEST((dtype_from(compound(16, {{"r", H5T_IEEE_F64BE}, {"i", H5T_IEEE_F64BE}}).get()) == dtype::complex128));
}

BOOST_AUTO_TEST_CASE(the_small_floats_have_the_fields_that_other_readers_expect) {
  const auto fields = [](dtype type) {
    std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
    const handle t = datatype_of(type);
    H5Tget_fields(t.get(), &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits);
    return std::array<std::size_t, 7>{sign, exponent, exponent_bits, mantissa, mantissa_bits, H5Tget_ebias(t.get()), H5Tget_precision(t.get())};
  };
  BOOST_TEST((fields(dtype::bfloat16) == std::array<std::size_t, 7>{15, 7, 8, 0, 7, 127, 16}));
  BOOST_TEST((fields(dtype::float16) == std::array<std::size_t, 7>{15, 10, 5, 0, 10, 15, 16}));
}

BOOST_AUTO_TEST_CASE(libhdf5_converts_the_small_floats_to_the_same_values_as_we_do) {
  for (const dtype type : {dtype::float16, dtype::bfloat16}) {
    const handle t = datatype_of(type);
    for (const float value : {0.f, 1.f, -2.5f, 0.0078125f, 240.f}) {
      float buffer[2] = {};
      const std::uint16_t bits = type == dtype::float16 ? holdfast::float16::from(value).bits : holdfast::bfloat16::from(value).bits;
      std::memcpy(buffer, &bits, 2);
      BOOST_REQUIRE(H5Tconvert(t.get(), H5T_NATIVE_FLOAT, 1, buffer, nullptr, H5P_DEFAULT) >= 0);
      BOOST_TEST(buffer[0] == value, name(type));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_enumeration_is_its_integers_unless_it_is_bool) {
  const handle colours(H5Tenum_create(H5T_STD_U16LE), &H5Tclose);
  const std::uint16_t red = 3;
  H5Tenum_insert(colours.get(), "red", &red);
  BOOST_TEST((dtype_from(colours.get()) == dtype::uint16));
  const handle answers(H5Tenum_create(H5T_STD_I8LE), &H5Tclose);
  for (const auto& [label, value] : {std::pair<const char*, signed char>{"NO", 0}, {"YES", 1}}) H5Tenum_insert(answers.get(), label, &value);
  BOOST_TEST((dtype_from(answers.get()) == dtype::int8));
}

BOOST_AUTO_TEST_CASE(what_has_no_dtype_is_told_so) {
  BOOST_TEST(!dtype_from(H5T_STD_REF_OBJ));
  BOOST_TEST(!dtype_from(H5T_NATIVE_OPAQUE));
  BOOST_TEST(!dtype_from(H5T_STD_B8LE));
  BOOST_TEST(!dtype_from(H5T_UNIX_D32LE));
  BOOST_TEST(!dtype_from(H5T_NATIVE_LDOUBLE));
  BOOST_TEST(!dtype_from(H5T_VAX_F32));
  BOOST_TEST(!dtype_from(handle(H5Tvlen_create(H5T_STD_I8LE), &H5Tclose).get()));
  const hsize_t n = 3;
  BOOST_TEST(!dtype_from(handle(H5Tarray_create2(H5T_IEEE_F32LE, 1, &n), &H5Tclose).get()));
  const handle text = copy(H5T_C_S1);
  H5Tset_size(text.get(), H5T_VARIABLE);
  BOOST_TEST(!dtype_from(text.get()));
}

BOOST_AUTO_TEST_CASE(a_compound_is_complex_only_with_h5py_s_members_in_their_order) {
  BOOST_TEST(!dtype_from(compound(8, {{"i", H5T_IEEE_F32LE}, {"r", H5T_IEEE_F32LE}}).get()));
  BOOST_TEST(!dtype_from(compound(8, {{"x", H5T_IEEE_F32LE}, {"y", H5T_IEEE_F32LE}}).get()));
  BOOST_TEST(!dtype_from(compound(8, {{"r", H5T_STD_I32LE}, {"i", H5T_STD_I32LE}}).get()));
  BOOST_TEST(!dtype_from(compound(8, {{"r", H5T_IEEE_F32LE}, {"i", H5T_STD_I32LE}}).get()));
  BOOST_TEST(!dtype_from(compound(12, {{"r", H5T_IEEE_F32LE}, {"i", H5T_IEEE_F32LE}}).get()));
  const handle backward(H5Tcreate(H5T_COMPOUND, 8), &H5Tclose);
  H5Tinsert(backward.get(), "r", 4, H5T_IEEE_F32LE);
  H5Tinsert(backward.get(), "i", 0, H5T_IEEE_F32LE);
  BOOST_TEST(!dtype_from(backward.get()));
  BOOST_TEST(!dtype_from(compound(12, {{"r", H5T_IEEE_F32LE}, {"i", H5T_IEEE_F32LE}, {"j", H5T_IEEE_F32LE}}).get()));
}

BOOST_AUTO_TEST_CASE(numbers_that_do_not_fill_their_bytes_are_not_taken_for_ones_that_do) {
  const handle narrow = copy(H5T_STD_I32LE);
  H5Tset_precision(narrow.get(), 20);
  BOOST_TEST(!dtype_from(narrow.get()));
  const handle odd = copy(H5T_STD_I32LE);
  H5Tset_size(odd.get(), 3);
  BOOST_TEST(!dtype_from(odd.get()));
  const handle biased = copy(H5T_IEEE_F32LE);
  H5Tset_ebias(biased.get(), 100);
  BOOST_TEST(!dtype_from(biased.get()));
}

BOOST_AUTO_TEST_CASE(a_string_keeps_its_width_and_is_utf8_padded_with_nul) {
  const handle t = datatype_of(dtype::string, 11);
  BOOST_TEST(H5Tget_size(t.get()) == 11u);
  BOOST_TEST(H5Tget_cset(t.get()) == H5T_CSET_UTF8);
  BOOST_TEST(H5Tget_strpad(t.get()) == H5T_STR_NULLPAD);
  BOOST_TEST(H5Tget_size(datatype_of(dtype::string, 0).get()) == 1u);
}

BOOST_AUTO_TEST_CASE(a_number_that_is_no_dtype_is_refused) {
  support::require_all(support::message_of<holdfast::error>([] { datatype_of(static_cast<dtype>(99)); }), "dtype 99");
}

BOOST_AUTO_TEST_SUITE_END()
