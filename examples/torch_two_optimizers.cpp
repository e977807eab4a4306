// How are several modules and several optimizers saved? Adam trains an encoder and SGD a head; each optimizer is bound under a path of its own,
// and knows its parameters by the names that they have in its module.
#include <holdfast/adapters/torch.hpp>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>

#include "common/torch_digits.hpp"

int train(const example::options& options) {
  torch::manual_seed(1);
  torch::nn::Sequential encoder(torch::nn::Linear(example::pixels, 48), torch::nn::ReLU(), torch::nn::Linear(48, 16), torch::nn::ReLU());
  torch::nn::Linear head(16, example::classes);
  torch::optim::Adam adam(encoder->parameters(), torch::optim::AdamOptions(1e-3));
  torch::optim::SGD sgd(head->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  std::int64_t step = 0;

  // /model/encoder/0.weight, /model/head/weight, /optimizer/encoder/state/0.weight/exp_avg, /optimizer/head/state/weight/momentum_buffer.
  holdfast::state state;
  state.bind("model/encoder", encoder)
      .bind("model/head", head)
      .bind("optimizer/encoder", holdfast::optimizer(adam, *encoder))
      .bind("optimizer/head", holdfast::optimizer(sgd, *head))
      .bind("rng/torch", holdfast::default_generator())
      .bind("progress/step", step);

  const auto train_once = [&](const example::labelled_images& batch) {
    adam.zero_grad();
    sgd.zero_grad();
    torch::Tensor loss = torch::nn::functional::cross_entropy(head(encoder->forward(batch.images)), batch.labels);
    loss.backward();
    adam.step();
    sgd.step();
    return loss;
  };
  return example::train(options, state, step, train_once, [&](const torch::Tensor& images) { return head(encoder->forward(images)); });
}

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const example::options defaults{.steps = 5000, .checkpoint_every = 250, .checkpoint_dir = "runs/torch_two_optimizers", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "libtorch, Adam and SGD side by side: killed and resumed, bit for bit", defaults, train);
}
