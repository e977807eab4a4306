#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// A std::array of numbers is a 1-d tensor of fixed size.
template <element T, std::size_t N>
struct traits<std::array<T, N>> {
  static constexpr bool read_only = std::is_const_v<T>;
  static tensor_view view(std::array<T, N>& a) { return tensor_view(a.data(), {static_cast<std::int64_t>(N)}); }
};

/// Of anything else it is a group of its elements, named 0, 1, 2, …
template <class T, std::size_t N>
  requires(!element<T>)
struct traits<std::array<T, N>> {
  static void visit(std::array<T, N>& a, visitor& v) {
    for (std::size_t i = 0; i < N; ++i) v(std::to_string(i), a[i]);
  }
};

/// A built-in array of numbers is a tensor with its dimensions.
template <class T, std::size_t N>
  requires element<std::remove_all_extents_t<T>>
struct traits<T[N]> {
  static tensor_view view(T (&a)[N]) {
    std::vector<std::int64_t> extents;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (extents.push_back(static_cast<std::int64_t>(std::extent_v<T[N], static_cast<unsigned>(I)>)), ...);
    }(std::make_index_sequence<std::rank_v<T[N]>>());
    return tensor_view(reinterpret_cast<std::remove_all_extents_t<T>*>(&a), shape(extents));
  }
};

/// Of anything else it is a group of its elements.
template <class T, std::size_t N>
  requires(!element<std::remove_all_extents_t<T>>)
struct traits<T[N]> {
  static void visit(T (&a)[N], visitor& v) {
    for (std::size_t i = 0; i < N; ++i) v(std::to_string(i), a[i]);
  }
};

/// A std::valarray of numbers is a 1-d tensor. Restore sizes an empty one.
template <class V>
  requires(detail::standard<V, "valarray"> && element<typename V::value_type>)
struct traits<V> {
  static tensor_view view(V& v) { return tensor_view(v.size() != 0 ? &v[0] : nullptr, {static_cast<std::int64_t>(v.size())}); }
  static void resize(V& v, const shape& s) { v.resize(static_cast<std::size_t>(s[0])); }
};

/// A std::span of numbers is a 1-d tensor of what it refers to.
template <element T, std::size_t N>
struct traits<std::span<T, N>> {
  static constexpr bool read_only = std::is_const_v<T>;
  static tensor_view view(std::span<T, N>& s) { return tensor_view(s.data(), {static_cast<std::int64_t>(s.size())}); }
};
template <class T, std::size_t N>
inline constexpr bool is_view<std::span<T, N>> = true;

}  // namespace holdfast
