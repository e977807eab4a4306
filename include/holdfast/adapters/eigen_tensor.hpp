#pragma once
/// Tensor, TensorFixedSize and TensorMap of Eigen's unsupported CXX11 module, of either storage order: A[i, j, k] in the file is
/// A(i, j, k).
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <unsupported/Eigen/CXX11/Tensor>

#include <holdfast/adapters/eigen.hpp>

namespace holdfast {
namespace detail {

template <class T>
tensor_view eigen_tensor_of(T& t) {
  constexpr auto rank = static_cast<std::size_t>(T::NumDimensions);
  std::vector<std::int64_t> extents(rank), strides(rank);
  // Constants, since these types index their dimensions by integers of different signs.
  [&]<std::size_t... I>(std::index_sequence<I...>) { ((extents[I] = t.dimension(I)), ...); }(std::make_index_sequence<rank>());
  std::int64_t step = 1;
  for (std::size_t n = 0; n < rank; ++n) {
    const std::size_t i = static_cast<int>(T::Layout) == static_cast<int>(Eigen::RowMajor) ? rank - 1 - n : n;
    strides[i] = step;
    step *= extents[i];
  }
  return tensor_view(t.data(), shape(extents), std::move(strides));
}

}  // namespace detail

/// Restore sizes an empty one.
template <element T, int N, int Options, class Index>
struct traits<Eigen::Tensor<T, N, Options, Index>> {
  using tensor = Eigen::Tensor<T, N, Options, Index>;
  static tensor_view view(tensor& t) { return detail::eigen_tensor_of(t); }
  static void resize(tensor& t, const shape& s) {
    typename tensor::Dimensions extents;
    for (std::size_t i = 0; i < static_cast<std::size_t>(N); ++i) extents[i] = static_cast<Index>(s[i]);
    t.resize(extents);
  }
};
template <element T, class Sizes, int Options, class Index>
struct traits<Eigen::TensorFixedSize<T, Sizes, Options, Index>> {
  static tensor_view view(Eigen::TensorFixedSize<T, Sizes, Options, Index>& t) { return detail::eigen_tensor_of(t); }
};

/// A view: may be bound as an rvalue, and what it refers to must outlive the state.
template <class Tensor, int Options, template <class> class Pointer>
inline constexpr bool is_view<Eigen::TensorMap<Tensor, Options, Pointer>> = true;
template <class Tensor, int Options, template <class> class Pointer>
struct traits<Eigen::TensorMap<Tensor, Options, Pointer>> {
  static constexpr bool read_only = std::is_const_v<Tensor>;
  static tensor_view view(Eigen::TensorMap<Tensor, Options, Pointer>& t) { return detail::eigen_tensor_of(t); }
};

}  // namespace holdfast
