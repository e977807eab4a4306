// What does a checkpoint of mixed-precision training hold? Twice the weights, to begin with: the bfloat16 ones that the
// network computes with and the float32 ones that small updates add up in. And the loss scaler: its scale, and how many
// steps ago it last changed. A run that lost the latter would double the scale at another step and end elsewhere.
// Checkpoints are written in the background while training goes on.
#include <cmath>
#include <cstdint>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/digits.hpp"
#include "common/tensor.hpp"

using example::basic_tensor;
using example::tensor;
using holdfast::bfloat16;

constexpr std::int64_t hidden = 256;
constexpr std::size_t batch_size = 32;

// --- The model, in any precision ------------------------------------------------------------------------------------

template <class T>
struct mlp {
  basic_tensor<T> fc1_weight{hidden, example::pixels}, fc1_bias{hidden};
  basic_tensor<T> fc2_weight{example::classes, hidden}, fc2_bias{example::classes};
};
template <class T>
struct holdfast::traits<mlp<T>>
    : holdfast::fields<
          holdfast::field<&mlp<T>::fc1_weight, "fc1.weight">, holdfast::field<&mlp<T>::fc1_bias, "fc1.bias">,
          holdfast::field<&mlp<T>::fc2_weight, "fc2.weight">, holdfast::field<&mlp<T>::fc2_bias, "fc2.bias">> {};

/// Calls `f(name, a, b)` for the corresponding parameters of two models.
template <class A, class B, class F>
void for_each_pair(A& a, B& b, F f) {
  f("fc1.weight", a.fc1_weight, b.fc1_weight);
  f("fc1.bias", a.fc1_bias, b.fc1_bias);
  f("fc2.weight", a.fc2_weight, b.fc2_weight);
  f("fc2.bias", a.fc2_bias, b.fc2_bias);
}

mlp<float> widened(const mlp<bfloat16>& narrow) {
  mlp<float> wide;
  for_each_pair(narrow, wide, [](const char*, const auto& from, auto& to) {
    for (std::size_t i = 0; i < to.data.size(); ++i) to.data[i] = static_cast<float>(from.data[i]);
  });
  return wide;
}

mlp<bfloat16> narrowed(const mlp<float>& wide) {
  mlp<bfloat16> narrow;
  for_each_pair(wide, narrow, [](const char*, const auto& from, auto& to) {
    for (std::size_t i = 0; i < to.data.size(); ++i) to.data[i] = bfloat16::from(from.data[i]);
  });
  return narrow;
}

mlp<float> initial_model() {
  std::mt19937_64 engine(1);
  mlp<float> model;
  for_each_pair(model, model,
                [&](const char*, tensor& t, tensor&) { example::fill_uniform(t, t.shape.back(), engine); });
  return model;
}

tensor predict(const mlp<float>& model, const tensor& images) {
  const tensor h = example::relu(example::linear(images, model.fc1_weight, model.fc1_bias));
  return example::linear(h, model.fc2_weight, model.fc2_bias);
}

/// Adds the gradient of `scale` times the loss to `gradient` and returns the loss.
float backpropagate(const mlp<float>& model, const example::digit_set& batch, float scale, mlp<float>& gradient) {
  const tensor h = example::relu(example::linear(batch.images, model.fc1_weight, model.fc1_bias));
  tensor d_logits = example::linear(h, model.fc2_weight, model.fc2_bias);
  const float loss = example::cross_entropy(d_logits, batch.labels);
  for (float& d : d_logits.data) d *= scale;
  tensor d_h = example::zeros_like(h);
  example::linear_backward(h, model.fc2_weight, d_logits, gradient.fc2_weight, gradient.fc2_bias, &d_h);
  example::relu_backward(h, d_h);
  example::linear_backward(batch.images, model.fc1_weight, d_h, gradient.fc1_weight, gradient.fc1_bias);
  return loss;
}

// --- The loss scaler ------------------------------------------------------------------------------------------------

/// torch.amp.GradScaler, under the names of its state_dict().
struct grad_scaler {
  float scale = 65536.0f, growth_factor = 2.0f, backoff_factor = 0.5f;
  std::int64_t growth_interval = 100, growth_tracker = 0;

  void update(bool overflow) {
    if (overflow) {
      scale *= backoff_factor;
      growth_tracker = 0;
    } else if (++growth_tracker == growth_interval) {
      scale *= growth_factor;
      growth_tracker = 0;
    }
  }
};
template <>
struct holdfast::traits<grad_scaler>
    : holdfast::fields<holdfast::field<&grad_scaler::scale>, holdfast::field<&grad_scaler::growth_factor>,
                       holdfast::field<&grad_scaler::backoff_factor>, holdfast::field<&grad_scaler::growth_interval>,
                       holdfast::field<&grad_scaler::growth_tracker, "_growth_tracker">> {};

/// Rounds the gradient to float16, in which it would travel between the workers of a larger run, divides it by the
/// scale, and returns whether any of it was too large for that: above 65504 a float16 is infinite. bfloat16 has the
/// range of float32, so that without this step a scaler would have nothing to do.
bool unscale(mlp<float>& gradient, float scale) {
  bool overflow = false;
  for_each_pair(gradient, gradient, [&](const char*, tensor& t, tensor&) {
    for (float& g : t.data) {
      const auto received = static_cast<float>(holdfast::float16::from(g));
      overflow = overflow || !std::isfinite(received);
      g = received / scale;
    }
  });
  return overflow;
}

// --- The optimizer, which works on the float32 weights --------------------------------------------------------------

struct momentum_state {
  tensor momentum_buffer;
};
template <>
struct holdfast::traits<momentum_state> : holdfast::fields<holdfast::field<&momentum_state::momentum_buffer>> {};

struct sgd {
  double lr = 0.02, momentum = 0.9;
  std::map<std::string, momentum_state> state{};

  explicit sgd(const mlp<float>& model) {
    for_each_pair(model, model, [&](const char* name, const tensor& value, const tensor&) {
      state[name].momentum_buffer = example::zeros_like(value);
    });
  }
  void step(mlp<float>& model, const mlp<float>& gradient) {
    const auto rate = static_cast<float>(lr), keep = static_cast<float>(momentum);
    for_each_pair(model, gradient, [&](const char* name, tensor& value, const tensor& slope) {
      tensor& buffer = state.at(name).momentum_buffer;
      for (std::size_t i = 0; i < value.data.size(); ++i) {
        buffer.data[i] = keep * buffer.data[i] + slope.data[i];
        value.data[i] -= rate * buffer.data[i];
      }
    });
  }
};
template <>
struct holdfast::traits<sgd>
    : holdfast::fields<holdfast::field<&sgd::state>, holdfast::field<&sgd::lr, "param_groups/0/lr">,
                       holdfast::field<&sgd::momentum, "param_groups/0/momentum">> {};

// --- The run --------------------------------------------------------------------------------------------------------

int train(const example::options& options) {
  const example::digits data = example::load_digits(options.data);

  mlp<float> master = initial_model();
  mlp<bfloat16> model = narrowed(master);
  sgd optimizer(master);
  grad_scaler scaler;
  std::mt19937_64 sampling(2);
  std::int64_t step = 0, skipped = 0;

  holdfast::state state;
  state
      .bind("model", model)    // bfloat16
      .bind("master", master)  // float32
      .bind("optimizer", optimizer)
      .bind("scaler", scaler)
      .bind("rng/sampling", sampling)
      .bind("progress/step", step)
      .bind("progress/skipped", skipped);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state))
      std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;

  while (step < options.steps) {
    std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(data.train.size()) - 1);
    std::vector<std::int32_t> chosen(batch_size);
    for (std::int32_t& index : chosen) index = any(sampling);

    mlp<float> gradient;
    const float loss =
        backpropagate(widened(model), data.train.select(chosen.data(), batch_size), scaler.scale, gradient);
    const bool overflow = unscale(gradient, scaler.scale);
    if (overflow) {
      ++skipped;  // the weights stay as they are
    } else {
      optimizer.step(master, gradient);
      model = narrowed(master);
    }
    scaler.update(overflow);
    ++step;
    if (step % options.checkpoint_every == 0) {
      // Returns when the state has been copied. An error of the writing is thrown by the next save, or by close.
      checkpoints.save_async(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << " lr " << optimizer.lr << " scale " << scaler.scale
                << " skipped " << skipped << std::endl;
    }
  }

  checkpoints.close();
  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  std::cout << "test accuracy " << example::accuracy(predict(widened(model), data.test.images), data.test.labels)
            << " on " << data.test.size() << " images with bfloat16 weights after " << step << " steps, of which "
            << skipped << " were skipped" << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 6000,
                                  .checkpoint_every = 200,
                                  .checkpoint_dir = "runs/mixed_precision",
                                  .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "bfloat16 weights, float32 masters, a dynamic loss scale", defaults, train);
}
