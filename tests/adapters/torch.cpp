#include <holdfast/adapters/torch.hpp>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/loss.h>
#include <torch/serialize.h>

#include <holdfast/separate.hpp>

#include "../checkpoint/sample.hpp"
#include "../support.hpp"

using namespace holdfast;
using support::contents;
using support::message_of;
using support::require_all;
namespace nn = torch::nn;
namespace optim = torch::optim;

namespace {

/// Parameters in one and two dimensions, buffers of two types, random draws, a parameter that never gets a gradient, and
/// one without elements.
struct mlp : nn::Module {
  nn::Linear fc1{nullptr}, fc2{nullptr}, unused{nullptr};
  nn::BatchNorm1d norm{nullptr};
  nn::Dropout drop{nullptr};
  explicit mlp(std::int64_t width = 8) {
    fc1 = register_module("fc1", nn::Linear(5, width));
    norm = register_module("norm", nn::BatchNorm1d(width));
    drop = register_module("drop", nn::Dropout(0.25));
    fc2 = register_module("fc2", nn::Linear(nn::LinearOptions(width, 3).bias(false)));
    unused = register_module("unused", nn::Linear(2, 2));
    register_parameter("none", torch::empty({0, 3}));
  }
  at::Tensor forward(const at::Tensor& x) { return fc2(drop(torch::relu(norm(fc1(x))))); }
};

using optimizer_maker = std::function<std::unique_ptr<optim::Optimizer>(nn::Module&, double)>;

template <class Optimizer, class Options>
optimizer_maker making(Options options) {
  return [options](nn::Module& net, double lr) -> std::unique_ptr<optim::Optimizer> { return std::make_unique<Optimizer>(net.parameters(), Options(options).lr(lr)); };
}

const std::vector<std::pair<std::string, optimizer_maker>> optimizers{
    {"SGD", making<optim::SGD>(optim::SGDOptions(0))},
    {"SGD with momentum", making<optim::SGD>(optim::SGDOptions(0).momentum(0.9).weight_decay(1e-3).nesterov(true))},
    {"Adam", making<optim::Adam>(optim::AdamOptions())},
    {"Adam with amsgrad", making<optim::Adam>(optim::AdamOptions().betas({0.8, 0.99}).amsgrad(true).weight_decay(1e-2))},
    {"AdamW", making<optim::AdamW>(optim::AdamWOptions())},
    {"RMSprop", making<optim::RMSprop>(optim::RMSpropOptions())},
    {"RMSprop, centered", making<optim::RMSprop>(optim::RMSpropOptions().momentum(0.5).centered(true))},
    {"Adagrad", making<optim::Adagrad>(optim::AdagradOptions().initial_accumulator_value(0.1).lr_decay(1e-2))},
    {"LBFGS", making<optim::LBFGS>(optim::LBFGSOptions().max_iter(4).history_size(6))},
    {"LBFGS, strong Wolfe", making<optim::LBFGS>(optim::LBFGSOptions().max_iter(3).line_search_fn("strong_wolfe"))},
};
const optimizer_maker& with_adam = optimizers[2].second;

/// A run, from its own seed; `lr` is only what it starts with.
struct trainer {
  std::shared_ptr<mlp> net;
  at::Generator data = at::make_generator<at::CPUGeneratorImpl>(7);
  std::unique_ptr<optim::Optimizer> optimizer;
  optim::StepLR scheduler;
  std::int64_t step = 0;
  holdfast::state bound;

  explicit trainer(std::uint64_t seed, const optimizer_maker& make = with_adam, double lr = 0.02, unsigned step_size = 4, std::int64_t width = 8)
      : net((default_generator().set_current_seed(seed), std::make_shared<mlp>(width))), optimizer(make(*net, lr)), scheduler(*optimizer, step_size, 0.5) {
    data.set_current_seed(seed + 1);
    bound.bind("model", *net)
        .bind("optimizer", holdfast::optimizer(*optimizer, *net))
        .bind("scheduler", scheduler)
        .bind("rng/torch", default_generator())
        .bind("rng/data", data)
        .bind("progress/step", step);
  }
  trainer(const trainer&) = delete;

  double train_once() {
    const at::Tensor x = torch::randn({6, 5}, data, at::kFloat), y = torch::randn({6, 3}, data, at::kFloat);
    const at::Tensor loss = optimizer->step([&] {
      const at::AutoGradMode with_gradients(true);  // LBFGS takes them away around its closure
      optimizer->zero_grad();
      const at::Tensor at_x = (net->forward(x) - y).square().mean();
      at_x.backward();
      return at_x;
    });
    scheduler.step();
    ++step;
    return loss.item<double>();
  }
  std::vector<std::uint64_t> train(int steps) {
    std::vector<std::uint64_t> losses;
    for (int i = 0; i < steps; ++i) losses.push_back(std::bit_cast<std::uint64_t>(train_once()));
    return losses;
  }
  std::string contents() const { return support::contents(bound); }
};

std::vector<std::string> paths(const std::string& file, const std::string& below) {
  std::vector<std::string> all;
  for (const entry& e : checkpoint_file(file).entries())
    if (e.path.starts_with(below)) all.push_back(e.path.substr(below.size()));
  return all;
}

std::string bytes(const at::Tensor& t) {
  const at::Tensor flat = t.detach().contiguous();
  return {static_cast<const char*>(flat.data_ptr()), flat.nbytes()};
}

template <class State>
State& state_of(optim::Optimizer& o, const at::Tensor& p) { return static_cast<State&>(*o.state().at(holdfast::detail::state_key(o.state(), p))); }

using names = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(libtorch)

BOOST_AUTO_TEST_CASE(every_optimizer_resumes_bit_for_bit) {
  for (const auto& [name, make] : optimizers) {
    BOOST_TEST_CONTEXT(name) {
      const support::folder dir;
      trainer whole(1, make);
      whole.train(7);
      save(dir / "a.h5", whole.bound);
      const auto losses = whole.train(10);
      trainer resumed(2, make, 0.5, 1000);  // other parameters, another rate, another schedule, no moments
      restore(dir / "a.h5", resumed.bound);
      BOOST_TEST((resumed.train(10) == losses));
      BOOST_TEST((resumed.contents() == whole.contents()));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_left_out_is_missed) {
  const support::folder dir;
  trainer whole(1);
  whole.train(7);
  save(dir / "a.h5", whole.bound);
  const auto losses = whole.train(10);
  for (const std::string part : {"model/*.weight", "model/norm.running_mean", "optimizer/state/**", "optimizer/state/*/step", "optimizer/state/*/exp_avg",
                                 "optimizer/state/*/exp_avg_sq", "optimizer/param_groups/0/lr", "scheduler/last_epoch", "scheduler/step_size", "rng/torch", "rng/data"}) {
    BOOST_TEST_CONTEXT(part) {
      trainer resumed(2, with_adam, 0.5, 2);
      restore(dir / "a.h5", resumed.bound, {.except = {part}});
      if (part == "model/norm.running_mean") BOOST_TEST((resumed.train(10) == losses && resumed.contents() != whole.contents()));  // the losses of training do not use it
      else BOOST_TEST((resumed.train(10) != losses));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_file_has_the_names_of_pytorch) {
  const support::folder dir;
  trainer t(1, optimizers[3].second);
  t.train(3);
  save(dir / "a.h5", t.bound);
  BOOST_TEST((paths(dir / "a.h5", "model/") == names{"fc1.bias", "fc1.weight", "fc2.weight", "none", "norm.bias", "norm.num_batches_tracked", "norm.running_mean",
                                                     "norm.running_var", "norm.weight", "unused.bias", "unused.weight"}));
  BOOST_TEST((paths(dir / "a.h5", "optimizer/state/fc1.") == names{"bias/exp_avg", "bias/exp_avg_sq", "bias/max_exp_avg_sq", "bias/step", "weight/exp_avg",
                                                                   "weight/exp_avg_sq", "weight/max_exp_avg_sq", "weight/step"}));
  BOOST_TEST((paths(dir / "a.h5", "optimizer/param_groups/") == names{"0/amsgrad", "0/betas", "0/eps", "0/lr", "0/params", "0/weight_decay"}));
  BOOST_TEST((paths(dir / "a.h5", "scheduler/") == names{"gamma", "last_epoch", "step_size"}));
  std::ofstream(dir / "read.py") << R"(
import h5py, numpy, sys
f = h5py.File(sys.argv[1], "r")
w, m = f["model/fc1.weight"], f["optimizer/state/fc1.weight/exp_avg"]
assert w.dtype == m.dtype == numpy.float32 and w.shape == m.shape == (8, 5)
assert numpy.array_equal(w[()].ravel(), numpy.fromfile(sys.argv[2], numpy.float32)), "the weights differ"
g = f["optimizer/param_groups/0"]
assert g["lr"][()] == 0.02 and g["lr"].dtype == numpy.float64 and g["lr"].shape == ()
assert list(g["betas"][()]) == [0.8, 0.99] and g["amsgrad"][()] == True and g["amsgrad"].dtype == bool
assert f["optimizer/state/fc1.weight/step"][()] == 3 and f["optimizer/state/fc1.weight/step"].dtype == numpy.int64
names = ["none", "fc1.weight", "fc1.bias", "norm.weight", "norm.bias", "fc2.weight", "unused.weight", "unused.bias"]
assert g["params"][()].decode().split("\n") == names, g["params"][()]
assert f["scheduler/last_epoch"][()] == 2 and f["rng/torch"].dtype == numpy.uint8
)";
  support::write_bytes(dir / "w", bytes(t.net->fc1->weight));
  BOOST_TEST(std::system(("/usr/bin/python3 " + (dir / "read.py") + " " + (dir / "a.h5") + " " + (dir / "w")).c_str()) == 0);
}

BOOST_AUTO_TEST_CASE(a_restore_makes_and_takes_away_state_as_the_file_has_it) {
  const support::folder dir;
  trainer t(1);
  save(dir / "begin.h5", t.bound);
  t.train(3);
  save(dir / "3.h5", t.bound);
  const std::string before = t.contents();
  BOOST_TEST(paths(dir / "begin.h5", "optimizer/state/").empty());
  BOOST_TEST(paths(dir / "3.h5", "optimizer/state/unused").empty(), "a parameter without a gradient has no state");

  trainer fresh(2);
  restore(dir / "3.h5", fresh.bound);
  BOOST_TEST(fresh.optimizer->state().size() == 5u);
  BOOST_TEST((fresh.contents() == before));

  // A part of it touches nothing else, in an optimizer with state and in one without.
  fresh.train(2);
  const std::string moment = bytes(state_of<optim::AdamParamState>(*fresh.optimizer, fresh.net->fc2->weight).exp_avg());
  restore(dir / "3.h5", fresh.bound, {.only = {"optimizer/state/fc1.weight/**"}});
  BOOST_TEST(fresh.optimizer->state().size() == 5u);
  BOOST_TEST((bytes(state_of<optim::AdamParamState>(*fresh.optimizer, fresh.net->fc2->weight).exp_avg()) == moment));
  trainer part(2);
  restore(dir / "3.h5", part.bound, {.only = {"optimizer/state/fc1.weight/**"}});
  BOOST_TEST(part.optimizer->state().size() == 1u);

  restore(dir / "begin.h5", t.bound, {.except = {"optimizer/state"}});
  BOOST_TEST(t.optimizer->state().size() == 5u);
  restore(dir / "begin.h5", t.bound);
  BOOST_TEST(t.optimizer->state().empty());
  t.train(3);
  BOOST_TEST((t.contents() == before));
}

BOOST_AUTO_TEST_CASE(what_an_option_made_goes_when_the_file_is_without_it) {
  const support::folder dir;
  trainer plain(1), amsgrad(1, optimizers[3].second);
  plain.train(2), amsgrad.train(2);
  save(dir / "a.h5", plain.bound);
  BOOST_TEST(state_of<optim::AdamParamState>(*amsgrad.optimizer, amsgrad.net->fc1->weight).max_exp_avg_sq().defined());
  restore(dir / "a.h5", amsgrad.bound);
  BOOST_TEST((amsgrad.contents() == plain.contents()));
}

BOOST_AUTO_TEST_CASE(moments_never_go_to_another_shape_or_parameter) {
  const support::folder dir;
  trainer t(1);
  t.train(3);
  save(dir / "a.h5", t.bound);
  for (const bool stepped : {false, true}) {
    trainer wider(2, with_adam, 0.5, 3, 9);
    if (stepped) wider.train(1);
    const std::string before = wider.contents();
    require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", wider.bound); }), "/model/fc1.weight: expected float32[9, 5], found float32[8, 5]",
                "/optimizer/state/fc1.weight/exp_avg: expected float32[9, 5], found float32[8, 5]", "/optimizer/state/norm.bias/exp_avg_sq: expected float32[9]");
    BOOST_TEST((wider.contents() == before), "nothing has changed, options included");
    BOOST_TEST(wider.optimizer->state().size() == (stepped ? 5u : 0u));
  }

  // State of a parameter that the program has not is reported, and goes to no other.
  nn::Sequential small(nn::Linear(5, 8));
  optim::Adam steps(small->parameters());
  state s;
  s.bind("optimizer", holdfast::optimizer(steps, *small));
  save(dir / "small.h5", s);
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", s, {.only = {"optimizer/**"}}); }), "/optimizer/state/fc2.weight/exp_avg", "found float32[3, 8]",
              "/optimizer/param_groups/0/params: expected \"0.weight\n0.bias\"");
  BOOST_TEST(steps.state().empty());
}

BOOST_AUTO_TEST_CASE(groups_have_their_own_options_and_their_own_parameters) {
  const support::folder dir;
  mlp net;
  using group = optim::OptimizerParamGroup;
  const auto groups = [&](bool swapped, double lr) {
    std::vector<group> both{group(net.fc1->parameters(), std::make_unique<optim::SGDOptions>(optim::SGDOptions(lr).momentum(0.9))),
                            group(net.fc2->parameters(), std::make_unique<optim::SGDOptions>(optim::SGDOptions(lr / 2).momentum(0.1).dampening(0.25)))};
    return std::make_unique<optim::SGD>(swapped ? std::vector<group>{both[1], both[0]} : both, optim::SGDOptions(0.001));
  };
  const auto saved = groups(false, 0.5), same = groups(false, 7), swapped = groups(true, 7);
  state s, back, other;
  s.bind("optimizer", holdfast::optimizer(*saved, net));
  back.bind("optimizer", holdfast::optimizer(*same, net));
  other.bind("optimizer", holdfast::optimizer(*swapped, net));
  save(dir / "a.h5", s);
  restore(dir / "a.h5", back);
  BOOST_TEST((contents(back) == contents(s)));
  const auto& second = static_cast<optim::SGDOptions&>(same->param_groups()[1].options());
  BOOST_TEST(second.lr() == 0.25);
  BOOST_TEST(second.momentum() == 0.1);
  BOOST_TEST(second.dampening() == 0.25);
  const std::string before = contents(other);
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", other); }), "/optimizer/param_groups/0/params: expected \"fc2.weight\", found \"fc1.weight\nfc1.bias\"");
  BOOST_TEST((contents(other) == before));
  BOOST_TEST(swapped->param_groups()[0].options().get_lr() == 3.5);
}

BOOST_AUTO_TEST_CASE(a_module_that_moved_after_it_was_bound_is_saved_as_it_is) {
  const support::folder dir;
  trainer t(1), single(2), twice(2);
  saver again;
  t.train(2);
  again.save(dir / "a.h5", t.bound);
  t.net->to(at::kDouble);
  again.save(dir / "b.h5", t.bound);
  BOOST_TEST((checkpoint_file(dir / "b.h5").read<std::vector<double>>("model/fc1.bias").size() == 8));
  BOOST_CHECK_THROW(restore(dir / "b.h5", single.bound), mismatch_error);
  twice.net->to(at::kDouble);
  restore(dir / "b.h5", twice.bound);  // float64 parameters with the float32 moments that they had
  BOOST_TEST((twice.contents() == t.contents()));
  BOOST_TEST((state_of<optim::AdamParamState>(*twice.optimizer, twice.net->fc1->weight).exp_avg().scalar_type() == at::kFloat));
}

BOOST_AUTO_TEST_CASE(a_tied_parameter_is_stored_once_and_stepped_as_often_as_libtorch_does) {
  struct tied : nn::Module {
    at::Tensor in, out;
    tied() {
      in = register_parameter("in", torch::randn({4, 4}));
      out = register_parameter("out", in);
    }
    void run(optim::Optimizer& o, int steps) {
      for (int i = 0; i < steps; ++i) {
        o.zero_grad();
        torch::mm(in, out).sum().backward();
        o.step();
      }
    }
  };
  const support::folder dir;
  tied a, b;
  optim::Adam adam_a(a.parameters(), 0.1), adam_b(b.parameters(), 0.1);
  state s, t;
  s.bind("model", a).bind("optimizer", holdfast::optimizer(adam_a, a));
  t.bind("model", b).bind("optimizer", holdfast::optimizer(adam_b, b));
  a.run(adam_a, 3);
  save(dir / "a.h5", s);
  const checkpoint_file file(dir / "a.h5");
  BOOST_TEST(file.read<std::int64_t>("optimizer/state/in/step") == 6, "twice a step");
  BOOST_TEST((paths(dir / "a.h5", "optimizer/state/") == names{"in/exp_avg", "in/exp_avg_sq", "in/step"}));
  for (const entry& e : file.entries())
    if (e.path == "model/out") BOOST_TEST(e.alias_of == "model/in");
  restore(dir / "a.h5", t);
  a.run(adam_a, 5), b.run(adam_b, 5);
  BOOST_TEST((contents(t) == contents(s)));
  BOOST_TEST(b.out.is_same(b.in));
}

BOOST_AUTO_TEST_CASE(the_undefined_of_lbfgs_is_not_empty) {
  const support::folder dir;
  trainer a(1, optimizers[8].second), b(2, optimizers[8].second);
  a.train(1), b.train(3);
  auto& s = state_of<optim::LBFGSParamState>(*a.optimizer, a.net->parameters()[0]);
  auto& t = state_of<optim::LBFGSParamState>(*b.optimizer, b.net->parameters()[0]);
  const auto round = [&] {
    save(dir / "a.h5", a.bound);
    restore(dir / "a.h5", b.bound);
    BOOST_TEST((b.contents() == a.contents()));
  };
  BOOST_TEST((s.al().has_value() && !s.old_dirs().empty() && s.old_dirs().size() < t.old_dirs().size()));
  round();
  BOOST_TEST(t.old_dirs().size() == s.old_dirs().size());
  BOOST_TEST((t.al()->size() == s.al()->size() && t.al()->at(0).defined() && !t.al()->back().defined()));
  s.old_dirs().clear(), s.al() = std::vector<at::Tensor>(), s.d().reset(), s.H_diag().reset(), s.prev_flat_grad().reset();
  round();
  BOOST_TEST((t.old_dirs().empty() && t.al().has_value() && t.al()->empty() && !t.d().defined() && !t.H_diag().defined() && !t.prev_flat_grad().defined()));
  s.al().reset();
  round();
  BOOST_TEST(!t.al().has_value());
  s.al() = std::vector<at::Tensor>(2), s.d() = torch::ones({t.old_stps()[0].numel()});
  round();
  BOOST_TEST((t.al()->size() == 2 && !t.al()->at(1).defined() && t.d().defined()));
  auto& options = static_cast<optim::LBFGSOptions&>(a.optimizer->param_groups()[0].options());
  options.line_search_fn("strong_wolfe"), options.max_eval() = {};
  round();
  BOOST_TEST((*static_cast<optim::LBFGSOptions&>(b.optimizer->param_groups()[0].options()).line_search_fn() == "strong_wolfe"));
  s.d() = torch::ones({3});
  save(dir / "a.h5", a.bound);
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", b.bound); }), "/optimizer/state/none/d: expected float32[", "found float32[3]");
}

BOOST_AUTO_TEST_CASE(schedulers_go_on_where_they_were) {
  const support::folder dir;
  mlp net;
  optim::SGD sgd(net.parameters(), 1.0), other(net.parameters(), 1.0);
  optim::StepLR a(sgd, 3, 0.25), b(other, 5, 0.5);
  optim::LRScheduler& through_base = b;
  state s, t;
  s.bind("scheduler", a), t.bind("scheduler", through_base);
  const auto last_epoch = [&](const state& of) {
    save(dir / "now.h5", of);
    return checkpoint_file(dir / "now.h5").read<std::int64_t>("scheduler/last_epoch");
  };
  BOOST_TEST(last_epoch(s) == -1, "as PyTorch's before its constructor steps");
  for (int i = 0; i < 5; ++i) a.step();
  BOOST_TEST(last_epoch(s) == 4);
  restore(dir / "now.h5", t);
  BOOST_TEST((contents(t) == contents(s)));
  sgd.param_groups()[0].options().set_lr(1), other.param_groups()[0].options().set_lr(1);
  std::vector<double> rates, rates_again;
  for (int i = 0; i < 9; ++i) {
    a.step(), b.step();
    rates.push_back(sgd.param_groups()[0].options().get_lr()), rates_again.push_back(other.param_groups()[0].options().get_lr());
  }
  BOOST_TEST((rates == rates_again && rates.back() == 1. / 64), "with the file's step_size and gamma");

  std::int64_t last = 4, size = 0;
  double gamma = 0.5;
  state made;
  made.bind("scheduler/last_epoch", last).bind("scheduler/step_size", size).bind("scheduler/gamma", gamma);
  save(dir / "bad.h5", made);
  require_all(message_of<error>([&] { restore(dir / "bad.h5", t); }), "step_size 0", "which none can have");
  last = -2, size = 2;
  save(dir / "bad.h5", made);
  require_all(message_of<error>([&] { restore(dir / "bad.h5", t); }), "last_epoch -2");
}

#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
BOOST_AUTO_TEST_CASE(a_plateau_goes_on_where_it_was) {
  const support::folder dir;
  mlp net;
  using plateau = optim::ReduceLROnPlateauScheduler;
  optim::SGD sgd(net.parameters(), 1.0), other(net.parameters(), 1.0);
  plateau a(sgd, plateau::min, 0.5f, 2, 1e-3, plateau::abs, 1, {1e-3f}), b(other, plateau::min, 0.1f, 9, 1e-4, plateau::abs, 3, {0.f}), max(other, plateau::max);
  state s, t, u;
  s.bind("scheduler", a).bind("optimizer", holdfast::optimizer(sgd, net));
  t.bind("scheduler", b).bind("optimizer", holdfast::optimizer(other, net));
  u.bind("scheduler", max);
  for (const float metric : {3.f, 2.f, 2.f, 2.f, 2.f, 2.5f}) a.step(metric);
  save(dir / "a.h5", s);
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", u, {.only = {"scheduler"}}); }), "/scheduler/mode: expected \"max\", found \"min\"", "threshold_mode");
  restore(dir / "a.h5", t);
  for (int i = 0; i < 12; ++i) {
    a.step(2), b.step(2);
    BOOST_TEST((contents(t) == contents(s)));
  }
  BOOST_TEST(sgd.param_groups()[0].options().get_lr() < 0.3);
}
#endif

BOOST_AUTO_TEST_CASE(generators_come_back_last_and_only_whole) {
  const support::folder dir;
  at::Generator own = at::make_generator<at::CPUGeneratorImpl>(3);
  torch::manual_seed(5);
  state s;
  s.bind("rng/torch", default_generator()).bind("rng/own", own);
  s.after_restore([] { torch::rand({9}); });
  torch::randn({3}, at::kDouble);  // leaves a value drawn ahead
  torch::randn({5}, own, at::kFloat);
  save(dir / "a.h5", s);
  const auto draw = [&] { return bytes(torch::randn({17}, at::kDouble)) + bytes(torch::randn({17}, own, at::kFloat)); };
  const std::string expected = draw();
  draw();
  restore(dir / "a.h5", s);
  BOOST_TEST((draw() == expected));
  BOOST_TEST(checkpoint_file(dir / "a.h5").read<std::vector<std::uint8_t>>("rng/own").size() == bytes(own.get_state()).size());

  std::vector<std::uint8_t> wrong(bytes(own.get_state()).size(), 0xff);
  state made;
  made.bind("rng/torch", wrong).bind("rng/own", wrong);
  save(dir / "bad.h5", made);
  require_all(message_of<error>([&] { restore(dir / "bad.h5", s); }), "none that it can be in", "mt19937");
  wrong.resize(100);
  save(dir / "bad.h5", made);
  require_all(message_of<mismatch_error>([&] { restore(dir / "bad.h5", s); }), "/rng/own: expected uint8[", "found uint8[100]");
  at::Generator undefined;
  state u;
  u.bind("rng", undefined);
  require_all(message_of<error>([&] { save(dir / "a.h5", u); }), "/rng: an undefined generator");
}

BOOST_AUTO_TEST_CASE(tensors_of_every_type_and_layout_come_back) {
  const support::folder dir;
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (const auto& [name, type] : holdfast::detail::torch_types) {
    const auto same = holdfast::detail::torch_type_of(type);
    if (!same) continue;  // this libtorch has none of it
    at::Tensor t = torch::empty({4, 3}, *same);
    for (std::size_t i = 0; i < t.nbytes(); ++i) static_cast<std::uint8_t*>(t.data_ptr())[i] = type == dtype::boolean ? i % 2 : static_cast<std::uint8_t>(i * 7);
    all.emplace_back(std::string(holdfast::name(type)), t);
  }
  BOOST_TEST(all.size() >= 12u);  // of the types that every libtorch has
  const at::Tensor base = torch::arange(2 * 3 * 4 * 5, at::kFloat).view({2, 3, 4, 5});
  all.emplace_back("transposed", base[0][0].t());
  all.emplace_back("sliced", base.slice(3, 1, 5, 2));
  all.emplace_back("permuted", base.permute({2, 0, 3, 1}));
  all.emplace_back("channels_last", base.contiguous(at::MemoryFormat::ChannelsLast));
  all.emplace_back("offset", base[1][2][3]);
  all.emplace_back("scalar", torch::tensor(2.5, at::kDouble));
  all.emplace_back("empty", torch::empty({3, 0, 2}));
  all.emplace_back("undefined", at::Tensor());
  all.emplace_back("expanded", torch::full({1}, 3.f).expand({4}));
  state s, t, u;
  std::deque<at::Tensor> back, made;
  for (auto& [name, tensor] : all) {
    s.bind(name, tensor);
    t.bind(name, back.emplace_back(tensor.defined() ? at::zeros_like(tensor) : at::Tensor()));
    u.bind(name, made.emplace_back());  // undefined: made as the file has it
  }
  save(dir / "a.h5", s);
  const auto before = contents(s);
  std::deque<const void*> places;
  for (const at::Tensor& b : back) places.push_back(b.defined() ? b.data_ptr() : nullptr);
  restore(dir / "a.h5", t);
  BOOST_TEST((contents(t) == before));
  for (std::size_t i = 0; i < back.size(); ++i) BOOST_TEST((back[i].defined() ? back[i].data_ptr() : nullptr) == places[i]);
  restore(dir / "a.h5", u);
  BOOST_TEST((contents(u) == before));
  for (std::size_t i = 0; i < all.size(); ++i)  // in logical order, whatever the strides are
    if (all[i].second.defined()) BOOST_TEST((bytes(back[i]) == bytes(all[i].second) && bytes(made[i]) == bytes(all[i].second)), all[i].first);
  BOOST_TEST((!made[made.size() - 2].defined() && made[made.size() - 3].defined()), "undefined is not empty");
  const checkpoint_file file(dir / "a.h5");
  BOOST_TEST((file.read<std::vector<float>>("offset") == std::vector<float>{115, 116, 117, 118, 119}));
  BOOST_TEST(file.map<float>("transposed")[1] == 5.f);
  for (const entry& e : file.entries()) {
    if (e.path == "transposed") BOOST_TEST((e.shape == shape{5, 4}));
    if (e.path == "undefined") BOOST_TEST((e.kind == entry_kind::absent));
    if (e.path == "bfloat16") BOOST_TEST((e.dtype == dtype::bfloat16));
  }
  // Where the file has none, the program's is taken away.
  back[back.size() - 2] = torch::ones(3);
  restore(dir / "a.h5", t);
  BOOST_TEST(!back[back.size() - 2].defined());
  // An empty one takes the file's size; any other must have it.
  at::Tensor grown = torch::empty({0}), grown_further = torch::ones(2), parameter = torch::empty({0}, at::TensorOptions().requires_grad(true));
  state g;
  g.bind("offset", grown);
  restore(dir / "a.h5", g, {.only = {"offset"}});
  BOOST_TEST((bytes(grown) == bytes(all[all.size() - 5].second)));
  state h;
  h.bind("offset", grown_further);
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", h, {.only = {"offset"}}); }), "/offset: expected float32[2], found float32[5]");
  state k;
  k.bind("offset", parameter);
  BOOST_CHECK_THROW(restore(dir / "a.h5", k, {.only = {"offset"}}), mismatch_error);
  state r;
  r.bind("offset", resizable(grown_further));
  restore(dir / "a.h5", r, {.only = {"offset"}});
  BOOST_TEST(grown_further.size(0) == 5);
}

BOOST_AUTO_TEST_CASE(what_has_no_elements_at_an_address_is_refused) {
  const support::folder dir;
  const auto save_refused = [&](at::Tensor t) {
    state s;
    s.bind("x", t);
    return message_of<error>([&] { save(dir / "no.h5", s); });
  };
  require_all(save_refused(torch::empty({2}, at::device(at::kMeta))), "/x: expected a dense tensor in the CPU's memory, found one on meta", "move it to the CPU");
  require_all(save_refused(torch::eye(3).to_sparse()), "one of layout Sparse", "indices()");
  require_all(save_refused(at::quantize_per_tensor(torch::ones({2}), 0.5, 0, at::kQInt8)), "one of QInt8");
  require_all(save_refused(torch::ones({2}, at::kComplexFloat).conj()), "conjugated");
  at::Tensor good = torch::ones({4}), shared = torch::full({1}, 3.f).expand({4});
  state s, t;
  s.bind("x", good), t.bind("x", shared);
  save(dir / "a.h5", s);
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", t); }), "/x: expected a dense tensor", "whose elements share memory");
  at::Tensor elsewhere = torch::empty({4}, at::device(at::kMeta)), y = torch::zeros({4});
  state u;
  u.bind("x", y).bind("elsewhere", elsewhere);
  restore(dir / "a.h5", u, {.only = {"x"}});
  BOOST_TEST(y[3].item<float>() == 1, "what was not asked for is not looked at");
}

BOOST_AUTO_TEST_CASE(parameters_stay_what_they_are_and_old_graphs_do_not_go_backward) {
  const support::folder dir;
  trainer t(1);
  t.train(2);
  save(dir / "a.h5", t.bound);
  t.train(1);
  std::vector<const void*> objects, places;
  for (const at::Tensor& p : t.net->parameters()) objects.push_back(p.unsafeGetTensorImpl()), places.push_back(p.data_ptr());
  const at::Tensor loss = t.net->forward(torch::ones({3, 5})).square().sum();
  restore(dir / "a.h5", t.bound);
  std::size_t i = 0;
  for (const at::Tensor& p : t.net->parameters()) {
    BOOST_TEST((p.unsafeGetTensorImpl() == objects[i] && p.data_ptr() == places[i] && p.requires_grad() && p.is_leaf()));
    ++i;
  }
  BOOST_CHECK_THROW(loss.backward(), c10::Error);
}

BOOST_AUTO_TEST_CASE(an_optimizer_of_several_modules_has_their_names) {
  const support::folder dir;
  const auto net = [] { return nn::Sequential(nn::Linear(2, 2), nn::Linear(2, 1)); };
  nn::Sequential encoder = net(), decoder = net();
  at::Tensor temperature = torch::ones({}, at::TensorOptions().requires_grad(true));
  std::vector<at::Tensor> all = encoder->parameters();
  for (const at::Tensor& p : decoder->parameters()) all.push_back(p);
  all.push_back(temperature);
  optim::SGD sgd(all, optim::SGDOptions(0.1).momentum(0.5));
  for (const at::Tensor& p : all) p.mutable_grad() = torch::ones_like(p);
  sgd.step();
  state s;
  s.bind("encoder", encoder)  // a module holder
      .bind("decoder", *decoder)
      .bind("temperature", temperature)
      .bind("optimizer", holdfast::optimizer(sgd, {{"encoder", *encoder}, {"decoder", *decoder}, {"temperature", temperature}}));
  save(dir / "a.h5", s);
  BOOST_TEST((paths(dir / "a.h5", "encoder/") == names{"0.bias", "0.weight", "1.bias", "1.weight"}));
  BOOST_TEST((paths(dir / "a.h5", "optimizer/state/") == names{"decoder.0.bias/momentum_buffer", "decoder.0.weight/momentum_buffer", "decoder.1.bias/momentum_buffer",
                                                               "decoder.1.weight/momentum_buffer", "encoder.0.bias/momentum_buffer", "encoder.0.weight/momentum_buffer",
                                                               "encoder.1.bias/momentum_buffer", "encoder.1.weight/momentum_buffer", "temperature/momentum_buffer"}));
  const std::string before = contents(s);
  sgd.step();
  restore(dir / "a.h5", s);
  BOOST_TEST((contents(s) == before));

  state part, same;
  part.bind("optimizer", holdfast::optimizer(sgd, *encoder));
  const std::string nameless = message_of<error>([&] { save(dir / "b.h5", part); });
  require_all(nameless, "/optimizer: expected parameters of the given modules, found parameter 4 of group 0, Float[2, 2]", "pass holdfast::optimizer every module");
  require_all(message_of<mismatch_error>([&] { restore(dir / "a.h5", part, {.only = {"optimizer"}}); }), "found parameter 4 of group 0", "found parameter 8 of group 0");
  same.bind("optimizer", holdfast::optimizer(sgd, {{"a", *encoder}, {"a", *decoder}, {"t", temperature}}));
  require_all(message_of<error>([&] { save(dir / "b.h5", same); }), "two that are \"a.0.weight\"");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_bound_says_so) {
  struct unknown_options : optim::OptimizerCloneableOptions<unknown_options> {};
  struct unknown : optim::Optimizer {
    explicit unknown(std::vector<at::Tensor> p) : Optimizer(std::move(p), std::make_unique<unknown_options>()) {}
    at::Tensor step(LossClosure) override { return {}; }
  };
  const support::folder dir;
  mlp net;
  unknown o(net.parameters());
  nn::Linear empty{nullptr};
  state s, t;
  s.bind("optimizer", holdfast::optimizer(o, net)), t.bind("model", empty);
  require_all(message_of<error>([&] { save(dir / "a.h5", s); }), "/optimizer: expected SGD, Adam, AdamW, RMSprop, Adagrad or LBFGS");
  require_all(message_of<error>([&] { save(dir / "a.h5", t); }), "/model: an empty module holder");
}

BOOST_AUTO_TEST_CASE(a_run_can_be_saved_in_the_background_and_by_shared_pointer) {
  const support::folder dir;
  trainer t(1);
  state s, u;
  s.bind("model", t.net);
  t.train(2);
  auto pending = save_async(dir / "a.h5", s);
  const std::string before = contents(s);
  t.train(2);
  pending.wait();
  std::shared_ptr<mlp> made;
  u.bind("model", made);
  restore(dir / "a.h5", u);
  BOOST_TEST((contents(u) == before));
}

BOOST_AUTO_TEST_CASE(docs_libtorch) {
  const support::current_folder here;
  const auto net = std::make_shared<mlp>();
  optim::Adam adam(net->parameters(), optim::AdamOptions(0.01));
  optim::StepLR step_lr(adam, 2);
  std::int64_t step = 3;
#include <holdfast/adapters/torch.hpp>
#include <holdfast/holdfast.hpp>

  holdfast::state state;
  state.bind("model", *net)                                // a torch::nn::Module, ModuleHolder, or shared_ptr to a module
      .bind("optimizer", holdfast::optimizer(adam, *net))  // SGD, Adam, AdamW, RMSprop, Adagrad, LBFGS
      .bind("scheduler", step_lr)                          // StepLR, ReduceLROnPlateauScheduler, an LRScheduler of your own
      .bind("rng/torch", holdfast::default_generator())    // or any torch::Generator
      .bind("progress/step", step);

  save("run.h5", state);
  step = 0;
  restore("run.h5", state);
  BOOST_TEST(step == 3);
}

using network = mlp;

void move_from_torch_save(std::shared_ptr<network> net, torch::optim::Adam& adam) {
  torch::load(net, "model.pt");
  torch::load(adam, "optimizer.pt");

  holdfast::state state;
  state.bind("model", *net).bind("optimizer", holdfast::optimizer(adam, *net));
  holdfast::save("run.h5", state);
}

BOOST_AUTO_TEST_CASE(docs_moving) {
  const support::current_folder here;
  const auto saved = std::make_shared<mlp>(), net = std::make_shared<mlp>();
  optim::Adam of_saved(saved->parameters()), adam(net->parameters());
  saved->forward(torch::ones({4, 5})).sum().backward();
  of_saved.step();
  torch::save(saved, "model.pt");
  torch::save(of_saved, "optimizer.pt");
  move_from_torch_save(net, adam);
  const checkpoint_file file("run.h5");
  const at::Tensor weight = saved->fc1->weight.detach();
  BOOST_TEST(std::memcmp(file.map<float>("model/fc1.weight").data(), weight.data_ptr<float>(), static_cast<std::size_t>(weight.numel()) * sizeof(float)) == 0);
  BOOST_TEST(file.read<std::int64_t>("optimizer/state/fc1.weight/step") == 1);
}

BOOST_AUTO_TEST_CASE(docs_libtorch_of_several) {
  const support::current_folder here;
  const auto net = std::make_shared<mlp>();
  nn::Linear encoder(3, 2), decoder(2, 3);
  at::Tensor temperature = torch::ones({1}, torch::requires_grad());
  std::vector<at::Tensor> parameters = encoder->parameters(), others = net->parameters();
  for (const at::Tensor& p : decoder->parameters()) parameters.push_back(p);
  others.push_back(temperature);
  optim::Adam both(parameters), scaled(others);
  holdfast::state state;

  state.bind("optimizer/autoencoder", holdfast::optimizer(both, {{"encoder", *encoder}, {"decoder", *decoder}}));  // names: encoder.weight, …
  state.bind("optimizer/scaled", holdfast::optimizer(scaled, {{"", *net}, {"temperature", temperature}}));         // a tensor that is in no module

  save("run.h5", state);
  const checkpoint_file file("run.h5");
  BOOST_TEST(file.read<std::string>("optimizer/autoencoder/param_groups/0/params") == "encoder.weight\nencoder.bias\ndecoder.weight\ndecoder.bias");
  require_all(file.read<std::string>("optimizer/scaled/param_groups/0/params"), "fc1.weight\n", "\ntemperature");
}

BOOST_AUTO_TEST_SUITE_END()
