#pragma once
/// Armadillo: Mat, Col, Row and Cube. A[i, j] in the file is A(i, j), and C[i, j, k] is C(i, j, k), though they lie in column-major order in
/// memory. Col and Row are 1-d. Include it after or before <armadillo>.
#include <cstdint>
#include <type_traits>

#include <armadillo>

#include <holdfast/core/traits.hpp>

namespace holdfast {

/// Restore sizes an empty one.
template <element T>
struct traits<arma::Mat<T>> {
  static tensor_view view(arma::Mat<T>& m) {
    const auto rows = static_cast<std::int64_t>(m.n_rows);
    return tensor_view(m.memptr(), {rows, static_cast<std::int64_t>(m.n_cols)}, {1, rows});
  }
  static void resize(arma::Mat<T>& m, const shape& s) { m.set_size(static_cast<arma::uword>(s[0]), static_cast<arma::uword>(s[1])); }
};

namespace detail {

template <class V>
struct arma_vector {
  static tensor_view view(V& v) { return tensor_view(v.memptr(), {static_cast<std::int64_t>(v.n_elem)}); }
  static void resize(V& v, const shape& s) { v.set_size(static_cast<arma::uword>(s[0])); }
};

}  // namespace detail

template <element T>
struct traits<arma::Col<T>> : detail::arma_vector<arma::Col<T>> {};
template <element T>
struct traits<arma::Row<T>> : detail::arma_vector<arma::Row<T>> {};

template <element T>
struct traits<arma::Cube<T>> {
  static tensor_view view(arma::Cube<T>& c) {
    const auto rows = static_cast<std::int64_t>(c.n_rows), columns = static_cast<std::int64_t>(c.n_cols);
    return tensor_view(c.memptr(), {rows, columns, static_cast<std::int64_t>(c.n_slices)}, {1, rows, rows * columns});
  }
  static void resize(arma::Cube<T>& c, const shape& s) {
    c.set_size(static_cast<arma::uword>(s[0]), static_cast<arma::uword>(s[1]), static_cast<arma::uword>(s[2]));
  }
};

}  // namespace holdfast
