#pragma once
#include <algorithm>
#include <deque>
#include <list>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include <holdfast/core/order.hpp>
#include <holdfast/types/vector.hpp>

namespace holdfast {
namespace detail {

/// Numbers that are not side by side in memory are stored as a 1-d tensor of them.
template <class C>
struct gathered_sequence {
  using array = std::vector<typename C::value_type>;
  static void visit(C& c, visitor& v) {
    v.value([&c] { return array(c.begin(), c.end()); }, [&c](array&& from) { c = C(from.begin(), from.end()); });
  }
};

/// A set is stored as the sequence of its elements in order, so that equal sets make equal files. It always becomes
/// what the file has.
template <class C>
struct gathered_set {
  using array = std::vector<typename C::value_type>;
  static void visit(C& c, visitor& v) {
    v.value(
        [&c, saving = v.saving()] {
          array all;
          if (saving) all.assign(c.begin(), c.end());
          detail::sort(all);
          return all;
        },
        [&c](array&& from) { c = C(from.begin(), from.end()); });
  }
};

}  // namespace detail

template <element T, class A>
struct traits<std::deque<T, A>> : detail::gathered_sequence<std::deque<T, A>> {};
template <class T, class A>
  requires(!element<T>)
struct traits<std::deque<T, A>> : detail::sequence<std::deque<T, A>> {};

template <element T, class A>
struct traits<std::list<T, A>> : detail::gathered_sequence<std::list<T, A>> {};
template <class T, class A>
  requires(!element<T>)
struct traits<std::list<T, A>> : detail::sequence<std::list<T, A>> {};

template <class T, class C, class A>
struct traits<std::set<T, C, A>> : detail::gathered_set<std::set<T, C, A>> {};
template <class T, class H, class E, class A>
struct traits<std::unordered_set<T, H, E, A>> : detail::gathered_set<std::unordered_set<T, H, E, A>> {};

}  // namespace holdfast
