#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/restore.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/path.hpp>

namespace holdfast::detail {

/// A tensor of a file of another format, under the name it has there.
struct named_tensor {
  std::string name{};
  holdfast::dtype dtype = holdfast::dtype::uint8;
  holdfast::shape shape{0};
  std::uint64_t offset = 0;      ///< of its bytes in the file, where they lie there in one piece
  std::size_t number = 0;        ///< the reader's own, which `number_of` gives back
  std::string unreadable{};      ///< what it holds, where that has no dtype; empty: it has one
  std::string second_name_of{};  ///< the name of the tensor that it is another name of; empty: it is none
};

/// A reader of a format that has named tensors and neither groups nor digests. A name is the path of its tensor; one that
/// is no path (an empty component, a control character) is written as one component, as `encode_component` does.
template <class>
class basic_named_tensors_reader : public hdf5::reader {
 public:
  std::string unreadable(const entry& e) const override { return tensors_[origin_of(e)].unreadable; }

 protected:
  explicit basic_named_tensors_reader(std::string file) : hdf5::reader(std::move(file), false) {}

  /// Throws `format_error` for two tensors of one name.
  void set_tensors(std::vector<named_tensor> all) {
    for (named_tensor& t : all) t.name = path_of(t.name), t.second_name_of = t.second_name_of.empty() ? "" : path_of(t.second_name_of);
    sort(all, [](const named_tensor& a, const named_tensor& b) { return a.name < b.name; });
    std::vector<entry> entries;
    entries.reserve(all.size());
    for (const named_tensor& t : all) {
      if (!t.second_name_of.empty()) entries.push_back({.path = t.name, .kind = entry_kind::alias, .alias_of = t.second_name_of});
      else if (!t.unreadable.empty()) entries.push_back({.path = t.name, .dtype = holdfast::dtype{}});
      else entries.push_back({.path = t.name, .dtype = t.dtype, .shape = t.shape, .bytes = static_cast<std::uint64_t>(t.shape.elements()) * size_of(t.dtype), .offset = t.offset});
    }
    tensors_ = std::move(all);
    set_entries(std::move(entries));
  }

  std::size_t number_of(const entry& e) const { return tensors_[origin_of(e)].number; }

 private:
  std::size_t origin_of(const entry& e) const { return origin(e); }

  static std::string path_of(const std::string& name) {
    try {
      if (checked_path(name) == name) return name;
    } catch (const error&) {
    }
    return encode_component(name);
  }

  std::vector<named_tensor> tensors_;  // as the entries given
};
using named_tensors_reader = basic_named_tensors_reader<void>;

/// The shape with these extents. Throws `format_error` beginning with `where` for one that no tensor has, and for more bytes
/// than 2^63 - 1.
template <class = void>
shape shape_in_file(const std::vector<std::int64_t>& extents, std::uint64_t element_bytes, const std::string& where) {
  std::optional<shape> s;
  try {
    s.emplace(extents);
  } catch (const error& e) {
    throw format_error(where + ": " + e.what());
  }
  if (element_bytes != 0 && static_cast<std::uint64_t>(s->elements()) > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / element_bytes)
    throw format_error(where + ": shape " + s->text() + ": more than 2^63 - 1 bytes");
  return *s;
}

/// Restores from a file of another format, as `restore` does. There are no digests to compare and no seal to trust.
template <class X>
restore_report import_from(const basic_named_tensors_reader<X>& from, basic_state<X>& bound, restore_options options) {
  if (options.key) throw integrity_error(from.file() + ": expected a seal made with the key, found a file of a format that has none; leave .key out");
  if (options.verify == verify::during) options.verify = verify::off;  // `before` reads everything once, which finds what cannot be read
  restore_report report = restore_from(from, basic_selection<X>(from, options), bound, options);
  report.verified = false;
  return report;
}

}  // namespace holdfast::detail
