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

/// The archive that functions save to: it visits what they give it. While a restore is planned it compares the live object with
/// the file; where a value that decides which parts follow differs, it reports that and takes no notice of the rest.
class cereal_saver : public cereal::OutputArchive<cereal_saver, cereal::AllowEmptyClassElision> {
  using base = cereal::OutputArchive<cereal_saver, cereal::AllowEmptyClassElision>;

 public:
  /// What it is given lies in an object, or, where that is null, may be gone after the visit.
  cereal_saver(visitor& v, const void* object, std::size_t size) : base(this), scope_(v, object, size) {}

  template <class... T>
  cereal_saver& operator()(T&&... parts) {
    (one(std::as_const(parts)), ...);
    return *this;
  }
  template <class T>
  cereal_saver& operator&(T&& part) { return (*this)(part); }
  template <class T>
  cereal_saver& operator<<(T&& part) { return (*this)(part); }
  void serializeDeferments() { scope_.v.note<cereal_pass>().run_deferred(); }

  /// Calls the functions of an object, whose parts become parts of the current path.
  template <class T>
  void object(const T& x) { base::operator()(x); }

  /// Whether it was given anything.
  bool any() const { return scope_.any(); }
  /// Whether the file's parts follow from other values.
  bool differs() const { return differs_; }

  /// A value that decides which parts follow.
  template <class V>
  void decides(const char* given, V value) {
    if (differs_) return;
    visitor& v = scope_.v;
    const std::string name = scope_.named(given);
    if (v.saving()) return v.transient(name, value);
    if (!v.selected(name)) return;
    V found = value;
    bool read = false;
    v.at_once([&](visitor& now) {
      now(name, found);
      read = true;
    });
    differs_ = !read || found != value;
    if (read && differs_) v.below(name).problem(text(value), text(found), "give the program's object the parts that the file has");
  }

  /// What cereal's own code gives: the version of a class, and the one value of an object that is no more than that, which is
  /// stored as the object.
  template <class T>
  void own(const cereal::NameValuePair<T>& pair) { decides(pair.name, pair.value); }
  template <class T>
  void own(const T& value) {
    if (differs_) return;
    if (!scope_.is_value()) return one(value);
    const bool outer = scope_.v.set_transient(true);
    scope_.v.here(const_cast<T&>(value));
    scope_.v.set_transient(outer);
  }

  /// On, it takes what cereal says of a polymorphic object: the name of its type, and the object.
  bool polymorphic = false;

 private:
  template <class T>
  void one(const T& part) { named(scope_.numbered(), part); }
  template <class T>
  void one(const cereal::NameValuePair<T>& pair) {
    using value = std::remove_cvref_t<decltype(pair.value)>;
    if (!polymorphic) named(scope_.named(pair.name), pair.value);
    else if constexpr (std::is_same_v<value, std::string>) decides(cereal_type_name, pair.value);
    else pointee(pair.value);
  }
  template <class T>
  void one(const cereal::SizeTag<T>& tag) { decides(cereal_size_name, static_cast<std::uint64_t>(tag.size)); }
  template <class T>
  void one(const cereal::base_class<T>& part) { scope_.is_no_value(), base::operator()(part); }
  template <class T>
  void one(const cereal::virtual_base_class<T>& part) { scope_.is_no_value(), base::operator()(part); }

  template <class T>
  void named(const std::string& name, const T& part) {
    if (differs_) return;
    if constexpr (checkpointable<T>) visit(name, const_cast<T&>(part), std::addressof(part));
    else base::operator()(part);  // an empty class, or cereal's own word on what it cannot save
  }
  template <class T>
  void named(const std::string& name, const cereal::BinaryData<T>& data) {
    if (differs_) return;
    tensor_view elements = cereal_elements(data);
    visit(name, elements, data.data);
  }
  template <class T>
  void named(const std::string&, const cereal::SizeTag<T>& tag) { one(tag); }
  template <class T>
  void named(const std::string& name, const cereal::base_class<T>& part) { named(name, *part.base_ptr); }
  template <class T>
  void named(const std::string& name, const cereal::virtual_base_class<T>& part) { named(name, *part.base_ptr); }
  template <class T>
  void named(const std::string& name, const cereal::memory_detail::PtrWrapper<T>& wrapper) { named(name, wrapper.ptr); }
  template <class K, class V>
  void named(const std::string& name, const cereal::MapItem<K, V>& item) {
    if (differs_) return;
    visitor v = scope_.v.below(name);
    cereal_saver inside(v, nullptr, 0);
    inside.named("key", item.key);
    inside.named("value", item.value);
    differs_ = inside.differs_;
  }
  template <class T>
  void named(const std::string& name, const cereal::DeferredData<T>& part) {
    if (differs_) return;
    scope_.v.note<cereal_pass>().deferred.push_back([v = scope_.v.below(name), part, inside = scope_.holds(std::addressof(part.value))]() mutable {
      if (!inside) v.set_transient(true);
      v.here(const_cast<std::remove_cvref_t<decltype(part.value)>&>(part.value));
    });
  }

  template <class T>
  void visit(const std::string& name, T& part, const void* where) {
    visitor& v = scope_.v;
    if (scope_.holds(where)) return v(name, part);
    if constexpr (element<T> || std::is_same_v<T, std::string>)
      if (v.planning() && v.selected(name)) return weigh(name, part);
    v.transient(name, part);
  }

  /// A variable may say which parts a load function asks for: where the file has another value, one is to be tried.
  template <class T>
  void weigh(const std::string& name, const T& variable) {
    T found = variable;
    scope_.v.at_once([&](visitor& now) { now(name, found); });
    const auto bytes = [](const T& x) { return std::as_bytes(std::span(&x, 1)); };
    bool same = false;
    if constexpr (element<T>) same = std::equal(bytes(found).begin(), bytes(found).end(), bytes(variable).begin());
    else same = found == variable;
    if (!same) scope_.v.doubt();
  }

  template <class T>
  void pointee(const T&) {}  // what cereal numbers types by
  template <class T>
  void pointee(const cereal::memory_detail::PtrWrapper<T>& wrapper) {
    using type = std::remove_cvref_t<decltype(*wrapper.ptr)>;
    if (!differs_) scope_.v.here(const_cast<type&>(*wrapper.ptr));
  }

  template <class V>
  static std::string text(const V& value) {
    if constexpr (std::is_arithmetic_v<V>) return std::to_string(value);
    else return "\"" + value + "\"";
  }

  cereal_scope<> scope_;
  bool differs_ = false;
};

/// The archive that functions load from: what they ask for has the file's content before they go on.
class cereal_loader : public cereal::InputArchive<cereal_loader, cereal::AllowEmptyClassElision> {
  using base = cereal::InputArchive<cereal_loader, cereal::AllowEmptyClassElision>;

 public:
  /// `v` restores at once.
  cereal_loader(visitor& v, const void* object, std::size_t size) : base(this), scope_(v, object, size) {}

  template <class... T>
  cereal_loader& operator()(T&&... parts) {
    (one(parts), ...);
    return *this;
  }
  template <class T>
  cereal_loader& operator&(T&& part) { return (*this)(part); }
  template <class T>
  cereal_loader& operator>>(T&& part) { return (*this)(part); }
  void serializeDeferments() { scope_.v.note<cereal_pass>().run_deferred(); }

  template <class T>
  void object(T& x) { base::operator()(x); }

  template <class T>
  void own(cereal::NameValuePair<T>& pair) { named(scope_.named(pair.name), pair.value); }
  template <class T>
  void own(T& value) {
    if (!scope_.is_value()) return one(value);
    scope_.v.here(value);
    require(scope_.v);
  }

  /// On, it takes what cereal says of a polymorphic object: the pointer that it fills, unless the program's own object `live` has
  /// the type of the file's and can be restored where it is.
  bool polymorphic = false;
  std::shared_ptr<void> live;
  std::type_index live_type = typeid(void);
  bool restored_in_place = false;

 private:
  template <class T>
  void one(T& part) { named(scope_.numbered(), part); }
  template <class T>
  void one(cereal::NameValuePair<T>& pair) {
    if (polymorphic) pointee(pair.value);
    else named(scope_.named(pair.name), pair.value);
  }
  template <class T>
  void one(cereal::SizeTag<T>& tag) {
    const std::string name = scope_.named(cereal_size_name);
    std::uint64_t size = 0;
    named(name, size);
    if (size > most_elements(scope_.v.held()))
      scope_.v.below(name).problem("a number of elements that the file has", std::to_string(size), "the file was not written by this program, or is damaged");
    tag.size = static_cast<std::remove_reference_t<decltype(tag.size)>>(size);
  }
  template <class T>
  void one(cereal::base_class<T>& part) { scope_.is_no_value(), base::operator()(part); }
  template <class T>
  void one(cereal::virtual_base_class<T>& part) { scope_.is_no_value(), base::operator()(part); }

  template <class T>
  void named(const std::string& name, T& part) {
    if constexpr (checkpointable<T>) {
      scope_.v(name, part);
      if constexpr (tensor_like<T>)
        if (!scope_.holds(std::addressof(part))) require(scope_.v.below(name));
    } else {
      base::operator()(part);
    }
  }
  template <class T>
  void named(const std::string& name, cereal::BinaryData<T>& data) {
    tensor_view elements = cereal_elements(data);
    if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(data.data)>>) scope_.v(name, elements);
    if (!scope_.holds(data.data)) require(scope_.v.below(name));
  }
  template <class T>
  void named(const std::string&, cereal::SizeTag<T>& tag) { one(tag); }
  template <class T>
  void named(const std::string& name, cereal::base_class<T>& part) { named(name, *part.base_ptr); }
  template <class T>
  void named(const std::string& name, cereal::virtual_base_class<T>& part) { named(name, *part.base_ptr); }
  template <class T>
  void named(const std::string& name, cereal::memory_detail::PtrWrapper<T>& wrapper) { named(name, wrapper.ptr); }
  template <class A, class T>
  void named(const std::string&, cereal::memory_detail::LoadAndConstructLoadWrapper<A, T>& made) { made.CEREAL_SERIALIZE_FUNCTION_NAME(*this); }
  template <class K, class V>
  void named(const std::string& name, cereal::MapItem<K, V>& item) {
    visitor v = scope_.v.below(name);
    cereal_loader inside(v, nullptr, 0);
    inside.named("key", item.key);
    inside.named("value", item.value);
  }
  template <class T>
  void named(const std::string& name, cereal::DeferredData<T>& part) {
    scope_.v.note<cereal_pass>().deferred.push_back([v = scope_.v.below(name), part]() mutable { v.here(part.value); });
  }

  template <class T>
  void pointee(T&) {}
  template <class T>
  void pointee(cereal::memory_detail::PtrWrapper<T>& wrapper);

  /// More cannot lie in so many entries and bytes; elements may be bits. Few are no harm.
  static std::uint64_t most_elements(std::uint64_t held) { return 8 * held + (std::uint64_t{1} << 16); }

  /// What is read into a variable cannot stay as it is.
  static void require(visitor v) {
    if (!v.incoming_tensor())
      v.problem("a value, which the program's load function reads into a variable", "none that this restore takes", "restore all of the object, or leave all of it out");
  }

  cereal_scope<> scope_;
};

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const cereal::NameValuePair<T>& pair) { archive.own(pair); }
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, cereal::NameValuePair<T>& pair) { archive.own(pair); }
template <class T>
  requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const T& value) { archive.own(value); }
template <class T>
  requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, T& value) { archive.own(value); }
inline void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const std::string& value) { archive.own(value); }
inline void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, std::string& value) { archive.own(value); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const cereal::SizeTag<T>& tag) { archive(tag); }
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, cereal::SizeTag<T>& tag) { archive(tag); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_saver& archive, const cereal::BinaryData<T>& data) { archive(data); }
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_loader& archive, cereal::BinaryData<T>& data) { archive(data); }

}  // namespace holdfast::detail

CEREAL_SETUP_ARCHIVE_TRAITS(holdfast::detail::cereal_loader, holdfast::detail::cereal_saver)
CEREAL_REGISTER_ARCHIVE(holdfast::detail::cereal_saver)
CEREAL_REGISTER_ARCHIVE(holdfast::detail::cereal_loader)
