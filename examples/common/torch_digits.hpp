// What the examples with libtorch share: the digits as tensors, and the loop from one checkpoint to the next.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iostream>
#include <utility>

#include <ATen/Parallel.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <holdfast/holdfast.hpp>

#include "command_line.hpp"
#include "digits.hpp"

namespace example {

struct labelled_images {
  torch::Tensor images, labels;

  explicit labelled_images(const digit_set& from)
      : images(torch::empty({static_cast<std::int64_t>(from.size()), pixels})), labels(torch::empty({images.size(0)}, torch::kLong)) {
    std::memcpy(images.data_ptr<float>(), from.images.data.data(), images.nbytes());
    std::copy(from.labels.begin(), from.labels.end(), labels.data_ptr<std::int64_t>());
  }
  /// Some of them, drawn from libtorch's default generator.
  labelled_images draw(std::int64_t count) const {
    const torch::Tensor chosen = torch::randint(images.size(0), {count}, torch::kLong);
    return {images.index_select(0, chosen), labels.index_select(0, chosen)};
  }

 private:
  labelled_images(torch::Tensor x, torch::Tensor y) : images(std::move(x)), labels(std::move(y)) {}
};

/// Goes on from the newest checkpoint where that was asked for, trains up to `options.steps`, and saves on the way. A step is
/// `train_once(batch)`, which returns the loss; `predict` gives the logits of images.
inline int train(const options& options, holdfast::state& state, std::int64_t& step, const std::function<torch::Tensor(const labelled_images&)>& train_once,
                 const std::function<torch::Tensor(const torch::Tensor&)>& predict) {
  const digits data = load_digits(options.data);
  const labelled_images images(data.train), held_out(data.test);
  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state)) std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;
  while (step < options.steps) {
    const auto loss = train_once(images.draw(32)).item<float>();
    if (++step % options.checkpoint_every == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << std::endl;
    }
  }
  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  const auto right = predict(held_out.images).argmax(1).eq(held_out.labels).to(torch::kFloat).mean().item<float>();
  std::cout << "test accuracy " << right << " on " << held_out.images.size(0) << " images after " << step << " steps" << std::endl;
  return 0;
}

}  // namespace example
