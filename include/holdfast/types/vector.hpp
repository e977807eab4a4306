#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

/// The composite form of a container whose elements are numbered: a group of them, named 0, 1, 2, … An empty one takes
/// the file's number of elements.
template <class C>
struct sequence {
  using value_type = typename C::value_type;

  static void visit(C& c, visitor& v) {
    v.container();
    std::size_t n = c.size();
    if (const auto names = v.incoming(c.empty())) {
      n = names->size();
      for (std::size_t i = 0; i < n; ++i)
        if (!std::binary_search(names->begin(), names->end(), std::to_string(i)))
          return v.problem("elements 0 to " + std::to_string(n - 1), "no element " + std::to_string(i), "restore all of them, or bind a sequence that has its elements");
      if constexpr (std::default_initializable<value_type> && std::move_constructible<value_type>) {
        if (v.applying()) c.resize(n);
      } else if (n != c.size()) {
        return v.problem(std::to_string(c.size()) + " elements", std::to_string(n) + " elements", "give the program's object the file's size: its elements cannot be made and moved");
      }
    }
    std::size_t i = 0;
    for (auto at = c.begin(); at != c.end() && i < n; ++at, ++i) v(std::to_string(i), *at);
    if constexpr (std::default_initializable<value_type>)
      for (; i < n; ++i) v.template prototype<value_type>(std::to_string(i));
  }
};

/// Bools at addresses, which std::vector<bool> does not have.
template <class>
class basic_bool_array {
 public:
  explicit basic_bool_array(std::size_t n = 0) { resize(n); }
  void resize(std::size_t n) {
    data_ = std::make_unique<bool[]>(n);
    size_ = n;
  }
  bool* begin() const { return data_.get(); }
  bool* end() const { return data_.get() + size_; }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<bool[]> data_;
  std::size_t size_ = 0;
};
using bool_array = basic_bool_array<void>;

}  // namespace detail

template <class X>
struct traits<detail::basic_bool_array<X>> {
  static tensor_view view(detail::basic_bool_array<X>& b) { return tensor_view(b.begin(), {static_cast<std::int64_t>(b.size())}); }
  static void resize(detail::basic_bool_array<X>& b, const shape& s) { b.resize(static_cast<std::size_t>(s[0])); }
};

/// A std::vector of numbers is a 1-d tensor. Restore sizes an empty one; one that is not empty must have the file's size.
template <element T, class A>
struct traits<std::vector<T, A>> {
  static tensor_view view(std::vector<T, A>& v) { return tensor_view(v.data(), {static_cast<std::int64_t>(v.size())}); }
  static void resize(std::vector<T, A>& v, const shape& s) { v.resize(static_cast<std::size_t>(s[0])); }
};

/// Bits have no addresses: they are stored as a 1-d tensor of bool.
template <class A>
struct traits<std::vector<bool, A>> {
  static void visit(std::vector<bool, A>& c, visitor& v) {
    v.value(
        [&c] {
          detail::bool_array copy(c.size());
          std::copy(c.begin(), c.end(), copy.begin());
          return copy;
        },
        [&c](detail::bool_array&& from) { c.assign(from.begin(), from.end()); });
  }
};

/// A std::vector of anything else is a group of its elements.
template <class T, class A>
  requires(!element<T>)
struct traits<std::vector<T, A>> : detail::sequence<std::vector<T, A>> {};

}  // namespace holdfast
