#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/pattern.hpp>
#include <holdfast/core/role.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// Names bound to live objects, by reference: what one checkpoint holds. Every bound object must outlive the state and
/// stay where it is. A state may be saved and restored any number of times, by one thread at a time.
template <class>
class basic_state {
 public:
  /// Binds an object under a path such as "model" or "optimizer/state". Throws `error` if the path is malformed, is
  /// bound already, or lies in /holdfast. That one leaf lies inside another is found when the state is first saved or
  /// restored, since it can depend on the objects.
  template <class T>
  basic_state& bind(std::string_view path, T& object) {
    static_assert(!std::is_const_v<T> || checkpointable<T>, "holdfast::traits is not specialised for this type");
    return add(path, [target = &object](visitor& v) { v.here(*target); });
  }

  /// Binds a view: `tensor(pointer, {rows, cols})`, a std::span. What it refers to must outlive the state.
  template <class T>
    requires(!std::is_lvalue_reference_v<T>)
  basic_state& bind(std::string_view path, T&& view) {
    static_assert(is_view<std::remove_const_t<T>>,
                  "bind takes lvalues: a temporary would be gone before it is saved (only views may be bound as rvalues)");
    return add(path, [view = std::make_shared<T>(std::forward<T>(view))](visitor& v) { v.here(*view); });
  }

  /// Declares what this run has, so that nothing of it is forgotten: `expects({role::model, role::rng, {role::data_order,
  /// "loader"}})`. Of what is declared and has nothing bound at or below its path, a save warns once (`on_warning`), and
  /// a restore throws `mismatch_error`.
  basic_state& expects(std::initializer_list<expected_role> roles) {
    for (const expected_role& r : roles) expected_.push_back(r);
    return *this;
  }

  /// Runs before each save takes what is bound, in the order given: to flush what the program holds elsewhere. What it throws
  /// the save throws.
  basic_state& before_save(std::function<void()> hook) {
    before_save_.push_back(std::move(hook));
    return *this;
  }
  /// Runs when a restore has put back everything but the random generators, in the order given: to rebuild what follows from
  /// the state. Generators come after it, so that a hook that draws cannot move them. What it throws the restore throws, and says
  /// that the state is partly restored.
  basic_state& after_restore(std::function<void()> hook) {
    after_restore_.push_back(std::move(hook));
    return *this;
  }
  /// Calls the hooks of `before_save`.
  void run_before_save() const {
    for (const auto& hook : before_save_) hook();
  }
  /// Calls the hooks of `after_restore`.
  void run_after_restore() const {
    for (const auto& hook : after_restore_) hook();
  }

  /// Promises that tensors whose path matches (a pattern as in `restore_options::only`) change only when `counter` does, as
  /// the weights of a frozen trunk: a `saver` or `checkpoint_directory` then neither copies nor digests them again, and
  /// shares their blocks with the last file where the file system can. A tensor that changes while its counter stays is
  /// saved as it was. The counter must outlive the state; of several that match, the last one counts.
  basic_state& version(std::string_view pattern, const std::uint64_t& counter) {
    versions_.push_back({detail::pattern(pattern), &counter});
    return *this;
  }
  /// A promise of `version`.
  struct versioned {
    detail::pattern which;         ///< paths
    const std::uint64_t* counter;  ///< without whose change they do not change
  };
  /// The promises of `version`, in the order they were made.
  const std::vector<versioned>& versions() const noexcept { return versions_; }

  /// The declared roles that nothing is bound for.
  std::vector<expected_role> unbound_roles() const {
    std::vector<expected_role> all;
    for (const expected_role& r : expected_) {
      const bool bound = std::any_of(bindings_.begin(), bindings_.end(), [&](const binding& b) { return detail::within(b.path, r.path); });
      if (!bound) all.push_back(r);
    }
    return all;
  }

  /// Takes every binding in the order it was made through `pass`.
  void visit(detail::walk& pass) const {
    pass.binding = 0;
    visitor v(pass, {});
    for (const binding& b : bindings_) {
      v.path_ = b.path;
      b.visit(v);
      ++pass.binding;
    }
  }

  /// Number of bindings.
  std::size_t size() const noexcept { return bindings_.size(); }

 private:
  struct binding {
    std::string path;
    std::function<void(visitor&)> visit;
  };

  basic_state& add(std::string_view path, std::function<void(visitor&)> visit) {
    std::string checked(detail::checked_path(path));
    if (!names_.insert(checked).second) throw error("/" + checked + " is bound twice; give every object a name of its own");
    bindings_.push_back({std::move(checked), std::move(visit)});
    return *this;
  }

  std::vector<binding> bindings_;
  std::set<std::string, std::less<>> names_;
  std::vector<expected_role> expected_;
  std::vector<versioned> versions_;
  std::vector<std::function<void()>> before_save_, after_restore_;
};
/// What a program saves and restores.
using state = basic_state<void>;

}  // namespace holdfast
