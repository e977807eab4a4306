#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <holdfast/types/vector.hpp>

namespace holdfast {
namespace detail {

/// Strings of one width, one after the other, filled up with NUL: what an HDF5 dataset of fixed-length strings holds.
struct text_table {
  std::string text;
  std::int64_t rows = 0, width = 0;
};

}  // namespace detail

/// A fixed-length UTF-8 string dataset, which h5py reads as bytes. The bytes may be any; restore sets the length.
template <std::same_as<std::string> S>
struct traits<S> {
  static constexpr bool any_size = true;
  static tensor_view view(S& s) { return tensor_view(s.data(), dtype::string, {static_cast<std::int64_t>(s.size())}); }
  static void resize(S& s, const shape& to) { s.resize(static_cast<std::size_t>(to[0])); }
};

template <std::same_as<detail::text_table> T>
struct traits<T> {
  static constexpr bool any_size = true;
  static tensor_view view(T& t) { return tensor_view(t.text.data(), dtype::string, {t.rows, t.width}); }
  static void resize(T& t, const shape& to) {
    t.rows = to[0];
    t.width = to[1];
    t.text.resize(static_cast<std::size_t>(to.elements()));
  }
};

/// A 1-d dataset of strings as wide as the longest. Throws `error` for a string with NUL in it, since the padding could
/// not be told from it; bind such bytes as a std::vector<std::byte>. Restore sets number and lengths.
template <class A>
struct traits<std::vector<std::string, A>> {
  static void visit(std::vector<std::string, A>& strings, visitor& v) {
    v.value(
        [&] {
          detail::text_table t;
          t.rows = static_cast<std::int64_t>(strings.size());
          for (const std::string& s : strings) t.width = std::max(t.width, static_cast<std::int64_t>(s.size()));
          for (const std::string& s : strings) {
            if (s.find('\0') != std::string::npos) throw error("/" + v.path() + ": a string with NUL in it; bind it as std::vector<std::byte>");
            t.text.append(s).append(static_cast<std::size_t>(t.width) - s.size(), '\0');
          }
          return t;
        },
        [&strings](detail::text_table&& t) {
          strings.clear();
          for (std::int64_t i = 0; i < t.rows; ++i) {
            const std::string padded = t.text.substr(static_cast<std::size_t>(i * t.width), static_cast<std::size_t>(t.width));
            strings.emplace_back(padded, 0, padded.find('\0'));
          }
        });
  }
};

}  // namespace holdfast
