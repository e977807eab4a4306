#pragma once
#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/types/string.hpp>
#include <holdfast/types/vector.hpp>

namespace holdfast {
namespace detail {

/// The text that a standard engine or distribution streams, always in the classic locale, whose numbers have no
/// thousands separators and a decimal point. The standard makes reading it back exact; see `set_parameters`.
template <class T>
std::string streamed_text(const T& object) {
  std::ostringstream out;
  out.exceptions(std::ios::badbit | std::ios::failbit);  // without it a stream that finds no memory is silently cut short
  out.imbue(std::locale::classic());
  out << object;
  return out.str();
}

/// libstdc++ reads the parameters of a normal_distribution<long double> as doubles: they are read again, exactly.
template <class T>
void set_parameters(const std::string& text, T& object) {
  if constexpr (standard<T, "normal_distribution">) {
    std::istringstream in(text);
    in.imbue(std::locale::classic());
    typename T::result_type mean, deviation;
    if (in >> mean >> deviation) object.param(typename T::param_type(mean, deviation));
  }
}

/// Whether a distribution can have these parameters, of which some have one.
template <class D, class A, class B>
bool has_parameters(A a, B b) {
  if constexpr (standard<D, "uniform_int_distribution", "uniform_real_distribution">) return a <= b;
  else if constexpr (standard<D, "normal_distribution", "lognormal_distribution", "extreme_value_distribution", "cauchy_distribution">) return b > 0;
  else if constexpr (standard<D, "gamma_distribution", "weibull_distribution", "fisher_f_distribution">) return a > 0 && b > 0;
  else if constexpr (standard<D, "chi_squared_distribution", "student_t_distribution", "exponential_distribution", "poisson_distribution">) return a > 0;
  else if constexpr (standard<D, "geometric_distribution">) return a > 0 && a < 1;
  else if constexpr (standard<D, "binomial_distribution">) return a >= 0 && b >= 0 && b <= 1;
  else if constexpr (standard<D, "negative_binomial_distribution">) return a > 0 && b > 0 && b <= 1;
}

/// Whether a text is one that a distribution streams. libstdc++ reads parameters that no distribution has, and where it checks
/// (_GLIBCXX_ASSERTIONS) it ends the program. What follows the parameters is that of a distribution made with them, but for
/// values drawn ahead: a flag that is 1 instead of 0, and the value.
template <class D>
bool is_text_of(const std::string& text) {
  const auto words = [](const std::string& of) {
    std::istringstream in(of);
    std::vector<std::string> all;
    for (std::string word; in >> word;) all.push_back(word);
    return all;
  };
  constexpr bool one = standard<D, "chi_squared_distribution", "student_t_distribution", "exponential_distribution", "poisson_distribution", "geometric_distribution">;
  constexpr bool counts = standard<D, "binomial_distribution", "negative_binomial_distribution">;
  using number = typename D::result_type;
  using real = std::conditional_t<std::is_integral_v<number>, double, number>;
  using first = std::conditional_t<counts || standard<D, "uniform_int_distribution">, number, real>;
  using second = std::conditional_t<counts, double, first>;
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  first a{};
  second b{};
  if (!(in >> a) || (!one && !(in >> b)) || !has_parameters<D>(a, b)) return false;
#ifdef __GLIBCXX__
  if constexpr (standard<D, "normal_distribution">) return true;  // which is its parameters, a flag and a value
  const D made = [&] {
    if constexpr (one) return D(a);
    else return D(a, b);
  }();
  const std::vector<std::string> found = words(text), expected = words(streamed_text(made));
  std::size_t at = 0;
  for (const std::string& word : expected) {
    if (at == found.size()) return false;
    if (found[at] != word && (word != "0" || found[at++] != "1" || at == found.size())) return false;
    ++at;
  }
  return at == found.size();
#else
  return true;
#endif
}

template <class T>
void stream_back(const std::string& text, T& object) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  T read;
  if (!(in >> read)) throw error("the saved state of a random generator is not one: \"" + text.substr(0, 40) + "…\"");
  set_parameters(text, read);
  object = read;
}

/// An engine's state as the integers it streams, and which engine they are of.
struct engine_state {
  std::string engine;
  std::vector<std::uint64_t> state;
};

/// A distribution's parameters and what it has drawn ahead, as text of a width that stays the same while it runs.
struct distribution_state {
  std::string distribution, state;
};

/// What an engine adaptor draws from.
template <class E>
using base_engine = std::remove_cvref_t<decltype(std::declval<const E&>().base())>;

/// The type without the spelling of one compiler: "mersenne_twister_engine<64, 312, …>".
template <class E>
std::string engine_name() {
  const auto with = [](std::initializer_list<unsigned long long> parameters) {
    std::string s;
    for (const unsigned long long p : parameters) s += (s.empty() ? "" : ", ") + std::to_string(p);
    return std::string(standard_name<E>) + "<" + s + ">";
  };
  if constexpr (standard<E, "mersenne_twister_engine">)
    return with({E::word_size, E::state_size, E::shift_size, E::mask_bits, E::xor_mask, E::tempering_u, E::tempering_d, E::tempering_s, E::tempering_b,
                 E::tempering_t, E::tempering_c, E::tempering_l, E::initialization_multiplier});
  else if constexpr (standard<E, "linear_congruential_engine">) return with({E::multiplier, E::increment, E::modulus});
  else if constexpr (standard<E, "subtract_with_carry_engine">) return with({E::word_size, E::short_lag, E::long_lag});
  else if constexpr (standard<E, "discard_block_engine">) return with({E::block_size, E::used_block}) + " of " + engine_name<base_engine<E>>();
  else if constexpr (standard<E, "independent_bits_engine">) return with({static_cast<unsigned>(std::bit_width(E::max()))}) + " of " + engine_name<base_engine<E>>();
  else if constexpr (standard<E, "shuffle_order_engine">) return with({E::table_size}) + " of " + engine_name<base_engine<E>>();
}

/// Whether integers are a state that an engine can be in. The standard libraries read back whatever there is, and an engine
/// with a position beyond its words then reads and writes beyond them. libstdc++ streams a position that libc++ does not.
template <class E>
bool is_state_of(std::span<const std::uint64_t> state) {
  const auto words = [](std::span<const std::uint64_t> some) {
    constexpr std::uint64_t least = E::min(), most = E::max();
    return std::all_of(some.begin(), some.end(), [](std::uint64_t x) { return x - least <= most - least; });  // nvcc warns of 0 <= x
  };
  const std::size_t size = state.size();
  if constexpr (standard<E, "mersenne_twister_engine">) {
    constexpr std::size_t n = E::state_size;
    return (size == n || (size == n + 1 && state.back() <= n)) && words(state.first(n));
  } else if constexpr (standard<E, "linear_congruential_engine">) {
    return size == 1 && words(state);
  } else if constexpr (standard<E, "subtract_with_carry_engine">) {
    constexpr std::size_t n = E::long_lag;
    return (size == n + 1 || (size == n + 2 && state.back() < n)) && state[n] <= 1 && words(state.first(n));
  } else if constexpr (standard<E, "discard_block_engine">) {
    return size != 0 && state.back() <= E::block_size && is_state_of<base_engine<E>>(state.first(size - 1));
  } else if constexpr (standard<E, "independent_bits_engine">) {
    return is_state_of<base_engine<E>>(state);
  } else if constexpr (standard<E, "shuffle_order_engine">) {
    constexpr std::size_t n = E::table_size + 1;
    return size >= n && words(state.last(n)) && is_state_of<base_engine<E>>(state.first(size - n));
  }
}

template <class D>
std::string distribution_name() {
  using number = typename D::result_type;
  std::string_view of = "long double";
  if constexpr (element<number>) of = name(dtype_of<number>::value);
  return std::string(standard_name<D>) + "<" + std::string(of) + ">";
}

template <class E>
struct engine_traits {
  static void visit(E& e, visitor& v) {
    v.value(
        [&e] {
          engine_state s{engine_name<E>(), {}};
          std::istringstream in(streamed_text(e));
          in.exceptions(std::ios::badbit);
          in.imbue(std::locale::classic());
          for (std::uint64_t x = 0; in >> x;) s.state.push_back(x);
          return s;
        },
        [&e](const engine_state& s) {
          if (!is_state_of<E>(s.state)) throw error("the saved state of a random generator is none that a " + s.engine + " can be in");
          std::string text;
          for (std::uint64_t x : s.state) text += std::to_string(x) + " ";
          stream_back(text, e);
        },
        restore_order::random);
  }
};

template <class D>
struct distribution_traits {
  static void visit(D& d, visitor& v) {
    v.value(
        [&d] {
          // With or without a value drawn ahead the text should have one width, so that the file's layout stays.
          constexpr std::size_t unit = 256;
          std::string text = streamed_text(d);
          text.resize((text.size() + unit - 1) / unit * unit, ' ');
          return distribution_state{distribution_name<D>(), std::move(text)};
        },
        [&d](const distribution_state& s) {
          if (!is_text_of<D>(s.state)) throw error("the saved state of a random generator is none that a " + s.distribution + " can be in");
          stream_back(s.state, d);
        },
        restore_order::random);
  }
};

}  // namespace detail

/// An engine of the program's own that streams its state exactly, as the standard asks of engines: the text that it streams,
/// always in the classic locale. Put back with the random generators, last.
template <class E>
struct streamed_view {
  E& engine;  ///< whose state it is
};
/// See `streamed_view`.
template <class E>
streamed_view<E> streamed(E& engine) { return {engine}; }
template <class E>
inline constexpr bool is_view<streamed_view<E>> = true;
template <class E>
struct traits<streamed_view<E>> {
  static void visit(streamed_view<E>& s, visitor& v) {
    v.value([&] { return detail::streamed_text(s.engine); }, [&s](const std::string& text) { detail::stream_back(text, s.engine); }, restore_order::random);
  }
};

template <std::same_as<detail::engine_state> S>
struct traits<S> {
  static void visit(S& s, visitor& v) {
    v.identity("engine", s.engine);
    v("state", s.state);
  }
};
template <std::same_as<detail::distribution_state> S>
struct traits<S> {
  static void visit(S& s, visitor& v) {
    v.identity("distribution", s.distribution);
    v("state", s.state);
  }
};

/// The standard engines: a group of `engine`, which a restore requires to be the same, and `state`, the integers that
/// the engine streams. They are put back after everything else.
template <class E>
  requires(detail::standard<E, "mersenne_twister_engine", "linear_congruential_engine", "subtract_with_carry_engine", "discard_block_engine",
                            "independent_bits_engine", "shuffle_order_engine">)
struct traits<E> : detail::engine_traits<E> {};

/// The standard distributions of one number type: a group of `distribution`, which a restore requires to be the same, and
/// `state`, the text that it streams: its parameters and a value drawn ahead, if it has one.
template <class D>
  requires(detail::standard<D, "normal_distribution", "lognormal_distribution", "gamma_distribution", "chi_squared_distribution", "fisher_f_distribution",
                            "student_t_distribution", "cauchy_distribution", "exponential_distribution", "extreme_value_distribution", "weibull_distribution",
                            "uniform_real_distribution", "uniform_int_distribution", "poisson_distribution", "geometric_distribution",
                            "binomial_distribution", "negative_binomial_distribution">)
struct traits<D> : detail::distribution_traits<D> {};

}  // namespace holdfast
