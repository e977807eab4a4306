#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <hdf5.h>

#include <holdfast/core/shape.hpp>
#include <holdfast/hdf5/handle.hpp>

namespace holdfast::hdf5::detail {

/// What a file of unknown origin may claim, by its size: whatever it says of itself, reading it takes no more memory.
struct file_limits {
  std::uint64_t size;  ///< of the file, in bytes

  // A link takes 12 bytes of the file at least. gzip packs at most 1032 to 1, and what was declared and never written takes
  // none, of which an honest file has little.
  std::uint64_t most_links() const { return 1024 + size / 8; }
  std::uint64_t most_name_bytes() const { return (std::uint64_t{1} << 20) + 64 * size; }
  std::uint64_t most_content() const { return (std::uint64_t{64} << 20) + 1040 * size; }

  /// Whether a file of this size can hold so many elements of `item` bytes. Extents that no dataset has are too many, too.
  template <class = void>
  bool holds(const std::vector<hsize_t>& dims, std::uint64_t item) const {
    std::uint64_t bytes = std::max<std::uint64_t>(item, 1);
    const bool none = std::find(dims.begin(), dims.end(), hsize_t{0}) != dims.end();
    for (const hsize_t n : dims) {
      if (n > static_cast<hsize_t>(std::numeric_limits<std::int64_t>::max())) return false;
      if (none) continue;
      if (bytes > most_content() / n) return false;
      bytes *= n;
    }
    return bytes <= most_content();
  }
};

/// Bytes that one element of a type takes in a file; 0 where that is not the size it has in memory.
template <class = void>
std::size_t bytes_in_file(hid_t file, hid_t type) {
  if (H5Tdetect_class(type, H5T_VLEN) > 0 || H5Tdetect_class(type, H5T_REFERENCE) > 0) return 0;
  if (H5Tis_variable_str(type) <= 0) return H5Tget_class(type) == H5T_COMPOUND && H5Tdetect_class(type, H5T_STRING) > 0 ? 0 : H5Tget_size(type);
  const handle creation = checked(H5Fget_create_plist(file), &H5Pclose, "H5Fget_create_plist");
  std::size_t address_bytes = 0, length_bytes = 0;
  checked(H5Pget_sizes(creation.get(), &address_bytes, &length_bytes), "H5Pget_sizes");
  return 4 + address_bytes + 4;  // length, and where in which heap
}

/// Why a dataset must not be read at all, whatever its type; nothing if it may. It is asked before anything else is: the
/// extents of a virtual dataset are already read from other files.
template <class = void>
std::string refused(hid_t file, hid_t set, const file_limits& limits, const std::string& what) {
  const handle creation = checked(H5Dget_create_plist(set), &H5Pclose, what);
  const H5D_layout_t layout = checked(H5Pget_layout(creation.get()), what);
  if (layout == H5D_VIRTUAL) return "a virtual dataset, whose data is in other files";
  if (layout != H5D_CONTIGUOUS && layout != H5D_COMPACT && layout != H5D_CHUNKED) return "a dataset of a layout that is not known";
  if (checked(H5Pget_external_count(creation.get()), what) != 0) return "a dataset in external storage";
  for (int i = 0; i < checked(H5Pget_nfilters(creation.get()), what); ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = checked(H5Pget_filter2(creation.get(), static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config), what);
    if (filter > H5Z_FILTER_SCALEOFFSET) return "a dataset with filter " + std::to_string(filter) + ", which is not HDF5's own";
  }
  const handle type = checked(H5Dget_type(set), &H5Tclose, what), space = checked(H5Dget_space(set), &H5Sclose, what);
  if (H5Sget_simple_extent_type(space.get()) == H5S_NULL) return {};
  std::vector<hsize_t> dims(static_cast<std::size_t>(checked(H5Sget_simple_extent_ndims(space.get()), what)));
  if (dims.size() > shape::max_rank) return "a dataset of " + std::to_string(dims.size()) + " dimensions";
  if (!dims.empty()) checked(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), what);
  if (!limits.holds(dims, H5Tget_size(type.get()))) return "a dataset of more bytes than a file of " + std::to_string(limits.size) + " holds";
  if (layout != H5D_CHUNKED) {
    // libhdf5 reads beyond its own memory where the length that is stored beside the shape differs, or data is outside the file.
    const hsize_t stored = H5Dget_storage_size(set), given = static_cast<hsize_t>(checked(H5Sget_simple_extent_npoints(space.get()), what)) * bytes_in_file(file, type.get());
    if (stored != given && bytes_in_file(file, type.get()) != 0 && (stored != 0 || layout == H5D_COMPACT)) return "a dataset whose data has another length than its type and shape give";
    const haddr_t place = layout == H5D_CONTIGUOUS ? H5Dget_offset(set) : HADDR_UNDEF;
    return place == HADDR_UNDEF || (place <= limits.size && given <= limits.size - place) ? "" : "a dataset whose data lies outside the file";
  }
  dims.resize(shape::max_rank);
  dims.resize(static_cast<std::size_t>(checked(H5Pget_chunk(creation.get(), static_cast<int>(dims.size()), dims.data()), what)));
  return limits.holds(dims, H5Tget_size(type.get())) ? std::string() : "a dataset in chunks of more bytes than a file of " + std::to_string(limits.size) + " holds";
}

/// Where libhdf5 puts variable-length text, with a limit: many strings may be one and the same place of a file.
template <class>
struct basic_text_memory {
  std::uint64_t left;
  std::vector<std::unique_ptr<char[]>> strings{};
  static void* take(std::size_t bytes, void* of) {
    auto& m = *static_cast<basic_text_memory*>(of);
    if (bytes > m.left) return nullptr;
    m.left -= bytes;
    try {
      m.strings.push_back(std::make_unique<char[]>(bytes + 1));
      return m.strings.back().get();
    } catch (...) {
      return nullptr;
    }
  }
  static void keep(void*, void*) {}  // all are given back together, also those that libhdf5 loses when it fails
};
using text_memory = basic_text_memory<void>;

}  // namespace holdfast::hdf5::detail
