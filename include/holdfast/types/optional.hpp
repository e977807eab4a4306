#pragma once
#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>

#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

/// What std::optional and std::unique_ptr have in common. `make(x)` puts a new object in.
template <class Owner, class T, class Make>
void visit_owner(Owner& owner, visitor& v, Make make) {
  switch (v.present(static_cast<bool>(owner))) {
    case presence::unknown:
      if (!owner) return;
      break;
    case presence::absent:
      if (v.applying()) owner.reset();
      return;
    case presence::present:
      if constexpr (std::default_initializable<T>)
        if (v.applying() && !owner) make(owner);
  }
  if (owner) v.here(*owner);
  else v.template prototype_here<T>();
}

}  // namespace detail

/// Its value, or an empty dataset (h5py.Empty) where it has none. Restore makes it what the file has.
template <class T>
struct traits<std::optional<T>> {
  static void visit(std::optional<T>& o, visitor& v) {
    detail::visit_owner<std::optional<T>, T>(o, v, [](auto& x) { x.emplace(); });
  }
};

/// What it points to, or an empty dataset. Restore makes an object where the program has none.
template <class T, class D>
struct traits<std::unique_ptr<T, D>> {
  static void visit(std::unique_ptr<T, D>& p, visitor& v) {
    detail::visit_owner<std::unique_ptr<T, D>, T>(p, v, [](auto& x) { x.reset(new std::remove_reference_t<decltype(*x)>()); });
  }
};

/// The same; pointers to one object are saved as one object with several names (hard links) and come back as pointers
/// to one object.
template <class T>
struct traits<std::shared_ptr<T>> {
  static void visit(std::shared_ptr<T>& p, visitor& v) { v.shared(p); }
};

}  // namespace holdfast
