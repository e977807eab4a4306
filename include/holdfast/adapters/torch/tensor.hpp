#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>  // first: without it clang does not compile the others of libtorch 1.13 as C++20

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <holdfast/core/path.hpp>
#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

/// A part that is visited by a function.
template <class F>
struct visited_by {
  F visit;
};
template <class F>
visited_by(F) -> visited_by<F>;

/// A tensor whose memory the library reads and writes; one of the program's own may change its size.
template <bool Resizes>
struct torch_elements {
  at::Tensor tensor;
};

/// Type and shape of a tensor that the restore will make, for its plan.
struct torch_stand_in {
  dtype type;
  shape extents;
};

/// By libtorch's names and not its enumerators, of which each version has other ones.
inline constexpr std::array<std::pair<std::string_view, dtype>, 17> torch_types{{
    {"Float", dtype::float32},
    {"Double", dtype::float64},
    {"Long", dtype::int64},
    {"BFloat16", dtype::bfloat16},
    {"Half", dtype::float16},
    {"Bool", dtype::boolean},
    {"Byte", dtype::uint8},
    {"Char", dtype::int8},
    {"Short", dtype::int16},
    {"Int", dtype::int32},
    {"UInt16", dtype::uint16},
    {"UInt32", dtype::uint32},
    {"UInt64", dtype::uint64},
    {"ComplexFloat", dtype::complex64},
    {"ComplexDouble", dtype::complex128},
    {"Float8_e4m3fn", dtype::float8_e4m3fn},
    {"Float8_e5m2", dtype::float8_e5m2},
}};

inline std::optional<dtype> dtype_of_torch(c10::ScalarType type) {
  for (const auto& [name, same] : torch_types)
    if (name == c10::toString(type)) return same;
  return std::nullopt;
}

inline std::optional<c10::ScalarType> torch_type_of(dtype type) {
  for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i)
    if (dtype_of_torch(static_cast<c10::ScalarType>(i)) == type) return static_cast<c10::ScalarType>(i);
  return std::nullopt;
}

inline shape shape_of_torch(at::IntArrayRef sizes) { return shape(std::span(sizes.data(), sizes.size())); }

}  // namespace detail

template <class F>
inline constexpr bool is_view<detail::visited_by<F>> = true;
template <class F>
struct traits<detail::visited_by<F>> {
  static void visit(detail::visited_by<F>& part, visitor& v) { part.visit(v); }
};

template <bool Resizes>
struct traits<detail::torch_elements<Resizes>> {
  static tensor_view view(detail::torch_elements<Resizes>& e) {
    const at::Tensor& t = e.tensor;
    return tensor_view(t.data_ptr(), *detail::dtype_of_torch(t.scalar_type()), detail::shape_of_torch(t.sizes()), t.is_contiguous() ? std::vector<std::int64_t>() : t.strides().vec());
  }
  static void resize(detail::torch_elements<Resizes>& e, const shape& s)
    requires Resizes
  {
    const at::NoGradGuard no_grad;
    e.tensor.resize_(at::IntArrayRef(s.begin(), s.rank()));
  }
};

template <>
struct traits<detail::torch_stand_in> {
  /// The plan reads no elements.
  static tensor_view view(detail::torch_stand_in& s) { return tensor_view(static_cast<void*>(&s), s.type, s.extents); }
};

namespace detail {

/// What keeps a tensor's elements from being read or written at its address, and what to do; nothing if they can be.
inline std::optional<std::array<std::string, 2>> unfit(const at::Tensor& t, bool to_write) {
  using why = std::array<std::string, 2>;
  if (!t.device().is_cpu()) return why{"one on " + t.device().str(), "move it to the CPU: memory of other devices is not copied yet"};
  if (t.layout() != c10::kStrided || !t.has_storage()) return why{c10::str("one of layout ", t.layout()), "bind its dense parts, for instance indices() and values()"};
  if (!dtype_of_torch(t.scalar_type())) return why{c10::str("one of ", t.scalar_type()), "convert it to a type that holdfast stores"};
  if (t.is_conj() || t.is_neg()) return why{"a view that is conjugated or negated when it is read", "bind the tensor it is a view of, or resolve_conj() and resolve_neg() it"};
  bool overlaps = false;
  for (std::int64_t i = 0; i < t.dim(); ++i) overlaps = overlaps || (t.size(i) > 1 && t.stride(i) == 0);
  if (to_write && overlaps) return why{"an expanded one, whose elements share memory", "bind the tensor that it was expanded from"};
  return std::nullopt;
}

/// Visits a tensor that is defined.
template <bool Resizes = false>
void visit_elements(const at::Tensor& t, visitor& v) {
  if (!v.saving() && !v.selected()) return;
  if (const auto why = unfit(t, !v.saving())) {
    if (v.saving()) throw error("/" + v.path() + ": expected a dense tensor in the CPU's memory, found " + (*why)[0] + "; " + (*why)[1]);
    return v.problem("a dense tensor in the CPU's memory", (*why)[0], (*why)[1]);
  }
  if (v.applying() && v.incoming_tensor() && !t.is_inference()) t.unsafeGetTensorImpl()->bump_version();
  const auto elements = std::make_shared<torch_elements<Resizes>>(torch_elements<Resizes>{t});
  v.keep(elements);
  v.here(*elements);
}

inline void visit_stand_in(dtype type, shape extents, visitor& v) {
  const auto made = std::make_shared<torch_stand_in>(torch_stand_in{type, std::move(extents)});
  v.keep(made);
  v.here(*made);
}

/// A tensor of the program's own. Undefined is absent; where the file has one, it is made as the file has it.
inline void visit_tensor(at::Tensor& t, visitor& v) {
  switch (v.present(t.defined())) {
    case presence::unknown:
      if (!t.defined()) return;
      break;
    case presence::absent:
      if (v.applying()) t.reset();
      return;
    case presence::present:
      if (t.defined()) break;
      const auto found = v.incoming_tensor();
      const auto type = found ? torch_type_of(found->first) : std::nullopt;
      if (!type) return v.problem("a tensor of a type that libtorch has", found ? describe(found->first, found->second) : "a group");
      if (!v.applying()) return visit_stand_in(found->first, found->second, v);
      t = at::empty(at::IntArrayRef(found->second.begin(), found->second.rank()), at::TensorOptions().dtype(*type));
  }
  if (t.requires_grad()) visit_elements(t, v);
  else visit_elements<true>(t, v);
}

}  // namespace detail

/// A tensor of any layout in which elements have strides, in the CPU's memory: a dataset. An undefined one is absent and no
/// empty one; where the file has one, a restore makes it. An empty one that needs no gradient takes the file's size.
template <std::same_as<at::Tensor> T>
struct traits<T> {
  static void visit(at::Tensor& t, visitor& v) { detail::visit_tensor(t, v); }
};

/// Its parameters and buffers, by the names that PyTorch's state_dict gives them: "fc1.weight" is one component of the path.
/// Undefined ones have no entry.
template <std::derived_from<torch::nn::Module> M>
struct traits<M> {
  static void visit(M& m, visitor& v) {
    const torch::nn::Module& module = m;
    for (const auto& all : {module.named_parameters(), module.named_buffers()})
      for (const auto& item : all) v(encode_component(item.key()), detail::visited_by{[&](visitor& w) { detail::visit_elements(item.value(), w); }});
  }
};

/// The module that it holds.
template <class H>
  requires std::is_base_of_v<torch::detail::ModuleHolderIndicator, H>
struct traits<H> {
  static void visit(H& holder, visitor& v) {
    if (!holder.is_empty()) return v.here(*holder);
    if (v.saving()) throw error("/" + v.path() + ": an empty module holder; give it a module before the save");
    v.problem("a module", "an empty module holder", "give it a module before the restore");
  }
};

/// A generator is a handle of one that libtorch keeps.
template <>
inline constexpr bool is_view<at::Generator> = true;

/// The state that PyTorch's `get_state` gives, a 1-d tensor of uint8. It is put back after everything else.
template <std::same_as<at::Generator> G>
struct traits<G> {
  static void visit(at::Generator& g, visitor& v) {
    if (!g.defined()) {
      if (v.saving()) throw error("/" + v.path() + ": an undefined generator; make it before the save");
      return v.problem("a generator", "an undefined one", "make it before the restore");
    }
    v.value(
        [g]() mutable {
          const std::lock_guard lock(g.mutex());
          return detail::torch_elements<false>{g.get_state()};
        },
        [g](const detail::torch_elements<false>& saved) mutable {
          const std::lock_guard lock(g.mutex());
          try {
            g.set_state(saved.tensor);
          } catch (const c10::Error& e) {
            throw error("the saved state of a random generator is none that it can be in: " + std::string(e.what_without_backtrace()));
          }
        },
        restore_order::random);
  }
};

/// The CPU's generator that `torch::manual_seed` seeds, and that dropout, initialisation and samplers draw from: PyTorch's
/// torch.default_generator.
inline at::Generator default_generator() { return at::detail::getDefaultCPUGenerator(); }

}  // namespace holdfast
