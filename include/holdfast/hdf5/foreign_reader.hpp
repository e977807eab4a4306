#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <hdf5.h>

#include <holdfast/core/order.hpp>
#include <holdfast/core/path.hpp>
#include <holdfast/hdf5/datatype.hpp>
#include <holdfast/hdf5/foreign_file.hpp>
#include <holdfast/hdf5/foreign_limits.hpp>
#include <holdfast/hdf5/layout.hpp>
#include <holdfast/hdf5/memory_driver.hpp>
#include <holdfast/hdf5/reader.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast::hdf5 {

/// Any HDF5 file, read through libhdf5: one made by h5py or Keras, or a checkpoint that another program rewrote, whose
/// digests in /holdfast/digests are still compared. It follows no soft, external or user-defined link, reads no virtual
/// dataset or external storage, loads no filter plugin, and takes memory in proportion to the file, whatever that says of
/// itself. libhdf5 keeps no such promise, and crashes on some hostile files: only for files one trusts.
template <class X>
class basic_foreign_reader final : public reader {
 public:
  /// The digests of a checkpoint that was sealed with a key are compared with that key only, and other ones without any.
  explicit basic_foreign_reader(std::shared_ptr<io::file> opened, const seal_key& key = {}) : reader(opened->path(), false), limits_{opened->size()}, opened_(std::move(opened), limits_.size) {
    key_ = key;
    const quiet_errors quiet;
    const detail::plugins_off no_plugins;
    links_ = checked(H5Pcreate(H5P_LINK_ACCESS), &H5Pclose, "H5Pcreate");
    checked(H5Pset_elink_cb(links_.get(), &detail::follow_none, nullptr), "H5Pset_elink_cb");
    opened_.file = checked(H5Fopen("holdfast", H5F_ACC_RDONLY, opened_.access.get()), &H5Fclose, file() + ": cannot open it as HDF5");
    std::vector<entry> found;
    const handle root = checked(H5Gopen2(opened_.file.get(), "/", H5P_DEFAULT), &H5Gclose, file() + ": cannot open the root group");
    std::map<address, std::string> seen;
    seen.emplace(detail::address_of(root.get()), "");
    walk(root.get(), "", 0, seen, found);
    holdfast::detail::sort(found, [](const entry& a, const entry& b) { return a.path < b.path; });
    read_own_group(root.get(), found);
    trim_text(found);
    set_entries(std::move(found));
  }

  void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const override {
    const std::string& path = e.alias_of.empty() ? e.path : e.alias_of;
    if (const auto text = texts_.find(path); text != texts_.end()) {
      std::memcpy(out, text->second.data() + first, count);
      return;
    }
    const quiet_errors quiet;
    const detail::plugins_off no_plugins;
    const std::string what = file() + ": /" + path + ": cannot read";
    if (opened_.path != path) {
      opened_.path.clear();
      opened_.dataset = dataset(path, what);
      opened_.path = path;
    }
    const std::size_t width = e.dtype == dtype::string ? static_cast<std::size_t>(e.shape.back()) : 0;
    const handle memory_type = native_type(opened_.dataset.get(), e.dtype);
    const handle space = checked(H5Dget_space(opened_.dataset.get()), &H5Sclose, what);
    const std::size_t rank = e.shape.rank() - (width != 0);
    if (width != 0) {
      // Elements of the file are whole strings.
      if (first % width != 0 || count % width != 0) return read_part_of_strings(e, width, first, count, out);
      first /= width;
      count /= width;
    }
    // A range of elements in C order is a few boxes: split it where it is not made of whole rows, planes, and so on.
    const std::vector<hsize_t> dims(e.shape.begin(), e.shape.begin() + static_cast<std::ptrdiff_t>(rank));
    const std::size_t item = width != 0 ? width : size_of(e.dtype);
    while (count > 0) {
      std::size_t axis = rank;
      hsize_t inner = 1;
      while (axis > 0 && first % (inner * dims[axis - 1]) == 0 && count >= inner * dims[axis - 1]) inner *= dims[--axis];
      std::vector<hsize_t> start(rank), size(rank, 1);
      hsize_t n = inner, rest = first / inner;
      if (axis > 0) {
        const hsize_t at = rest % dims[axis - 1], many = std::min(dims[axis - 1] - at, count / inner);
        start[axis - 1] = at;
        size[axis - 1] = many;
        n = inner * many;
        rest /= dims[axis - 1];
        for (std::size_t i = axis - 1; i-- > 0; rest /= dims[i]) start[i] = rest % dims[i];
      }
      for (std::size_t i = axis; i < rank; ++i) size[i] = dims[i];
      if (rank != 0) checked(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), what);
      const handle memory = checked(H5Screate_simple(1, &n, nullptr), &H5Sclose, what);
      checked(H5Dread(opened_.dataset.get(), memory_type.get(), memory.get(), space.get(), H5P_DEFAULT, out), what);
      out += n * item;
      first += n;
      count -= n;
    }
  }

  std::string unreadable(const entry& e) const override {
    const auto at = unreadable_.find(e.alias_of.empty() ? e.path : e.alias_of);
    return at == unreadable_.end() ? std::string() : at->second;
  }

 private:
  using address = detail::address;
  static constexpr int max_depth = 256;

  /// The dataset that was found at that path, and no other: names may stand twice in a group of a hostile file.
  handle dataset(const std::string& path, const std::string& what) const {
    const handle access = checked(H5Pcreate(H5P_DATASET_ACCESS), &H5Pclose, what);
    checked(H5Pset_elink_cb(access.get(), &detail::follow_none, nullptr), what);
    // A compressed chunk that does not fit the cache would be unpacked again for every piece of it.
    checked(H5Pset_chunk_cache(access.get(), 12421, std::size_t{16} << 20, 1.0), what);
    handle set = checked(H5Dopen2(opened_.file.get(), path.c_str(), access.get()), &H5Dclose, what);
    if (const auto found = described_.find(path); found != described_.end() && found->second != detail::address_of(set.get())) throw format_error(what + ": two objects of one name");
    return set;
  }

  /// The hard links of a group.
  std::vector<std::string> links_of(hid_t group, const std::string& path) {
    struct listing {
      std::vector<std::string> names;
      std::uint64_t left, bytes_left, above;
      bool too_many = false;
    } found{{}, limits_.most_links() - links_seen_, limits_.most_name_bytes() - name_bytes_, path.size() + 1};
    const auto collect = [](hid_t, const char* name, const H5L_info_t* link, void* out) -> herr_t {
      auto& l = *static_cast<listing*>(out);
      const std::uint64_t bytes = l.above + std::strlen(name);
      l.too_many = l.left == 0 || l.bytes_left < bytes;
      if (l.too_many) return 1;  // enough
      --l.left;
      l.bytes_left -= bytes;
      try {
        if (link->type == H5L_TYPE_HARD) l.names.emplace_back(name);
        return 0;
      } catch (...) {
        return -1;
      }
    };
    checked(H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect, &found), file() + ": /" + path + ": cannot list the group");
    if (found.too_many) throw format_error(file() + ": /" + path + ": more names than a file of " + std::to_string(limits_.size) + " bytes can hold");
    links_seen_ = limits_.most_links() - found.left;
    name_bytes_ = limits_.most_name_bytes() - found.bytes_left;
    return std::move(found.names);
  }

  void walk(hid_t group, const std::string& path, int depth, std::map<address, std::string>& seen, std::vector<entry>& found) {
    if (depth > max_depth) throw format_error(file() + ": /" + path + ": groups nested deeper than " + std::to_string(max_depth));
    for (const std::string& name : links_of(group, path)) {
      const std::string whole = path.empty() ? name : path + "/" + name;
      // HDF5 has no such names, and would follow one with '/' through links of any kind.
      if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) throw format_error(file() + ": /" + whole + ": a link with a name that HDF5 does not allow");
      if (whole == library_group) continue;
      const handle object = checked(H5Oopen(group, name.c_str(), links_.get()), &H5Oclose, file() + ": /" + whole + ": cannot open");
      const address place = detail::address_of(object.get());
      const auto [first, is_new] = seen.emplace(place, whole);
      const H5I_type_t type = H5Iget_type(object.get());
      if (!is_new) {
        // A group that contains itself has no end; everything else shared is a second name.
        if (!holdfast::detail::within(whole, first->second) && !first->second.empty())
          found.push_back({.path = whole, .kind = entry_kind::alias, .alias_of = first->second});
      } else if (type == H5I_GROUP) {
        found.push_back({.path = whole, .kind = entry_kind::group});
        walk(object.get(), whole, depth + 1, seen, found);
      } else if (type == H5I_DATASET) {
        described_.emplace(whole, place);
        found.push_back(describe_dataset(object.get(), whole));
      }
    }
  }

  entry describe_dataset(hid_t set, const std::string& path) {
    entry e{.path = path};
    const std::string what = file() + ": /" + path + ": cannot describe";
    const auto cannot = [&](const std::string& why) {
      e = {.path = path, .dtype = holdfast::dtype{}};
      unreadable_.emplace(path, why);
      return e;
    };
    if (const std::string why = detail::refused(opened_.file.get(), set, limits_, what); !why.empty()) return cannot(why);
    const handle space = checked(H5Dget_space(set), &H5Sclose, what), type = checked(H5Dget_type(set), &H5Tclose, what);
    if (H5Sget_simple_extent_type(space.get()) == H5S_NULL) {
      e.kind = entry_kind::absent;
      return e;
    }
    std::vector<hsize_t> dims(static_cast<std::size_t>(checked(H5Sget_simple_extent_ndims(space.get()), what)));
    if (!dims.empty()) checked(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), what);
    std::vector<std::int64_t> extents(dims.begin(), dims.end());
    const bool is_text = H5Tget_class(type.get()) == H5T_STRING;
    if (is_text && extents.size() == shape::max_rank) return cannot("text of 32 dimensions, where its width would be one more");
    if (is_text && H5Tis_variable_str(type.get()) > 0) {
      if (!read_variable_text(set, shape(extents), e)) return cannot("text that padded to one width is more than a file of " + std::to_string(limits_.size) + " bytes holds");
    } else {
      const auto known = dtype_from(type.get());
      if (!known) return cannot("HDF5 data of a class that has no dtype");
      e.dtype = *known;
      if (*known == dtype::uint8)
        if (const auto named = dtype_named(text_attribute(set, dtype_attribute)); named && needs_attribute(*named)) e.dtype = *named;
      if (is_text) extents.push_back(static_cast<std::int64_t>(H5Tget_size(type.get())));
      e.shape = shape(extents);
    }
    e.bytes = static_cast<std::uint64_t>(e.shape.elements()) * size_of(e.dtype);
    // One at a time each may be as large as a file can hold: together they may not, since a program takes them all.
    if (e.bytes > limits_.most_content() - content_) return cannot("a dataset that with those before it is more than a file of " + std::to_string(limits_.size) + " bytes holds");
    content_ += e.bytes;
    return e;
  }

  /// libhdf5 takes the memory for a string of the length that the dataset gives, up to 4 GiB, before it looks whether there is one:
  /// whether all lengths are within the file, as far as they can be seen from here, which is where they lie side by side.
  bool lengths_fit(hid_t set, std::size_t n, std::size_t item) const {
    const haddr_t place = H5Dget_offset(set);
    if (place == HADDR_UNDEF) return true;
    std::vector<std::byte> stored(n * item);
    opened_.image->read(place, stored);
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t length;  // first, and little-endian
      std::memcpy(&length, stored.data() + i * item, sizeof length);
      if (length > limits_.size) return false;
    }
    return true;
  }

  /// h5py's str: variable-length strings live in a heap and are read whole, padded to one width. Whether they could be.
  bool read_variable_text(hid_t set, const shape& extents, entry& e) {
    const std::string what = file() + ": /" + e.path + ": cannot read text";
    const handle type = checked(H5Dget_type(set), &H5Tclose, what), transfer = checked(H5Pcreate(H5P_DATASET_XFER), &H5Pclose, what);
    if (!lengths_fit(set, static_cast<std::size_t>(extents.elements()), detail::bytes_in_file(opened_.file.get(), type.get()))) throw format_error(what + ": strings longer than the file");
    detail::text_memory memory{limits_.most_content()};
    checked(H5Pset_vlen_mem_manager(transfer.get(), &detail::text_memory::take, &memory, &detail::text_memory::keep, nullptr), what);
    std::vector<char*> strings(static_cast<std::size_t>(extents.elements()));
    if (!strings.empty()) checked(H5Dread(set, type.get(), H5S_ALL, H5S_ALL, transfer.get(), strings.data()), what);
    std::size_t width = 0;
    for (const char* s : strings) width = std::max(width, s == nullptr ? 0 : std::strlen(s));
    if (width != 0 && strings.size() > (limits_.most_content() - content_) / width) return false;
    std::string& text = texts_[e.path];
    text.reserve(strings.size() * width);
    for (const char* s : strings) {
      const std::size_t length = s == nullptr ? 0 : std::strlen(s);
      text.append(s == nullptr ? "" : s, length).append(width - length, '\0');
    }
    std::vector<std::int64_t> with_width(extents.begin(), extents.end());
    with_width.push_back(static_cast<std::int64_t>(width));
    e.dtype = dtype::string;
    e.shape = shape(with_width);
    return true;
  }

  /// Text of no more bytes than a dtype's name may have; nothing for everything else.
  static std::string text_attribute(hid_t object, const char* name) {
    if (H5Aexists(object, name) <= 0) return {};
    const handle a = checked(H5Aopen(object, name, H5P_DEFAULT), &H5Aclose, "H5Aopen");
    const handle type = checked(H5Aget_type(a.get()), &H5Tclose, "H5Aget_type"), space = checked(H5Aget_space(a.get()), &H5Sclose, "H5Aget_space");
    if (H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1) return {};
    if (H5Tis_variable_str(type.get()) > 0) {
      char* s = nullptr;
      checked(H5Aread(a.get(), type.get(), &s), "H5Aread");
      const std::string text = s == nullptr ? "" : s;
      H5free_memory(s);
      return text;
    }
    if (H5Tget_size(type.get()) > 64) return {};
    std::string text(H5Tget_size(type.get()), '\0');
    checked(H5Aread(a.get(), type.get(), text.data()), "H5Aread");
    return text.substr(0, text.find('\0'));
  }

  /// Reading with the file's own type, but for the byte order, keeps every bit: HDF5's conversions of small floats are
  /// slow and change NaNs, and it converts no ASCII to UTF-8.
  static handle native_type(hid_t set, dtype type) {
    handle own = checked(H5Dget_type(set), &H5Tclose, "H5Dget_type");
    return H5Tget_order(own.get()) == H5T_ORDER_LE || size_of(type) == 1 ? std::move(own) : datatype_of(type);
  }

  void read_part_of_strings(const entry& e, std::size_t width, std::uint64_t first, std::uint64_t count, std::byte* out) const {
    const std::uint64_t from = first / width * width, to = (first + count + width - 1) / width * width;
    std::vector<std::byte> whole(to - from);
    read(e, from, to - from, whole.data());
    std::memcpy(out, whole.data() + (first - from), count);
  }

  /// The entry that has the data of a name, which may be a second name here though it was the first when it was saved.
  static entry* resolve(std::vector<entry>& found, std::string_view path) {
    const auto at = [&](std::string_view p) -> entry* {
      const auto e = std::lower_bound(found.begin(), found.end(), p, [](const entry& x, std::string_view q) { return std::string_view(x.path) < q; });
      return e != found.end() && e->path == p ? &*e : nullptr;
    };
    for (std::size_t end = path.find('/'); end != std::string_view::npos; end = path.find('/', end + 1))
      if (const entry* above = at(path.substr(0, end)); above != nullptr && above->kind == entry_kind::alias)
        return at(above->alias_of + std::string(path.substr(end)));
    entry* const e = at(path);
    return e != nullptr && e->kind == entry_kind::alias ? at(e->alias_of) : e;
  }

  /// A dataset of ours, one element of that class; nothing where it is missing or not as holdfast writes it.
  handle own_dataset(hid_t group, const char* name, H5T_class_t wanted, const std::string& what) const {
    if (!is_hard_link(group, name)) return {};
    handle set = checked(H5Oopen(group, name, links_.get()), &H5Oclose, what);
    if (H5Iget_type(set.get()) != H5I_DATASET || !detail::refused(opened_.file.get(), set.get(), limits_, what).empty()) return {};
    const handle type = checked(H5Dget_type(set.get()), &H5Tclose, what), space = checked(H5Dget_space(set.get()), &H5Sclose, what);
    return H5Tget_class(type.get()) == wanted && H5Sget_simple_extent_npoints(space.get()) == 1 ? std::move(set) : handle();
  }

  bool is_hard_link(hid_t group, const char* name) const {
    H5L_info_t link;
    return H5Lexists(group, name, links_.get()) > 0 && H5Lget_info(group, name, &link, links_.get()) >= 0 && link.type == H5L_TYPE_HARD;
  }

  /// Takes digests and step from the group that holdfast writes, where a rewritten checkpoint still has it.
  void read_own_group(hid_t root, std::vector<entry>& found) {
    if (!is_hard_link(root, library_group)) return;
    const std::string what = file() + ": cannot read /holdfast";
    const handle ours = checked(H5Oopen(root, library_group, links_.get()), &H5Oclose, what);
    if (H5Iget_type(ours.get()) != H5I_GROUP) return;
    if (const handle step = own_dataset(ours.get(), step_dataset, H5T_INTEGER, what); step.get() >= 0)
      checked(H5Dread(step.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &step_), what);
    if ((text_attribute(ours.get(), digest_attribute) == keyed_digest_name) != (key_ != nullptr)) return;
    const handle digests = own_dataset(ours.get(), digests_dataset, H5T_STRING, what);
    if (digests.get() < 0) return;
    const handle type = checked(H5Dget_type(digests.get()), &H5Tclose, what);
    if (H5Tis_variable_str(type.get()) != 0) return;
    std::string text(H5Tget_size(type.get()), '\0');
    checked(H5Dread(digests.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()), what);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view line(text.data() + at, end - at);
      at = end + 1;
      if (line.size() < 35) continue;
      entry* const e = resolve(found, line.substr(34));
      if (e == nullptr) continue;
      for (std::size_t i = 0; i < 16; ++i) {
        const auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
        e->digest.bytes[i] = static_cast<std::uint8_t>(nibble(line[2 * i]) << 4 | (nibble(line[2 * i + 1]) & 15));
      }
      if (e->dtype == dtype::string && e->shape.back() == 1 && e->digest == holdfast::detail::root_of({}, key_)) {
        // HDF5 has no strings of width 0: they are stored one byte wide.
        std::vector<std::int64_t> extents(e->shape.begin(), e->shape.end());
        extents.back() = 0;
        e->shape = shape(extents);
        e->bytes = 0;
      }
    }
  }

  /// A string of another writer ends where its padding begins. In one of holdfast's, which has a digest, all bytes count.
  void trim_text(std::vector<entry>& found) {
    for (entry& e : found) {
      if (e.kind != entry_kind::tensor || e.dtype != dtype::string || e.shape.rank() != 1) continue;
      if (e.digest != digest{} || texts_.contains(e.path)) continue;
      std::string text(e.bytes, '\0');
      read(e, 0, e.bytes, reinterpret_cast<std::byte*>(text.data()));
      text.erase(text.find_last_not_of('\0') + 1);
      e.bytes = text.size();
      e.shape = {static_cast<std::int64_t>(text.size())};
      texts_.emplace(e.path, std::move(text));
    }
  }

  detail::file_limits limits_;
  mutable detail::basic_opened_file<X> opened_;
  handle links_;
  std::uint64_t links_seen_ = 0, name_bytes_ = 0, content_ = 0;  // found so far
  std::map<std::string, address> described_;
  std::map<std::string, std::string> texts_, unreadable_;
};
using foreign_reader = basic_foreign_reader<void>;

}  // namespace holdfast::hdf5
