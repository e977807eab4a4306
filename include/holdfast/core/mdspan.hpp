#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/core/tensor_view.hpp>

namespace holdfast {

/// A std::mdspan over plain memory, or another library's that is used as the standard's is (cuda::std::mdspan, Kokkos).
template <class M>
concept mdspan_like = std::is_pointer_v<typename M::data_handle_type> && element<std::remove_cv_t<typename M::element_type>> && requires(const M& m) {
  m.data_handle();
  m.extent(m.rank());
  m.stride(m.rank());
};

namespace detail {

template <mdspan_like M>
std::pair<shape, std::vector<std::int64_t>> extents_of(const M& m) {
  std::vector<std::int64_t> extents, strides;
  for (std::size_t r = 0; r < m.rank(); ++r) {
    extents.push_back(static_cast<std::int64_t>(m.extent(static_cast<decltype(m.rank())>(r))));
    strides.push_back(static_cast<std::int64_t>(m.stride(static_cast<decltype(m.rank())>(r))));
  }
  return {shape(std::move(extents)), std::move(strides)};
}

}  // namespace detail

/// Names what an mdspan of the host's memory shows as a tensor: m(i, j) is [i, j] of the dataset, in whatever layout m has. The memory
/// must outlive the state that binds it.
template <mdspan_like M>
tensor_ref<typename M::element_type> tensor(const M& m) {
  auto [extents, strides] = detail::extents_of(m);
  return {tensor_view(m.data_handle(), std::move(extents), std::move(strides))};
}

}  // namespace holdfast
