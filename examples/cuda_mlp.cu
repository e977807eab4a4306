// My tensors live on a GPU: what goes into a checkpoint, does training go on meanwhile, and can the run go on with another GPU, or
// with none? A perceptron with one hidden layer and dropout learns handwritten digits by Adam and StepLR, with kernels of its own
// (cuda_mlp.cuh), each written once for the GPU and for the host.
//
// On one kind of GPU, and on the host, the run is the same bit for bit however often it is killed and resumed; that takes sums of a
// fixed order and random numbers whose seed and position are state as any other. A run that moves between a GPU and the host draws
// the same random numbers there and computes nearly the same sums.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <holdfast/cuda.hpp>
#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/digits.hpp"
#include "cuda_mlp.cuh"

using cuda_mlp::device;
using cuda_mlp::indices;
using cuda_mlp::philox;
using cuda_mlp::tensor;

constexpr std::int64_t hidden = 128, batch_size = 32;
constexpr float share_kept = 0.8f;  // dropout leaves this share of the hidden units

// --- The model ------------------------------------------------------------------------------------------------------

struct mlp {
  tensor fc1_weight, fc1_bias, fc2_weight, fc2_bias;
  explicit mlp(const device& on)
      : fc1_weight(on.empty({hidden, example::pixels})), fc1_bias(on.empty({hidden})), fc2_weight(on.empty({example::classes, hidden})), fc2_bias(on.empty({example::classes})) {}
};
template <>
struct holdfast::traits<mlp>
    : holdfast::fields<holdfast::field<&mlp::fc1_weight, "fc1.weight">, holdfast::field<&mlp::fc1_bias, "fc1.bias">,
                       holdfast::field<&mlp::fc2_weight, "fc2.weight">, holdfast::field<&mlp::fc2_bias, "fc2.bias">> {};

/// PyTorch's default for linear layers, from Philox: the same on every device.
void initialise(const device& on, mlp& model, philox generator) {
  const auto fill = [&](tensor& t, std::int64_t fan_in) {
    const auto n = t.extents().elements();
    on.for_each((n + 3) / 4, cuda_mlp::draw_uniform{generator.take(n), 1.0f / std::sqrt(static_cast<float>(fan_in)), t.data(), n});
  };
  fill(model.fc1_weight, example::pixels);
  fill(model.fc1_bias, example::pixels);
  fill(model.fc2_weight, hidden);
  fill(model.fc2_bias, hidden);
}

/// What is computed on the way from images to their logits.
struct activations {
  tensor x, h, logits;
  activations(const device& on, std::int64_t images) : x(on.empty({images, example::pixels})), h(on.empty({images, hidden})), logits(on.empty({images, example::classes})) {}
};

void forward(const device& on, const mlp& model, activations& a, std::int64_t images, float share, philox dropout) {
  on.for_each(images * hidden, cuda_mlp::product{cuda_mlp::as_is(a.x), cuda_mlp::transposed(model.fc1_weight), example::pixels, hidden, model.fc1_bias.data(), a.h.data()});
  on.for_each(images * hidden / 4, cuda_mlp::relu_and_dropout{dropout, share, a.h.data()});
  on.for_each(images * example::classes, cuda_mlp::product{cuda_mlp::as_is(a.h), cuda_mlp::transposed(model.fc2_weight), hidden, example::classes, model.fc2_bias.data(), a.logits.data()});
}

/// Sets `gradient`, of a linear layer, from that of its output.
void linear_backward(const device& on, const tensor& x, const tensor& d_y, std::int64_t images, tensor& d_weight, tensor& d_bias) {
  on.for_each(d_weight.extents().elements(), cuda_mlp::product{cuda_mlp::transposed(d_y), cuda_mlp::as_is(x), images, x.extents()[1], nullptr, d_weight.data()});
  on.for_each(d_bias.extents().elements(), cuda_mlp::sum_of_columns{d_y.data(), images, d_y.extents()[1], d_bias.data()});
}

/// `d_logits` is what the logits have become.
void backward(const device& on, const mlp& model, const activations& a, const tensor& d_logits, std::int64_t images, tensor& d_h, mlp& gradient) {
  linear_backward(on, a.h, d_logits, images, gradient.fc2_weight, gradient.fc2_bias);
  on.for_each(images * hidden, cuda_mlp::product{cuda_mlp::as_is(d_logits), cuda_mlp::as_is(model.fc2_weight), example::classes, hidden, nullptr, d_h.data()});
  on.for_each(images * hidden, cuda_mlp::relu_and_dropout_backward{a.h.data(), share_kept, d_h.data()});
  linear_backward(on, a.x, d_h, images, gradient.fc1_weight, gradient.fc1_bias);
}

// --- The optimizer and its schedule ---------------------------------------------------------------------------------

struct moments {
  std::int64_t step = 0;
  tensor exp_avg, exp_avg_sq;
};
template <>
struct holdfast::traits<moments>
    : holdfast::fields<holdfast::field<&moments::step>, holdfast::field<&moments::exp_avg>, holdfast::field<&moments::exp_avg_sq>> {};

/// torch.optim.Adam. Its state is keyed by the name of the parameter: optimizer/state/fc1.weight/exp_avg.
struct adam {
  double lr = 2e-3;
  std::map<std::string, moments> state{};

  adam(const device& on, mlp& model) {
    for_each_parameter(model, model, [&](const std::string& name, const tensor& value, const tensor&) {
      const std::vector<float> zeros(value.size());
      state.emplace(name, moments{0, on.filled(value.extents(), zeros), on.filled(value.extents(), zeros)});
    });
  }
  void step(const device& on, mlp& model, const mlp& gradient) {
    for_each_parameter(model, gradient, [&](const std::string& name, tensor& value, const tensor& slope) {
      moments& of = state.at(name);
      const auto t = static_cast<double>(++of.step);
      const auto rate = static_cast<float>(lr / (1 - std::pow(0.9, t))), unbias = static_cast<float>(1 / (1 - std::pow(0.999, t)));
      on.for_each(value.extents().elements(), cuda_mlp::adam_update{slope.data(), value.data(), of.exp_avg.data(), of.exp_avg_sq.data(), rate, unbias});
    });
  }

 private:
  template <class F>
  static void for_each_parameter(mlp& a, const mlp& b, F&& f) {
    f("fc1.weight", a.fc1_weight, b.fc1_weight);
    f("fc1.bias", a.fc1_bias, b.fc1_bias);
    f("fc2.weight", a.fc2_weight, b.fc2_weight);
    f("fc2.bias", a.fc2_bias, b.fc2_bias);
  }
};
template <>
struct holdfast::traits<adam> : holdfast::fields<holdfast::field<&adam::lr, "param_groups/0/lr">, holdfast::field<&adam::state>> {};

/// torch.optim.lr_scheduler.StepLR: the rate is multiplied by gamma after every `step_size` epochs.
struct step_lr {
  std::int64_t step_size = 15, last_epoch = 0;
  double gamma = 0.5;
  void step(adam& optimizer) {
    if (++last_epoch % step_size == 0) optimizer.lr *= gamma;
  }
};
template <>
struct holdfast::traits<step_lr>
    : holdfast::fields<holdfast::field<&step_lr::step_size>, holdfast::field<&step_lr::last_epoch>, holdfast::field<&step_lr::gamma>> {};

// --- The run --------------------------------------------------------------------------------------------------------

double accuracy(const device& on, const mlp& model, const example::digit_set& images) {
  const auto n = static_cast<std::int64_t>(images.size());
  activations a(on, n);
  on.upload(images.images.data, a.x);
  forward(on, model, a, n, 1, {});  // all units stay
  example::tensor logits{n, example::classes};
  logits.data = on.download(a.logits, n * example::classes);
  return example::accuracy(logits, images.labels);
}

int train(const example::options& options, const std::string& chosen) {
  const example::digits data = example::load_digits(options.data);
  const device on(chosen);
  const auto count = static_cast<std::int64_t>(data.train.size());
  const tensor images = on.filled({count, example::pixels}, data.train.images.data);
  const indices labels = on.filled({count}, data.train.labels);

  mlp model(on), gradient(on);
  initialise(on, model, {1});
  adam optimizer(on, model);
  step_lr scheduler;
  philox dropout{2};
  std::mt19937_64 shuffling(3);
  std::vector<std::int32_t> order(data.train.size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), shuffling);
  std::int64_t position = 0, step = 0, epoch = 0;

  holdfast::state state;
  state.bind("model", model)
      .bind("optimizer", optimizer)
      .bind("scheduler", scheduler)
      .bind("data/order", order)
      .bind("data/position", position)
      .bind("rng/philox", dropout)
      .bind("rng/shuffling", shuffling)
      .bind("progress/step", step)
      .bind("progress/epoch", epoch);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)  // wherever the tensors were when they were saved: they go where they are bound now
    if (const auto found = checkpoints.restore_latest(state)) std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;
  std::cout << "training on " << on.name() << std::endl;

  indices order_there = on.filled({count}, order);  // after the restore: a copy of state
  activations batch(on, batch_size);
  tensor d_h = on.empty({batch_size, hidden}), loss = on.empty({batch_size});
  while (step < options.steps) {
    const std::int64_t n = std::min(batch_size, count - position);
    const std::int32_t* const now = order_there.data() + position;
    on.for_each(n * example::pixels, cuda_mlp::rows_chosen{images.data(), now, example::pixels, batch.x.data()});
    forward(on, model, batch, n, share_kept, dropout.take(n * hidden));
    on.for_each(n, cuda_mlp::cross_entropy{batch.logits.data(), labels.data(), now, n, example::classes, loss.data()});
    backward(on, model, batch, batch.logits, n, d_h, gradient);
    optimizer.step(on, model, gradient);
    ++step;
    position += n;
    if (position == count) {
      ++epoch;
      scheduler.step(optimizer);
      std::shuffle(order.begin(), order.end(), shuffling);
      on.upload(order, order_there);
      position = 0;
    }
    if (step % options.checkpoint_every == 0) {
      const std::vector<float> losses = on.download(loss, n);
      const float mean = std::accumulate(losses.begin(), losses.end(), 0.0f) / static_cast<float>(n);
      // Returns when the copies from the GPU are enqueued: the kernels of the next step wait for them, and this thread does not.
      checkpoints.save_async(step, state, {.metric = mean});
      std::cout << "step " << step << " loss " << mean << " lr " << optimizer.lr << std::endl;
    }
  }

  checkpoints.close();
  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  std::cout << "test accuracy " << accuracy(on, model, data.test) << " on " << data.test.size() << " images after " << step << " steps" << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 4000, .checkpoint_every = 200, .checkpoint_dir = "runs/cuda_mlp", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  std::string chosen;
  return example::run(argc, argv, "Handwritten digits, CUDA kernels, Adam: killed and resumed, bit for bit, here or there", defaults, [&](const example::options& o) { return train(o, chosen); },
                      {{"--device", &chosen, "cpu, or the number of a GPU; unless given, GPU 0 where there is one"}});
}
