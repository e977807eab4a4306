// Kill this program at any moment and run it again with --resume: it ends with the same bits as if nothing had
// happened. A perceptron with one hidden layer learns handwritten digits by SGD with momentum, weight decay and StepLR.
//
// What has to be in a checkpoint for that? The weights, of course; but also the momentum, the learning-rate schedule,
// every random engine, the value that std::normal_distribution keeps for its next call, the order in which the images
// are visited, and how far into that order the run has come.
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/digits.hpp"
#include "common/tensor.hpp"

using example::parameter;
using example::tensor;

constexpr std::int64_t hidden = 256;
constexpr std::size_t batch_size = 25;

// --- The model ------------------------------------------------------------------------------------------------------

struct mlp {
  tensor fc1_weight{hidden, example::pixels}, fc1_bias{hidden};
  tensor fc2_weight{example::classes, hidden}, fc2_bias{example::classes};
};

// How an mlp is saved: these members, under the names that PyTorch's state_dict() would give them.
template <>
struct holdfast::traits<mlp>
    : holdfast::fields<holdfast::field<&mlp::fc1_weight, "fc1.weight">, holdfast::field<&mlp::fc1_bias, "fc1.bias">,
                       holdfast::field<&mlp::fc2_weight, "fc2.weight">, holdfast::field<&mlp::fc2_bias, "fc2.bias">> {};

std::vector<parameter> parameters(mlp& model, mlp& gradient) {
  return {{"fc1.weight", &model.fc1_weight, &gradient.fc1_weight},
          {"fc1.bias", &model.fc1_bias, &gradient.fc1_bias},
          {"fc2.weight", &model.fc2_weight, &gradient.fc2_weight},
          {"fc2.bias", &model.fc2_bias, &gradient.fc2_bias}};
}

mlp initial_model() {
  std::mt19937_64 engine(1);
  mlp model;
  example::fill_uniform(model.fc1_weight, example::pixels, engine);
  example::fill_uniform(model.fc1_bias, example::pixels, engine);
  example::fill_uniform(model.fc2_weight, hidden, engine);
  example::fill_uniform(model.fc2_bias, hidden, engine);
  return model;
}

tensor predict(const mlp& model, const tensor& images) {
  const tensor h = example::relu(example::linear(images, model.fc1_weight, model.fc1_bias));
  return example::linear(h, model.fc2_weight, model.fc2_bias);
}

/// Adds to `gradient` and returns the loss.
float backpropagate(const mlp& model, const example::digit_set& batch, mlp& gradient) {
  const tensor h = example::relu(example::linear(batch.images, model.fc1_weight, model.fc1_bias));
  tensor d_logits = example::linear(h, model.fc2_weight, model.fc2_bias);
  const float loss = example::cross_entropy(d_logits, batch.labels);
  tensor d_h = example::zeros_like(h);
  example::linear_backward(h, model.fc2_weight, d_logits, gradient.fc2_weight, gradient.fc2_bias, &d_h);
  example::relu_backward(h, d_h);
  example::linear_backward(batch.images, model.fc1_weight, d_h, gradient.fc1_weight, gradient.fc1_bias);
  return loss;
}

// --- The optimizer and its schedule ---------------------------------------------------------------------------------

struct momentum_state {
  tensor momentum_buffer;
};
template <>
struct holdfast::traits<momentum_state> : holdfast::fields<holdfast::field<&momentum_state::momentum_buffer>> {};

struct param_group {
  double lr, initial_lr, momentum, weight_decay;
};
template <>
struct holdfast::traits<param_group>
    : holdfast::fields<holdfast::field<&param_group::lr>, holdfast::field<&param_group::initial_lr>,
                       holdfast::field<&param_group::momentum>, holdfast::field<&param_group::weight_decay>> {};

/// torch.optim.SGD. Its state is keyed by the name of the parameter: optimizer/state/fc1.weight/momentum_buffer.
struct sgd {
  std::map<std::string, momentum_state> state;
  std::vector<param_group> param_groups;

  sgd(const std::vector<parameter>& all, param_group group) : param_groups{group} {
    for (const parameter& p : all) state[p.name].momentum_buffer = example::zeros_like(*p.value);
  }

  void step(const std::vector<parameter>& all) {
    const auto lr = static_cast<float>(param_groups[0].lr), momentum = static_cast<float>(param_groups[0].momentum);
    const auto weight_decay = static_cast<float>(param_groups[0].weight_decay);
    for (const parameter& p : all) {
      tensor& buffer = state.at(p.name).momentum_buffer;
      for (std::size_t i = 0; i < p.value->data.size(); ++i) {
        const float slope = p.gradient->data[i] + weight_decay * p.value->data[i];
        buffer.data[i] = momentum * buffer.data[i] + slope;
        p.value->data[i] -= lr * buffer.data[i];
      }
    }
  }
};
template <>
struct holdfast::traits<sgd> : holdfast::fields<holdfast::field<&sgd::state>, holdfast::field<&sgd::param_groups>> {};

/// torch.optim.lr_scheduler.StepLR: the rate is multiplied by gamma after every `step_size` epochs.
struct step_lr {
  std::int64_t step_size = 40, last_epoch = 0;
  double gamma = 0.5, last_lr = 0;

  void step(sgd& optimizer) {
    if (++last_epoch % step_size == 0) optimizer.param_groups[0].lr *= gamma;
    last_lr = optimizer.param_groups[0].lr;
  }
};
template <>
struct holdfast::traits<step_lr>
    : holdfast::fields<holdfast::field<&step_lr::step_size>, holdfast::field<&step_lr::last_epoch>,
                       holdfast::field<&step_lr::gamma>, holdfast::field<&step_lr::last_lr>> {};

// --- The data order -------------------------------------------------------------------------------------------------

/// Visits all images in an order drawn anew for each epoch. The new order is a shuffle of the last one, so that the
/// engine alone would not bring it back.
struct shuffled_batches {
  std::vector<std::int32_t> order;
  std::int64_t position = 0;

  shuffled_batches(std::size_t images, std::mt19937_64& engine) : order(images) {
    std::iota(order.begin(), order.end(), 0);
    start_epoch(engine);
  }
  bool epoch_is_over() const { return position == static_cast<std::int64_t>(order.size()); }
  void start_epoch(std::mt19937_64& engine) {
    std::shuffle(order.begin(), order.end(), engine);
    position = 0;
  }
  example::digit_set next(const example::digit_set& images) {
    const auto from = static_cast<std::size_t>(position);
    const std::size_t count = std::min(batch_size, order.size() - from);
    position += static_cast<std::int64_t>(count);
    return images.select(order.data() + from, count);
  }
};
template <>
struct holdfast::traits<shuffled_batches>
    : holdfast::fields<holdfast::field<&shuffled_batches::order>, holdfast::field<&shuffled_batches::position>> {};

// --- The run --------------------------------------------------------------------------------------------------------

int train(const example::options& options) {
  const example::digits data = example::load_digits(options.data);

  mlp model = initial_model(), gradient;
  const std::vector<parameter> all = parameters(model, gradient);
  sgd optimizer(all, {.lr = 0.05, .initial_lr = 0.05, .momentum = 0.9, .weight_decay = 1e-4});
  step_lr scheduler;
  std::mt19937_64 shuffling(2), contrast_engine(3);
  shuffled_batches batches(data.train.size(), shuffling);
  std::normal_distribution<float> contrast(1.0f, 0.2f);  // augmentation: each image becomes stronger or fainter
  std::int64_t step = 0, epoch = 0;

  // Everything that changes while the program trains, by name. A state refers to the objects: bind once, save often.
  holdfast::state state;
  state.bind("model", model)
      .bind("optimizer", optimizer)
      .bind("scheduler", scheduler)
      .bind("data", batches)
      .bind("rng/shuffling", shuffling)
      .bind("rng/contrast_engine", contrast_engine)
      .bind("rng/contrast", contrast)
      .bind("progress/step", step)
      .bind("progress/epoch", epoch);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state)) {
      for (const auto& damaged : found->rejected) std::cerr << "passed over " << damaged.reason << std::endl;
      std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;
    }

  while (step < options.steps) {
    example::digit_set batch = batches.next(data.train);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const float factor = contrast(contrast_engine);
      for (std::size_t pixel = 0; pixel < batch.images.cols(); ++pixel) batch.images.row(i)[pixel] *= factor;
    }
    gradient = mlp{};
    const float loss = backpropagate(model, batch, gradient);
    optimizer.step(all);
    ++step;
    if (batches.epoch_is_over()) {
      ++epoch;
      scheduler.step(optimizer);
      batches.start_epoch(shuffling);
    }
    if (step % options.checkpoint_every == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << " lr " << optimizer.param_groups[0].lr << std::endl;
    }
  }

  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  std::cout << "test accuracy " << example::accuracy(predict(model, data.test.images), data.test.labels) << " on "
            << data.test.size() << " images after " << step << " steps" << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 10000,
                                  .checkpoint_every = 250,
                                  .checkpoint_dir = "runs/digits_sgd",
                                  .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "Handwritten digits, a perceptron, SGD: killed and resumed, bit for bit", defaults,
                      train);
}
