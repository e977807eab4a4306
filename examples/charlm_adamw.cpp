// Can a run be interrupted in the middle of an optimizer step? Here one step of AdamW sums the gradients of four
// micro-batches, and the checkpoints fall between them: a GRU learns to predict the next character of a text.
//
// In a checkpoint, beyond the weights: the gradients summed so far and how many micro-batches they hold, the first and
// second moments with their step counts, the learning-rate schedule, the engine that dropout draws from in the forward
// pass, the place in the text, and the hidden state that one window of text hands to the next.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <numbers>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "common/command_line.hpp"
#include "common/tensor.hpp"

using example::parameter;
using example::tensor;

constexpr std::int64_t embedding = 24, hidden = 64;
constexpr std::int64_t streams = 8;       // places in the text that are read side by side: the batch
constexpr std::int64_t window = 16;       // characters of each stream in a micro-batch
constexpr std::int64_t accumulation = 4;  // micro-batches for each step of the optimizer
constexpr float dropout = 0.1f;

// --- The text -------------------------------------------------------------------------------------------------------

struct corpus {
  std::string vocabulary;                 // every character that occurs, sorted
  std::vector<std::int32_t> train, test;  // indices into it; the last tenth of the text is held out
};

corpus load_corpus(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || file.peek() == std::ifstream::traits_type::eof())
    throw std::runtime_error(path + ": cannot read any text");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::size_t kept = text.size() / 10 * 9;
  if (kept < static_cast<std::size_t>(streams * (window + 1)) * 10)
    throw std::runtime_error(path + ": too short a text");
  const std::set<char> occurring(text.begin(), text.end());
  corpus all{std::string(occurring.begin(), occurring.end()), {}, {}};
  for (std::size_t i = 0; i < text.size(); ++i)
    (i < kept ? all.train : all.test).push_back(static_cast<std::int32_t>(all.vocabulary.find(text[i])));
  return all;
}

// --- The model ------------------------------------------------------------------------------------------------------

struct gru_model {
  tensor embedding_weight, weight_ih, weight_hh, bias_ih, bias_hh, head_weight, head_bias;

  explicit gru_model(std::int64_t characters)
      : embedding_weight{characters, embedding},
        weight_ih{3 * hidden, embedding},
        weight_hh{3 * hidden, hidden},
        bias_ih{3 * hidden},
        bias_hh{3 * hidden},
        head_weight{characters, hidden},
        head_bias{characters} {}
};
template <>
struct holdfast::traits<gru_model> : holdfast::fields<holdfast::field<&gru_model::embedding_weight, "embedding.weight">,
                                                      holdfast::field<&gru_model::weight_ih, "gru.weight_ih_l0">,
                                                      holdfast::field<&gru_model::weight_hh, "gru.weight_hh_l0">,
                                                      holdfast::field<&gru_model::bias_ih, "gru.bias_ih_l0">,
                                                      holdfast::field<&gru_model::bias_hh, "gru.bias_hh_l0">,
                                                      holdfast::field<&gru_model::head_weight, "head.weight">,
                                                      holdfast::field<&gru_model::head_bias, "head.bias">> {};

std::vector<parameter> parameters(gru_model& m, gru_model& g) {
  return {{"embedding.weight", &m.embedding_weight, &g.embedding_weight},
          {"gru.weight_ih_l0", &m.weight_ih, &g.weight_ih},
          {"gru.weight_hh_l0", &m.weight_hh, &g.weight_hh},
          {"gru.bias_ih_l0", &m.bias_ih, &g.bias_ih},
          {"gru.bias_hh_l0", &m.bias_hh, &g.bias_hh},
          {"head.weight", &m.head_weight, &g.head_weight},
          {"head.bias", &m.head_bias, &g.head_bias}};
}

/// One character of every stream on its way through the network, with what the backward pass needs again.
struct time_step {
  tensor x, h_before, r, z, n, hn, h, dropped, d_logits;
  std::vector<float> mask;
};

float sigmoid(float v) { return 1.0f / (1.0f + std::exp(-v)); }

/// PyTorch's GRU cell: gates r, z, n in this order. Moves `h` on and leaves the logits in `t.d_logits`. Dropout, which
/// sits between the cell and the head, is off without an engine.
time_step forward(const gru_model& m, const std::vector<std::int32_t>& characters, tensor& h, std::mt19937_64* engine) {
  const tensor blank{h.shape[0], hidden};
  time_step t{tensor{h.shape[0], embedding}, h, blank, blank, blank, blank, blank, blank, {}, {}};
  for (std::size_t b = 0; b < h.rows(); ++b)
    std::copy_n(m.embedding_weight.row(static_cast<std::size_t>(characters[b])), embedding, t.x.row(b));
  const tensor from_x = example::linear(t.x, m.weight_ih, m.bias_ih),
               from_h = example::linear(h, m.weight_hh, m.bias_hh);
  for (std::size_t b = 0; b < h.rows(); ++b)
    for (std::size_t j = 0, at = b * hidden; j < hidden; ++j, ++at) {
      t.r.data[at] = sigmoid(from_x.row(b)[j] + from_h.row(b)[j]);
      t.z.data[at] = sigmoid(from_x.row(b)[hidden + j] + from_h.row(b)[hidden + j]);
      t.hn.data[at] = from_h.row(b)[2 * hidden + j];
      t.n.data[at] = std::tanh(from_x.row(b)[2 * hidden + j] + t.r.data[at] * t.hn.data[at]);
      t.h.data[at] = (1.0f - t.z.data[at]) * t.n.data[at] + t.z.data[at] * h.data[at];
    }
  std::bernoulli_distribution drop(dropout);
  for (std::size_t i = 0; i < t.h.data.size(); ++i) {
    t.mask.push_back(!engine ? 1.0f : drop(*engine) ? 0.0f
                                                    : 1.0f / (1.0f - dropout));
    t.dropped.data[i] = t.h.data[i] * t.mask[i];
  }
  t.d_logits = example::linear(t.dropped, m.head_weight, m.head_bias);
  h = t.h;
  return t;
}

/// Adds to the gradients of `g`. `dh` comes in as the gradient of `t.h` from later steps and leaves as that of
/// `t.h_before`.
void backward(const gru_model& m, const time_step& t, const std::vector<std::int32_t>& characters, tensor& dh,
              gru_model& g) {
  tensor d_dropped = example::zeros_like(t.dropped);
  example::linear_backward(t.dropped, m.head_weight, t.d_logits, g.head_weight, g.head_bias, &d_dropped);
  tensor from_x{dh.shape[0], 3 * hidden}, from_h{dh.shape[0], 3 * hidden}, dx = example::zeros_like(t.x);
  for (std::size_t b = 0; b < dh.rows(); ++b)
    for (std::size_t j = 0, at = b * hidden; j < hidden; ++j, ++at) {
      const float r = t.r.data[at], z = t.z.data[at], n = t.n.data[at];
      const float d = dh.data[at] + d_dropped.data[at] * t.mask[at];
      const float dn = d * (1.0f - z) * (1.0f - n * n);
      from_x.row(b)[j] = from_h.row(b)[j] = dn * t.hn.data[at] * r * (1.0f - r);
      from_x.row(b)[hidden + j] = from_h.row(b)[hidden + j] = d * (t.h_before.data[at] - n) * z * (1.0f - z);
      from_x.row(b)[2 * hidden + j] = dn;
      from_h.row(b)[2 * hidden + j] = dn * r;
      dh.data[at] = d * z;
    }
  example::linear_backward(t.x, m.weight_ih, from_x, g.weight_ih, g.bias_ih, &dx);
  example::linear_backward(t.h_before, m.weight_hh, from_h, g.weight_hh, g.bias_hh, &dh);
  for (std::size_t b = 0; b < dh.rows(); ++b)
    example::axpy(1.0f, dx.row(b), g.embedding_weight.row(static_cast<std::size_t>(characters[b])), embedding);
}

/// Where the streams are in the text, and what the network remembers of it.
struct text_reader {
  std::int64_t position = 0;
  tensor hidden_state{streams, hidden};

  /// The character of every stream `ahead` of the position.
  std::vector<std::int32_t> at(const std::vector<std::int32_t>& text, std::int64_t ahead) const {
    std::vector<std::int32_t> column;
    for (std::int64_t s = 0; s < streams; ++s)
      column.push_back(
          text[text.size() / streams * static_cast<std::size_t>(s) + static_cast<std::size_t>(position + ahead)]);
    return column;
  }
  /// Goes on by one window; starts over, having forgotten everything, where the text ends.
  void advance(const std::vector<std::int32_t>& text) {
    position += window;
    if (position + window < static_cast<std::int64_t>(text.size()) / streams) return;
    position = 0;
    hidden_state = tensor{streams, hidden};
  }
};
template <>
struct holdfast::traits<text_reader>
    : holdfast::fields<holdfast::field<&text_reader::position>, holdfast::field<&text_reader::hidden_state>> {};

/// The mean loss over one window; with `gradient`, adds the gradient of a micro-batch's share of it.
float micro_batch(const gru_model& model, text_reader& reader, const std::vector<std::int32_t>& text,
                  gru_model* gradient, std::mt19937_64* engine) {
  std::vector<time_step> steps;
  float loss = 0.0f;
  for (std::int64_t i = 0; i < window; ++i) {
    steps.push_back(forward(model, reader.at(text, i), reader.hidden_state, engine));
    loss += example::cross_entropy(steps.back().d_logits, reader.at(text, i + 1)) / window;
    for (float& d : steps.back().d_logits.data) d /= window * accumulation;
  }
  if (gradient) {
    tensor dh{streams, hidden};
    for (std::int64_t i = window; i-- > 0;)
      backward(model, steps[static_cast<std::size_t>(i)], reader.at(text, i), dh, *gradient);
  }
  reader.advance(text);
  return loss;
}

/// Over the held-out text, without dropout.
double bits_per_character(const gru_model& model, const std::vector<std::int32_t>& text) {
  text_reader reader;
  double total = 0;
  int windows = 0;
  do {
    total += static_cast<double>(micro_batch(model, reader, text, nullptr, nullptr));
    ++windows;
  } while (reader.position > 0);
  return total / windows / std::numbers::ln2;
}

// --- The optimizer and its schedule ---------------------------------------------------------------------------------

struct moments {
  std::int64_t step = 0;
  tensor exp_avg, exp_avg_sq;
};
template <>
struct holdfast::traits<moments> : holdfast::fields<holdfast::field<&moments::step>, holdfast::field<&moments::exp_avg>,
                                                    holdfast::field<&moments::exp_avg_sq>> {};

struct param_group {
  double lr, initial_lr, beta1, beta2, eps, weight_decay;
};
template <>
struct holdfast::traits<param_group>
    : holdfast::fields<holdfast::field<&param_group::lr>, holdfast::field<&param_group::initial_lr>,
                       holdfast::field<&param_group::beta1>, holdfast::field<&param_group::beta2>,
                       holdfast::field<&param_group::eps>, holdfast::field<&param_group::weight_decay>> {};

/// torch.optim.AdamW with two groups: matrices decay, biases and the embedding do not.
struct adamw {
  std::map<std::string, moments> state;
  std::vector<param_group> param_groups;

  adamw(const std::vector<parameter>& all, param_group group) : param_groups{group, group} {
    param_groups[1].weight_decay = 0;
    for (const parameter& p : all) state[p.name] = {0, example::zeros_like(*p.value), example::zeros_like(*p.value)};
  }

  void step(const std::vector<parameter>& all) {
    for (const parameter& p : all) {
      const bool decays = p.value->shape.size() == 2 && p.name != "embedding.weight";
      const param_group& group = param_groups[decays ? 0 : 1];
      moments& m = state.at(p.name);
      const auto t = static_cast<double>(++m.step);
      const auto rate = static_cast<float>(group.lr / (1.0 - std::pow(group.beta1, t)));
      const auto unbias = static_cast<float>(1.0 / (1.0 - std::pow(group.beta2, t)));
      const auto b1 = static_cast<float>(group.beta1), b2 = static_cast<float>(group.beta2);
      const auto kept = static_cast<float>(1.0 - group.lr * group.weight_decay), eps = static_cast<float>(group.eps);
      for (std::size_t i = 0; i < p.value->data.size(); ++i) {
        const float slope = p.gradient->data[i];
        float &first = m.exp_avg.data[i], &second = m.exp_avg_sq.data[i];
        first = b1 * first + (1.0f - b1) * slope;
        second = b2 * second + (1.0f - b2) * slope * slope;
        p.value->data[i] = p.value->data[i] * kept - rate * first / (std::sqrt(second * unbias) + eps);
      }
    }
  }
};
template <>
struct holdfast::traits<adamw>
    : holdfast::fields<holdfast::field<&adamw::state>, holdfast::field<&adamw::param_groups>> {};

/// Up in a straight line, then down along half a cosine wave to a tenth of the peak.
struct warmup_cosine {
  std::int64_t warmup_steps, total_steps, last_epoch = 0;
  std::vector<double> last_lr{};

  void apply(adamw& optimizer) {
    const double done = static_cast<double>(last_epoch + 1), warmup = static_cast<double>(warmup_steps);
    const double progress = std::clamp((done - warmup) / static_cast<double>(total_steps - warmup_steps), 0.0, 1.0);
    const double factor = done < warmup ? done / warmup : 0.55 + 0.45 * std::cos(std::numbers::pi * progress);
    last_lr.clear();
    for (param_group& group : optimizer.param_groups) last_lr.push_back(group.lr = group.initial_lr * factor);
  }
};
template <>
struct holdfast::traits<warmup_cosine>
    : holdfast::fields<holdfast::field<&warmup_cosine::warmup_steps>, holdfast::field<&warmup_cosine::total_steps>,
                       holdfast::field<&warmup_cosine::last_epoch>, holdfast::field<&warmup_cosine::last_lr>> {};

// --- The run --------------------------------------------------------------------------------------------------------

int train(const example::options& options) {
  const corpus text = load_corpus(options.data);
  const auto characters = static_cast<std::int64_t>(text.vocabulary.size());

  gru_model model(characters), gradient(characters);
  const std::vector<parameter> all = parameters(model, gradient);
  std::mt19937_64 initialization(1), dropout_engine(2);
  for (const parameter& p : all) example::fill_uniform(*p.value, hidden, initialization);
  adamw optimizer(all, {.lr = 0, .initial_lr = 1.5e-2, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01});
  warmup_cosine scheduler{.warmup_steps = 20, .total_steps = std::max<std::int64_t>(options.steps / accumulation, 21)};
  scheduler.apply(optimizer);
  text_reader reader;
  std::string vocabulary = text.vocabulary;
  std::int64_t step = 0, micro_step = 0;  // micro-batches since the start, and in the gradient

  holdfast::state state;
  state.bind("model", model)
      .bind("gradient", gradient)
      .bind("optimizer", optimizer)
      .bind("scheduler", scheduler)
      .bind("data", reader)
      .bind("data/vocabulary", vocabulary)
      .bind("rng/dropout", dropout_engine)
      .bind("progress/step", step)
      .bind("progress/micro_step", micro_step);

  holdfast::checkpoint_directory checkpoints(options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state)) {
      if (vocabulary != text.vocabulary)
        throw std::runtime_error(options.data + ": other characters than in " + found->path);
      std::cout << "resumed at step " << found->step << " from " << found->path << std::endl;
    }

  while (step < options.steps) {
    const float loss = micro_batch(model, reader, text.train, &gradient, &dropout_engine);
    ++step;
    if (++micro_step == accumulation) {
      optimizer.step(all);
      ++scheduler.last_epoch;
      scheduler.apply(optimizer);
      for (const parameter& p : all) *p.gradient = example::zeros_like(*p.gradient);
      micro_step = 0;
    }
    if (step % options.checkpoint_every == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << " lr " << scheduler.last_lr[0] << std::endl;
    }
  }

  if (!options.final_file.empty()) holdfast::save(options.final_file, state);
  std::cout << "test " << bits_per_character(model, text.test) << " bits per character after " << step << " steps"
            << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  const example::options defaults{.steps = 2000,
                                  .checkpoint_every = 75,
                                  .checkpoint_dir = "runs/charlm_adamw",
                                  .data = HOLDFAST_EXAMPLE_DATA_DIR "/genesis.txt"};
  return example::run(argc, argv, "A text, a GRU, AdamW: killed between two micro-batches and resumed, bit for bit",
                      defaults, train);
}
