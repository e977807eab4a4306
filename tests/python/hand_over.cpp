// For hand_over.py, which has the same model and data in PyTorch:
//
//   hand_over OPTIMIZER OUT [IN]     restores IN, or trains five steps; saves OUT; trains ten more and prints the bits of their losses
#include <bit>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include <holdfast/adapters/torch.hpp>
#include <holdfast/holdfast.hpp>

#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim.h>

namespace {

struct network : torch::nn::Module {
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  network() {
    fc1 = register_module("fc1", torch::nn::Linear(8, 16));
    norm = register_module("norm", torch::nn::BatchNorm1d(16));
    fc2 = register_module("fc2", torch::nn::Linear(16, 4));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc2(torch::tanh(norm(fc1(x)))); }
};

std::unique_ptr<torch::optim::Optimizer> make(const std::string& name, network& net) {
  using namespace torch::optim;
  const auto p = net.parameters();
  if (name == "Adam") return std::make_unique<Adam>(p, AdamOptions(0.01).amsgrad(true).weight_decay(0.001));
  if (name == "AdamW") return std::make_unique<AdamW>(p, AdamWOptions(0.01).betas({0.8, 0.99}));
  if (name == "SGD") return std::make_unique<SGD>(p, SGDOptions(0.01).momentum(0.9).nesterov(true));
  if (name == "RMSprop") return std::make_unique<RMSprop>(p, RMSpropOptions(0.01).momentum(0.5).centered(true));
  if (name == "Adagrad") return std::make_unique<Adagrad>(p, AdagradOptions(0.01));
  if (name == "LBFGS") return std::make_unique<LBFGS>(p, LBFGSOptions(0.01).max_iter(3));
  throw holdfast::error("no optimizer " + name);
}

/// Numbers that both sides have exactly.
torch::Tensor numbers(std::int64_t rows, std::int64_t columns, std::int64_t factor) {
  const auto i = torch::arange(rows * columns);
  return (torch::remainder(i * factor, 17).to(torch::kFloat32) / 16 - 0.5).reshape({rows, columns});
}

}  // namespace

int main(int count, char** arguments) try {
  at::set_num_threads(1);
  torch::manual_seed(0);
  const std::string name = arguments[1], out = arguments[2];
  network net;
  const auto optimizer = make(name, net);
  std::int64_t step = 0;
  holdfast::state state;
  state.bind("model", net).bind("optimizer", holdfast::optimizer(*optimizer, net)).bind("progress/step", step);

  const torch::Tensor x = numbers(32, 8, 5), y = numbers(32, 4, 7);
  const auto train_once = [&] {
    ++step;
    return optimizer->step([&] {
      optimizer->zero_grad();
      const torch::Tensor loss = torch::nn::functional::mse_loss(net.forward(x), y);
      loss.backward();
      return loss;
    });
  };
  if (count > 3) {
    const std::string path = arguments[3];
    const holdfast::restore_report report = holdfast::restore(path, state, {.trust = holdfast::trust::foreign});
    if (!report.verified) throw holdfast::error(path + " has no digests");  // those that Python wrote
  }
  while (step < 5) train_once();
  holdfast::save(out, state, {.step = step});
  while (step < 15) std::printf("%08x\n", std::bit_cast<std::uint32_t>(train_once().item<float>()));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
