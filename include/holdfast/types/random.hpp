#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <locale>
#include <random>
#include <span>
#include <sstream>
#include <string>
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
void set_parameters(const std::string&, T&) {}
template <class R>
void set_parameters(const std::string& text, std::normal_distribution<R>& d) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  R mean, deviation;
  if (in >> mean >> deviation) d.param(typename std::normal_distribution<R>::param_type(mean, deviation));
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

/// The type without the spelling of one compiler: "mersenne_twister_engine<64, 312, …>".
template <class T>
struct type_name;

inline std::string join(std::initializer_list<unsigned long long> values) {
  std::string s;
  for (unsigned long long v : values) s += (s.empty() ? "" : ", ") + std::to_string(v);
  return "<" + s + ">";
}

template <class U, std::size_t w, std::size_t n, std::size_t m, std::size_t r, U a, std::size_t u, U d, std::size_t s, U b, std::size_t t, U c, std::size_t l, U f>
struct type_name<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>> {
  static std::string get() { return "mersenne_twister_engine" + join({w, n, m, r, a, u, d, s, b, t, c, l, f}); }
};
template <class U, U a, U c, U m>
struct type_name<std::linear_congruential_engine<U, a, c, m>> {
  static std::string get() { return "linear_congruential_engine" + join({a, c, m}); }
};
template <class U, std::size_t w, std::size_t s, std::size_t r>
struct type_name<std::subtract_with_carry_engine<U, w, s, r>> {
  static std::string get() { return "subtract_with_carry_engine" + join({w, s, r}); }
};
template <class E, std::size_t p, std::size_t r>
struct type_name<std::discard_block_engine<E, p, r>> {
  static std::string get() { return "discard_block_engine" + join({p, r}) + " of " + type_name<E>::get(); }
};
template <class E, std::size_t w, class U>
struct type_name<std::independent_bits_engine<E, w, U>> {
  static std::string get() { return "independent_bits_engine" + join({w}) + " of " + type_name<E>::get(); }
};
template <class E, std::size_t k>
struct type_name<std::shuffle_order_engine<E, k>> {
  static std::string get() { return "shuffle_order_engine" + join({k}) + " of " + type_name<E>::get(); }
};

/// Whether integers are a state that an engine can be in. The standard libraries read back whatever there is, and an engine
/// with a position beyond its words then reads and writes beyond them. libstdc++ streams a position that libc++ does not.
template <class E>
struct engine_words;

template <class E>
bool are_words(std::span<const std::uint64_t> words) {
  return std::all_of(words.begin(), words.end(), [](std::uint64_t x) { return E::min() <= x && x <= E::max(); });
}

template <class U, std::size_t w, std::size_t n, std::size_t m, std::size_t r, U a, std::size_t u, U d, std::size_t s, U b, std::size_t t, U c, std::size_t l, U f>
struct engine_words<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>> {
  static bool fit(std::span<const std::uint64_t> state) {
    if (state.size() != n && (state.size() != n + 1 || state.back() > n)) return false;
    return are_words<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>>(state.first(n));
  }
};
template <class U, U a, U c, U m>
struct engine_words<std::linear_congruential_engine<U, a, c, m>> {
  static bool fit(std::span<const std::uint64_t> state) { return state.size() == 1 && are_words<std::linear_congruential_engine<U, a, c, m>>(state); }
};
template <class U, std::size_t w, std::size_t s, std::size_t r>
struct engine_words<std::subtract_with_carry_engine<U, w, s, r>> {
  static bool fit(std::span<const std::uint64_t> state) {
    if (state.size() != r + 1 && (state.size() != r + 2 || state.back() >= r)) return false;
    return state[r] <= 1 && are_words<std::subtract_with_carry_engine<U, w, s, r>>(state.first(r));
  }
};
template <class E, std::size_t p, std::size_t r>
struct engine_words<std::discard_block_engine<E, p, r>> {
  static bool fit(std::span<const std::uint64_t> state) { return !state.empty() && state.back() <= p && engine_words<E>::fit(state.first(state.size() - 1)); }
};
template <class E, std::size_t w, class U>
struct engine_words<std::independent_bits_engine<E, w, U>> : engine_words<E> {};
template <class E, std::size_t k>
struct engine_words<std::shuffle_order_engine<E, k>> {
  static bool fit(std::span<const std::uint64_t> state) {
    return state.size() > k && are_words<E>(state.last(k + 1)) && engine_words<E>::fit(state.first(state.size() - k - 1));
  }
};

template <class E>
struct engine_traits {
  static void visit(E& e, visitor& v) {
    v.value(
        [&e] {
          engine_state s{type_name<E>::get(), {}};
          std::istringstream in(streamed_text(e));
          in.exceptions(std::ios::badbit);
          in.imbue(std::locale::classic());
          for (std::uint64_t x = 0; in >> x;) s.state.push_back(x);
          return s;
        },
        [&e](const engine_state& s) {
          if (!engine_words<E>::fit(s.state)) throw error("the saved state of a random generator is none that a " + s.engine + " can be in");
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
          return distribution_state{type_name<D>::get(), std::move(text)};
        },
        [&d](const distribution_state& s) { stream_back(s.state, d); }, restore_order::random);
  }
};

}  // namespace detail

template <>
struct traits<detail::engine_state> {
  static void visit(detail::engine_state& s, visitor& v) {
    v.identity("engine", s.engine);
    v("state", s.state);
  }
};
template <>
struct traits<detail::distribution_state> {
  static void visit(detail::distribution_state& s, visitor& v) {
    v.identity("distribution", s.distribution);
    v("state", s.state);
  }
};

/// The standard engines: a group of `engine`, which a restore requires to be the same, and `state`, the integers that
/// the engine streams. They are put back after everything else.
template <class U, std::size_t w, std::size_t n, std::size_t m, std::size_t r, U a, std::size_t u, U d, std::size_t s, U b, std::size_t t, U c, std::size_t l, U f>
struct traits<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>>
    : detail::engine_traits<std::mersenne_twister_engine<U, w, n, m, r, a, u, d, s, b, t, c, l, f>> {};
template <class U, U a, U c, U m>
struct traits<std::linear_congruential_engine<U, a, c, m>> : detail::engine_traits<std::linear_congruential_engine<U, a, c, m>> {};
template <class U, std::size_t w, std::size_t s, std::size_t r>
struct traits<std::subtract_with_carry_engine<U, w, s, r>> : detail::engine_traits<std::subtract_with_carry_engine<U, w, s, r>> {};
template <class E, std::size_t p, std::size_t r>
struct traits<std::discard_block_engine<E, p, r>> : detail::engine_traits<std::discard_block_engine<E, p, r>> {};
template <class E, std::size_t w, class U>
struct traits<std::independent_bits_engine<E, w, U>> : detail::engine_traits<std::independent_bits_engine<E, w, U>> {};
template <class E, std::size_t k>
struct traits<std::shuffle_order_engine<E, k>> : detail::engine_traits<std::shuffle_order_engine<E, k>> {};

namespace detail {

/// The distributions of <random> whose one template parameter is a number type.
template <template <class> class D>
inline constexpr const char* distribution_name = nullptr;
template <>
inline constexpr const char* distribution_name<std::normal_distribution> = "normal_distribution";
template <>
inline constexpr const char* distribution_name<std::lognormal_distribution> = "lognormal_distribution";
template <>
inline constexpr const char* distribution_name<std::gamma_distribution> = "gamma_distribution";
template <>
inline constexpr const char* distribution_name<std::chi_squared_distribution> = "chi_squared_distribution";
template <>
inline constexpr const char* distribution_name<std::fisher_f_distribution> = "fisher_f_distribution";
template <>
inline constexpr const char* distribution_name<std::student_t_distribution> = "student_t_distribution";
template <>
inline constexpr const char* distribution_name<std::cauchy_distribution> = "cauchy_distribution";
template <>
inline constexpr const char* distribution_name<std::exponential_distribution> = "exponential_distribution";
template <>
inline constexpr const char* distribution_name<std::extreme_value_distribution> = "extreme_value_distribution";
template <>
inline constexpr const char* distribution_name<std::weibull_distribution> = "weibull_distribution";
template <>
inline constexpr const char* distribution_name<std::uniform_real_distribution> = "uniform_real_distribution";
template <>
inline constexpr const char* distribution_name<std::uniform_int_distribution> = "uniform_int_distribution";
template <>
inline constexpr const char* distribution_name<std::poisson_distribution> = "poisson_distribution";
template <>
inline constexpr const char* distribution_name<std::geometric_distribution> = "geometric_distribution";
template <>
inline constexpr const char* distribution_name<std::binomial_distribution> = "binomial_distribution";
template <>
inline constexpr const char* distribution_name<std::negative_binomial_distribution> = "negative_binomial_distribution";

template <class T>
std::string number_name() {
  if constexpr (element<T>) return std::string(name(dtype_of<T>::value));
  else return "long double";
}

template <template <class> class D, class T>
  requires(distribution_name<D> != nullptr)
struct type_name<D<T>> {
  static std::string get() { return std::string(distribution_name<D>) + "<" + detail::number_name<T>() + ">"; }
};

}  // namespace detail

/// The standard distributions: a group of `distribution`, which a restore requires to be the same, and `state`, the text
/// that it streams: its parameters and a value drawn ahead, if it has one.
template <template <class> class D, class T>
  requires(detail::distribution_name<D> != nullptr)
struct traits<D<T>> : detail::distribution_traits<D<T>> {};

}  // namespace holdfast
