#pragma once
/// xtensor's containers and adaptors as tensors, in any layout: a[i, j, k] in h5py is a(i, j, k). Needs xtensor 0.24:
///
///   xt::xtensor<float, 2> weight;
///   state.bind("weight", weight).bind("history", holdfast::resizable(xarray));
///   state.bind("flat", xt::adapt(pointer, shape));              // a view
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

template <class X>
struct xtensor_elements {
  static constexpr bool read_only = std::is_const_v<std::remove_pointer_t<decltype(std::declval<X&>().storage().data())>>;

  static tensor_view view(X& x) {
    std::vector<std::int64_t> extents, strides;
    for (const auto n : x.shape()) extents.push_back(static_cast<std::int64_t>(n));
    for (const auto n : x.strides()) strides.push_back(static_cast<std::int64_t>(n));
    return tensor_view(std::as_const(x).data(), shape(extents), std::move(strides));
  }
};

/// What holds its elements, or refers to somebody else's.
template <class Storage>
inline constexpr bool xtensor_refers = std::is_lvalue_reference_v<Storage>;
template <class Pointer, class Allocator>
inline constexpr bool xtensor_refers<xt::xbuffer_adaptor<Pointer, xt::no_ownership, Allocator>> = true;

template <class Storage>
concept xtensor_storage = element<typename std::remove_reference_t<Storage>::value_type> && requires(Storage& s) { s.data(); };

}  // namespace detail

/// The rank is decided at run time, and a default-constructed xarray is not empty but 0-d, with one element: give it the
/// file's shape, make it empty (`xt::xarray<float>::from_shape({0})`), or bind it as `resizable(x)`. The last two take any
/// rank.
template <detail::xtensor_storage Storage, xt::layout_type L, class Shape, class Tag>
struct traits<xt::xarray_container<Storage, L, Shape, Tag>> : detail::xtensor_elements<xt::xarray_container<Storage, L, Shape, Tag>> {
  using array = xt::xarray_container<Storage, L, Shape, Tag>;
  static bool accepts(const array&, const shape&) { return true; }
  static void resize(array& x, const shape& s) { x.resize(std::vector<std::size_t>(s.begin(), s.end())); }
};

/// Restore sizes an empty one.
template <detail::xtensor_storage Storage, std::size_t Rank, xt::layout_type L, class Tag>
struct traits<xt::xtensor_container<Storage, Rank, L, Tag>> : detail::xtensor_elements<xt::xtensor_container<Storage, Rank, L, Tag>> {
  static void resize(xt::xtensor_container<Storage, Rank, L, Tag>& x, const shape& s) {
    std::array<std::size_t, Rank> extents{};
    for (std::size_t i = 0; i < Rank; ++i) extents[i] = static_cast<std::size_t>(s[i]);
    x.resize(extents);
  }
};

template <element T, class Shape, xt::layout_type L, bool Shared, class Tag>
struct traits<xt::xfixed_container<T, Shape, L, Shared, Tag>> : detail::xtensor_elements<xt::xfixed_container<T, Shape, L, Shared, Tag>> {};

/// Adaptors have the size they have. One that does not own its elements is a view; what it refers to must outlive the state,
/// and what is const is saved and not restored.
template <detail::xtensor_storage Storage, xt::layout_type L, class Shape, class Tag>
struct traits<xt::xarray_adaptor<Storage, L, Shape, Tag>> : detail::xtensor_elements<xt::xarray_adaptor<Storage, L, Shape, Tag>> {};
template <class Storage, xt::layout_type L, class Shape, class Tag>
inline constexpr bool is_view<xt::xarray_adaptor<Storage, L, Shape, Tag>> = detail::xtensor_refers<Storage>;

template <detail::xtensor_storage Storage, std::size_t Rank, xt::layout_type L, class Tag>
struct traits<xt::xtensor_adaptor<Storage, Rank, L, Tag>> : detail::xtensor_elements<xt::xtensor_adaptor<Storage, Rank, L, Tag>> {};
template <class Storage, std::size_t Rank, xt::layout_type L, class Tag>
inline constexpr bool is_view<xt::xtensor_adaptor<Storage, Rank, L, Tag>> = detail::xtensor_refers<Storage>;

template <detail::xtensor_storage Storage, class Shape, xt::layout_type L, bool Shared, class Tag>
struct traits<xt::xfixed_adaptor<Storage, Shape, L, Shared, Tag>> : detail::xtensor_elements<xt::xfixed_adaptor<Storage, Shape, L, Shared, Tag>> {};
template <class Storage, class Shape, xt::layout_type L, bool Shared, class Tag>
inline constexpr bool is_view<xt::xfixed_adaptor<Storage, Shape, L, Shared, Tag>> = detail::xtensor_refers<Storage>;

}  // namespace holdfast
