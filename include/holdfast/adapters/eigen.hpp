#pragma once
/// Eigen 3: Matrix and Array of any storage order and size, and views into them (Map, Ref, Block with direct access).
/// A[i, j] in the file is A(i, j), whatever the order; what is a vector at compile time is 1-d.
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <holdfast/core/traits.hpp>

namespace holdfast {

template <>
struct dtype_of<Eigen::half> : std::integral_constant<dtype, dtype::float16> {};
template <>
struct dtype_of<Eigen::bfloat16> : std::integral_constant<dtype, dtype::bfloat16> {};

namespace detail {

template <class T>
concept eigen_plain = std::is_base_of_v<Eigen::PlainObjectBase<T>, T> && element<typename T::Scalar>;
template <class T>
concept eigen_view = std::is_base_of_v<Eigen::MapBase<T, Eigen::ReadOnlyAccessors>, T> && element<typename T::Scalar>;

template <class T>
inline constexpr bool eigen_vector = bool(T::IsVectorAtCompileTime);
template <class T>
inline constexpr bool eigen_any_size = T::MaxSizeAtCompileTime == Eigen::Dynamic &&
                                       (eigen_vector<T> ? T::SizeAtCompileTime == Eigen::Dynamic : T::RowsAtCompileTime == Eigen::Dynamic && T::ColsAtCompileTime == Eigen::Dynamic);

/// `innerStride` and `outerStride` of a const expression are those of its memory too.
template <class T>
tensor_view eigen_tensor_view(T& m) {
  const std::int64_t rows = m.rows(), columns = m.cols(), inner = m.innerStride(), outer = m.outerStride();
  if constexpr (eigen_vector<T>) return tensor_view(m.data(), {m.size()}, {inner});
  else return tensor_view(m.data(), {rows, columns}, T::IsRowMajor ? std::vector{outer, inner} : std::vector{inner, outer});
}

}  // namespace detail

/// Restore sizes an empty one whose sizes are all dynamic; any other must have the file's size.
template <detail::eigen_plain T>
struct traits<T> {
  static tensor_view view(T& m) { return detail::eigen_tensor_view(m); }
  static void resize(T& m, const shape& s)
    requires detail::eigen_any_size<T>
  {
    if constexpr (detail::eigen_vector<T>) m.resize(static_cast<Eigen::Index>(s[0]));
    else m.resize(static_cast<Eigen::Index>(s[0]), static_cast<Eigen::Index>(s[1]));
  }
};

/// May be bound as an rvalue: `state.bind("w", Eigen::Map<Eigen::MatrixXf>(p, 3, 4))`, `state.bind("first", m.row(0))`. What it
/// refers to must outlive the state. A map of const elements can be saved and not restored.
template <detail::eigen_view T>
inline constexpr bool is_view<T> = true;
template <detail::eigen_view T>
struct traits<T> {
  static constexpr bool read_only = std::is_const_v<std::remove_pointer_t<decltype(std::declval<T&>().data())>>;
  static tensor_view view(T& m) { return detail::eigen_tensor_view(m); }
};

}  // namespace holdfast
