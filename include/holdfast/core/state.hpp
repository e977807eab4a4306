#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// Names bound to live objects, by reference: what one checkpoint holds. Every bound object must outlive the state and
/// stay where it is. A state may be saved and restored any number of times, by one thread at a time.
class state {
 public:
  /// Binds an object under a path such as "model" or "optimizer/state". Throws `error` if the path is malformed, is
  /// bound already, or lies in /holdfast. That one leaf lies inside another is found when the state is first saved or
  /// restored, since it can depend on the objects.
  template <class T>
  state& bind(std::string_view path, T& object) {
    static_assert(!std::is_const_v<T> || checkpointable<T>, "holdfast::traits is not specialised for this type");
    return add(path, [target = &object](visitor& v) { v.here(*target); });
  }

  /// Binds a view: `tensor(pointer, {rows, cols})`, a std::span. What it refers to must outlive the state.
  template <class T>
    requires(!std::is_lvalue_reference_v<T>)
  state& bind(std::string_view path, T&& view) {
    static_assert(is_view<std::remove_const_t<T>>,
                  "bind takes lvalues: a temporary would be gone before it is saved (only views may be bound as rvalues)");
    return add(path, [view = std::make_shared<T>(std::forward<T>(view))](visitor& v) { v.here(*view); });
  }

  /// Takes every binding in the order it was made through `pass`.
  void visit(detail::walk& pass) const {
    pass.binding = 0;
    for (const binding& b : bindings_) {
      visitor v(pass, b.path);
      b.visit(v);
      ++pass.binding;
    }
  }

  std::size_t size() const noexcept { return bindings_.size(); }

 private:
  struct binding {
    std::string path;
    std::function<void(visitor&)> visit;
  };

  state& add(std::string_view path, std::function<void(visitor&)> visit) {
    std::string checked = detail::checked_path(path);
    if (!names_.insert(checked).second) throw error("/" + checked + " is bound twice; give every object a name of its own");
    bindings_.push_back({std::move(checked), std::move(visit)});
    return *this;
  }

  std::vector<binding> bindings_;
  std::unordered_set<std::string> names_;
};

}  // namespace holdfast
