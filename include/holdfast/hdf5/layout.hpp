#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hdf5.h>

#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/hdf5/datatype.hpp>
#include <holdfast/hdf5/memory_driver.hpp>

namespace holdfast::hdf5 {

/// The HDF5 part of a checkpoint without its payload: what libhdf5 writes for a manifest, held in memory, and where
/// each tensor's bytes go. Compiled once and used for every save of a state whose manifest is the same.
template <class X>
struct basic_layout {
  std::vector<entry> entries;   ///< of the manifest it was compiled from, by path, with offsets
  basic_memory_image<X> image;  ///< everything outside the payload
  std::uint64_t end = 0;        ///< HDF5's end of allocation
  std::uint64_t step_offset = 0, digests_offset = 0, digests_bytes = 0;
  bool keyed = false;  ///< whether it says that digests are made with a key

  bool fits(const holdfast::detail::manifest& m, bool with_key = false) const {
    return keyed == with_key && std::equal(entries.begin(), entries.end(), m.items().begin(), m.items().end(),
                                           [](const entry& a, const auto& item) { return holdfast::detail::same_layout(a, item.entry); });
  }
};
using layout = basic_layout<void>;

/// Names below /holdfast.
inline constexpr const char* library_group = "holdfast";
inline constexpr const char* step_dataset = "step";
inline constexpr const char* digests_dataset = "digests";
/// Its attribute that says what digests are: "xxh3-128", or "keyed".
inline constexpr const char *digest_attribute = "digest", *unkeyed_digest = "xxh3-128", *keyed_digest_name = "keyed";

/// The text of /holdfast/digests: a line "digest  path" for each tensor, as `xxh128sum` prints them.
template <class = void>
std::string digests_text(const std::vector<entry>& entries) {
  std::string text;
  for (const entry& e : entries)
    if (e.kind == entry_kind::tensor) {
      e.digest.append_to(text);
      text.append("  ").append(e.path).append("\n");
    }
  return text;
}

namespace detail {

/// Creates groups and datasets by path, keeping the groups on the way to the last one open.
template <class>
class basic_skeleton {
 public:
  explicit basic_skeleton(hid_t file) : file_(file) {
    link_creation_ = checked(H5Pcreate(H5P_LINK_CREATE), &H5Pclose, "H5Pcreate");
    checked(H5Pset_char_encoding(link_creation_.get(), H5T_CSET_UTF8), "H5Pset_char_encoding");
    dataset_creation_ = checked(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose, "H5Pcreate");
    checked(H5Pset_layout(dataset_creation_.get(), H5D_CONTIGUOUS), "H5Pset_layout");
    checked(H5Pset_alloc_time(dataset_creation_.get(), H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time");
    checked(H5Pset_fill_time(dataset_creation_.get(), H5D_FILL_TIME_NEVER), "H5Pset_fill_time");
    checked(H5Pset_obj_track_times(dataset_creation_.get(), false), "H5Pset_obj_track_times");
#if H5_VERSION_GE(1, 10, 5)
    bare_creation_ = checked(H5Pcopy(dataset_creation_.get()), &H5Pclose, "H5Pcopy");
    checked(H5Pset_dset_no_attrs_hint(bare_creation_.get(), true), "H5Pset_dset_no_attrs_hint");
#endif
    group_creation_ = checked(H5Pcreate(H5P_GROUP_CREATE), &H5Pclose, "H5Pcreate");
    checked(H5Pset_obj_track_times(group_creation_.get(), false), "H5Pset_obj_track_times");
    scalar_ = checked(H5Screate(H5S_SCALAR), &H5Sclose, "H5Screate");
    null_ = checked(H5Screate(H5S_NULL), &H5Sclose, "H5Screate");
  }

  /// Opens the group of `path`, made where it is missing, and returns it with the last component.
  std::pair<hid_t, std::string> parent(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string_view above(path.data(), slash == std::string::npos ? 0 : slash);
    while (!open_.empty() && !holdfast::detail::within(above, open_.back().path)) open_.pop_back();
    std::size_t done = open_.empty() ? 0 : open_.back().path.size() + 1;
    while (done < above.size()) {
      const std::size_t next = std::min(above.find('/', done), above.size());
      const std::string name(above.substr(done, next - done)), whole(above.substr(0, next));
      const hid_t at = open_.empty() ? file_ : open_.back().group.get();
      open_.push_back({whole, made_.insert(whole).second
                                  ? checked(H5Gcreate2(at, name.c_str(), link_creation_.get(), group_creation_.get(), H5P_DEFAULT), &H5Gclose, "cannot create group /" + whole)
                                  : checked(H5Gopen2(at, name.c_str(), H5P_DEFAULT), &H5Gclose, "cannot open group /" + whole)});
      done = next + 1;
    }
    return {open_.empty() ? file_ : open_.back().group.get(), slash == std::string::npos ? path : path.substr(slash + 1)};
  }

  void group(const std::string& path) { parent(path + "/x"); }

  void absent(const std::string& path) {
    const auto [at, name] = parent(path);
    checked(H5Dcreate2(at, name.c_str(), H5T_IEEE_F32LE, null_.get(), link_creation_.get(), dataset_creation_.get(), H5P_DEFAULT), &H5Dclose, "cannot create /" + path);
  }

  void alias(const std::string& path, const std::string& target) {
    const auto [at, name] = parent(path);
    checked(H5Lcreate_hard(file_, target.c_str(), at, name.c_str(), link_creation_.get(), H5P_DEFAULT), "cannot link /" + path + " to /" + target);
  }

  /// Returns where the dataset's bytes belong, 0 if it has none.
  std::uint64_t dataset(const std::string& path, dtype type, const shape& extents) {
    const bool text = type == dtype::string;
    const std::size_t width = text ? static_cast<std::size_t>(extents.back()) : 0, rank = extents.rank() - text;
    hid_t space = scalar_.get();
    handle simple;
    if (rank != 0) {
      const std::vector<hsize_t> dims(extents.begin(), extents.begin() + static_cast<std::ptrdiff_t>(rank));
      simple = checked(H5Screate_simple(static_cast<int>(rank), dims.data(), nullptr), &H5Sclose, "/" + path + ": H5Screate_simple");
      space = simple.get();
    }
    const hid_t file_type = text ? (string_ = datatype_of(type, width)).get() : type_of(type);
    const bool attribute = needs_attribute(type);
    const auto [at, name] = parent(path);
    const hid_t creation = attribute || bare_creation_.get() < 0 ? dataset_creation_.get() : bare_creation_.get();
    const hid_t set = H5Dcreate2(at, name.c_str(), file_type, space, link_creation_.get(), creation, H5P_DEFAULT);
    const handle owner = set < 0 ? checked(set, &H5Dclose, "cannot create dataset /" + path) : handle(set, &H5Dclose);
    if (attribute) text_attribute(set, dtype_attribute, std::string(holdfast::name(type)));
    const haddr_t offset = H5Dget_offset(set);
    return offset == HADDR_UNDEF ? 0 : offset;
  }

  void text_attribute(hid_t object, const char* name, const std::string& value) {
    const handle type = datatype_of(dtype::string, value.size());
    const handle a = checked(H5Acreate2(object, name, type.get(), scalar_.get(), H5P_DEFAULT, H5P_DEFAULT), &H5Aclose, "H5Acreate2");
    checked(H5Awrite(a.get(), type.get(), value.data()), "H5Awrite");
  }
  void number_attribute(hid_t object, const char* name, std::uint64_t value) {
    const handle a = checked(H5Acreate2(object, name, H5T_STD_U64LE, scalar_.get(), H5P_DEFAULT, H5P_DEFAULT), &H5Aclose, "H5Acreate2");
    checked(H5Awrite(a.get(), H5T_NATIVE_UINT64, &value), "H5Awrite");
  }

 private:
  hid_t type_of(dtype t) {
    handle& h = types_[static_cast<std::size_t>(t)];
    if (h.get() < 0) h = datatype_of(t);
    return h.get();
  }

  hid_t file_;
  handle link_creation_, dataset_creation_, bare_creation_, group_creation_, scalar_, null_, string_;
  std::array<handle, holdfast::detail::dtype_table.size()> types_;
  struct open_group {
    std::string path;
    handle group;
  };
  std::vector<open_group> open_;
  std::set<std::string, std::less<>> made_;
};
using skeleton = basic_skeleton<void>;

/// Tensors of at least this size begin on a page; smaller ones lie side by side in one block.
inline constexpr std::uint64_t large_tensor = 64 * 1024, page = 4096;
constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace detail

/// Lets libhdf5 lay out entries, which are sorted by path: contiguous datasets with early allocation and no fill value, so that each has its
/// place when it is created (H5Dget_offset), and nothing but metadata is written. Small tensors are created by
/// descending element size, which keeps every one of them aligned for `map`. Costs 10 to 20 microseconds a dataset.
/// Calls libhdf5; everything else in a save does not.
template <class X = void>
basic_layout<X> compile(std::vector<entry> entries, bool keyed = false) {
  const quiet_errors quiet;
  basic_layout<X> result;
  result.entries = std::move(entries);
  result.keyed = keyed;
  std::uint64_t small_bytes = 8, names = 0;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < result.entries.size(); ++i) {
    const entry& e = result.entries[i];
    order.push_back(i);
    if (e.bytes < detail::large_tensor) small_bytes += std::max<std::uint64_t>(e.bytes, 1);
    names += e.path.size();
    if (e.kind == entry_kind::tensor) result.digests_bytes += 32 + 2 + e.path.size() + 1;
  }
  const auto rank = [&](std::size_t i) {
    const entry& e = result.entries[i];
    if (e.kind != entry_kind::tensor) return e.kind == entry_kind::alias ? 100u : 0u;  // a link's target must exist
    return e.bytes >= detail::large_tensor ? 50u : 1u + 16u - static_cast<unsigned>(size_of(e.dtype));
  };
  holdfast::detail::sort(order, [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });

  const handle access = image_access(result.image);
  checked(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "H5Pset_libver_bounds");
  const std::uint64_t small_block = detail::round_up(small_bytes, detail::page);
  checked(H5Pset_small_data_block_size(access.get(), small_block), "H5Pset_small_data_block_size");
  checked(H5Pset_alignment(access.get(), std::min(small_block, detail::large_tensor), detail::page), "H5Pset_alignment");
  checked(H5Pset_meta_block_size(access.get(), detail::round_up(2048 + 400 * order.size() + 2 * names, 2048)), "H5Pset_meta_block_size");
  const handle creation = checked(H5Pcreate(H5P_FILE_CREATE), &H5Pclose, "H5Pcreate");
  checked(H5Pset_obj_track_times(creation.get(), false), "H5Pset_obj_track_times");
  handle file = checked(H5Fcreate("holdfast", H5F_ACC_TRUNC, creation.get(), access.get()), &H5Fclose, "cannot lay out the checkpoint");
  {
    detail::basic_skeleton<X> skeleton(file.get());
    const std::string ours(library_group);
    result.step_offset = skeleton.dataset(ours + "/" + step_dataset, dtype::int64, shape{});
    const hid_t group = skeleton.parent(ours + "/x").first;
    skeleton.text_attribute(group, "writer", "holdfast");
    skeleton.number_attribute(group, "format", keyed ? 2 : 1);
    skeleton.number_attribute(group, "digest_block", holdfast::detail::digest_block);
    skeleton.text_attribute(group, digest_attribute, keyed ? keyed_digest_name : unkeyed_digest);
    for (std::size_t i : order) {
      entry& e = result.entries[i];
      switch (e.kind) {
        case entry_kind::tensor: e.offset = skeleton.dataset(e.path, e.dtype, e.shape); break;
        case entry_kind::group: skeleton.group(e.path); break;
        case entry_kind::absent: skeleton.absent(e.path); break;
        case entry_kind::alias: skeleton.alias(e.path, e.alias_of); break;
      }
      if (e.bytes == 0) e.offset = 0;
    }
    result.digests_offset = skeleton.dataset(ours + "/" + digests_dataset, dtype::string, {static_cast<std::int64_t>(result.digests_bytes)});
  }
  if (!file.close()) throw format_error("cannot lay out the checkpoint: HDF5: " + detail::last_error());
  if (result.image.incomplete) throw std::bad_alloc();
  result.end = result.image.allocated;
  return result;
}

template <class X = void>
basic_layout<X> compile(const holdfast::detail::manifest& m, bool keyed = false) {
  return compile<X>(m.entries(), keyed);
}

}  // namespace holdfast::hdf5
