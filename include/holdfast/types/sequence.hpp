#pragma once
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

template <class C>
  requires(detail::standard<C, "deque", "list"> && element<typename C::value_type>)
struct traits<C> : detail::gathered_sequence<C> {};
template <class C>
  requires(detail::standard<C, "deque", "list"> && !element<typename C::value_type>)
struct traits<C> : detail::sequence<C> {};

template <class C>
  requires(detail::standard<C, "set", "unordered_set"> && requires(const typename C::value_type& x) { x < x; })
struct traits<C> : detail::gathered_set<C> {};

}  // namespace holdfast
