#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast::detail {

/// Whether item `a` stands before item `b`, both by number: a function and what it refers to, without their types.
struct before {
  bool (*function)(const void* context, std::size_t a, std::size_t b);
  const void* context;
};

/// The numbers 0 to n - 1 in that order, equal ones as they were. All sorting in the library goes through it: one
/// instantiation instead of one for each element type keeps the headers cheap to compile. Merges what is in order already, which are long
/// stretches where layers are bound by number. (std::stable_sort of libstdc++ 12 calls what C++17 deprecates.)
template <class = void>
std::vector<std::size_t> sorted_order(std::size_t n, before order) {
  const auto less = [order](std::size_t a, std::size_t b) { return order.function(order.context, a, b); };
  std::vector<std::size_t> numbers(n), merged(n), begins{0};  // of stretches in order, and the end of the last one
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  for (std::size_t i = 1; i < n; ++i)
    if (less(i, i - 1)) begins.push_back(i);
  begins.push_back(n);
  while (begins.size() > 2) {
    const std::size_t* const from = numbers.data();
    std::size_t left = 0;
    for (std::size_t i = 0; i + 1 < begins.size(); i += 2) {
      const std::size_t begin = begins[i], middle = begins[i + 1], end = begins[std::min(i + 2, begins.size() - 1)];
      std::merge(from + begin, from + middle, from + middle, from + end, merged.data() + begin, less);
      begins[left++] = begin;
    }
    begins[left++] = n;
    begins.resize(left);
    numbers.swap(merged);
  }
  return numbers;
}

/// Sorts items by `less(a, b)`, stably.
template <class T, class Less = std::less<>>
void sort(std::vector<T>& items, const Less& less = {}) {
  std::size_t in_order = 1;
  while (in_order < items.size() && !less(items[in_order], items[in_order - 1])) ++in_order;
  if (in_order >= items.size()) return;
  struct context_type {
    const std::vector<T>& items;
    const Less& less;
  } const context{items, less};
  const auto function = [](const void* c, std::size_t a, std::size_t b) -> bool {
    const auto& with = *static_cast<const context_type*>(c);
    return with.less(with.items[a], with.items[b]);
  };
  std::vector<std::size_t> from = sorted_order(items.size(), {function, &context});
  for (std::size_t begin = 0; begin < from.size(); ++begin) {
    if (from[begin] == begin) continue;
    T first = std::move(items[begin]);
    std::size_t to = begin;
    for (std::size_t next = from[to]; next != begin; next = from[to]) {
      items[to] = std::move(items[next]);
      from[to] = to;
      to = next;
    }
    items[to] = std::move(first);
    from[to] = to;
  }
}

}  // namespace holdfast::detail
