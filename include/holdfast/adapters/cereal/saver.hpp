#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <cereal/cereal.hpp>
#include <cereal/types/polymorphic.hpp>

#include <holdfast/adapters/cereal/scope.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast::detail {

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

  /// On, of what cereal says of a polymorphic object's type it takes the name, and not the number.
  bool polymorphic = false;

 private:
  template <class T>
  void one(const T& part) { named(scope_.numbered(), part); }
  template <class T>
  void one(const cereal::NameValuePair<T>& pair) {
    if (!polymorphic) return named(scope_.named(pair.name), pair.value);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(pair.value)>, std::string>) decides(cereal_type_name, pair.value);
  }
  /// What a pointer points to, as what the current path holds.
  template <class T>
  void one(const cereal::NameValuePair<cereal::memory_detail::PtrWrapper<T>>& pair) {
    using type = std::remove_cvref_t<decltype(*pair.value.ptr)>;
    if (!differs_) scope_.v.here(const_cast<type&>(*pair.value.ptr));
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

  template <class V>
  static std::string text(const V& value) {
    if constexpr (std::is_arithmetic_v<V>) return std::to_string(value);
    else return "\"" + value + "\"";
  }

  cereal_scope<> scope_;
  bool differs_ = false;
};

}  // namespace holdfast::detail
