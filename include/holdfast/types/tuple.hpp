#pragma once
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>

#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// Parts named "first" and "second".
template <class A, class B>
struct traits<std::pair<A, B>> {
  static void visit(std::pair<A, B>& p, visitor& v) {
    v("first", p.first);
    v("second", p.second);
  }
};

/// Parts named 0, 1, 2, …
template <class... T>
struct traits<std::tuple<T...>> {
  static void visit(std::tuple<T...>& t, visitor& v) {
    [&]<std::size_t... I>(std::index_sequence<I...>) { (v(std::to_string(I), std::get<I>(t)), ...); }(std::index_sequence_for<T...>());
  }
};

}  // namespace holdfast
