#pragma once
/// Tensor, TensorFixedSize and TensorMap of unsupported/Eigen/CXX11/Tensor, which is dear to include, in either storage
/// order: t[i, j, k] in h5py is t(i, j, k).
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <unsupported/Eigen/CXX11/Tensor>

#include <holdfast/adapters/eigen.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

template <class X, class Element>
struct eigen_tensor {
  static tensor_view view(X& x) {
    std::vector<std::int64_t> extents;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (extents.push_back(static_cast<std::int64_t>(x.dimension(I))), ...);
    }(std::make_index_sequence<static_cast<std::size_t>(X::NumIndices)>());
    const shape s(extents);
    constexpr bool by_rows = static_cast<int>(X::Layout) == static_cast<int>(Eigen::RowMajor);
    return tensor_view(static_cast<Element*>(x.data()), s, by_rows ? std::vector<std::int64_t>() : column_major(s));
  }
};

}  // namespace detail

/// Restore sizes an empty one.
template <element T, int Rank, int Options, class Index>
struct traits<Eigen::Tensor<T, Rank, Options, Index>> : detail::eigen_tensor<Eigen::Tensor<T, Rank, Options, Index>, T> {
  using tensor = Eigen::Tensor<T, Rank, Options, Index>;
  static bool accepts(const tensor&, const shape& s) { return s.rank() == Rank && s.elements() <= std::numeric_limits<Index>::max(); }
  static void resize(tensor& t, const shape& s) {
    typename tensor::Dimensions extents;
    for (std::size_t i = 0; i < s.rank(); ++i) extents[i] = static_cast<Index>(s[i]);
    t.resize(extents);
  }
};

template <element T, class Sizes, int Options, class Index>
struct traits<Eigen::TensorFixedSize<T, Sizes, Options, Index>> : detail::eigen_tensor<Eigen::TensorFixedSize<T, Sizes, Options, Index>, T> {};

/// A view: what it refers to must outlive the state. One of const elements is saved and not restored.
template <class Plain, int Options, template <class> class Pointer>
  requires element<typename Plain::Scalar>
struct traits<Eigen::TensorMap<Plain, Options, Pointer>> : detail::eigen_tensor<Eigen::TensorMap<Plain, Options, Pointer>, const typename Plain::Scalar> {
  static constexpr bool read_only = std::is_const_v<Plain> || std::is_const_v<typename Plain::Scalar>;
};
template <class Plain, int Options, template <class> class Pointer>
inline constexpr bool is_view<Eigen::TensorMap<Plain, Options, Pointer>> = true;

}  // namespace holdfast
