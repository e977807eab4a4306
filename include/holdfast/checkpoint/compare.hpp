#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/open.hpp>
#include <holdfast/core/convert.hpp>

namespace holdfast {

/// How one path of two checkpoints differs.
struct tensor_difference {
  std::string path{};                   ///< in both files
  std::string expected{};               ///< in the first file: a dtype and shape, or the first element that differs
  std::string found{};                  ///< in the second
  std::uint64_t elements = 0;           ///< that differ in their bits; 0 where dtype, shape or presence differ
  std::uint64_t of = 0;                 ///< elements of the tensor
  std::vector<std::int64_t> first{};    ///< index of the first of them
  std::optional<std::uint64_t> ulps{};  ///< the largest distance in units in the last place, of floating-point numbers
  std::optional<double> relative{};     ///< the largest |a - b| / max(|a|, |b|), of floating-point numbers

  /// "/model/fc1.weight: 3 of 640 elements differ, first [2, 7]: expected 0.25, found 0.2500001, at most 4 ULPs apart"
  template <class = void>
  std::string text() const {
    std::string s = "/" + path + ": ";
    if (elements != 0) {
      s += std::to_string(elements) + " of " + std::to_string(of) + (of == 1 ? " element differs" : " elements differ");
      if (!first.empty()) s += ", first " + shape(first).text();
      s += ": ";
    }
    s += "expected " + expected + ", found " + found;
    if (ulps) s += ", at most " + std::to_string(*ulps) + (*ulps == 1 ? " ULP apart" : " ULPs apart");
    return s;
  }
};

namespace detail {

/// A floating-point number, and where it stands among all of its type: neighbours differ by one, and -0 and +0 are the same.
struct ranked {
  double value;
  std::int64_t rank;
};

/// Nothing for NaN.
template <class = void>
std::optional<ranked> rank_of(const std::byte* at, dtype t) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, at, size_of(t));
  double value = 0;
  convert(at, t, reinterpret_cast<std::byte*>(&value), dtype::float64, 1);
  if (value != value) return std::nullopt;
  const std::uint64_t sign = std::uint64_t{1} << (8 * size_of(t) - 1);
  const auto magnitude = static_cast<std::int64_t>(bits & (sign - 1));
  return ranked{value, bits & sign ? -magnitude : magnitude};
}

/// |a - b| / max(|a|, |b|); 0 for equal numbers, infinity for two of which one is infinite.
template <class = void>
double relative_distance(double a, double b) {
  if (a == b) return 0;
  const double x = a < 0 ? -a : a, y = b < 0 ? -b : b, larger = x > y ? x : y;
  if (larger > std::numeric_limits<double>::max()) return larger;
  const double p = a / larger, q = b / larger;  // their difference may be more than a double holds
  return p > q ? p - q : q - p;
}

template <class = void>
std::string element_text(const std::byte* at, dtype t) {
  std::ostringstream out;
  out.precision(17);
  if (t == dtype::string) {
    out << "byte " << static_cast<int>(static_cast<unsigned char>(*at));
  } else if (family_of(t) == family::complex) {
    complex_number<double> value;
    if (t == dtype::complex128) std::memcpy(&value, at, sizeof value);
    else convert(at, t, reinterpret_cast<std::byte*>(&value), dtype::complex128, 1);
    out << value.real << (std::bit_cast<std::int64_t>(value.imaginary) < 0 ? "" : "+") << value.imaginary << "j";
  } else if (family_of(t) == family::real) {
    double value = 0;
    if (t == dtype::float64) std::memcpy(&value, at, sizeof value);
    else convert(at, t, reinterpret_cast<std::byte*>(&value), dtype::float64, 1);
    if (t != dtype::float64) out.precision(9);
    out << value;
  } else if (family_of(t) == family::unsigned_integer) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, size_of(t));
    out << value;
  } else {
    std::int64_t value = 0;
    if (t == dtype::int64) std::memcpy(&value, at, sizeof value);
    else convert(at, t, reinterpret_cast<std::byte*>(&value), dtype::int64, 1);
    out << value;
  }
  return out.str();
}

template <class = void>
std::vector<std::byte> content(const hdf5::reader& from, const entry& e) {
  std::vector<std::byte> bytes(e.bytes);
  from.read(e, 0, e.bytes / size_of(e.dtype), bytes.data());
  block_digest d = from.content_digest();
  d.update(bytes);
  from.verify(e, d.finish());
  return bytes;
}

/// Whether a path is a group there, be it only because something lies below it.
template <class = void>
bool is_group(const hdf5::reader& in, const std::string& path) {
  const auto& all = in.entries();
  const auto at = std::lower_bound(all.begin(), all.end(), path + "/", [](const entry& e, const std::string& p) { return e.path < p; });
  return at != all.end() && within(at->path, path);
}

/// The first, the number and the largest of the differences between two tensors of one dtype and shape.
template <class = void>
tensor_difference compare_content(const entry& e, const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  tensor_difference d{.path = e.path};
  const std::size_t item = size_of(e.dtype);
  const bool real = family_of(e.dtype) == family::real;
  bool nan = false;
  d.of = e.bytes / item;
  std::uint64_t furthest = 0;
  double relative = 0;
  for (std::size_t i = 0; i < d.of; ++i) {
    const std::byte *x = a.data() + i * item, *y = b.data() + i * item;
    if (std::memcmp(x, y, item) == 0) continue;
    if (d.elements++ == 0) {
      d.expected = element_text(x, e.dtype);
      d.found = element_text(y, e.dtype);
      auto rest = static_cast<std::int64_t>(i);
      d.first.resize(e.shape.rank());
      for (std::size_t axis = e.shape.rank(); axis-- > 0; rest /= e.shape[axis]) d.first[axis] = rest % e.shape[axis];
    }
    if (!real) continue;
    const auto m = rank_of(x, e.dtype), n = rank_of(y, e.dtype);
    if (!m || !n) {
      nan = true;
      continue;
    }
    const auto p = static_cast<std::uint64_t>(m->rank), q = static_cast<std::uint64_t>(n->rank);
    furthest = std::max(furthest, m->rank > n->rank ? p - q : q - p);
    relative = std::max(relative, relative_distance(m->value, n->value));
  }
  if (real && !nan) d.ulps = furthest, d.relative = relative;
  return d;
}

/// As `holdfast::compare`, of files that are open.
template <class = void>
std::vector<tensor_difference> compare_files(const hdf5::reader& a, const hdf5::reader& b) {
  const auto describe_entry = [](const entry* e) {
    if (e == nullptr) return std::string("nothing of that name");
    if (e->kind == entry_kind::group) return std::string("a group");
    if (e->kind == entry_kind::absent) return std::string("an empty optional or null pointer");
    return describe(e->dtype, e->shape);
  };
  std::vector<tensor_difference> all;
  auto x = a.entries().begin(), y = b.entries().begin();
  while (x != a.entries().end() || y != b.entries().end()) {
    const bool left = y == b.entries().end() || (x != a.entries().end() && x->path < y->path);
    const bool right = !left && (x == a.entries().end() || y->path < x->path);
    const entry *p = right ? nullptr : &*x, *q = left ? nullptr : &*y;
    if (!right) ++x;
    if (!left) ++y;
    const std::string& path = p != nullptr ? p->path : q->path;
    // Not every file lists the groups that are in the paths below them.
    if ((p == nullptr && q->kind == entry_kind::group && is_group(a, path)) || (q == nullptr && p->kind == entry_kind::group && is_group(b, path))) continue;
    if (p == nullptr || q == nullptr || describe_entry(p) != describe_entry(q)) {
      all.push_back({.path = path, .expected = describe_entry(p), .found = describe_entry(q)});
    } else if (p->bytes != 0 && !(a.has_digest(*p) && b.has_digest(*q) && a.comparable(b) && p->digest == q->digest)) {
      tensor_difference d = compare_content(*p, content(a, *p), content(b, *q));
      if (d.elements != 0) all.push_back(std::move(d));
    }
  }
  return all;
}

}  // namespace detail

/// Compares two checkpoints bit for bit, path by path; nothing where they are equal. `ulps` and `relative` are left out where
/// a NaN takes part. Tensors whose digests agree are not read. Throws as `checkpoint_file` does.
template <class = void>
std::vector<tensor_difference> compare(const std::string& expected, const std::string& found, trust trusted = trust::sealed_only) {
  return detail::compare_files(*detail::open_reader(expected, trusted), *detail::open_reader(found, trusted));
}

}  // namespace holdfast
