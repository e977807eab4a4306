// How does a run begin with a part of another run's checkpoint? An autoencoder is trained without labels and saved. A
// classifier then takes the weights of its encoder, and nothing else, as its trunk: Adam at a low rate goes on with the
// trunk while SGD trains a new head, each with a schedule of its own. From there on the classifier has its own
// checkpoints, which hold both optimizers and both schedules, and can be killed and resumed like any run.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/digits.hpp"
#include "common/tensor.hpp"

using example::digit_set;
using example::parameter;
using example::tensor;

constexpr std::int64_t wide = 256, code = 32;  // pixels → wide → code; the decoder is its mirror image
constexpr std::size_t batch_size = 32, labelled = 1000;

// --- The models -----------------------------------------------------------------------------------------------------

struct two_layers {
  tensor fc1_weight, fc1_bias, fc2_weight, fc2_bias;

  two_layers(std::int64_t in, std::int64_t middle, std::int64_t out)
      : fc1_weight{middle, in}, fc1_bias{middle}, fc2_weight{out, middle}, fc2_bias{out} {}

  struct activations {
    tensor x, h, y;
  };
  activations forward(tensor x) const {
    tensor h = example::relu(example::linear(x, fc1_weight, fc1_bias));
    tensor y = example::linear(h, fc2_weight, fc2_bias);
    return {std::move(x), std::move(h), std::move(y)};
  }
  /// Adds to `gradient`, and to `dx` unless it is null.
  void backward(const activations& a, const tensor& dy, two_layers& gradient, tensor* dx = nullptr) const {
    tensor dh = example::zeros_like(a.h);
    example::linear_backward(a.h, fc2_weight, dy, gradient.fc2_weight, gradient.fc2_bias, &dh);
    example::relu_backward(a.h, dh);
    example::linear_backward(a.x, fc1_weight, dh, gradient.fc1_weight, gradient.fc1_bias, dx);
  }
  std::vector<parameter> parameters(const std::string& prefix, two_layers& gradient) {
    return {{prefix + "fc1.weight", &fc1_weight, &gradient.fc1_weight},
            {prefix + "fc1.bias", &fc1_bias, &gradient.fc1_bias},
            {prefix + "fc2.weight", &fc2_weight, &gradient.fc2_weight},
            {prefix + "fc2.bias", &fc2_bias, &gradient.fc2_bias}};
  }
};
template <>
struct holdfast::traits<two_layers>
    : holdfast::fields<
          holdfast::field<&two_layers::fc1_weight, "fc1.weight">, holdfast::field<&two_layers::fc1_bias, "fc1.bias">,
          holdfast::field<&two_layers::fc2_weight, "fc2.weight">, holdfast::field<&two_layers::fc2_bias, "fc2.bias">> {
};

struct autoencoder {
  two_layers encoder{example::pixels, wide, code}, decoder{code, wide, example::pixels};
};
template <>
struct holdfast::traits<autoencoder>
    : holdfast::fields<holdfast::field<&autoencoder::encoder>, holdfast::field<&autoencoder::decoder>> {};

struct classifier {
  two_layers trunk{example::pixels, wide, code};
  tensor head_weight{example::classes, code}, head_bias{example::classes};
};
template <>
struct holdfast::traits<classifier>
    : holdfast::fields<holdfast::field<&classifier::trunk>, holdfast::field<&classifier::head_weight, "head.weight">,
                       holdfast::field<&classifier::head_bias, "head.bias">> {};

void initialize(const std::vector<parameter>& all, std::mt19937_64& engine) {
  for (const parameter& p : all) example::fill_uniform(*p.value, p.value->shape.back(), engine);
}

// --- The optimizers -------------------------------------------------------------------------------------------------

struct moments {
  std::int64_t step = 0;
  tensor exp_avg, exp_avg_sq;
};
template <>
struct holdfast::traits<moments> : holdfast::fields<holdfast::field<&moments::step>, holdfast::field<&moments::exp_avg>,
                                                    holdfast::field<&moments::exp_avg_sq>> {};

struct adam {
  double lr;
  std::map<std::string, moments> state{};

  adam(const std::vector<parameter>& all, double rate) : lr(rate) {
    for (const parameter& p : all) state[p.name] = {0, example::zeros_like(*p.value), example::zeros_like(*p.value)};
  }
  void step(const std::vector<parameter>& all) {
    for (const parameter& p : all) {
      moments& m = state.at(p.name);
      const auto t = static_cast<double>(++m.step);
      const auto rate = static_cast<float>(lr / (1.0 - std::pow(0.9, t)));
      const auto unbias = static_cast<float>(1.0 / (1.0 - std::pow(0.999, t)));
      for (std::size_t i = 0; i < p.value->data.size(); ++i) {
        const float slope = p.gradient->data[i];
        float &first = m.exp_avg.data[i], &second = m.exp_avg_sq.data[i];
        first = 0.9f * first + 0.1f * slope;
        second = 0.999f * second + 0.001f * slope * slope;
        p.value->data[i] -= rate * first / (std::sqrt(second * unbias) + 1e-8f);
      }
    }
  }
};
template <>
struct holdfast::traits<adam>
    : holdfast::fields<holdfast::field<&adam::state>, holdfast::field<&adam::lr, "param_groups/0/lr">> {};

struct momentum_state {
  tensor momentum_buffer;
};
template <>
struct holdfast::traits<momentum_state> : holdfast::fields<holdfast::field<&momentum_state::momentum_buffer>> {};

struct sgd {
  double lr;
  std::map<std::string, momentum_state> state{};

  sgd(const std::vector<parameter>& all, double rate) : lr(rate) {
    for (const parameter& p : all) state[p.name].momentum_buffer = example::zeros_like(*p.value);
  }
  void step(const std::vector<parameter>& all) {
    for (const parameter& p : all)
      for (std::size_t i = 0; i < p.value->data.size(); ++i) {
        float& momentum = state.at(p.name).momentum_buffer.data[i];
        momentum = 0.9f * momentum + p.gradient->data[i];
        p.value->data[i] -= static_cast<float>(lr) * momentum;
      }
  }
};
template <>
struct holdfast::traits<sgd>
    : holdfast::fields<holdfast::field<&sgd::state>, holdfast::field<&sgd::lr, "param_groups/0/lr">> {};

// --- Their schedules ------------------------------------------------------------------------------------------------

/// torch.optim.lr_scheduler.LinearLR from zero: the pretrained trunk is left alone until the head has found its way.
struct linear_lr {
  double base_lr;
  std::int64_t total_iters, last_epoch = 0;

  double step() {
    return base_lr * static_cast<double>(std::min(++last_epoch, total_iters)) / static_cast<double>(total_iters);
  }
};
template <>
struct holdfast::traits<linear_lr>
    : holdfast::fields<holdfast::field<&linear_lr::base_lr>, holdfast::field<&linear_lr::total_iters>,
                       holdfast::field<&linear_lr::last_epoch>> {};

/// torch.optim.lr_scheduler.ExponentialLR
struct exponential_lr {
  double last_lr, gamma;
  std::int64_t last_epoch = 0;

  double step() {
    ++last_epoch;
    return last_lr *= gamma;
  }
};
template <>
struct holdfast::traits<exponential_lr>
    : holdfast::fields<holdfast::field<&exponential_lr::last_lr>, holdfast::field<&exponential_lr::gamma>,
                       holdfast::field<&exponential_lr::last_epoch>> {};

// --- The two runs ---------------------------------------------------------------------------------------------------

digit_set draw_batch(const digit_set& from, std::size_t among, std::mt19937_64& engine) {
  std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(among) - 1);
  std::vector<std::int32_t> chosen(batch_size);
  for (std::int32_t& index : chosen) index = any(engine);
  return from.select(chosen.data(), chosen.size());
}

/// Learns to compress the images and to restore them, without their labels, and saves all of it to `path`.
void pretrain(const std::string& path, const digit_set& images) {
  std::mt19937_64 engine(1);
  autoencoder model;
  std::vector<parameter> all;
  autoencoder gradient;
  for (auto& p : model.encoder.parameters("encoder.", gradient.encoder)) all.push_back(p);
  for (auto& p : model.decoder.parameters("decoder.", gradient.decoder)) all.push_back(p);
  initialize(all, engine);
  adam optimizer(all, 1e-3);
  double error = 0;
  std::int64_t step = 0;
  for (; step < 600; ++step) {
    const auto encoded = model.encoder.forward(draw_batch(images, images.size(), engine).images);
    const auto decoded = model.decoder.forward(encoded.y);
    tensor d_pixels = decoded.y, d_code = example::zeros_like(encoded.y);
    error = 0;
    for (std::size_t i = 0; i < d_pixels.data.size(); ++i) {
      const float off = decoded.y.data[i] - encoded.x.data[i];
      error += static_cast<double>(off * off) / static_cast<double>(d_pixels.data.size());
      d_pixels.data[i] = 2.0f * off / static_cast<float>(d_pixels.data.size());
    }
    gradient = autoencoder{};
    model.decoder.backward(decoded, d_pixels, gradient.decoder, &d_code);
    model.encoder.backward(encoded, d_code, gradient.encoder);
    optimizer.step(all);
  }
  holdfast::state state;
  state.bind("model", model).bind("optimizer", optimizer).bind("rng", engine).bind("progress/step", step);
  if (const auto parent = std::filesystem::path(path).parent_path(); !parent.empty())
    std::filesystem::create_directories(parent);
  holdfast::save(path, state);
  std::cout << "pretrained for " << step << " steps, mean squared error " << error << ", saved " << path << std::endl;
}

int train(const example::options& options, const std::string& pretrained) {
  const example::digits data = example::load_digits(options.data);

  classifier model, gradient;
  const std::vector<parameter> trunk = model.trunk.parameters("", gradient.trunk);
  const std::vector<parameter> head = {{"head.weight", &model.head_weight, &gradient.head_weight},
                                       {"head.bias", &model.head_bias, &gradient.head_bias}};
  std::mt19937_64 sampling(2);
  initialize(head, sampling);
  adam trunk_optimizer(trunk, 0);
  sgd head_optimizer(head, 0.05);
  linear_lr trunk_schedule{.base_lr = 2e-4, .total_iters = 400};
  exponential_lr head_schedule{.last_lr = head_optimizer.lr, .gamma = 0.9995};
  std::int64_t step = 0;

  holdfast::state state;
  state.bind("model", model)
      .bind("optimizer/trunk", trunk_optimizer)
      .bind("optimizer/head", head_optimizer)
      .bind("scheduler/trunk", trunk_schedule)
      .bind("scheduler/head", head_schedule)
      .bind("rng/sampling", sampling)
      .bind("progress/step", step);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  const auto found = options.resume ? checkpoints.restore_latest(state) : std::nullopt;
  if (found) {
    std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;
  } else {
    if (!std::filesystem::exists(pretrained)) pretrain(pretrained, data.train);
    // Of what this program binds, only the trunk; it is called encoder in the file. What else the file holds, the
    // decoder and its optimizer, is of no concern here.
    holdfast::restore(pretrained, state,
                      {.only = {"model/trunk/**"}, .rename = {{"model/encoder/**", "model/trunk/**"}}});
    std::cout << "took the trunk from " << pretrained << std::endl;
  }

  while (step < options.steps) {
    const digit_set batch = draw_batch(data.train, std::min(labelled, data.train.size()), sampling);
    const auto features = model.trunk.forward(batch.images);
    tensor d_logits = example::linear(features.y, model.head_weight, model.head_bias);
    const float loss = example::cross_entropy(d_logits, batch.labels);
    tensor d_code = example::zeros_like(features.y);
    gradient = classifier{};
    example::linear_backward(features.y, model.head_weight, d_logits, gradient.head_weight, gradient.head_bias,
                             &d_code);
    model.trunk.backward(features, d_code, gradient.trunk);
    trunk_optimizer.lr = trunk_schedule.step();
    trunk_optimizer.step(trunk);
    head_optimizer.step(head);
    head_optimizer.lr = head_schedule.step();
    ++step;
    if (step % options.checkpoint_every == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << " lr " << trunk_optimizer.lr << " and " << head_optimizer.lr
                << std::endl;
    }
  }

  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  const tensor logits = example::linear(model.trunk.forward(data.test.images).y, model.head_weight, model.head_bias);
  std::cout << "test accuracy " << example::accuracy(logits, data.test.labels) << " on " << data.test.size()
            << " images, from " << labelled << " labels, after " << step << " steps" << std::endl;
  return 0;
}

/// runs/two_optimizers_pretrained.h5 for runs/two_optimizers
std::string beside(const std::filesystem::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).string() + "_pretrained.h5";
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 5000,
                                  .checkpoint_every = 200,
                                  .checkpoint_dir = "runs/two_optimizers",
                                  .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  std::string pretrained;
  const auto start = [&](const example::options& options) {
    return train(options, pretrained.empty() ? beside(options.checkpoint_dir) : pretrained);
  };
  return example::run(argc, argv, "A pretrained trunk and a new head, two optimizers, two schedules", defaults, start,
                      {{"--pretrained", &pretrained, "take the trunk from this file; make it if it is not there"}});
}
