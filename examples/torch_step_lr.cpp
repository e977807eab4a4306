// Where is the learning rate of a run with a schedule? In the optimizer's options, which StepLR only multiplies from time to time: both are saved,
// and the schedule's own step size and factor, too. SGD with momentum, two parameter groups of which the biases are not decayed.
#include <holdfast/adapters/torch.hpp>

#include "common/torch_digits.hpp"

struct classifier : torch::nn::Module {
  torch::nn::Linear fc1{nullptr}, fc2{nullptr};

  classifier() {
    fc1 = register_module("fc1", torch::nn::Linear(example::pixels, 64));
    fc2 = register_module("fc2", torch::nn::Linear(64, example::classes));
  }
  torch::Tensor forward(const torch::Tensor& x) { return fc2(torch::relu(fc1(x))); }
};

int train(const example::options& options) {
  torch::manual_seed(1);
  classifier net;
  using sgd_options = torch::optim::SGDOptions;
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(std::vector{net.fc1->weight, net.fc2->weight}, std::make_unique<sgd_options>(sgd_options(0.05).momentum(0.9).weight_decay(1e-4)));
  groups.emplace_back(std::vector{net.fc1->bias, net.fc2->bias}, std::make_unique<sgd_options>(sgd_options(0.1).momentum(0.9)));
  torch::optim::SGD sgd(groups, sgd_options(0.05));
  torch::optim::StepLR scheduler(sgd, /*step_size=*/100, /*gamma=*/0.95);
  std::int64_t step = 0;

  holdfast::state state;
  state.bind("model", net)
      .bind("optimizer", holdfast::optimizer(sgd, net))
      .bind("scheduler", scheduler)
      .bind("rng/torch", holdfast::default_generator())
      .bind("progress/step", step);

  const auto train_once = [&](const example::labelled_images& batch) {
    sgd.zero_grad();
    torch::Tensor loss = torch::nn::functional::cross_entropy(net.forward(batch.images), batch.labels);
    loss.backward();
    sgd.step();
    scheduler.step();
    return loss;
  };
  return example::train(options, state, step, train_once, [&](const torch::Tensor& images) { return net.forward(images); });
}

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const example::options defaults{.steps = 5000, .checkpoint_every = 250, .checkpoint_dir = "runs/torch_step_lr", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "libtorch, SGD with StepLR: killed and resumed, bit for bit", defaults, train);
}
