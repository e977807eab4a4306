// What the trainers of many processes share: a perceptron that learns the digits, each rank with its samples of a batch, and gradients
// that are summed in the order of the ranks.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/holdfast.hpp>
#include <holdfast/mpi.hpp>

#include "command_line.hpp"
#include "digits.hpp"
#include "tensor.hpp"

namespace example {

struct ranks {
  MPI_Comm comm = MPI_COMM_WORLD;
  int rank = 0, size = 1;
  ranks() {
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
  }
};

inline constexpr std::int64_t hidden = 64, batch_size = 48;

struct mlp {
  tensor fc1_weight{hidden, pixels}, fc1_bias{hidden}, fc2_weight{classes, hidden}, fc2_bias{classes};
  std::vector<std::pair<std::string, tensor*>> parameters() {
    return {{"fc1.weight", &fc1_weight}, {"fc1.bias", &fc1_bias}, {"fc2.weight", &fc2_weight}, {"fc2.bias", &fc2_bias}};
  }
};

inline mlp initial_model() {
  std::mt19937_64 engine(1);
  mlp model;
  fill_uniform(model.fc1_weight, pixels, engine);
  fill_uniform(model.fc1_bias, pixels, engine);
  fill_uniform(model.fc2_weight, hidden, engine);
  fill_uniform(model.fc2_bias, hidden, engine);
  return model;
}

inline tensor predict(const mlp& model, const tensor& images) { return linear(relu(linear(images, model.fc1_weight, model.fc1_bias)), model.fc2_weight, model.fc2_bias); }

/// Adds to `gradient` and returns the loss.
inline float backpropagate(const mlp& model, const digit_set& batch, mlp& gradient) {
  const tensor h = relu(linear(batch.images, model.fc1_weight, model.fc1_bias));
  tensor d_logits = linear(h, model.fc2_weight, model.fc2_bias);
  const float loss = cross_entropy(d_logits, batch.labels);
  tensor d_h = zeros_like(h);
  linear_backward(h, model.fc2_weight, d_logits, gradient.fc2_weight, gradient.fc2_bias, &d_h);
  relu_backward(h, d_h);
  linear_backward(batch.images, model.fc1_weight, d_h, gradient.fc1_weight, gradient.fc1_bias);
  return loss;
}

/// The samples of this rank from the batch that begins at `samples`, which counts what all ranks have seen since the start. The order of an
/// epoch follows from its number alone, so that this one number is the position in the data, whatever the number of ranks.
inline digit_set own_samples(const ranks& world, const digit_set& images, std::int64_t samples) {
  const auto n = static_cast<std::int64_t>(images.size());
  std::vector<std::int32_t> order(images.size()), own;
  std::int64_t shuffled = -1;
  const std::int64_t first = samples + batch_size * world.rank / world.size, end = samples + batch_size * (world.rank + 1) / world.size;
  for (std::int64_t at = first; at < end; ++at) {
    if (at / n != shuffled) {
      shuffled = at / n;
      std::iota(order.begin(), order.end(), 0);
      std::mt19937_64 engine(static_cast<std::uint64_t>(shuffled) + 7);
      std::shuffle(order.begin(), order.end(), engine);
    }
    own.push_back(order[static_cast<std::size_t>(at % n)]);
  }
  return images.select(own.data(), own.size());
}

/// The sum over the ranks, added in their order on every rank: MPI_Allreduce may add in another order from run to run, and then no run
/// could be compared bit by bit.
inline void sum_in_order(const ranks& world, std::vector<float>& values) {
  const std::size_t n = values.size();
  std::vector<float> all(n * static_cast<std::size_t>(world.size));
  MPI_Allgather(values.data(), static_cast<int>(n), MPI_FLOAT, all.data(), static_cast<int>(n), MPI_FLOAT, world.comm);
  std::copy_n(all.begin(), n, values.begin());
  for (std::size_t r = 1; r < static_cast<std::size_t>(world.size); ++r)
    for (std::size_t i = 0; i < n; ++i) values[i] += all[r * n + i];
}

/// One step of the loss, and the mean gradient of the whole batch, the same on all ranks.
inline float mean_gradient(const ranks& world, const mlp& model, const digit_set& own, mlp& gradient) {
  gradient = mlp{};
  float loss = backpropagate(model, own, gradient);
  std::vector<float> all{loss};
  for (const auto& [name, g] : gradient.parameters()) all.insert(all.end(), g->data.begin(), g->data.end());
  sum_in_order(world, all);
  auto at = all.begin();
  loss = *at++ / static_cast<float>(world.size);
  for (const auto& [name, g] : gradient.parameters())
    for (float& x : g->data) x = *at++ / static_cast<float>(world.size);
  return loss;
}

/// `main` of a trainer of many ranks. A rank that fails in a way the others do not see ends all of them.
inline int run_ranks(int argc, char** argv, const std::string& description, const options& defaults, const std::function<int(const options&)>& train) {
  MPI_Init(&argc, &argv);
  const int status = run(argc, argv, description, defaults, train);
  if (status != 0) MPI_Abort(MPI_COMM_WORLD, status);
  MPI_Finalize();
  return status;
}

}  // namespace example
