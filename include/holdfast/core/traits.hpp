#pragma once
/// How a type becomes checkpointable. Specialise `holdfast::traits<T>` in one of two forms:
///
///   tensor:     static tensor_view view(T&);                       where its elements are
///               static void resize(T&, const shape&);              optional: it can take another size
///               static bool accepts(const T&, const shape&);       optional: which ones; any of its rank without it
///               static void place(T&, memory_space);               optional: it can move, without its content
///               static constexpr bool any_size = true;             optional: restore always decides the size
///               static constexpr bool read_only = true;            optional: can be saved and not restored
///   composite:  static void visit(T&, visitor&);                   names its parts: v("weight", x.weight)
///
/// `visit` is one function for both directions: it is called to save, to check a restore against the file without
/// changing anything, and to restore. For a plain struct, derive from `fields` and write no function at all:
///
///   template <> struct holdfast::traits<mlp>
///       : holdfast::fields<holdfast::field<&mlp::weight>, holdfast::field<&mlp::bias, "fc1.bias">> {};
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include <holdfast/core/standard.hpp>
#include <holdfast/core/tensor_view.hpp>

namespace holdfast {

class visitor;

namespace detail {

/// What the traits of a type are for which nobody specialised them: nothing, but where an adapter takes types by what they can do.
template <class T>
struct fallback_traits {};

}  // namespace detail

/// See the top of this header. The specialisation must be visible wherever T is first bound or visited.
template <class T>
struct traits : detail::fallback_traits<T> {};

/// A type whose traits have the tensor form.
template <class T>
concept tensor_like = requires(T& object) {
  { traits<T>::view(object) } -> std::convertible_to<tensor_view>;
};

/// A type whose traits have the composite form.
template <class T>
concept composite_like = requires(T& object, visitor& v) { traits<T>::visit(object, v); };

/// What `state::bind` and `visitor` take: a type whose `traits` have one of the two forms.
template <class T>
concept checkpointable = tensor_like<std::remove_const_t<T>> || composite_like<std::remove_const_t<T>>;

/// A view of state that lives elsewhere, such as `tensor_ref` or std::span: only these may be bound as rvalues.
/// Specialise it for a view type of your own.
template <class T>
inline constexpr bool is_view = false;
template <class T>
inline constexpr bool is_view<tensor_ref<T>> = true;
template <>
inline constexpr bool is_view<tensor_view> = true;

namespace detail {

/// The member's own name, cut from the compiler's spelling of this function, which ends in "...&type::name]" or
/// "...(& type::name)]" or, with nvcc, with a semicolon after it.
template <auto Member>
constexpr std::string_view member_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  const std::size_t end = text.find_last_not_of("]) ");
  text = text.substr(0, end + 1);
  if (const std::size_t semicolon = text.find(';'); semicolon != std::string_view::npos) text = text.substr(0, semicolon);
  while (!text.empty() && (text.back() == ')' || text.back() == ' ')) text.remove_suffix(1);
  return text.substr(text.rfind(':') + 1);
}

}  // namespace detail

/// One data member of a composite, under its own name or a given one. A given name may hold '/' to make groups.
template <auto Member, fixed_string Name = "">
struct field {
  /// The pointer to the member.
  static constexpr auto member = Member;
  /// The name that was given, or the member's own.
  static constexpr std::string_view name = [] {
    if constexpr (Name.view().empty()) return detail::member_name<Member>();
    else return Name.view();
  }();
};

/// The composite form of a struct whose fields are data members (its own or a base's).
template <class... Fields>
struct fields {
  /// Visits the members in the order given.
  template <class T, class Visitor>
  static void visit(T& object, Visitor& v) {
    (v(Fields::name, object.*Fields::member), ...);
  }
};

template <>
struct traits<tensor_view> {
  static tensor_view view(tensor_view& t) { return t; }
};
template <class T>
struct traits<tensor_ref<T>> {
  static constexpr bool read_only = std::is_const_v<T>;
  static tensor_view view(tensor_ref<T>& t) { return t.view; }
};

/// Scalars are 0-d tensors.
template <element T>
struct traits<T> {
  static tensor_view view(T& value) { return tensor_view(&value, shape{}); }
};

}  // namespace holdfast
