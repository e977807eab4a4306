#pragma once
#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>

#include <cereal/details/util.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/polymorphic.hpp>

#include <holdfast/adapters/cereal/archives.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/types/string.hpp>

namespace holdfast::detail {

/// What a pointer may point to so that it goes through here: objects with cereal functions, and bases of such.
template <class T>
concept cereal_pointee = !own_traits<T> && !std::is_array_v<T> && (cereal_object<T> || std::is_polymorphic_v<T>);

/// Plans the restore of what `compare()` compares with the file, and which returns whether the file's parts follow from other
/// values. Where they differ in their parts, `load(visitor)` restores something that stands in.
template <class Compare, class Load>
void cereal_plan(visitor& v, bool can_stand_in, Compare&& compare, Load&& load) {
  const auto stand_in = [&] {
    v.at_once([&](visitor& now) {
      now.note<cereal_pass>().outer = &v.note<cereal_pass>();
      load(now);
    });
  };
  if (v.note<cereal_pass>().only_compares) {
    compare();
    return;
  }
  bool decided = false;
  const bool tries = can_stand_in && !v.read_only();
  const fit found = v.fits(tries, [&] { decided = compare(); });
  if (found == fit::whole || found == fit::no || !tries) return;
  if (found == fit::partly || decided) return stand_in();
  const fit loaded = v.fits(true, stand_in);
  if (loaded == fit::partly) stand_in();
  if (loaded != fit::structure) return;
  cereal_pass& pass = v.note<cereal_pass>();
  const bool outer = std::exchange(pass.only_compares, true);  // or every object would try what is in it as often as it is tried itself
  compare();                                                   // which has more to say
  pass.only_compares = outer;
  stand_in();  // which has the last word
}

/// What leads from one path to another: "../../1".
template <class = void>
std::string cereal_reference(const std::string& from, std::string_view to) {
  std::size_t common = 0;  // with the slash
  for (std::size_t i = 0; i <= from.size() && i <= to.size(); ++i) {
    const bool ends = i == from.size() || from[i] == '/', also = i == to.size() || to[i] == '/';
    if (ends && also) common = i + 1;
    if (i == from.size() || i == to.size() || from[i] != to[i]) break;
  }
  std::string up;
  if (common <= from.size())
    for (std::size_t i = common; i <= from.size(); ++i)
      if (i == from.size() || from[i] == '/') up += up.empty() ? ".." : "/..";
  if (common <= to.size()) (up += '/') += to.substr(common);
  return up;
}

/// Where it leads.
template <class = void>
std::string cereal_referred(std::string path, std::string_view reference) {
  for (std::size_t slash = 0; slash != reference.npos; reference.remove_prefix(slash == reference.npos ? 0 : slash + 1)) {
    slash = reference.find('/');
    const std::string_view part = reference.substr(0, slash);
    if (part != "..") (path += '/') += part;
    else path.resize(path.rfind('/') == path.npos ? 0 : path.rfind('/'));
  }
  return path;
}

/// Saves what a pointer points to, or compares it with the file; whether its parts follow from other values.
template <class T>
bool cereal_save_pointee(const T& x, visitor& v, bool is_shared) {
  const cereal_step<> step(v);
  cereal_pass& pass = v.note<cereal_pass>();
  const cereal_identity of = cereal_identity_of(x);
  cereal_saver here(v, nullptr, 0);

  const auto open = std::find_if(pass.open.begin(), pass.open.end(), [&](const auto& o) { return o.of == of; });
  const auto before = pass.shared.find(of);
  const bool again = before != pass.shared.end() && before->second != v.path();
  // A second name would let a group hold itself.
  if (open != pass.open.end() || (again && (pass.deferring || within(v.path(), before->second)))) {
    here.decides(cereal_reference_name, cereal_reference(v.path(), open != pass.open.end() ? std::string_view(v.path()).substr(0, open->path) : before->second));
    return here.differs();
  }
  if (v.planning() && v.below(cereal_reference_name).incoming_tensor()) {
    v.problem("an object", "a reference to another");
    return true;
  }
  if (again && v.planning()) {
    if (v.canonical() == v.canonical(before->second)) {
      v.accept();
      return false;
    }
    v.problem("one object with /" + before->second, "an object of its own");
    return true;
  }
  if (is_shared) {
    if (v.saving() && v.seen(of.first, &typeid(x))) return false;
    pass.shared.emplace(of, v.path());
  }

  if (of.second == typeid(T)) {
    if constexpr (!std::is_abstract_v<T> && checkpointable<T>) {
      v.here(const_cast<T&>(x));
      return false;
    }
  }
  if constexpr (std::is_polymorphic_v<T>) {
    const auto& types = cereal::detail::StaticObject<cereal::detail::OutputBindingMap<cereal_saver>>::getInstance().map;
    const auto type = types.find(of.second);
    if (type == types.end())
      throw error("/" + v.path() + ": the type " + cereal::util::demangle(of.second.name()) +
                  " is not registered; write CEREAL_REGISTER_TYPE where <holdfast/adapters/cereal.hpp> is included before it");
    here.polymorphic = true;
    try {
      type->second.unique_ptr(&here, &x, typeid(T));
    } catch (const cereal::Exception& e) {
      throw error("/" + v.path() + ": " + e.what());
    }
  }
  return here.differs();
}

/// Makes an object as the file has it: by load_and_construct, or by the default constructor, private or not. `known` is told of it before it is
/// loaded, since it may have pointers to itself.
template <class D, class Known>
void cereal_make(std::shared_ptr<D>& pointer, visitor& v, Known&& known) {
  using type = std::remove_const_t<D>;
  if constexpr (cereal_constructs<type>) {
    struct alignas(type) storage {
      std::byte bytes[sizeof(type)];
    };
    const auto constructed = std::make_shared<bool>(false);
    std::shared_ptr<type> made(reinterpret_cast<type*>(new storage()), [constructed](type* at) {
      if (*constructed) at->~type();
      delete reinterpret_cast<storage*>(at);
    });
    known(made);
    cereal_loader archive(v, made.get(), sizeof(type));
    using wrapper = cereal::memory_detail::LoadAndConstructLoadWrapper<cereal_loader, type>;
    if constexpr (cereal::traits::has_shared_from_this<type>::value) {
      cereal::memory_detail::EnableSharedStateHelper<type> state(made.get());
      wrapper(made.get(), [&] { state.restore(), *constructed = true; }).CEREAL_SERIALIZE_FUNCTION_NAME(archive);
    } else {
      wrapper(made.get(), [&] { *constructed = true; }).CEREAL_SERIALIZE_FUNCTION_NAME(archive);
    }
    pointer = std::move(made);
  } else if constexpr (cereal_loads<type> && !std::is_abstract_v<type>) {
    std::shared_ptr<type> made(cereal::access::construct<type>());
    known(made);
    v.here(*made);
    pointer = std::move(made);
  } else {
    v.problem("an object that can be made", "one of " + cereal::util::demangledName<type>(), "give the type a default constructor or load_and_construct");
  }
}
template <class D, class Delete, class Known>
void cereal_make(std::unique_ptr<D, Delete>& pointer, visitor& v, Known&&) {
  using type = std::remove_const_t<D>;
  if constexpr (cereal_constructs<type>) {
    struct alignas(type) storage {
      std::byte bytes[sizeof(type)];
    };
    auto raw = std::make_unique<storage>();
    auto* const at = reinterpret_cast<type*>(raw.get());
    cereal_loader archive(v, at, sizeof(type));
    const auto own = [&] { pointer.reset(reinterpret_cast<type*>(raw.release())); };
    cereal::memory_detail::LoadAndConstructLoadWrapper<cereal_loader, type>(at, own).CEREAL_SERIALIZE_FUNCTION_NAME(archive);
  } else if constexpr (cereal_loads<type> && !std::is_abstract_v<type>) {
    std::unique_ptr<type> made(cereal::access::construct<type>());
    v.here(*made);
    pointer.reset(made.release());
  } else {
    v.problem("an object that can be made", "one of " + cereal::util::demangledName<type>(), "give the type a default constructor or load_and_construct");
  }
}

template <class T>
void cereal_loader::pointee(cereal::memory_detail::PtrWrapper<T>& wrapper) {
  using type = std::remove_cvref_t<decltype(*wrapper.ptr)>;
  visitor& v = scope_.v;
  const auto known = [&](std::shared_ptr<void> object) { v.note<cereal_pass>().made.insert_or_assign(v.canonical(), cereal_pass::made_object{std::move(object), typeid(type)}); };
  if constexpr (cereal_loads<type>) {
    if (live != nullptr && live_type == typeid(type)) {
      restored_in_place = true;
      known(live);
      return v.here(*static_cast<type*>(live.get()));
    }
  }
  cereal_make(wrapper.ptr, v, known);
}

/// A pointer to the T that a whole object is or has as a base.
template <class T>
std::shared_ptr<T> cereal_cast(const cereal_pass::made_object& from, visitor& v) {
  if (from.type == typeid(T)) return std::static_pointer_cast<T>(from.object);
  const auto& casts = cereal::detail::PolymorphicCasters::lookup(typeid(T), from.type, [&] {  // which must not return
    v.problem("a pointer to " + cereal::util::demangledName<T>(), "an object of " + cereal::util::demangle(from.type.name()), "register their relation with CEREAL_REGISTER_POLYMORPHIC_RELATION");
  });
  std::shared_ptr<void> object = from.object;
  for (auto cast = casts.rbegin(); cast != casts.rend(); ++cast) object = (*cast)->upcast(object);
  return std::static_pointer_cast<T>(object);
}

/// Whether the file has a text here, which is then read.
template <class = void>
bool cereal_text(visitor& v, const char* name, std::string& text) {
  const auto found = v.below(name).incoming_tensor();
  if (!found || found->first != dtype::string) return false;
  v(name, text);
  return true;
}

/// The object that a reference leads to, which is told from where its pointer lies in the file. One that no pointer led to, but that
/// this pointer is a part of, can only be the one that it points to already.
template <class T>
void cereal_resolve(std::shared_ptr<T>& pointer, const std::string& reference, visitor& v) {
  const std::string target = cereal_referred(v.canonical(), reference);
  cereal_pass& pass = v.note<cereal_pass>();
  if (const auto made = pass.made.find(target); made != pass.made.end()) {
    pointer = cereal_cast<T>(made->second, v);
    return;
  }
  const auto leads_to = [&](const auto& s) { return v.canonical(s.second) == target; };
  if (pass.outer != nullptr && std::any_of(pass.outer->shared.begin(), pass.outer->shared.end(), leads_to)) return;  // it will be there
  const auto is_target = [&](const auto& o) { return o.path <= v.path().size() && v.canonical(v.path().substr(0, o.path)) == target; };
  const auto open = std::find_if(pass.open.begin(), pass.open.end(), is_target);
  if (open == pass.open.end() || pointer == nullptr || cereal_identity_of(*pointer) != open->of)
    v.problem("a shared pointer that leads to /" + target, "none", "bind the pointer itself, not what it points to");
}

/// Whether a type is registered, under this name.
template <class T>
bool cereal_is_named(const std::string& name) {
  if constexpr (requires { cereal::detail::binding_name<T>::name(); }) return name == cereal::detail::binding_name<T>::name();
  else return false;
}

/// Brings a pointer to what the file has. An object of the type of the file's is restored where it is.
template <class Pointer, class T>
void cereal_load_pointer(Pointer& pointer, std::type_identity<T>, visitor& v) {
  constexpr bool is_shared = std::is_same_v<Pointer, std::shared_ptr<T>>;
  cereal_pass& pass = v.note<cereal_pass>();
  switch (v.present(pointer != nullptr)) {
    case presence::unknown:
      if (pointer != nullptr) v.compare([&](visitor& to) { cereal_save_pointee<T>(*pointer, to, is_shared); });
      return;
    case presence::absent: pointer = nullptr; return;
    case presence::present: break;
  }
  const cereal_step<> step(v);
  cereal_loader archive(v, nullptr, 0);
  if constexpr (is_shared) {
    std::string reference;
    if (cereal_text(v, cereal_reference_name, reference)) return cereal_resolve(pointer, reference, v);
    if (const auto made = pass.made.find(v.canonical()); made != pass.made.end()) {
      pointer = cereal_cast<T>(made->second, v);
      return v.accept();
    }
  }
  if (pointer != nullptr) {
    const cereal_identity of = cereal_identity_of(*pointer);
    void* const whole = const_cast<void*>(of.first);
    if (pass.in_place.insert(of.first).second) {
      if constexpr (is_shared) archive.live = std::shared_ptr<void>(pointer, whole);
      else archive.live = std::shared_ptr<void>(std::shared_ptr<void>(), whole);
      archive.live_type = of.second;
    }
  }
  const auto load = [&](auto& into) { archive(cereal::make_nvp("ptr_wrapper", cereal::memory_detail::make_ptr_wrapper(into))); };
  std::string type;
  if (!cereal_text(v, cereal_type_name, type) || cereal_is_named<T>(type)) {
    if constexpr (std::is_abstract_v<T> || !cereal_object<T>) {
      v.problem("the name of a registered type in " + std::string(cereal_type_name), "none", "the file was saved for another type");
    } else if constexpr (is_shared) {
      std::shared_ptr<T> made;
      load(made);
      if (!archive.restored_in_place) pointer = std::move(made);
    } else {
      Pointer made(nullptr);
      load(made);
      if (!archive.restored_in_place) pointer.reset(made.release());
    }
    return;
  }
  const auto& types = cereal::detail::StaticObject<cereal::detail::InputBindingMap<cereal_loader>>::getInstance().map;
  const auto known = types.find(type);
  if (known == types.end())
    return v.problem("the name of a registered type", "\"" + type + "\"", "write CEREAL_REGISTER_TYPE for it where <holdfast/adapters/cereal.hpp> is included before");
  if constexpr (std::is_polymorphic_v<T>) {
    if constexpr (is_shared) {
      std::shared_ptr<void> made;
      known->second.shared_ptr(&archive, made, typeid(T));
      if (!archive.restored_in_place) pointer = std::static_pointer_cast<T>(made);
    } else {
      std::unique_ptr<void, cereal::detail::EmptyDeleter<void>> made;
      known->second.unique_ptr(&archive, made, typeid(T));
      if (!archive.restored_in_place) pointer.reset(static_cast<T*>(made.release()));
    }
  }
}

template <class Pointer, class T>
void cereal_visit_pointer(Pointer& pointer, std::type_identity<T> of, visitor& v) {
  constexpr bool is_shared = std::is_same_v<Pointer, std::shared_ptr<T>>;
  const auto save = [&] { return cereal_save_pointee<T>(*pointer, v, is_shared); };
  const auto load = [&](visitor& now) { cereal_load_pointer(pointer, of, now); };
  if (v.applying()) return v.at_once(load);
  switch (v.present(pointer != nullptr)) {
    case presence::absent: return;
    case presence::unknown:
      if (pointer == nullptr) return;
      break;
    case presence::present: break;
  }
  if (v.saving()) {
    bool outer = v.transient();
    if constexpr (is_shared) {
      if (outer) v.keep(std::const_pointer_cast<std::remove_const_t<T>>(pointer));
      v.set_transient(false);
    }
    save();
    v.set_transient(outer);
    return;
  }
  const auto stand_in = [&](visitor& now) {
    Pointer made(nullptr);
    cereal_load_pointer(made, of, now);
  };
  if (pointer != nullptr) {
    cereal_plan(v, true, save, stand_in);
  } else {
    cereal_plan(v, true, [] { return true; }, stand_in);
  }
}

}  // namespace holdfast::detail

namespace holdfast {

/// What it points to, or an empty dataset. The type of a polymorphic object is stored under its registered name. Pointers to one
/// object are saved as one object with several names; one to an object that it is a part of as a reference.
template <class T>
  requires detail::cereal_pointee<std::remove_const_t<T>>
struct traits<std::shared_ptr<T>> {
  static void visit(std::shared_ptr<T>& p, visitor& v) {
    using type = std::remove_const_t<T>;
    auto pointer = std::const_pointer_cast<type>(p);
    detail::cereal_visit_pointer(pointer, std::type_identity<type>(), v);
    if (v.applying()) p = pointer;
  }
};

template <class T>
  requires detail::cereal_pointee<std::remove_const_t<T>>
struct traits<std::weak_ptr<T>> {
  static void visit(std::weak_ptr<T>& p, visitor& v) {
    using type = std::remove_const_t<T>;
    auto pointer = std::const_pointer_cast<type>(p.lock());
    detail::cereal_visit_pointer(pointer, std::type_identity<type>(), v);
    if (v.applying()) p = pointer;
  }
};

template <class T, class Delete>
  requires detail::cereal_pointee<std::remove_const_t<T>>
struct traits<std::unique_ptr<T, Delete>> {
  static void visit(std::unique_ptr<T, Delete>& p, visitor& v) { detail::cereal_visit_pointer(p, std::type_identity<std::remove_const_t<T>>(), v); }
};

}  // namespace holdfast
