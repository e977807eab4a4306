// A trainer as those in plain C: one allocation for all parameters, one each for gradients and moments, pointers into them, and
// rand(). What does it take to save it? Names: the same table that cuts the allocation gives every part its name and shape.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/digits.hpp"

constexpr std::int64_t hidden = 64, batch_size = 16;

// --- The parameters: one block of floats, cut by a table ------------------------------------------------------------

struct part {
  const char* name;
  std::int64_t rows, columns;  // 0 columns: a vector
  std::int64_t size() const { return rows * (columns == 0 ? 1 : columns); }
};
constexpr part table[] = {{"fc1.weight", hidden, example::pixels}, {"fc1.bias", hidden, 0}, {"fc2.weight", example::classes, hidden}, {"fc2.bias", example::classes, 0}};

std::int64_t parameter_count() {
  std::int64_t n = 0;
  for (const part& p : table) n += p.size();
  return n;
}

struct pointers {
  float *fc1_weight, *fc1_bias, *fc2_weight, *fc2_bias;
  explicit pointers(float* block) : fc1_weight(block), fc1_bias(fc1_weight + table[0].size()), fc2_weight(fc1_bias + table[1].size()), fc2_bias(fc2_weight + table[2].size()) {}
};

/// Binds every part of a block under `before` + its name + `after`.
void bind_block(holdfast::state& state, float* block, const std::string& before, const std::string& after) {
  for (const part& p : table) {
    const holdfast::shape extents = p.columns == 0 ? holdfast::shape{p.rows} : holdfast::shape{p.rows, p.columns};
    state.bind(before + p.name + after, holdfast::tensor(block, extents));
    block += p.size();
  }
}

// --- Training -------------------------------------------------------------------------------------------------------

/// One image forward and backward; adds to the gradients and returns the loss.
float backpropagate(const pointers& w, const pointers& g, const float* image, std::int32_t label) {
  float h[hidden], d_h[hidden] = {}, logits[example::classes];
  for (std::int64_t i = 0; i < hidden; ++i) {
    h[i] = w.fc1_bias[i];
    for (std::int64_t j = 0; j < example::pixels; ++j) h[i] += w.fc1_weight[i * example::pixels + j] * image[j];
    if (h[i] < 0) h[i] = 0;
  }
  float sum = 0;
  for (std::int64_t c = 0; c < example::classes; ++c) {
    logits[c] = w.fc2_bias[c];
    for (std::int64_t i = 0; i < hidden; ++i) logits[c] += w.fc2_weight[c * hidden + i] * h[i];
    sum += std::exp(logits[c]);
  }
  for (std::int64_t c = 0; c < example::classes; ++c) {
    const float d = std::exp(logits[c]) / sum - (c == label ? 1.0f : 0.0f);
    g.fc2_bias[c] += d;
    for (std::int64_t i = 0; i < hidden; ++i) {
      g.fc2_weight[c * hidden + i] += d * h[i];
      d_h[i] += d * w.fc2_weight[c * hidden + i];
    }
  }
  for (std::int64_t i = 0; i < hidden; ++i) {
    if (h[i] == 0) continue;
    g.fc1_bias[i] += d_h[i];
    for (std::int64_t j = 0; j < example::pixels; ++j) g.fc1_weight[i * example::pixels + j] += d_h[i] * image[j];
  }
  return std::log(sum) - logits[label];
}

void adamw(float* w, const float* g, float* m, float* v, std::int64_t n, std::int64_t step) {
  const float lr = 1e-3f, beta1 = 0.9f, beta2 = 0.999f;
  const auto correct1 = static_cast<float>(1 - std::pow(0.9, step)), correct2 = static_cast<float>(1 - std::pow(0.999, step));
  for (std::int64_t i = 0; i < n; ++i) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
    w[i] -= lr * (m[i] / correct1 / (std::sqrt(v[i] / correct2) + 1e-8f) + 0.01f * w[i]);
  }
}

int train(const example::options& options) {
  const example::digits data = example::load_digits(options.data);
  const std::int64_t n = parameter_count();
  std::vector<float> memory(static_cast<std::size_t>(4 * n));  // the one allocation: weights, gradients, two moments
  float *const w = memory.data(), *const g = w + n, *const m = g + n, *const v = m + n;

  holdfast::c_random generator(42);  // gives rand() a state that can be saved
  for (std::int64_t i = 0; i < n; ++i) w[i] = 0.2f * (static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f);
  std::int64_t step = 0;

  // PyTorch's names, so that a checkpoint can be taken up there. The gradients are made anew in every step.
  holdfast::state state;
  bind_block(state, w, "model/", "");
  bind_block(state, m, "optimizer/state/", "/exp_avg");
  bind_block(state, v, "optimizer/state/", "/exp_avg_sq");
  state.bind("rng/rand", generator).bind("progress/step", step);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state)) std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;

  while (step < options.steps) {
    std::fill(g, g + n, 0.0f);
    float loss = 0;
    for (std::int64_t i = 0; i < batch_size; ++i) {
      const std::size_t image = static_cast<std::size_t>(std::rand()) % data.train.size();
      loss += backpropagate(pointers(w), pointers(g), data.train.images.row(image), data.train.labels[image]) / batch_size;
    }
    for (std::int64_t i = 0; i < n; ++i) g[i] /= batch_size;
    adamw(w, g, m, v, n, ++step);
    if (step % options.checkpoint_every == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << std::endl;
    }
  }
  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  return 0;
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 5000, .checkpoint_every = 250, .checkpoint_dir = "runs/raw_pointers", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"};
  return example::run(argc, argv, "Handwritten digits with raw pointers and rand(): killed and resumed, bit for bit", defaults, train);
}
