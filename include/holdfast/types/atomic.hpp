#pragma once
#include <atomic>

#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// Its value, by load() and store(): no other synchronisation with the threads that use it.
template <class T>
struct traits<std::atomic<T>> {
  static void visit(std::atomic<T>& a, visitor& v) {
    v.value([&a] { return a.load(); }, [&a](T value) { a.store(value); });
  }
};

}  // namespace holdfast
