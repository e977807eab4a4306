// What has to be saved of a libtorch program, beside the model? A small network with dropout and batch normalisation, trained by Adam: its
// moments and step counts, its options, and the generator that dropout and the batches draw from.
#include <holdfast/adapters/torch.hpp>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/dropout.h>

#include "common/torch_digits.hpp"

struct classifier : torch::nn::Module {
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  torch::nn::Dropout dropout{nullptr};

  classifier() {
    fc1 = register_module("fc1", torch::nn::Linear(example::pixels, 64));
    norm = register_module("norm", torch::nn::BatchNorm1d(64));
    dropout = register_module("dropout", torch::nn::Dropout(0.2));
    fc2 = register_module("fc2", torch::nn::Linear(64, example::classes));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc2(dropout(torch::relu(norm(fc1(x))))); }
};

int train(const example::options& options) {
  torch::manual_seed(1);
  classifier net;
  torch::optim::Adam adam(net.parameters(), torch::optim::AdamOptions(1e-3).amsgrad(true));
  std::int64_t step = 0;

  // Under PyTorch's names: /model/fc1.weight, /optimizer/state/fc1.weight/exp_avg, /optimizer/param_groups/0/lr.
  holdfast::state state;
  state.bind("model", net)
      .bind("optimizer", holdfast::optimizer(adam, net))
      .bind("rng/torch", holdfast::default_generator())
      .bind("progress/step", step);

  const auto train_once = [&](const example::labelled_images& batch) {
    adam.zero_grad();
    torch::Tensor loss = torch::nn::functional::cross_entropy(net.forward(batch.images), batch.labels);
    loss.backward();
    adam.step();
    return loss;
  };
  const auto predict = [&](const torch::Tensor& images) {
    net.eval();
    return net.forward(images);
  };
  return example::train(options, state, step, train_once, predict);
}

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const example::options defaults{.steps = 5000, .checkpoint_every = 250, .checkpoint_dir = "runs/torch_adam", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "libtorch, Adam: killed and resumed, bit for bit", defaults, train);
}
