#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>

#include <cereal/cereal.hpp>
#include <cereal/types/polymorphic.hpp>

#include <holdfast/adapters/cereal/scope.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast::detail {

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

  /// The program's own object, which is restored where it is if it has the type of the file's.
  std::shared_ptr<void> live;
  std::type_index live_type = typeid(void);
  bool restored_in_place = false;

 private:
  template <class T>
  void one(T& part) { named(scope_.numbered(), part); }
  template <class T>
  void one(cereal::NameValuePair<T>& pair) { named(scope_.named(pair.name), pair.value); }
  /// A pointer that is to get what the current path holds.
  template <class T>
  void one(cereal::NameValuePair<cereal::memory_detail::PtrWrapper<T>>& pair) { pointee(pair.value); }
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

}  // namespace holdfast::detail
