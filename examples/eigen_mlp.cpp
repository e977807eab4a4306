// I train with Eigen: how do my matrices get into a checkpoint? Include <holdfast/adapters/eigen.hpp>, and they bind like
// any other type, with weight(i, j) as weight[i, j] in h5py. A perceptron with one hidden layer learns handwritten digits
// by Adam; one list of its parameters is all that the model, the optimizer and the checkpoint are written from.
//
// The run is the same bit for bit each time because Eigen's own objects are always aligned alike. (A sum over a Map of
// memory from elsewhere may be grouped by where that memory happens to lie.)
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>

#include <Eigen/Core>

#include <holdfast/adapters/eigen.hpp>
#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/digits.hpp"

using Eigen::Index;
using Eigen::MatrixXf;
using Eigen::VectorXf;
using Eigen::VectorXi;

constexpr Index hidden = 128, batch_size = 32;

// --- The model ------------------------------------------------------------------------------------------------------

struct mlp {
  MatrixXf fc1_weight = MatrixXf::Zero(hidden, example::pixels);
  VectorXf fc1_bias = VectorXf::Zero(hidden);
  MatrixXf fc2_weight = MatrixXf::Zero(example::classes, hidden);
  VectorXf fc2_bias = VectorXf::Zero(example::classes);
};

/// Calls f(name, parameter…) for each parameter, with those of all the models given: weights, gradients, moments.
template <class F, class... Models>
void for_each_parameter(F&& f, Models&... models) {
  f(std::string("fc1.weight"), models.fc1_weight...);
  f(std::string("fc1.bias"), models.fc1_bias...);
  f(std::string("fc2.weight"), models.fc2_weight...);
  f(std::string("fc2.bias"), models.fc2_bias...);
}

template <>
struct holdfast::traits<mlp> {
  static void visit(mlp& model, visitor& v) {
    for_each_parameter([&](const std::string& name, auto& parameter) { v(name, parameter); }, model);
  }
};

/// Images and logits are one column each.
MatrixXf hidden_layer(const mlp& model, const MatrixXf& images) {
  return ((model.fc1_weight * images).colwise() + model.fc1_bias).cwiseMax(0.0f);
}
MatrixXf output_layer(const mlp& model, const MatrixXf& h) {
  return (model.fc2_weight * h).colwise() + model.fc2_bias;
}

/// Sets the gradient of the mean cross-entropy and returns that in nats.
float backpropagate(const mlp& model, const MatrixXf& images, const VectorXi& labels, mlp& gradient) {
  const MatrixXf h = hidden_layer(model, images);
  MatrixXf d = output_layer(model, h);
  float loss = 0.0f;
  for (Index b = 0; b < d.cols(); ++b) {
    const float highest = d.col(b).maxCoeff(), right = d(labels[b], b);
    d.col(b) = (d.col(b).array() - highest).exp();
    const float total = d.col(b).sum();
    loss += std::log(total) + highest - right;
    d.col(b) /= total;
    d(labels[b], b) -= 1.0f;
  }
  const float share = 1.0f / static_cast<float>(d.cols());
  d *= share;
  gradient.fc2_weight = d * h.transpose();
  gradient.fc2_bias = d.rowwise().sum();
  const MatrixXf dh = (h.array() > 0.0f).select(model.fc2_weight.transpose() * d, 0.0f);
  gradient.fc1_weight = dh * images.transpose();
  gradient.fc1_bias = dh.rowwise().sum();
  return loss * share;
}

double accuracy(const mlp& model, const MatrixXf& images, const VectorXi& labels) {
  const MatrixXf logits = output_layer(model, hidden_layer(model, images));
  Index right = 0;
  for (Index b = 0; b < logits.cols(); ++b) {
    Index best;
    logits.col(b).maxCoeff(&best);
    right += best == labels[b];
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

// --- The optimizer --------------------------------------------------------------------------------------------------

struct adam {
  double lr = 1e-3;
  std::int64_t step = 0;
  mlp exp_avg, exp_avg_sq;

  void update(mlp& model, mlp& gradient) {
    const auto t = static_cast<double>(++step);
    const auto rate = static_cast<float>(lr / (1.0 - std::pow(0.9, t)));
    const auto unbias = static_cast<float>(1.0 / (1.0 - std::pow(0.999, t)));
    for_each_parameter(
        [&](const std::string&, auto& value, auto& slope, auto& first, auto& second) {
          first = 0.9f * first + 0.1f * slope;
          second = 0.999f * second + 0.001f * slope.cwiseAbs2();
          value.array() -= rate * first.array() / ((second.array() * unbias).sqrt() + 1e-8f);
        },
        model, gradient, exp_avg, exp_avg_sq);
  }
};

/// As PyTorch groups it: by parameter, and then exp_avg and exp_avg_sq.
template <>
struct holdfast::traits<adam> {
  static void visit(adam& a, visitor& v) {
    v("lr", a.lr);
    v("step", a.step);
    for_each_parameter(
        [&](const std::string& name, auto& first, auto& second) {
          v("state/" + name + "/exp_avg", first);
          v("state/" + name + "/exp_avg_sq", second);
        },
        a.exp_avg, a.exp_avg_sq);
  }
};

// --- The run --------------------------------------------------------------------------------------------------------

struct dataset {
  MatrixXf images;
  VectorXi labels;
  explicit dataset(const example::digit_set& from)
      : images(Eigen::Map<const MatrixXf>(from.images.data.data(), example::pixels, static_cast<Index>(from.size()))),
        labels(Eigen::Map<const VectorXi>(from.labels.data(), static_cast<Index>(from.size()))) {}
};

int train(const example::options& options) {
  const example::digits digits = example::load_digits(options.data);
  const dataset data(digits.train), held_out(digits.test);

  mlp model, gradient;
  std::mt19937_64 initial(1), shuffling(2);
  for_each_parameter(
      [&](const std::string&, auto& value, auto& weight) {
        const float bound = 1.0f / std::sqrt(static_cast<float>(weight.cols()));
        std::uniform_real_distribution<float> draw(-bound, bound);
        value = value.unaryExpr([&](float) { return draw(initial); });
      },
      model, model);
  adam optimizer;
  VectorXi order = VectorXi::LinSpaced(data.images.cols(), 0, static_cast<int>(data.images.cols()) - 1);
  std::int64_t position = order.size(), step = 0, epoch = 0;

  holdfast::state state;
  state.bind("model", model)
      .bind("optimizer", optimizer)
      .bind("data/order", order)
      .bind("data/position", position)
      .bind("rng/shuffling", shuffling)
      .bind("progress/step", step)
      .bind("progress/epoch", epoch);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state))
      std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;

  while (step < options.steps) {
    if (position == order.size()) {
      std::shuffle(order.begin(), order.end(), shuffling);
      position = 0;
      ++epoch;
    }
    const VectorXi chosen = order.segment(position, std::min<Index>(batch_size, order.size() - position));
    position += chosen.size();
    const float loss = backpropagate(model, data.images(Eigen::all, chosen), data.labels(chosen), gradient);
    optimizer.update(model, gradient);
    ++step;
    if (step % options.checkpoint_every == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << std::endl;
    }
  }

  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  std::cout << "test accuracy " << accuracy(model, held_out.images, held_out.labels) << " on " << held_out.labels.size()
            << " images after " << step << " steps" << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 5000,
                                  .checkpoint_every = 250,
                                  .checkpoint_dir = "runs/eigen_mlp",
                                  .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "Handwritten digits, Eigen, Adam: killed and resumed, bit for bit", defaults, train);
}
