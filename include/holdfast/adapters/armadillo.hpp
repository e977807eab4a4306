#pragma once
/// Armadillo's dense types as tensors, where they lie in memory, and its random generator. Needs Armadillo 11:
///
///   arma::fmat weight;                                                       // A[i, j] in h5py is weight(i, j)
///   state.bind("weight", weight).bind("bias", column).bind("maps", cube);    // Col and Row are 1-d
///   state.bind("rng/armadillo", holdfast::armadillo_generator());            // of the thread that says this
///
/// Sparse matrices are not covered: bind what they are made of.
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <type_traits>

#include <armadillo>

#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

inline bool is_arma_size(std::int64_t n) { return static_cast<std::uint64_t>(n) <= std::numeric_limits<arma::uword>::max(); }

/// A matrix is a 2-d tensor. Restore sizes an empty one; one of a fixed size, or in memory that was lent to it, keeps it.
template <class M>
struct arma_matrix {
  static tensor_view view(M& m) {
    const shape s{static_cast<std::int64_t>(m.n_rows), static_cast<std::int64_t>(m.n_cols)};
    return tensor_view(m.memptr(), s, column_major(s));
  }
  static bool accepts(const M& m, const shape& s) {
    return s.rank() == 2 && m.mem_state <= 1 && (m.vec_state != 1 || s[1] == 1) && (m.vec_state != 2 || s[0] == 1) && is_arma_size(s[0]) && is_arma_size(s[1]) && is_arma_size(s.elements());
  }
  static void resize(M& m, const shape& s) { m.set_size(static_cast<arma::uword>(s[0]), static_cast<arma::uword>(s[1])); }
};

template <class V>
struct arma_vector {
  static tensor_view view(V& v) { return tensor_view(v.memptr(), {static_cast<std::int64_t>(v.n_elem)}); }
  static bool accepts(const V& v, const shape& s) { return s.rank() == 1 && v.mem_state <= 1 && is_arma_size(s[0]); }
  static void resize(V& v, const shape& s) { v.set_size(static_cast<arma::uword>(s[0])); }
};

template <class C>
struct arma_cube {
  static tensor_view view(C& c) {
    const shape s{static_cast<std::int64_t>(c.n_rows), static_cast<std::int64_t>(c.n_cols), static_cast<std::int64_t>(c.n_slices)};
    return tensor_view(c.memptr(), s, column_major(s));
  }
  static bool accepts(const C& c, const shape& s) {
    return s.rank() == 3 && c.mem_state <= 1 && is_arma_size(s[0]) && is_arma_size(s[1]) && is_arma_size(s[2]) && is_arma_size(s.elements());
  }
  static void resize(C& c, const shape& s) { c.set_size(static_cast<arma::uword>(s[0]), static_cast<arma::uword>(s[1]), static_cast<arma::uword>(s[2])); }
};

/// The form of the nested types `fixed`, whose size is a part of the type; void for any other.
template <class T>
struct arma_fixed_of {
  template <arma::uword Rows, arma::uword Cols>
  using matrix = typename arma::Mat<T>::template fixed<Rows, Cols>;
  template <arma::uword N>
  using column = typename arma::Col<T>::template fixed<N>;
  template <arma::uword N>
  using row = typename arma::Row<T>::template fixed<N>;
  template <arma::uword Rows, arma::uword Cols, arma::uword Slices>
  using cube = typename arma::Cube<T>::template fixed<Rows, Cols, Slices>;

  template <arma::uword Rows, arma::uword Cols>
  static arma_matrix<matrix<Rows, Cols>> form(std::type_identity<matrix<Rows, Cols>>);
  template <arma::uword N>
  static arma_vector<column<N>> form(std::type_identity<column<N>>);
  template <arma::uword N>
  static arma_vector<row<N>> form(std::type_identity<row<N>>);
  template <arma::uword Rows, arma::uword Cols, arma::uword Slices>
  static arma_cube<cube<Rows, Cols, Slices>> form(std::type_identity<cube<Rows, Cols, Slices>>);
  static void form(...);
};
template <class X>
using arma_fixed_form = decltype(arma_fixed_of<typename X::elem_type>::form(std::type_identity<X>()));
template <class X>
concept arma_fixed = element<typename X::elem_type> && !std::is_void_v<arma_fixed_form<X>>;

/// Whether Armadillo draws from a generator that can be reached. It is a part of its library, which Debian's headers use
/// unless ARMA_DONT_USE_WRAPPER is defined.
#if defined(ARMA_USE_EXTERN_RNG) && !defined(ARMA_RNG_ALT)
template <class = void>
std::mt19937_64& arma_generator() { return arma::mt19937_64_instance; }
#else
template <class T = void>
std::mt19937_64& arma_generator() {
  static_assert(!std::is_same_v<T, T>,
                "without its library (ARMA_DONT_USE_WRAPPER) Armadillo draws from std::rand(), whose state cannot be read: bind a "
                "counter, and call arma::arma_rng::set_seed(seed + counter) wherever the counter changes, such as at each epoch");
  throw error("unreachable");
}
#endif

}  // namespace detail

template <element T>
struct traits<arma::Mat<T>> : detail::arma_matrix<arma::Mat<T>> {};
template <element T>
struct traits<arma::Col<T>> : detail::arma_vector<arma::Col<T>> {};
template <element T>
struct traits<arma::Row<T>> : detail::arma_vector<arma::Row<T>> {};
/// c(i, j, k), k being the slice, is [i, j, k].
template <element T>
struct traits<arma::Cube<T>> : detail::arma_cube<arma::Cube<T>> {};

template <detail::arma_fixed X>
struct traits<X> : detail::arma_fixed_form<X> {};

/// A group of its elements: f(i) of a field of one column is `i`, otherwise f(i, j) is `i/j`, and of several slices
/// f(i, j, k) is `i/j/k`. A restore leaves its size as it is.
template <checkpointable T>
struct traits<arma::field<T>> {
  static void visit(arma::field<T>& f, visitor& v) {
    for (arma::uword k = 0; k < f.n_slices; ++k)
      for (arma::uword j = 0; j < f.n_cols; ++j)
        for (arma::uword i = 0; i < f.n_rows; ++i) {
          std::string name = std::to_string(i);
          if (f.n_cols != 1 || f.n_slices != 1) name += "/" + std::to_string(j);
          if (f.n_slices != 1) name += "/" + std::to_string(k);
          v(name, f(i, j, k));
        }
  }
};

/// What arma::randu, randn, randi, randg and shuffle draw from on this thread: a std::mt19937_64 to be bound like any
/// other (with <holdfast/holdfast.hpp>). Bind, save and restore on the thread that draws. Does not compile where Armadillo
/// draws from std::rand() instead; the message says what to do.
template <class T = void>
std::mt19937_64& armadillo_generator() { return detail::arma_generator<T>(); }

}  // namespace holdfast
