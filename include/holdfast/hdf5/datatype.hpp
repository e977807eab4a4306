#pragma once
#include <optional>
#include <string>
#include <utility>

#include <hdf5.h>

#include <holdfast/core/dtype.hpp>
#include <holdfast/hdf5/handle.hpp>

namespace holdfast::hdf5 {

/// The attribute of a dataset that names its dtype where the HDF5 type alone does not say it: the float8 types, which
/// are stored as uint8 because HDF5's float conversion reads some of their codes wrong.
inline constexpr const char* dtype_attribute = "dtype";
constexpr bool needs_attribute(dtype t) { return t == dtype::float8_e4m3fn || t == dtype::float8_e5m2; }

namespace detail {

/// bfloat16 as HDF5 2.0 and h5py define it: 16 bits, exponent 8 bits at 7 with bias 127, mantissa 7 bits at 0.
/// float16 is the IEEE half, exponent 5 bits at 10 with bias 15.
template <class = void>
handle small_float(std::size_t exponent_bits, std::size_t mantissa_bits, std::size_t bias) {
  handle t = checked(H5Tcopy(H5T_IEEE_F32LE), &H5Tclose, "H5Tcopy");
  const std::size_t top = exponent_bits + mantissa_bits;
  checked(H5Tset_fields(t.get(), top, mantissa_bits, exponent_bits, 0, mantissa_bits), "H5Tset_fields");
  checked(H5Tset_size(t.get(), 2), "H5Tset_size");
  checked(H5Tset_ebias(t.get(), bias), "H5Tset_ebias");
  return t;
}

/// As h5py writes numpy's bool.
template <class = void>
handle boolean() {
  handle t = checked(H5Tenum_create(H5T_STD_I8LE), &H5Tclose, "H5Tenum_create");
  for (const auto& [label, value] : {std::pair<const char*, signed char>{"FALSE", 0}, {"TRUE", 1}})
    checked(H5Tenum_insert(t.get(), label, &value), "H5Tenum_insert");
  return t;
}

/// As h5py writes numpy's complex numbers.
template <class = void>
handle complex(hid_t part) {
  const std::size_t size = H5Tget_size(part);
  handle t = checked(H5Tcreate(H5T_COMPOUND, 2 * size), &H5Tclose, "H5Tcreate");
  checked(H5Tinsert(t.get(), "r", 0, part), "H5Tinsert");
  checked(H5Tinsert(t.get(), "i", size, part), "H5Tinsert");
  return t;
}

}  // namespace detail

/// The HDF5 type of a dtype's elements in the file, always little-endian. `width` is the width of a string.
template <class = void>
handle datatype_of(dtype type, std::size_t width = 0) {
  const auto copy = [](hid_t id) { return checked(H5Tcopy(id), &H5Tclose, "H5Tcopy"); };
  switch (type) {
    case dtype::boolean: return detail::boolean();
    case dtype::int8: return copy(H5T_STD_I8LE);
    case dtype::int16: return copy(H5T_STD_I16LE);
    case dtype::int32: return copy(H5T_STD_I32LE);
    case dtype::int64: return copy(H5T_STD_I64LE);
    case dtype::uint8:
    case dtype::float8_e4m3fn:
    case dtype::float8_e5m2: return copy(H5T_STD_U8LE);
    case dtype::uint16: return copy(H5T_STD_U16LE);
    case dtype::uint32: return copy(H5T_STD_U32LE);
    case dtype::uint64: return copy(H5T_STD_U64LE);
    case dtype::float16: return detail::small_float(5, 10, 15);
    case dtype::bfloat16: return detail::small_float(8, 7, 127);
    case dtype::float32: return copy(H5T_IEEE_F32LE);
    case dtype::float64: return copy(H5T_IEEE_F64LE);
    case dtype::complex64: return detail::complex(H5T_IEEE_F32LE);
    case dtype::complex128: return detail::complex(H5T_IEEE_F64LE);
    case dtype::string: {
      handle t = copy(H5T_C_S1);
      checked(H5Tset_size(t.get(), width == 0 ? 1 : width), "H5Tset_size");
      checked(H5Tset_strpad(t.get(), H5T_STR_NULLPAD), "H5Tset_strpad");
      checked(H5Tset_cset(t.get(), H5T_CSET_UTF8), "H5Tset_cset");
      return t;
    }
  }
  throw error("dtype " + std::to_string(static_cast<int>(type)) + " is none that holdfast writes");
}

/// The dtype of a type found in a file of any origin, in any byte order; nothing for what has no dtype (references,
/// variable-length data, other compounds). Enumerations other than bool are their integers, as h5py reads them.
template <class = void>
std::optional<dtype> dtype_from(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  const auto equal = [&](const handle& candidate) {
    handle little = checked(H5Tcopy(type), &H5Tclose, "H5Tcopy");
    if (H5Tget_order(type) == H5T_ORDER_BE) H5Tset_order(little.get(), H5T_ORDER_LE);
    return H5Tequal(little.get(), candidate.get()) > 0;
  };
  switch (H5Tget_class(type)) {
    case H5T_INTEGER: {
      if (H5Tget_precision(type) != 8 * size) return std::nullopt;
      const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
      switch (size) {
        case 1: return is_signed ? dtype::int8 : dtype::uint8;
        case 2: return is_signed ? dtype::int16 : dtype::uint16;
        case 4: return is_signed ? dtype::int32 : dtype::uint32;
        case 8: return is_signed ? dtype::int64 : dtype::uint64;
        default: return std::nullopt;
      }
    }
    case H5T_FLOAT:
      for (dtype t : {dtype::float16, dtype::bfloat16, dtype::float32, dtype::float64})
        if (size == size_of(t) && equal(datatype_of(t))) return t;
      return std::nullopt;
    case H5T_ENUM: {
      if (equal(datatype_of(dtype::boolean))) return dtype::boolean;
      const handle base = checked(H5Tget_super(type), &H5Tclose, "H5Tget_super");
      return H5Tget_class(base.get()) == H5T_INTEGER ? dtype_from(base.get()) : std::nullopt;
    }
    case H5T_COMPOUND: {
      if (H5Tget_nmembers(type) != 2) return std::nullopt;
      // Big-endian members compare unequal; H5Dread converts them by name, so the names decide.
      if (H5Tget_member_index(type, "r") != 0 || H5Tget_member_index(type, "i") != 1) return std::nullopt;
      if (H5Tget_member_offset(type, 0) != 0 || H5Tget_member_offset(type, 1) != size / 2) return std::nullopt;
      const handle real = checked(H5Tget_member_type(type, 0), &H5Tclose, "H5Tget_member_type");
      const handle imaginary = checked(H5Tget_member_type(type, 1), &H5Tclose, "H5Tget_member_type");
      for (const auto& [part, whole] : {std::pair(dtype::float32, dtype::complex64), std::pair(dtype::float64, dtype::complex128)})
        if (size == size_of(whole) && dtype_from(real.get()) == part && dtype_from(imaginary.get()) == part) return whole;
      return std::nullopt;
    }
    case H5T_STRING: return H5Tis_variable_str(type) > 0 ? std::nullopt : std::optional(dtype::string);
    default: return std::nullopt;
  }
}

}  // namespace holdfast::hdf5
