#pragma once
#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <hdf5.h>

#include <holdfast/hdf5/handle.hpp>
#include <holdfast/hdf5/memory_driver.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast::hdf5::detail {

/// Where an object lies in its file: the same under every name it has.
struct address {
  std::array<unsigned char, 16> bytes{};
  auto operator<=>(const address&) const = default;
};

template <class = void>
address address_of(hid_t object) {
  address a{};
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  checked(H5Oget_info3(object, &info, H5O_INFO_BASIC), "H5Oget_info");
  std::memcpy(a.bytes.data(), &info.token, std::min(a.bytes.size(), sizeof info.token));
#else
  H5O_info_t info;
  checked(H5Oget_info2(object, &info, H5O_INFO_BASIC), "H5Oget_info");
  std::memcpy(a.bytes.data(), &info.addr, sizeof info.addr);
#endif
  return a;
}

/// For H5Pset_elink_cb: external links lead nowhere.
inline herr_t follow_none(const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) { return -1; }

/// Filter plugins are code: none is loaded while a file of unknown origin is open.
class plugins_off {
 public:
  plugins_off() {
    H5PLget_loading_state(&before_);
    H5PLset_loading_state(0);
  }
  plugins_off(const plugins_off&) = delete;
  ~plugins_off() { H5PLset_loading_state(before_); }

 private:
  unsigned before_ = 0;
};

/// The file as libhdf5 has it, closed in silence. A damaged one may not let itself be closed: libhdf5 then goes on using what it
/// reads from, and so that stays. When the process ends it may still crash over such a file (1.10 does; H5dont_atexit, called
/// before its first function, stops it).
template <class X>
struct basic_opened_file {
  std::unique_ptr<basic_memory_image<X>> image;
  handle access, file, dataset;  // the dataset that was read last, which is mostly read next
  std::string path;

  basic_opened_file(std::shared_ptr<io::file> disk, std::uint64_t size)
      : image(std::make_unique<basic_memory_image<X>>(size, [disk = std::move(disk), size](std::uint64_t at, std::span<std::byte> out) {
          const std::uint64_t n = at < size ? std::min<std::uint64_t>(out.size(), size - at) : 0;
          if (n != 0) disk->read_at(at, out.first(n));
          std::fill(out.begin() + static_cast<std::ptrdiff_t>(n), out.end(), std::byte{0});
        })),
        access(image_access(*image)) {}
  basic_opened_file(const basic_opened_file&) = delete;
  ~basic_opened_file() {
    const quiet_errors quiet;
    const bool closed = dataset.close();
    if (!file.close() || !closed) (void)image.release();
  }
};
using opened_file = basic_opened_file<void>;

}  // namespace holdfast::hdf5::detail
