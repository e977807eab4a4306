#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include <hdf5.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include <holdfast/hdf5/handle.hpp>

namespace holdfast::hdf5 {

/// What a file opened through the memory driver is made of: pages that libhdf5 wrote, over bytes that `below` reads
/// (zeros where there is none). libhdf5 never meets a disk through it, so it never sees an I/O error, after which it
/// would leave a dead file identifier behind; and what it wrote is known byte for byte.
template <class>
class basic_memory_image {
 public:
  static constexpr std::size_t page_size = 4096;
  struct page {
    std::byte bytes[page_size] = {};
  };
  using reader = std::function<void(std::uint64_t, std::span<std::byte>)>;

  basic_memory_image() = default;
  /// A read-only file of `size` bytes.
  basic_memory_image(std::uint64_t size, reader below) : below_(std::move(below)), end_(size) {}

  void write(std::uint64_t offset, std::span<const std::byte> bytes) {
    for_each_page(offset, bytes.size(), [&](std::uint64_t number, std::size_t start, std::size_t done, std::size_t n) {
      auto at = pages_.find(number);
      if (at == pages_.end()) at = pages_.emplace(number, std::make_unique<page>()).first;
      std::memcpy(at->second->bytes + start, bytes.data() + done, n);
    });
    end_ = std::max(end_, offset + bytes.size());
  }

  void read(std::uint64_t offset, std::span<std::byte> out) const {
    if (below_) return below_(offset, out);
    for_each_page(offset, out.size(), [&](std::uint64_t number, std::size_t start, std::size_t done, std::size_t n) {
      const auto at = pages_.find(number);
      if (at == pages_.end()) std::memset(out.data() + done, 0, n);
      else std::memcpy(out.data() + done, at->second->bytes + start, n);
    });
  }

  std::uint64_t end() const noexcept { return end_; }
  /// HDF5's end of allocation when the file was closed.
  std::uint64_t allocated = 0;
  /// Whether there was no memory for something that libhdf5 wrote.
  bool incomplete = false;
  const std::map<std::uint64_t, std::unique_ptr<page>>& pages() const noexcept { return pages_; }

 private:
  template <class F>
  static void for_each_page(std::uint64_t offset, std::size_t size, F&& visit) {
    for (std::size_t done = 0; done < size;) {
      const std::uint64_t at = offset + done;
      const std::size_t start = at % page_size, n = std::min(page_size - start, size - done);
      visit(at / page_size, start, done, n);
      done += n;
    }
  }

  std::map<std::uint64_t, std::unique_ptr<page>> pages_;
  reader below_;
  std::uint64_t end_ = 0;
};
using memory_image = basic_memory_image<void>;

namespace detail {

/// libhdf5's view of a memory_image: its file struct, which must begin with the library's own. Exceptions do not cross
/// libhdf5; a failed read is reported as a failure.
template <class X>
struct basic_image_file {
  H5FD_t base;
  basic_memory_image<X>* image;
  haddr_t end_of_allocation;

  static basic_image_file& of(H5FD_t* f) { return *reinterpret_cast<basic_image_file*>(f); }
  static const basic_image_file& of(const H5FD_t* f) { return *reinterpret_cast<const basic_image_file*>(f); }

  static H5FD_t* open(const char*, unsigned, hid_t access, haddr_t) {
    const auto* image = static_cast<basic_memory_image<X>* const*>(H5Pget_driver_info(access));
    basic_image_file* file = image == nullptr ? nullptr : new (std::nothrow) basic_image_file{{}, *image, 0};
    return file == nullptr ? nullptr : &file->base;
  }
  static herr_t close(H5FD_t* f) {
    of(f).image->allocated = of(f).end_of_allocation;
    delete &of(f);
    return 0;
  }
  static herr_t query(const H5FD_t*, unsigned long* flags) {
    if (flags != nullptr) *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
  }
  static haddr_t get_eoa(const H5FD_t* f, H5FD_mem_t) { return of(f).end_of_allocation; }
  static herr_t set_eoa(H5FD_t* f, H5FD_mem_t, haddr_t end) {
    of(f).end_of_allocation = end;
    return 0;
  }
  static haddr_t get_eof(const H5FD_t* f, H5FD_mem_t) { return of(f).image->end(); }
  static herr_t read(H5FD_t* f, H5FD_mem_t, hid_t, haddr_t offset, std::size_t size, void* out) {
    try {
      of(f).image->read(offset, {static_cast<std::byte*>(out), size});
      return 0;
    } catch (...) {
      return -1;
    }
  }
  static herr_t write(H5FD_t* f, H5FD_mem_t, hid_t, haddr_t offset, std::size_t size, const void* bytes) {
    try {
      of(f).image->write(offset, {static_cast<const std::byte*>(bytes), size});
    } catch (...) {
      of(f).image->incomplete = true;  // not a failure: libhdf5 would leave a dead file identifier behind
    }
    return 0;
  }
};

/// The driver. The struct differs across HDF5 1.10 to 2.0, so its members are set by name.
template <class X>
const H5FD_class_t& image_driver() {
  using image_file = basic_image_file<X>;
  static const H5FD_class_t driver = [] {
    H5FD_class_t c{};
#ifdef H5FD_CLASS_VERSION
    c.version = H5FD_CLASS_VERSION;
#endif
#if H5_VERSION_GE(1, 13, 0)
    c.value = static_cast<H5FD_class_value_t>(0x4846);  // within the range HDF5 leaves to drivers of applications
#endif
    c.name = "holdfast_memory";
    c.maxaddr = HADDR_MAX;
    c.fc_degree = H5F_CLOSE_STRONG;
    c.fapl_size = sizeof(basic_memory_image<X>*);
    c.open = &image_file::open;
    c.close = &image_file::close;
    c.query = &image_file::query;
    c.get_eoa = &image_file::get_eoa;
    c.set_eoa = &image_file::set_eoa;
    c.get_eof = &image_file::get_eof;
    c.read = &image_file::read;
    c.write = &image_file::write;
    const H5FD_mem_t flat[H5FD_MEM_NTYPES] = H5FD_FLMAP_DICHOTOMY;
    std::copy(std::begin(flat), std::end(flat), std::begin(c.fl_map));
    return c;
  }();
  return driver;
}

}  // namespace detail

/// A file access property list that makes libhdf5 work on `image`. Both must outlive the file: the list holds the
/// driver, which libhdf5 still calls on closing the file after it has let go of it.
template <class X>
handle image_access(basic_memory_image<X>& image) {
  handle access = checked(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose, "H5Pcreate");
  basic_memory_image<X>* pointer = &image;
  // Registered for this list, which keeps it: an identifier kept here would mean another driver after an H5close.
  const handle driver = checked(H5FDregister(&detail::image_driver<X>()), &H5FDunregister, "cannot register the memory file driver");
  checked(H5Pset_driver(access.get(), driver.get(), &pointer), "H5Pset_driver");
  checked(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), "H5Pset_fclose_degree");
  return access;
}

}  // namespace holdfast::hdf5
