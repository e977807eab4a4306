#pragma once
/// Views for state that is not simply there: a part of a tensor, reached through functions, made by a factory, opaque, or keyed by
/// addresses.
/// Each may be bound as an rvalue: `state.bind("clock", accessor([&] { return c.now(); }, [&](long t) { c.set(t); }))`.
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/path.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast {

/// A view of the part of a tensor that this process holds: the block that begins at `offsets`, one for each dimension, in a tensor
/// of shape `global_shape`. In the file it is one dataset of that shape, which `mpi::save` makes from the parts of all
/// processes and any process restores its part from, whatever parts it was saved in. A 1-d view with one offset is a
/// stretch of the elements in C order, as ZeRO shards the optimizer's moments:
///
///   state.bind("model/weight", sharded(tensor(w, {rows, 768}), {50257, 768}, {first_row, 0}));
///   state.bind("optimizer/exp_avg", sharded(tensor(m, {n}), {50257, 768}, {first_element}));
///
/// Throws `error` for a part that is not within the tensor. A part may be empty.
template <class = void>
tensor_view sharded(const tensor_view& view, shape global_shape, std::vector<std::int64_t> offsets) { return view.part_of(std::move(global_shape), std::move(offsets)); }
/// The same of a view whose type is known.
template <class T>
tensor_ref<T> sharded(const tensor_ref<T>& of, shape global_shape, std::vector<std::int64_t> offsets) {
  return {of.view.part_of(std::move(global_shape), std::move(offsets))};
}

/// The same of an object that owns its elements, as a std::vector, which keeps its size in a restore.
template <class T>
struct sharded_ref {
  T& object;                          ///< that has the elements of the part
  shape global_shape;                 ///< of the tensor
  std::vector<std::int64_t> offsets;  ///< where the part begins in it
};
/// The same of an object that owns its elements: it must outlive the state.
template <tensor_like T>
  requires(!is_view<T>)
sharded_ref<T> sharded(T& object, shape global_shape, std::vector<std::int64_t> offsets) { return {object, std::move(global_shape), std::move(offsets)}; }
template <class T>
inline constexpr bool is_view<sharded_ref<T>> = true;
template <class T>
struct traits<sharded_ref<T>> {
  static constexpr bool read_only = std::is_const_v<T>;
  static tensor_view view(sharded_ref<T>& s) { return tensor_view(traits<std::remove_const_t<T>>::view(const_cast<std::remove_const_t<T>&>(s.object))).part_of(s.global_shape, s.offsets); }
};

/// State behind functions: `get()` returns a checkpointable value, and after a restore has read and verified everything
/// `set(value)` puts it back. What `set` throws is thrown by the restore, which then is half done and says so. With
/// `restore_order::random` it is put back with the random generators, after everything else.
template <class Get, class Set>
struct accessor_view {
  Get get;              ///< returns the value
  Set set;              ///< takes it back
  restore_order order;  ///< when
};
/// See `accessor_view`.
template <std::invocable Get, std::invocable<std::remove_cvref_t<std::invoke_result_t<Get&>>> Set>
accessor_view<Get, Set> accessor(Get get, Set set, restore_order order = restore_order::normal) { return {std::move(get), std::move(set), order}; }
template <class Get, class Set>
inline constexpr bool is_view<accessor_view<Get, Set>> = true;
template <class Get, class Set>
struct traits<accessor_view<Get, Set>> {
  static void visit(accessor_view<Get, Set>& a, visitor& v) { v.value(a.get, a.set, a.order); }
};

/// An object that may not be there yet, as moments before an optimizer's first step. `owner` is a pointer-like object that
/// `make()` can be assigned to (std::unique_ptr, std::shared_ptr, std::optional). Where the file has the object and the
/// program has not, a restore makes one; where the file has none, it takes the program's away. Any call of `make` returns a
/// new object: the plan of a restore makes one to compare with, and throws it away.
template <class Owner, class Make>
struct lazy_view {
  Owner& owner;  ///< what may hold the object
  Make make;     ///< returns a new one
};
/// See `lazy_view`.
template <class Owner, std::invocable Make>
  requires std::assignable_from<Owner&, std::invoke_result_t<Make&>>
lazy_view<Owner, Make> lazy(Owner& owner, Make make) { return {owner, std::move(make)}; }
template <class Owner, class Make>
inline constexpr bool is_view<lazy_view<Owner, Make>> = true;
template <class Owner, class Make>
struct traits<lazy_view<Owner, Make>> {
  static void visit(lazy_view<Owner, Make>& l, visitor& v) {
    const bool now = static_cast<bool>(l.owner);
    switch (v.present(now)) {
      case presence::unknown:
        if (!now) return;
        break;
      case presence::absent:
        if (v.applying()) l.owner = Owner();
        return;
      case presence::present:
        if (v.applying() && !now) l.owner = l.make();
    }
    if (l.owner) return v.here(*l.owner);
    auto stand_in = std::make_shared<Owner>();
    *stand_in = l.make();
    v.keep(stand_in);
    v.here(**stand_in);
  }
};

/// The bytes of a trivially copyable object as they lie in memory, padding included: uint8[sizeof(T)]. Only for state whose
/// fields cannot be named, since another compiler or machine may lay it out in another way and nobody can read it in h5py.
template <class T>
  requires std::is_trivially_copyable_v<T>
tensor_ref<std::uint8_t> opaque(T& object) {
  return tensor(reinterpret_cast<std::uint8_t*>(std::addressof(object)), {static_cast<std::int64_t>(sizeof(T))});
}

/// A map whose keys mean something only to this process, as the addresses that optimizers key their state by. `names` is
/// what the keys are called in the file, pairs of a name and a key; names that have no entry in the map are fine. A key
/// without a name is an error when it is saved, and a name of the file that is not in `names` one when it is restored. Restore
/// makes missing entries and removes those that the file has not.
template <class Map>
struct by_name_view {
  Map& map;                                                           ///< whose values are saved
  std::vector<std::pair<std::string, typename Map::key_type>> names;  ///< what its keys are called in the file
};
/// See `by_name_view`.
template <class Map>
by_name_view<Map> by_name(Map& map, std::vector<std::pair<std::string, typename Map::key_type>> names) { return {map, std::move(names)}; }
template <class Map>
inline constexpr bool is_view<by_name_view<Map>> = true;
template <class Map>
struct traits<by_name_view<Map>> {
  static void visit(by_name_view<Map>& m, visitor& v) {
    v.container();
    const auto has_name = [&](const auto& key) { return std::any_of(m.names.begin(), m.names.end(), [&](const auto& n) { return n.second == key; }); };
    if (v.saving() && !std::all_of(m.map.begin(), m.map.end(), [&](const auto& item) { return has_name(item.first); }))
      throw error("/" + v.path() + ": an entry has a key that by_name was given no name for; give every key a name");

    const auto incoming = v.incoming(true);
    if (!incoming) {  // in the order of the names, which is the same in every process
      for (const auto& [name, key] : m.names)
        if (const auto at = m.map.find(key); at != m.map.end()) v(encode_component(name), at->second);
      return;
    }
    const auto comes = [&](const auto& key) {
      return std::any_of(m.names.begin(), m.names.end(), [&](const auto& n) { return n.second == key && std::binary_search(incoming->begin(), incoming->end(), n.first); });
    };
    const auto asked_for = [&](const auto& key) {
      return std::any_of(m.names.begin(), m.names.end(), [&](const auto& n) { return n.second == key && v.selected(encode_component(n.first)); });
    };
    if (v.applying()) erase_if(m.map, [&](const auto& item) { return !comes(item.first) && asked_for(item.first); });
    for (const std::string& name : *incoming) {
      const auto named = std::find_if(m.names.begin(), m.names.end(), [&](const auto& n) { return n.first == name; });
      if (named == m.names.end()) {
        v.problem("names that the program has", "\"" + name + "\"", "leave it out with .except, or rename it");
        continue;
      }
      auto at = m.map.find(named->second);
      if (at == m.map.end() && v.applying()) at = m.map.try_emplace(named->second).first;
      if (at != m.map.end()) v(encode_component(name), at->second);
      else v.template prototype<typename Map::mapped_type>(encode_component(name));
    }
  }
};

}  // namespace holdfast
