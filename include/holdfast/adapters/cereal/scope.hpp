#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include <cereal/cereal.hpp>
#include <cereal/types/polymorphic.hpp>

#include <holdfast/core/views.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/types/string.hpp>

namespace cereal {
template <class T>
class DeferredData;  // came with 1.3
}  // namespace cereal

namespace holdfast::detail {

class cereal_saver;
class cereal_loader;

/// Types with traits that somebody wrote: they never go through cereal.
template <class T>
concept own_traits = !std::is_base_of_v<fallback_traits<T>, traits<T>>;

/// Where there are too many functions, cereal says so.
template <class T>
concept has_cereal_functions = !std::is_pointer_v<T> && !std::is_arithmetic_v<T> && cereal::traits::detail::count_output_serializers<T, cereal_saver>::value != 0;

/// Types that go through their cereal functions.
template <class T>
concept cereal_object = !own_traits<T> && has_cereal_functions<T>;

template <class T>
inline constexpr bool cereal_loads = cereal::traits::detail::count_input_serializers<T, cereal_loader>::value != 0;
template <class T>
inline constexpr bool cereal_constructs = cereal::traits::has_load_and_construct<T, cereal_loader>::value;

/// The address of the whole object that this one may be a base of, and its type.
using cereal_identity = std::pair<const void*, std::type_index>;
template <class T>
cereal_identity cereal_identity_of(const T& x) {
  if constexpr (std::is_polymorphic_v<T>) return {dynamic_cast<const void*>(&x), typeid(x)};
  else return {&x, typeid(T)};
}

/// What one pass over a state knows of the objects that have cereal functions.
struct cereal_pass {
  struct open_object {
    cereal_identity of;
    std::size_t path;  ///< the length of its path, of which those of all later ones are continuations
  };
  struct made_object {
    std::shared_ptr<void> object;  ///< the whole one
    std::type_index type;
  };
  std::vector<open_object> open;                  ///< those being visited
  std::map<cereal_identity, std::string> shared;  ///< paths of those that were visited through a shared pointer
  std::map<std::string, made_object> made;        ///< of a restore, by path in the file
  std::set<const void*> in_place;                 ///< of these, those that the program had
  std::vector<std::function<void()>> deferred;    ///< by cereal::defer
  std::size_t next = 0;                           ///< of these
  bool deferring = false;                         ///< while they run
  std::size_t depth = 0;                          ///< pointers that led here
  bool only_compares = false;                     ///< nothing stands in
  const cereal_pass* outer = nullptr;             ///< while an object stands in for one of these

  void run_deferred() {
    const bool before = std::exchange(deferring, true);
    while (next < deferred.size()) std::exchange(deferred[next++], nullptr)();
    deferred.clear();
    next = 0;
    deferring = before;
  }
};

/// Holds one step along a chain of pointers, which takes stack in every pass, and ends in an error before the stack does.
template <class = void>
class cereal_step {
 public:
  explicit cereal_step(visitor& v) : depth_(v.note<cereal_pass>().depth) {
    if (depth_ == most)
      throw error("/" + v.path() + ": pointers lead to pointers more than " + std::to_string(most) + " deep, as in a long list; save what they lead to in a container, with cereal::defer for the pointers");
    ++depth_;
  }
  cereal_step(const cereal_step&) = delete;
  ~cereal_step() { --depth_; }

 private:
  static constexpr std::size_t most = 200;
  std::size_t& depth_;
};

/// Keeps an object open while it is visited.
class cereal_visit {
 public:
  template <class T>
  cereal_visit(visitor& v, const T& x) : pass_(v.note<cereal_pass>()) {
    pass_.open.push_back({cereal_identity_of(x), v.path().size()});
  }
  cereal_visit(const cereal_visit&) = delete;
  ~cereal_visit() { pass_.open.pop_back(); }

 private:
  cereal_pass& pass_;
};

/// Where an archive is: in a function of one object, whose parts get names.
template <class = void>
class cereal_scope {
 public:
  cereal_scope(visitor& at, const void* object, std::size_t size) : v(at), begin_(static_cast<const std::byte*>(object)), end_(begin_ + size) {}

  visitor& v;

  std::string numbered() { return unique(std::to_string(number_++)); }
  std::string named(std::string_view given) { return unique(encode_component(given)); }
  /// Whether there are parts.
  bool any() const { return !names_.empty() || is_value_; }

  /// Whether the object is one value, as far as is known when that comes.
  bool is_value() { return is_value_ = names_.empty() && !flat_; }
  void is_no_value() { flat_ = true; }

  /// Whether something is a part of the object, and so there for as long as it.
  bool holds(const void* part) const {
    const std::less<> before;
    return begin_ != nullptr && !before(part, begin_) && before(part, end_);
  }

 private:
  /// A class and its base may both have an "x".
  std::string unique(std::string name) {
    const int times = ++names_[name];
    return times == 1 ? name : unique(name + "_" + std::to_string(times));
  }

  const std::byte *begin_, *end_;
  std::map<std::string, int, std::less<>> names_;
  int number_ = 0;
  bool is_value_ = false, flat_ = false;
};

/// The elements of cereal::binary_data: numbers of the pointer's type, or bytes.
template <class T>
tensor_view cereal_elements(const cereal::BinaryData<T>& data) {
  using pointee = std::remove_cv_t<std::remove_all_extents_t<std::remove_pointer_t<std::remove_reference_t<T>>>>;
  using number = std::conditional_t<std::is_arithmetic_v<pointee> && element<pointee>, pointee, std::byte>;
  void* const at = const_cast<void*>(data.data);
  if (data.size % sizeof(number) != 0) return tensor_view(static_cast<std::byte*>(at), {static_cast<std::int64_t>(data.size)});
  return tensor_view(static_cast<number*>(at), {static_cast<std::int64_t>(data.size / sizeof(number))});
}

/// What a member of a class is called that cereal itself gives it.
inline constexpr const char *cereal_version_name = "cereal_class_version", *cereal_size_name = "size", *cereal_type_name = "polymorphic_name",
                            *cereal_reference_name = "reference";

}  // namespace holdfast::detail
