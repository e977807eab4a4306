#pragma once
#include <cstddef>
#include <string_view>

namespace holdfast {

/// Text as a template argument.
template <std::size_t N>
struct fixed_string {
  char s[N]{};  ///< with its terminating zero
  /// Of a literal.
  constexpr fixed_string(const char (&text)[N]) {
    for (std::size_t i = 0; i < N; ++i) s[i] = text[i];
  }
  /// Without the terminating zero.
  constexpr std::string_view view() const { return {s, N - 1}; }
};

namespace detail {

template <class T>
consteval auto spelling() { return std::string_view(__PRETTY_FUNCTION__); }

/// "list" for a std::list of whatever, nothing for what is no instance of a class template of namespace std.
template <class T>
inline constexpr std::string_view standard_name = [] {
  std::string_view text = spelling<T>();
  text.remove_suffix(text.size() - 1 - text.find_last_not_of("]; "));
  text.remove_prefix(text.find_first_not_of(' ', text.find('=') + 1));
  if (!text.starts_with("std::") || !text.ends_with('>')) return std::string_view();
  text = text.substr(0, text.find('<'));
  return text.substr(text.rfind(':') + 1);
}();

/// An instance of one of these class templates of namespace std. Types are recognised by their names where the header that has
/// them is dear: only the programs that use such a type include it.
template <class T, fixed_string... Names>
concept standard = ((standard_name<T> == Names.view()) || ...);

}  // namespace detail
}  // namespace holdfast
