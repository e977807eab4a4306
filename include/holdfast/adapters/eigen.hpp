#pragma once
/// Eigen's dense matrices and arrays as tensors, in either storage order, as they lie in memory. Needs Eigen 3.4:
///
///   Eigen::MatrixXf weight;                                     // A[i, j] in h5py is weight(i, j)
///   state.bind("weight", weight).bind("bias", bias);            // a vector (of one row or column at compile time) is 1-d
///   state.bind("head", weight.topRows(10));                     // Map, Ref, Block: views, whose strides are kept
///
/// eigen_tensor.hpp is for unsupported/Eigen/CXX11/Tensor.
#include <cstdint>
#include <type_traits>
#include <vector>

#include <Eigen/Core>

#include <holdfast/core/visitor.hpp>

namespace holdfast {

template <>
struct dtype_of<Eigen::half> : std::integral_constant<dtype, dtype::float16> {};
template <>
struct dtype_of<Eigen::bfloat16> : std::integral_constant<dtype, dtype::bfloat16> {};

namespace detail {

/// Any Eigen expression whose elements lie in memory.
template <class X>
struct eigen_elements {
  static constexpr bool is_vector = X::RowsAtCompileTime == 1 || X::ColsAtCompileTime == 1;
  static constexpr bool read_only = (static_cast<unsigned>(X::Flags) & Eigen::LvalueBit) == 0;

  static tensor_view view(X& x) {
    if constexpr (is_vector) return tensor_view(x.data(), {x.size()}, {x.innerStride()});
    else return tensor_view(x.data(), {x.rows(), x.cols()}, {x.rowStride(), x.colStride()});
  }
};

/// One that owns them. Extents that the type fixes or bounds stay within it.
template <class X>
struct eigen_owner : eigen_elements<X> {
  static bool accepts(const X&, const shape& s) {
    if (s.rank() != (eigen_elements<X>::is_vector ? 1 : 2)) return false;
    return fits<X::RowsAtCompileTime, X::MaxRowsAtCompileTime>(rows(s)) && fits<X::ColsAtCompileTime, X::MaxColsAtCompileTime>(cols(s));
  }
  static void resize(X& x, const shape& s) { x.resize(rows(s), cols(s)); }

 private:
  static Eigen::Index rows(const shape& s) { return X::RowsAtCompileTime == 1 ? 1 : s[0]; }
  static Eigen::Index cols(const shape& s) { return s.rank() == 2 ? s[1] : X::RowsAtCompileTime == 1 ? s[0]
                                                                                                     : 1; }
  template <int Fixed, int Most>
  static bool fits(Eigen::Index n) { return Fixed == Eigen::Dynamic ? Most == Eigen::Dynamic || n <= Most : n == Fixed; }
};

}  // namespace detail

/// A matrix is a 2-d tensor, one with a single row or column at compile time a 1-d one. Restore sizes an empty one, as far
/// as its type leaves extents open.
template <element T, int Rows, int Cols, int Options, int MaxRows, int MaxCols>
struct traits<Eigen::Matrix<T, Rows, Cols, Options, MaxRows, MaxCols>> : detail::eigen_owner<Eigen::Matrix<T, Rows, Cols, Options, MaxRows, MaxCols>> {};

template <element T, int Rows, int Cols, int Options, int MaxRows, int MaxCols>
struct traits<Eigen::Array<T, Rows, Cols, Options, MaxRows, MaxCols>> : detail::eigen_owner<Eigen::Array<T, Rows, Cols, Options, MaxRows, MaxCols>> {};

/// Views have the size they have. What they refer to must outlive the state; those of const elements are saved and not
/// restored.
template <class Plain, int Options, class Stride>
  requires element<typename Plain::Scalar>
struct traits<Eigen::Map<Plain, Options, Stride>> : detail::eigen_elements<Eigen::Map<Plain, Options, Stride>> {};
template <class Plain, int Options, class Stride>
inline constexpr bool is_view<Eigen::Map<Plain, Options, Stride>> = true;

template <class Plain, int Options, class Stride>
  requires element<typename Plain::Scalar>
struct traits<Eigen::Ref<Plain, Options, Stride>> : detail::eigen_elements<Eigen::Ref<Plain, Options, Stride>> {};
/// A Ref of something const may hold a copy, which copies of the Ref do not share: it is bound as an lvalue.
template <class Plain, int Options, class Stride>
inline constexpr bool is_view<Eigen::Ref<Plain, Options, Stride>> = !std::is_const_v<Plain>;

template <class X, int Rows, int Cols, bool InnerPanel>
  requires element<typename X::Scalar> && requires(const Eigen::Block<X, Rows, Cols, InnerPanel>& b) { b.data(); }
struct traits<Eigen::Block<X, Rows, Cols, InnerPanel>> : detail::eigen_elements<Eigen::Block<X, Rows, Cols, InnerPanel>> {};
template <class X, int Rows, int Cols, bool InnerPanel>
inline constexpr bool is_view<Eigen::Block<X, Rows, Cols, InnerPanel>> = true;

template <class X, int Size>
  requires element<typename X::Scalar> && requires(const Eigen::VectorBlock<X, Size>& b) { b.data(); }
struct traits<Eigen::VectorBlock<X, Size>> : detail::eigen_elements<Eigen::VectorBlock<X, Size>> {};
template <class X, int Size>
inline constexpr bool is_view<Eigen::VectorBlock<X, Size>> = true;

}  // namespace holdfast
