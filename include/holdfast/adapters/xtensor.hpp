#pragma once
/// xtensor: xarray, xtensor, xtensor_fixed, and the adaptors of `xt::adapt`, of any layout. A[i, j] in the file is A(i, j).
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xtensor.hpp>

#include <holdfast/core/traits.hpp>

namespace holdfast {
namespace detail {

template <class T>
concept xtensor_container = std::is_base_of_v<xt::xcontainer<T>, T> && element<typename T::value_type>;

template <class T>
inline constexpr bool xtensor_adaptor = false;
template <class C, xt::layout_type L, class S, class Tag>
inline constexpr bool xtensor_adaptor<xt::xarray_adaptor<C, L, S, Tag>> = true;
template <class C, std::size_t N, xt::layout_type L, class Tag>
inline constexpr bool xtensor_adaptor<xt::xtensor_adaptor<C, N, L, Tag>> = true;

/// Has a fixed number of dimensions and takes any size.
template <class T>
inline constexpr bool xtensor_resizable = false;
template <class C, std::size_t N, xt::layout_type L, class Tag>
inline constexpr bool xtensor_resizable<xt::xtensor_container<C, N, L, Tag>> = true;

}  // namespace detail

/// Restore sizes an empty xt::xtensor. The others must have the file's size before a restore: an xt::xarray is never empty, since
/// one without dimensions has one element.
template <detail::xtensor_container T>
struct traits<T> {
  static constexpr bool read_only = std::is_const_v<std::remove_pointer_t<decltype(std::declval<T&>().data())>>;
  static tensor_view view(T& a) {
    const std::vector<std::int64_t> extents(a.shape().begin(), a.shape().end());
    return tensor_view(a.data() + a.data_offset(), shape(extents), std::vector<std::int64_t>(a.strides().begin(), a.strides().end()));
  }
  static void resize(T& a, const shape& s)
    requires detail::xtensor_resizable<T>
  {
    typename T::shape_type extents;
    for (std::size_t i = 0; i < extents.size(); ++i) extents[i] = static_cast<typename T::shape_type::value_type>(s[i]);
    a.resize(extents);
  }
};

/// What `xt::adapt` gives may be bound as an rvalue; what it refers to must outlive the state.
template <class T>
  requires detail::xtensor_adaptor<T>
inline constexpr bool is_view<T> = true;

}  // namespace holdfast
