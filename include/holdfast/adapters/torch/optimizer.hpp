#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>  // first: without it clang does not compile the others of libtorch 1.13 as C++20

#include <torch/nn/module.h>
#include <torch/optim.h>

#include <holdfast/adapters/torch/tensor.hpp>
#include <holdfast/core/path.hpp>
#include <holdfast/core/views.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/types/optional.hpp>
#include <holdfast/types/string.hpp>
#include <holdfast/types/vector.hpp>

namespace holdfast {
namespace detail {

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
  /// A module. It must outlive this.
  named_parameters(std::string name, torch::nn::Module& module) : name_(std::move(name)), module_(&module) {}
  /// A tensor that is in no module. It must outlive this.
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
  torch::optim::Optimizer& optimizer;   ///< whose state it is
  std::vector<named_parameters> parts;  ///< what it steps
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

}  // namespace detail

template <>
struct traits<optimizer_view> {
  static void visit(optimizer_view& o, visitor& v) { detail::optimizer_visit(o, v).run(); }
};

}  // namespace holdfast
