#pragma once
/// libtorch (1.13 and 2.x), on the CPU. docs/guides/libtorch.md says what the file then holds.
///
///   state.bind("model", *net)                                    // any torch::nn::Module, ModuleHolder or shared_ptr to one
///        .bind("optimizer", holdfast::optimizer(adam, *net))     // SGD, Adam, AdamW, RMSprop, Adagrad, LBFGS
///        .bind("scheduler", step_lr)                             // StepLR, ReduceLROnPlateauScheduler
///        .bind("rng/torch", holdfast::default_generator())       // or any torch::Generator
///        .bind("hidden", hidden);                                // a torch::Tensor
///
/// Tensors are looked up at each save and restore, not when they are bound. A restore writes into their memory: parameters
/// stay the objects that they are, at their addresses, and graphs that hold their old values refuse to go backward.
#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>  // first: without it clang does not compile the others of libtorch 1.13 as C++20

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/optim.h>
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)  // libtorch 2
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#endif

#include <holdfast/core/path.hpp>
#include <holdfast/core/views.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/types/optional.hpp>
#include <holdfast/types/string.hpp>
#include <holdfast/types/vector.hpp>

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

// --- Tensors --------------------------------------------------------------------------------------------------------

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

// --- Optimizers -----------------------------------------------------------------------------------------------------

/// What a moment belongs to: it has these sizes and no others.
struct moment_of {
  const at::Tensor& parameter;
  std::vector<std::int64_t> sizes = parameter.sizes().vec();
};

/// A tensor of an optimizer's state. Where there is none yet, a restore makes it, of the type that the file has; of zeros, as the
/// optimizer would, where it was not asked for.
inline void visit_moment(at::Tensor& t, const moment_of& of, visitor& v) {
  if (t.defined() && (v.saving() || t.sizes() == of.sizes)) return visit_elements(t, v);
  if (v.saving()) return;
  const auto found = v.incoming_tensor();
  auto type = found ? torch_type_of(found->first) : std::nullopt;
  if (!type || c10::isIntegralType(*type, true)) type = of.parameter.scalar_type();
  if (!v.applying()) return visit_stand_in(dtype_of_torch(*type).value_or(dtype::float32), shape_of_torch(of.sizes), v);
  const auto options = at::TensorOptions().dtype(*type);
  t = of.parameter.sizes() == of.sizes ? at::zeros_like(of.parameter, options) : at::zeros(of.sizes, options);
  visit_elements(t, v);
}

/// One that not every run has, as the maximum that only amsgrad keeps: where it is undefined the file has nothing.
inline void visit_optional_moment(at::Tensor& t, const moment_of& of, visitor& v) {
  if (v.saving() ? t.defined() : v.incoming_tensor().has_value()) visit_moment(t, of, v);
  else if (v.applying() && v.selected()) t.reset();
}

/// A list of them, where an undefined one is absent: LBFGS fills its lists as it goes.
template <class List>
void visit_moments(List& list, const moment_of& of, visitor& v) {
  v.container();
  std::size_t n = list.size();
  if (const auto names = v.incoming(true)) {
    n = names->size();
    for (std::size_t i = 0; i < n; ++i)
      if (!std::binary_search(names->begin(), names->end(), std::to_string(i))) return v.problem("elements 0 to " + std::to_string(n - 1), "no element " + std::to_string(i), "restore all of them");
    if (v.applying()) list.resize(n);
  } else if (!v.saving()) {
    return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    v(std::to_string(i), visited_by{[&](visitor& each) {
        at::Tensor none;
        at::Tensor& t = i < list.size() ? list[i] : none;
        const presence found = each.present(t.defined());
        if (found == presence::present) visit_moment(t, of, each);
        else if (found == presence::absent && each.applying()) t.reset();
      }});
  }
}

/// The same, where having no list differs from having an empty one: without one the file has no group.
template <class Optional>
void visit_optional_moments(Optional& list, const moment_of& of, visitor& v) {
  if (v.saving() ? !list : !v.incoming(true)) {
    if (v.applying() && v.selected()) list.reset();
    return;
  }
  std::remove_cvref_t<decltype(*list)> none;
  if (v.applying() && !list) list = none;
  visit_moments(list ? *list : none, of, v);
}

inline void visit_state(torch::optim::SGDParamState& s, const moment_of& of, visitor& v) {
  v("momentum_buffer", visited_by{[&](visitor& w) { visit_moment(s.momentum_buffer(), of, w); }});
}
template <class State>
  requires std::same_as<State, torch::optim::AdamParamState> || std::same_as<State, torch::optim::AdamWParamState>
void visit_state(State& s, const moment_of& of, visitor& v) {
  v("step", s.step());
  v("exp_avg", visited_by{[&](visitor& w) { visit_moment(s.exp_avg(), of, w); }});
  v("exp_avg_sq", visited_by{[&](visitor& w) { visit_moment(s.exp_avg_sq(), of, w); }});
  v("max_exp_avg_sq", visited_by{[&](visitor& w) { visit_optional_moment(s.max_exp_avg_sq(), of, w); }});
}
inline void visit_state(torch::optim::RMSpropParamState& s, const moment_of& of, visitor& v) {
  v("step", s.step());
  v("square_avg", visited_by{[&](visitor& w) { visit_moment(s.square_avg(), of, w); }});
  v("momentum_buffer", visited_by{[&](visitor& w) { visit_optional_moment(s.momentum_buffer(), of, w); }});
  v("grad_avg", visited_by{[&](visitor& w) { visit_optional_moment(s.grad_avg(), of, w); }});
}
inline void visit_state(torch::optim::AdagradParamState& s, const moment_of& of, visitor& v) {
  v("step", s.step());
  v("sum", visited_by{[&](visitor& w) { visit_moment(s.sum(), of, w); }});
}
/// All parameters of an LBFGS are one vector to it, and the state is kept under the first one's name, as in PyTorch.
inline void visit_state(torch::optim::LBFGSParamState& s, const moment_of& flat, visitor& v) {
  const moment_of number{flat.parameter, {}};
  v("func_evals", s.func_evals());
  v("n_iter", s.n_iter());
  v("t", s.t());
  v("prev_loss", s.prev_loss());
  v("d", visited_by{[&](visitor& w) { visit_optional_moment(s.d(), flat, w); }});
  v("H_diag", visited_by{[&](visitor& w) { visit_optional_moment(s.H_diag(), number, w); }});
  v("prev_flat_grad", visited_by{[&](visitor& w) { visit_optional_moment(s.prev_flat_grad(), flat, w); }});
  v("old_dirs", visited_by{[&](visitor& w) { visit_moments(s.old_dirs(), flat, w); }});
  v("old_stps", visited_by{[&](visitor& w) { visit_moments(s.old_stps(), flat, w); }});
  v("ro", visited_by{[&](visitor& w) { visit_moments(s.ro(), number, w); }});
  v("al", visited_by{[&](visitor& w) { visit_optional_moments(s.al(), number, w); }});
}

inline void visit_options(torch::optim::SGDOptions& o, visitor& v) {
  v("momentum", o.momentum());
  v("dampening", o.dampening());
  v("nesterov", o.nesterov());
}
template <class Options>
  requires std::same_as<Options, torch::optim::AdamOptions> || std::same_as<Options, torch::optim::AdamWOptions>
void visit_options(Options& o, visitor& v) {
  v("betas", accessor([&o] { return std::vector<double>{std::get<0>(o.betas()), std::get<1>(o.betas())}; },
                      [&o](const std::vector<double>& b) { o.betas() = {b[0], b[1]}; }));
  v("eps", o.eps());
  v("amsgrad", o.amsgrad());
}
inline void visit_options(torch::optim::RMSpropOptions& o, visitor& v) {
  v("alpha", o.alpha());
  v("eps", o.eps());
  v("momentum", o.momentum());
  v("centered", o.centered());
}
inline void visit_options(torch::optim::AdagradOptions& o, visitor& v) {
  v("lr_decay", o.lr_decay());
  v("eps", o.eps());
  v("initial_accumulator_value", o.initial_accumulator_value());
}
inline void visit_options(torch::optim::LBFGSOptions& o, visitor& v) {
  const auto optional = [](auto& value, visitor& w) {
    visit_owner<std::remove_cvref_t<decltype(value)>, std::remove_cvref_t<decltype(*value)>>(value, w, [](auto& x) { x.emplace(); });
  };
  v("max_iter", o.max_iter());
  v("max_eval", visited_by{[&](visitor& w) { optional(o.max_eval(), w); }});
  v("tolerance_grad", o.tolerance_grad());
  v("tolerance_change", o.tolerance_change());
  v("history_size", o.history_size());
  v("line_search_fn", visited_by{[&](visitor& w) { optional(o.line_search_fn(), w); }});
}

template <class Options, class State>
struct optimizer_kind {
  using options = Options;
  using state = State;
};

/// Calls `run(options, kind)` for the kind of optimizer that the options are of; whether it is a known one.
template <class F>
bool with_kind(torch::optim::OptimizerOptions& options, F&& run) {
  const auto is = [&]<class Kind>(Kind kind) {
    auto* const known = dynamic_cast<typename Kind::options*>(&options);
    if (known != nullptr) run(*known, kind);
    return known != nullptr;
  };
  using namespace torch::optim;
  return is(optimizer_kind<SGDOptions, SGDParamState>()) || is(optimizer_kind<AdamOptions, AdamParamState>()) ||
         is(optimizer_kind<AdamWOptions, AdamWParamState>()) || is(optimizer_kind<RMSpropOptions, RMSpropParamState>()) ||
         is(optimizer_kind<AdagradOptions, AdagradParamState>()) || is(optimizer_kind<LBFGSOptions, LBFGSParamState>());
}

/// libtorch 1 keys by the address as text, libtorch 2 by the address.
template <class Map>
typename Map::key_type state_key(const Map&, const at::Tensor& parameter) {
  void* const address = parameter.unsafeGetTensorImpl();
  if constexpr (std::is_pointer_v<typename Map::key_type>) {
    return address;
  } else {
    std::ostringstream text;
    text << address;
    return text.str();
  }
}

}  // namespace detail

/// What an optimizer steps, under a name: a module, whose parameters are then called `name.parameter`, or one tensor.
class named_parameters {
 public:
  named_parameters(std::string name, torch::nn::Module& module) : name_(std::move(name)), module_(&module) {}
  named_parameters(std::string name, at::Tensor& tensor) : name_(std::move(name)), tensor_(&tensor) {}

  /// Calls `each(name, tensor)`.
  template <class F>
  void for_each(F&& each) const {
    if (tensor_ != nullptr && tensor_->defined()) each(name_, *tensor_);
    if (module_ == nullptr) return;
    for (const auto& item : module_->named_parameters()) each(name_.empty() ? item.key() : name_ + "." + item.key(), item.value());
  }

 private:
  std::string name_;
  torch::nn::Module* module_ = nullptr;
  at::Tensor* tensor_ = nullptr;
};

/// See `optimizer`.
struct optimizer_view {
  torch::optim::Optimizer& optimizer;
  std::vector<named_parameters> parts;
};
template <>
inline constexpr bool is_view<optimizer_view> = true;

/// An optimizer's state by the names that its parameters have in `module`, and the options and parameters of each group. It may
/// step any of the module's parameters, and no others. A restore makes the state of an optimizer that has not stepped yet, and
/// takes away state that the file has not. The groups must hold the parameters that they held when they were saved.
inline optimizer_view optimizer(torch::optim::Optimizer& of, torch::nn::Module& module) { return {of, {{"", module}}}; }

/// The same for an optimizer of several modules or of tensors: `optimizer(adam, {{"encoder", *encoder}, {"temperature", t}})`.
inline optimizer_view optimizer(torch::optim::Optimizer& of, std::vector<named_parameters> parts) { return {of, std::move(parts)}; }

namespace detail {

class optimizer_visit {
 public:
  optimizer_visit(optimizer_view& of, visitor& v) : groups_(of.optimizer.param_groups()), state_(of.optimizer.state()), v_(v) {
    for (const named_parameters& part : of.parts) {
      part.for_each([&](const std::string& name, const at::Tensor& t) {
        const auto [at, is_new] = owners_.try_emplace(name, t.unsafeGetTensorImpl());
        if (!is_new && at->second != t.unsafeGetTensorImpl()) refuse("a name of its own for every parameter", "two that are \"" + name + "\"", "give the modules different names");
        names_.try_emplace(t.unsafeGetTensorImpl(), name);  // a tied parameter has the first of its names
      });
    }
  }

  void run() {
    for (std::size_t g = 0; g < groups_.size(); ++g) check(g);
    if (refused_) return;
    v_("state", visited_by{[this](visitor& v) { states(v); }});
    for (std::size_t g = 0; g < groups_.size(); ++g)
      v_("param_groups/" + std::to_string(g), visited_by{[this, g](visitor& v) { options(groups_[g], v); }});
  }

 private:
  void refuse(const std::string& expected, const std::string& found, const std::string& advice) {
    if (v_.saving()) throw error("/" + v_.path() + ": expected " + expected + ", found " + found + "; " + advice);
    v_.problem(expected, found, advice);
    refused_ = true;
  }

  void check(std::size_t g) {
    auto& group = groups_[g];
    if (!group.has_options() || !with_kind(group.options(), [](auto&, auto) {}))
      refuse("SGD, Adam, AdamW, RMSprop, Adagrad or LBFGS", "an optimizer of another kind", "give its class holdfast::traits");
    for (std::size_t i = 0; i < group.params().size(); ++i) {
      const at::Tensor& p = group.params()[i];
      if (p.defined() && names_.contains(p.unsafeGetTensorImpl())) continue;
      refuse("parameters of the given modules", "parameter " + std::to_string(i) + " of group " + std::to_string(g) + (p.defined() ? c10::str(", ", p.scalar_type(), p.sizes()) : ", undefined"),
             "pass holdfast::optimizer every module that it steps: {{\"encoder\", *encoder}, {\"decoder\", *decoder}}; a parameter that was replaced needs a new optimizer");
    }
  }

  const std::string& name_of(const at::Tensor& p) const { return names_.at(p.unsafeGetTensorImpl()); }

  void options(torch::optim::OptimizerParamGroup& group, visitor& v) {
    with_kind(group.options(), [&](auto& o, auto) {
      v("lr", o.lr());
      if constexpr (requires { o.weight_decay(); }) v("weight_decay", o.weight_decay());
      visit_options(o, v);
    });
    std::string params;
    for (const at::Tensor& p : group.params()) params += (params.empty() ? "" : "\n") + name_of(p);
    v.identity("params", params);
  }

  void states(visitor& v) {
    v.container();
    const auto names = v.incoming(true);
    if (!names && !v.saving()) return;
    std::unordered_map<const void*, bool> visited;  // libtorch steps a tied parameter once for each of its names, and has one state
    for (auto& group : groups_) {
      std::int64_t all = 0;
      for (const at::Tensor& p : group.params()) all += p.numel();
      for (const at::Tensor& p : group.params()) {
        if (!visited.try_emplace(p.unsafeGetTensorImpl()).second) continue;
        with_kind(group.options(), [&]<class Kind>(auto&, Kind) {
          constexpr bool flat = std::same_as<typename Kind::state, torch::optim::LBFGSParamState>;
          const moment_of of{p, flat ? std::vector{all} : p.sizes().vec()};
          v(encode_component(name_of(p)), visited_by{[&](visitor& w) { state<typename Kind::state>(of, names ? std::binary_search(names->begin(), names->end(), name_of(p)) : true, w); }});
        });
      }
    }
  }

  /// `in_file`: whether the file has state of that parameter; true on a save.
  template <class State>
  void state(const moment_of& of, bool in_file, visitor& v) {
    const auto key = state_key(state_, of.parameter);
    auto at = state_.find(key);
    if (!in_file) {
      if (at != state_.end() && v.applying() && v.selected()) state_.erase(at);
      return;
    }
    if (at == state_.end() && v.saving()) return;
    if (at == state_.end() && v.applying()) at = state_.emplace(key, std::make_unique<State>()).first;
    if (at != state_.end()) return visit_state(static_cast<State&>(*at->second), of, v);
    const auto stand_in = std::make_shared<State>();
    v.keep(stand_in);
    visit_state(*stand_in, of, v);
  }

  std::vector<torch::optim::OptimizerParamGroup>& groups_;
  std::remove_reference_t<decltype(std::declval<torch::optim::Optimizer&>().state())>& state_;
  visitor& v_;
  std::unordered_map<const void*, std::string> names_;
  std::unordered_map<std::string, const void*> owners_;
  bool refused_ = false;
};

// --- Private members of schedulers ----------------------------------------------------------------------------------

/// Defines `members_of(std::type_identity<Members>())`, which gives pointers to private members: an explicit instantiation may
/// name them.
template <class Members, auto... Pointers>
struct reveal {
  friend Members members_of(std::type_identity<Members>) { return {Pointers...}; }
};

struct step_lr_members {
  unsigned torch::optim::LRScheduler::* step_count;
  const unsigned torch::optim::StepLR::* step_size;
  const double torch::optim::StepLR::* gamma;
};
step_lr_members members_of(std::type_identity<step_lr_members>);
template struct reveal<step_lr_members, &torch::optim::LRScheduler::step_count_, &torch::optim::StepLR::step_size_, &torch::optim::StepLR::gamma_>;

#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
using plateau = torch::optim::ReduceLROnPlateauScheduler;
struct plateau_members {
  plateau::SchedulerMode plateau::* mode;
  plateau::ThresholdMode plateau::* threshold_mode;
  std::vector<float> plateau::* min_lrs;
  float plateau::*factor, plateau::*best;
  double plateau::*threshold, plateau::*eps;
  int plateau::*patience, plateau::*cooldown, plateau::*cooldown_counter, plateau::*last_epoch, plateau::*num_bad_epochs;
};
plateau_members members_of(std::type_identity<plateau_members>);
template struct reveal<plateau_members, &plateau::mode, &plateau::threshold_mode, &plateau::min_lrs, &plateau::factor, &plateau::best, &plateau::threshold,
                       &plateau::eps, &plateau::patience, &plateau::cooldown, &plateau::cooldown_counter, &plateau::last_epoch, &plateau::num_bad_epochs>;
#endif

inline void require_in_scheduler(bool holds, const char* name, double found) {
  if (!holds) throw error("the file's scheduler has " + std::string(name) + " " + std::to_string(found) + ", which none can have");
}

/// The integers of the file are int64 whatever the program's are.
template <std::integral T>
auto as_int64(T& number, const char* name, std::int64_t least, std::int64_t offset = 0) {
  return accessor([&number, offset] { return static_cast<std::int64_t>(number) + offset; },
                  [&number, name, least, offset](std::int64_t to) {
                    require_in_scheduler(to >= least && to <= std::int64_t{std::numeric_limits<T>::max()} + offset, name, static_cast<double>(to));
                    number = static_cast<T>(to - offset);
                  });
}
inline auto as_float64(float& number) {
  return accessor([&number] { return static_cast<double>(number); }, [&number](double to) { number = static_cast<float>(to); });
}

}  // namespace detail

// --- Traits ---------------------------------------------------------------------------------------------------------

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

template <>
struct traits<optimizer_view> {
  static void visit(optimizer_view& o, visitor& v) { detail::optimizer_visit(o, v).run(); }
};

/// `last_epoch`, which as PyTorch's is -1 before the first step; a StepLR's `step_size` and `gamma`, too. The rates themselves
/// are in the optimizer. A scheduler with state of its own needs traits of its own, which can visit this part through
/// `traits<torch::optim::LRScheduler>`.
template <std::derived_from<torch::optim::LRScheduler> S>
struct traits<S> {
  static void visit(S& s, visitor& v) {
    torch::optim::LRScheduler& any = s;
    const auto members = members_of(std::type_identity<detail::step_lr_members>());
    v("last_epoch", detail::as_int64(any.*members.step_count, "last_epoch", -1, -1));
    auto* const step = dynamic_cast<torch::optim::StepLR*>(&any);
    if (step == nullptr) return;
    const unsigned& step_size = step->*members.step_size;
    const double& gamma = step->*members.gamma;
    v("step_size", accessor([&step_size] { return std::int64_t{step_size}; },
                            [&step_size](std::int64_t to) {
                              detail::require_in_scheduler(to > 0 && to <= std::int64_t{std::numeric_limits<unsigned>::max()}, "step_size", static_cast<double>(to));
                              // A constant member may be replaced by a new object and not assigned to.
                              std::construct_at(const_cast<unsigned*>(&step_size), static_cast<unsigned>(to));
                            }));
    v("gamma", accessor([&gamma] { return gamma; }, [&gamma](double to) { std::construct_at(const_cast<double*>(&gamma), to); }));
  }
};

#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
/// Its members under the names that PyTorch's state_dict gives them. A restore requires the same `mode` and `threshold_mode`.
template <std::derived_from<torch::optim::ReduceLROnPlateauScheduler> S>
struct traits<S> {
  static void visit(S& s, visitor& v) {
    torch::optim::ReduceLROnPlateauScheduler& p = s;
    const auto members = members_of(std::type_identity<detail::plateau_members>());
    std::vector<float>& min_lrs = p.*members.min_lrs;
    v.identity("mode", p.*members.mode == detail::plateau::min ? "min" : "max");
    v.identity("threshold_mode", p.*members.threshold_mode == detail::plateau::rel ? "rel" : "abs");
    v("factor", detail::as_float64(p.*members.factor));
    v("patience", detail::as_int64(p.*members.patience, "patience", 0));
    v("threshold", p.*members.threshold);
    v("cooldown", detail::as_int64(p.*members.cooldown, "cooldown", 0));
    v("cooldown_counter", detail::as_int64(p.*members.cooldown_counter, "cooldown_counter", 0));
    v("min_lrs", accessor([&min_lrs] { return std::vector<double>(min_lrs.begin(), min_lrs.end()); },
                          [&min_lrs](const std::vector<double>& to) { std::transform(to.begin(), to.end(), min_lrs.begin(), [](double x) { return static_cast<float>(x); }); }));
    v("eps", p.*members.eps);
    v("best", detail::as_float64(p.*members.best));
    v("last_epoch", detail::as_int64(p.*members.last_epoch, "last_epoch", 0));
    v("num_bad_epochs", detail::as_int64(p.*members.num_bad_epochs, "num_bad_epochs", 0));
  }
};
#endif

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
