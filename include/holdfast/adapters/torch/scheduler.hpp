#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <ATen/core/ivalue.h>  // first: without it clang does not compile the others of libtorch 1.13 as C++20

#include <torch/optim.h>
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)  // libtorch 2
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#endif

#include <holdfast/core/views.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/types/vector.hpp>

namespace holdfast {
namespace detail {

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

}  // namespace holdfast
