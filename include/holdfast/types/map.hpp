#pragma once
#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/path.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/types/tuple.hpp>
#include <holdfast/types/vector.hpp>

namespace holdfast {
namespace detail {

/// Integers, and text that a key can own.
template <class K>
concept map_key = std::integral<K> || (std::convertible_to<K, std::string_view> && std::constructible_from<K, const std::string&> && !std::is_trivially_copyable_v<K>);

template <map_key K>
std::string key_name(const K& key) {
  if constexpr (std::integral<K>) return std::to_string(key);
  else return encode_component(key);
}

template <map_key K>
std::optional<K> key_of(const std::string& name) {
  if constexpr (std::integral<K>) {
    std::conditional_t<std::is_signed_v<K>, long long, unsigned long long> number{};
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
    const auto key = static_cast<K>(number);
    const bool whole = failed == std::errc() && end == name.data() + name.size() && static_cast<decltype(number)>(key) == number;
    return whole ? std::optional(key) : std::nullopt;
  } else {
    return K(name);
  }
}

/// A group with a part for each key, in any order of the program's: keys are names, never positions. An empty map takes
/// the file's keys; one that is not empty must have the same keys.
template <class M>
struct mapping {
  using key_type = typename M::key_type;
  using mapped_type = typename M::mapped_type;

  static void visit(M& m, visitor& v) {
    v.container();
    const auto names = v.incoming(m.empty());
    if (!names) {
      for (auto& [key, value] : m) v(key_name(key), value);
      return;
    }
    std::vector<key_type> keys;
    for (const std::string& name : *names) {
      if (const auto key = key_of<key_type>(name)) keys.push_back(*key);
      else v.problem("keys that are integers", "\"" + name + "\"", "bind a map with string keys");
    }
    if (v.applying()) {
      erase_if(m, [&](const auto& item) { return std::find(keys.begin(), keys.end(), item.first) == keys.end() && v.selected(key_name(item.first)); });
      if constexpr (std::default_initializable<mapped_type>)
        for (const key_type& key : keys) m.try_emplace(key);
    }
    for (const key_type& key : keys) {
      if (const auto at = m.find(key); at != m.end()) v(key_name(key), at->second);
      else v.template prototype<mapped_type>(key_name(key));
    }
  }
};

/// Pairs of a multimap, in its order.
template <class K, class V>
struct pairs {
  std::vector<std::pair<K, V>> all;
};

}  // namespace detail

template <class K, class V>
struct traits<detail::pairs<K, V>> {
  static void visit(detail::pairs<K, V>& p, visitor& v) { v.resizable(p.all); }
};

/// A group of its pairs, numbered in its order, which equal keys keep. It always becomes what the file has.
template <class M>
  requires(detail::standard<M, "multimap"> && std::copy_constructible<typename M::mapped_type>)
struct traits<M> {
  using pairs = detail::pairs<typename M::key_type, typename M::mapped_type>;
  static void visit(M& m, visitor& v) {
    v.value(
        [&m] {
          pairs p;
          p.all.assign(m.begin(), m.end());
          return p;
        },
        [&m](pairs&& p) {
          m.clear();
          for (auto& pair : p.all) m.emplace_hint(m.end(), std::move(pair));
        });
  }
};

template <class M>
  requires(detail::standard<M, "map", "unordered_map"> && detail::map_key<typename M::key_type>)
struct traits<M> : detail::mapping<M> {};

}  // namespace holdfast
