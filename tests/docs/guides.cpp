// The blocks of README.md, docs/tutorial.md and of those guides that need no other library, word for word (blocks.py holds them to it), and what
// the pages say of them. One unit for all, since the headers are what costs.
#include <algorithm>
#include <cassert>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <holdfast/separate.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include "../adapters/h5py.hpp"
#include "../support.hpp"

struct network {
  std::vector<float> weight = std::vector<float>(8, 1.0f);
};
template <>
struct holdfast::traits<network> : holdfast::fields<holdfast::field<&network::weight>> {};

struct adam {
  std::vector<float> exp_avg = std::vector<float>(8), exp_avg_sq = std::vector<float>(8);
  std::int64_t step = 0;
};
template <>
struct holdfast::traits<adam> : holdfast::fields<holdfast::field<&adam::exp_avg>, holdfast::field<&adam::exp_avg_sq>, holdfast::field<&adam::step>> {};

struct cosine {
  std::int64_t last_epoch = 0;
};
template <>
struct holdfast::traits<cosine> : holdfast::fields<holdfast::field<&cosine::last_epoch>> {};

struct two_networks {
  network generator, discriminator;
  adam generator_optimizer, discriminator_optimizer;
  cosine schedule;

  void bind(holdfast::state& s) {
    s.bind("model/generator", generator).bind("model/discriminator", discriminator);
    s.bind("optimizer/generator", generator_optimizer).bind("optimizer/discriminator", discriminator_optimizer);
    s.bind("scheduler/both", schedule);
  }
};

holdfast::restore_report take_up_the_generator(const std::string& file, holdfast::state& s) {
  return holdfast::restore(file, s, {.only = {"model/generator/**"}});
}

struct averaged {
  network average;
  std::int64_t updates = 0;

  void update(const network& from) {
    const double decay = std::min(0.999, (1.0 + static_cast<double>(updates)) / (10.0 + static_cast<double>(updates)));
    for (std::size_t i = 0; i < average.weight.size(); ++i) average.weight[i] = static_cast<float>(decay * average.weight[i] + (1 - decay) * from.weight[i]);
    ++updates;
  }
};
template <>
struct holdfast::traits<averaged> : holdfast::fields<holdfast::field<&averaged::average, "model">, holdfast::field<&averaged::updates>> {};

struct gradient_scaler {
  float scale = 65536;
  std::int32_t growth_tracker = 0;
};
template <>
struct holdfast::traits<gradient_scaler> : holdfast::fields<holdfast::field<&gradient_scaler::scale>, holdfast::field<&gradient_scaler::growth_tracker>> {};

struct mixed_precision {
  std::vector<float> masters = std::vector<float>(8, 1.0f);
  std::vector<holdfast::bfloat16> weights = std::vector<holdfast::bfloat16>(8);  // what the forward pass reads
  gradient_scaler scaler;

  void round() {
    for (std::size_t i = 0; i < masters.size(); ++i) weights[i] = holdfast::bfloat16::from(masters[i]);
  }
  void bind(holdfast::state& s) {
    s.bind("model/masters", masters).bind("scaler", scaler).after_restore([this] { round(); });
  }
};

struct accumulation {
  std::vector<float> gradient;
  std::int32_t micro_batch = 0;
};
template <>
struct holdfast::traits<accumulation> : holdfast::fields<holdfast::field<&accumulation::gradient>, holdfast::field<&accumulation::micro_batch>> {};

struct loader {
  std::mt19937_64 shuffle{1};
  std::vector<std::int64_t> order;  // of this epoch
  std::int64_t used = 0;            // of it, by the trainer
  std::deque<std::int64_t> ahead;   // fetched and not used: not saved

  void new_epoch(std::int64_t samples) {
    order.resize(static_cast<std::size_t>(samples));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), shuffle);
    used = 0;
  }
  void fetch(std::size_t most) {
    while (ahead.size() < most && static_cast<std::size_t>(used) + ahead.size() < order.size()) ahead.push_back(order[static_cast<std::size_t>(used) + ahead.size()]);
  }
  std::int64_t next() {
    fetch(4);
    const std::int64_t sample = ahead.front();
    ahead.pop_front();
    ++used;
    return sample;
  }
};
template <>
struct holdfast::traits<loader>
    : holdfast::fields<holdfast::field<&loader::shuffle>, holdfast::field<&loader::order>, holdfast::field<&loader::used>> {};

void bind_loader(holdfast::state& s, loader& data) {
  s.bind("data", data).after_restore([&data] { data.ahead.clear(); });
}

void expect_all(holdfast::state& s) {
  using holdfast::role;
  s.expects({role::model, role::optimizer, role::scheduler, role::rng, {role::data_order, "data"}, role::progress});
}

namespace {

/// All of it in one run: micro-batches of samples that the loader fetches ahead, an average, a scale that grows.
struct all_parts {
  two_networks networks;
  averaged ema;
  gradient_scaler scaler;
  accumulation gradients{std::vector<float>(8), 0};
  loader data;
  std::mt19937 noise{7};
  std::int64_t steps = 0;
  std::string leave_out;

  all_parts() { data.new_epoch(10); }

  void bind(holdfast::state& s) {
    networks.bind(s);
    if (leave_out != "ema") s.bind("ema", ema);
    if (leave_out != "scaler") s.bind("scaler", scaler);
    if (leave_out != "gradients") s.bind("gradients", gradients);
    if (leave_out == "data") s.bind("data/order", data.order);
    else bind_loader(s, data);
    s.bind("rng/noise", noise).bind("progress/step", steps);
  }

  void step() {
    if (data.used == static_cast<std::int64_t>(data.order.size())) data.new_epoch(10);
    const float x = static_cast<float>(data.next()) + static_cast<float>(noise() % 100) / 100 + scaler.scale / 65536;
    for (std::size_t i = 0; i < 8; ++i) gradients.gradient[i] += x * static_cast<float>(i + 1) / 100;
    if (++scaler.growth_tracker == 5) scaler.scale *= 2, scaler.growth_tracker = 0;
    ++steps;
    if (++gradients.micro_batch < 3) return;
    for (network* n : {&networks.generator, &networks.discriminator})
      for (std::size_t i = 0; i < 8; ++i) n->weight[i] -= gradients.gradient[i] / 100 + ema.average.weight[i] / 1000;
    ++networks.generator_optimizer.step, ++networks.schedule.last_epoch;
    ema.update(networks.generator);
    std::fill(gradients.gradient.begin(), gradients.gradient.end(), 0.0f);
    gradients.micro_batch = 0;
  }
};

holdfast::testing::equivalence_report equivalence(const std::string& leave_out) {
  return holdfast::testing::resume_equivalence([&] {
    auto t = std::make_unique<all_parts>();
    t->leave_out = leave_out;
    return t;
  },
                                               25);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(docs_training)

BOOST_AUTO_TEST_CASE(with_all_its_parts_the_run_resumes_bit_for_bit) {
  const auto result = equivalence("");
  BOOST_TEST(bool(result), result.text());
}

BOOST_AUTO_TEST_CASE(without_any_one_part_it_does_not) {
  for (const char* part : {"ema", "scaler", "gradients", "data"}) BOOST_TEST(!equivalence(part), part);
}

BOOST_AUTO_TEST_CASE(one_part_is_taken_up_alone) {
  const support::folder folder;
  all_parts a, b;
  holdfast::state s, t;
  a.bind(s), b.bind(t);
  for (int i = 0; i < 9; ++i) a.step();
  holdfast::save(folder / "a.h5", s);
  BOOST_TEST(take_up_the_generator(folder / "a.h5", t).restored.size() == 1u);
  BOOST_TEST(b.networks.generator.weight == a.networks.generator.weight, boost::test_tools::per_element());
  BOOST_TEST(b.steps == 0);
}

BOOST_AUTO_TEST_CASE(halves_follow_from_the_masters) {
  const support::folder folder;
  mixed_precision a, b;
  a.masters[3] = 1.5f, a.scaler.growth_tracker = 7;
  holdfast::state s, t;
  a.bind(s), b.bind(t);
  holdfast::save(folder / "a.h5", s);
  holdfast::restore(folder / "a.h5", t);
  BOOST_TEST(static_cast<float>(b.weights[3]) == 1.5f);
  BOOST_TEST(b.scaler.growth_tracker == 7);
}

BOOST_AUTO_TEST_CASE(what_was_not_bound_is_named) {
  holdfast::state s;
  network n;
  s.bind("model", n);
  expect_all(s);
  BOOST_TEST(s.unbound_roles().size() == 5u);
}

BOOST_AUTO_TEST_SUITE_END()

// README.md

struct decay {
  std::int64_t last_epoch = 0;
};
template <>
struct holdfast::traits<decay> : holdfast::fields<holdfast::field<&decay::last_epoch>> {};

namespace {

/// What a trainer's `step` and `bind` are, with a generator that may be forgotten.
struct my_trainer {
  std::vector<float> weight = std::vector<float>(8);
  std::mt19937 engine{1};
  bool forgets = false;
  void step() { weight[0] += static_cast<float>(engine() % 100); }
  void bind(holdfast::state& s) {
    s.bind("model/weight", weight);
    if (!forgets) s.bind("rng", engine);
  }
};

/// What `work` prints.
template <class F>
std::string printed_by(F&& work) {
  std::ostringstream out;
  auto* const before = std::cout.rdbuf(out.rdbuf());
  work();
  std::cout.rdbuf(before);
  return out.str();
}

std::string page(const std::string& name) { return support::bytes_of(std::string(HOLDFAST_TEST_ROOT) + "/" + name); }

}  // namespace

BOOST_AUTO_TEST_SUITE(docs_readme)

BOOST_AUTO_TEST_CASE(the_loop_resumes) {
  const support::current_folder here;
  const auto run = [](std::int64_t steps) {
    std::vector<float> memory(512 * 784);
    float* const weights = memory.data();
    adam adam;
    decay schedule;
    std::mt19937_64 engine;
    std::int64_t step = 0;
    double loss = 1;
    const auto train_one_step = [&] { ++step, loss *= 0.9, weights[0] += static_cast<float>(engine() % 100), ++adam.step, ++schedule.last_epoch; };
    holdfast::state state;
    state.bind("model/fc1.weight", holdfast::tensor(weights, {512, 784}))  // raw memory with a shape
        .bind("optimizer", adam)                                           // a struct with traits, a std::map<std::string, …>
        .bind("scheduler", schedule)
        .bind("rng", engine)  // any standard engine or distribution
        .bind("progress/step", step);

    holdfast::checkpoint_directory runs("runs/exp1", {.keep_last = 3, .keep_best = 1});
    if (auto found = runs.restore_latest(state))  // the newest checkpoint that is whole
      std::cout << "resumed at step " << found->step << '\n';

    while (step < steps) {
      train_one_step();                                                // advances step
      if (step % 1000 == 0) runs.save(step, state, {.metric = loss});  // a crash now costs at most 1000 steps
    }
    return weights[0];
  };
  float whole = 0;
  printed_by([&] { whole = run(3000); });
  std::filesystem::remove_all("runs");
  printed_by([&] { run(1700); });
  BOOST_TEST(printed_by([&] { BOOST_TEST(run(3000) == whole); }) == "resumed at step 1000\n");
}

BOOST_AUTO_TEST_CASE(what_is_forgotten_is_named) {
#include <holdfast/testing/resume_equivalence.hpp>
  auto result = holdfast::testing::resume_equivalence([] { return std::make_unique<my_trainer>(); }, 50);
  assert(result);  // result.text(): "… the resumed run differs from the uninterrupted one after step 26: /model/fc1.weight: …"
  const auto forgetful = [] {
    auto t = std::make_unique<my_trainer>();
    t->forgets = true;
    return t;
  };
  support::require_all(holdfast::testing::resume_equivalence(forgetful, 50).text(), "the resumed run differs from the uninterrupted one after step", "/model/weight: ");
}

BOOST_AUTO_TEST_SUITE_END()

// docs/tutorial.md, whose program pages.py compiles

BOOST_AUTO_TEST_SUITE(docs_tutorial)

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_told_as_the_page_shows_it) {
  const support::current_folder here;
  std::filesystem::create_directory("whole");
  {
    std::vector<double> weight{1, 2}, momentum(2);
    std::int64_t steps = 4000;
    std::mt19937_64 engine;
    holdfast::state state;
    state.bind("model/weight", weight).bind("optimizer/momentum", momentum).bind("progress/steps", steps).bind("rng/engine", engine);
    holdfast::save("whole/step-000000004000.h5", state);
  }
  std::string told;
  try {
    std::vector<float> weight(2), exp_avg(2);
    holdfast::state other;
    other.bind("model/weight", weight).bind("optimizer/exp_avg", exp_avg);
    holdfast::restore("whole/step-000000004000.h5", other, {.except = {"rng", "progress"}});
  } catch (const holdfast::mismatch_error& e) {
    told = e.what();
  }
  BOOST_TEST((!told.empty() && page("docs/tutorial.md").find("```\n" + told + "\n```") != std::string::npos), told);
  std::vector<float> weight(2), exp_avg(2);
  holdfast::state other;
  other.bind("model/weight", weight).bind("optimizer/exp_avg", exp_avg);
  holdfast::restore("whole/step-000000004000.h5", other, {.only = {"model/**"}, .cast = holdfast::cast::allow});
  BOOST_TEST(weight[1] == 2.0f);
}

BOOST_AUTO_TEST_CASE(a_forgotten_distribution_is_found) {
  struct trainer {
    double weight = 0;
    std::mt19937_64 engine{1};
    std::normal_distribution<double> noise;
    void step() { weight += noise(engine); }
    void bind(holdfast::state& state) { state.bind("model/weight", weight).bind("rng/engine", engine); }
  };
  const std::string told = printed_by([] {
#include <holdfast/testing/resume_equivalence.hpp>
    auto result = holdfast::testing::resume_equivalence([] { return std::make_unique<trainer>(); }, 50);
    if (!result) std::cout << result.text() << '\n';
  });
  support::require_all(told, "/model/weight");
}

BOOST_AUTO_TEST_SUITE_END()

// docs/guides/what_to_save.md

struct whole_run {
  std::vector<float> weight = std::vector<float>(8), running_mean = std::vector<float>(8);
  std::vector<float> exp_avg = std::vector<float>(8), exp_avg_sq = std::vector<float>(8);
  std::int64_t updates = 0;        // of the optimizer
  std::int64_t last_epoch = 0;     // of the schedule
  std::mt19937 dropout{1};         // the engine that steps draw from
  std::normal_distribution<> gap;  // keeps every second number
  std::mt19937_64 shuffle{2};      // the engine that makes the next epoch's order
  std::vector<std::int64_t> order;
  std::int64_t used = 0;  // of it
  float scale = 65536;
  std::int32_t growth_tracker = 0;
  std::int64_t steps = 0;
  double best = 1e30;

  void bind(holdfast::state& state) {
    state.bind("model/weight", weight).bind("model/running_mean", running_mean);
    state.bind("optimizer/exp_avg", exp_avg).bind("optimizer/exp_avg_sq", exp_avg_sq).bind("optimizer/step", updates);
    state.bind("scheduler/last_epoch", last_epoch);
    state.bind("rng/dropout", dropout).bind("rng/gap", gap);
    state.bind("data/shuffle", shuffle).bind("data/order", order).bind("data/used", used);
    state.bind("scaler/scale", scale).bind("scaler/growth_tracker", growth_tracker);
    state.bind("progress/step", steps).bind("progress/best", best);

    using holdfast::role;
    state.expects({role::model, role::optimizer, role::scheduler, role::rng, role::data_order, role::scaler, role::progress});
  }
};

namespace {

struct working_run : whole_run {
  working_run() { new_epoch(); }
  void new_epoch() {
    order.resize(12);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), shuffle);
    used = 0, ++last_epoch;
  }
  void step() {
    if (used == 12) new_epoch();
    const float gradient = static_cast<float>(order[static_cast<std::size_t>(used++)]) * static_cast<float>(gap(dropout)) * (scale / 65536) / static_cast<float>(last_epoch);
    ++updates, ++steps;
    for (std::size_t i = 0; i < weight.size(); ++i) {
      exp_avg[i] = 0.9f * exp_avg[i] + gradient, exp_avg_sq[i] = 0.99f * exp_avg_sq[i] + gradient * gradient;
      weight[i] -= exp_avg[i] / (1 + exp_avg_sq[i]) / static_cast<float>(updates), running_mean[i] = 0.9f * running_mean[i] + weight[i];
    }
    if (++growth_tracker == 7) scale *= 2, growth_tracker = 0;
    best = std::min(best, static_cast<double>(weight[0]));
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(docs_what_to_save) {
  const auto result = holdfast::testing::resume_equivalence([] { return std::make_unique<working_run>(); }, 25);
  BOOST_TEST(bool(result), result.text());
  working_run run;
  holdfast::state state;
  run.bind(state);
  BOOST_TEST(state.unbound_roles().empty());
}

// docs/guides/partial_restore.md

void take_up_a_part(const std::string& pretrained, const std::string& autoencoder, std::vector<float>& trunk, std::vector<float>& head) {
  holdfast::state state;
  state.bind("model/trunk/fc1.weight", trunk).bind("model/head/fc2.weight", head);

  // The trunk alone. The head stays as it was initialised, and whatever else the file has does not matter.
  holdfast::restore(pretrained, state, {.only = {"model/trunk"}});

  // The trunk, which that program called encoder.
  holdfast::restore(autoencoder, state, {.only = {"model/trunk"}, .rename = {{"encoder/**", "model/trunk/**"}}});

  // All but the head, from float64 where the file has it.
  holdfast::restore(pretrained, state, {.except = {"model/head"}, .cast = holdfast::cast::allow});

  // What the file has of what is bound.
  holdfast::restore(pretrained, state, {.missing = holdfast::on_missing::keep, .unexpected = holdfast::on_unexpected::ignore});
}

bool fits(const std::string& file, holdfast::state& state) {
  const holdfast::plan plan = holdfast::plan_restore(file, state);
  for (const holdfast::difference& d : plan.differences) std::cout << d.path << ": expected " << d.expected << ", found " << d.found << '\n';
  return plan.ok();
}

std::vector<float> one_tensor(const std::string& file) {
  const holdfast::checkpoint_file checkpoint(file);
  for (const holdfast::entry& e : checkpoint.entries()) std::cout << e.path << ' ' << holdfast::name(e.dtype) << '\n';
  return checkpoint.read<std::vector<float>>("model/trunk/fc1.weight");
}

BOOST_AUTO_TEST_CASE(docs_partial_restore) {
  const support::folder folder;
  const std::vector<float> of_encoder{3, 4};
  const std::vector<double> trunk{1, 2};
  holdfast::state pretrained, autoencoder;
  pretrained.bind("model/trunk/fc1.weight", trunk).bind("other", of_encoder);
  autoencoder.bind("encoder/fc1.weight", of_encoder);
  holdfast::save(folder / "a.h5", pretrained);
  holdfast::save(folder / "b.h5", autoencoder);
  std::vector<float> found(2), head{7};
  // The first restore of the page does not convert.
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { take_up_a_part(folder / "a.h5", folder / "b.h5", found, head); }), "expected float32[2], found float64[2]");

  holdfast::state s;
  s.bind("model/trunk/fc1.weight", found).bind("model/head/fc2.weight", head);
  BOOST_TEST(printed_by([&] { BOOST_TEST(!fits(folder / "a.h5", s)); }).find("model/trunk/fc1.weight: expected float32[2], found float64[2]\n") == 0u);

  holdfast::state same;
  found = {1, 2};
  same.bind("model/trunk/fc1.weight", found);
  holdfast::save(folder / "a.h5", same);
  found = {0, 0};
  take_up_a_part(folder / "a.h5", folder / "b.h5", found, head);
  BOOST_TEST(found == (std::vector<float>{1, 2}), boost::test_tools::per_element());
  BOOST_TEST(head[0] == 7.0f);
  BOOST_TEST(printed_by([&] { BOOST_TEST(one_tensor(folder / "a.h5") == found, boost::test_tools::per_element()); }) == "model/trunk/fc1.weight float32\n");
}

// docs/guides/running.md

constexpr int run_me_again = 75;  // EX_TEMPFAIL: not done, try again

template <class Run>
int train(Run& run, const std::string& folder) {
  std::int64_t epoch = 0, since_best = 0;
  double best = std::numeric_limits<double>::infinity();
  holdfast::state state;
  run.bind(state);
  state.bind("progress/epoch", epoch).bind("progress/since_best", since_best).bind("progress/best", best);

  holdfast::checkpoint_directory checkpoints(folder, {.keep_last = 2, .keep_best = 1});
  checkpoints.restore_latest(state);

  const holdfast::preemption_signal preempted;  // SIGTERM or SIGUSR1 has come
  while (epoch < 100 && since_best < 5 && !preempted) {
    const double loss = run.train_one_epoch();  // and evaluates
    ++epoch;
    since_best = loss < best ? 0 : since_best + 1;
    best = std::min(best, loss);
    checkpoints.save(epoch, state, {.metric = loss});
  }
  return preempted ? run_me_again : 0;
}

template <class Model>
std::optional<std::int64_t> load_best(const std::string& folder, Model& model) {
  std::optional<holdfast::checkpoint_info> best;
  for (const holdfast::checkpoint_info& c : holdfast::checkpoint_directory(folder).list())
    if (c.damage.empty() && c.metric && (!best || *c.metric < *best->metric)) best = c;
  if (!best) return std::nullopt;
  holdfast::state state;
  state.bind("model", model);
  holdfast::restore(best->path, state, {.only = {"model"}});
  return best->step;
}

namespace {

/// A loss that falls until epoch 7, and a signal in epoch 4 of the first process.
struct noisy_run {
  std::vector<float> weight = std::vector<float>(2);
  std::int64_t epochs = 0;
  bool signalled = false;
  void bind(holdfast::state& s) { s.bind("model", weight).bind("run/epochs", epochs); }
  double train_one_epoch() {
    weight[0] = static_cast<float>(++epochs);
    if (epochs == 4 && signalled) std::raise(SIGTERM);
    return std::abs(static_cast<double>(epochs) - 7);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(docs_running) {
  const support::folder folder;
  noisy_run first, second;
  first.signalled = true;
  BOOST_TEST(train(first, folder / "runs") == run_me_again);
  BOOST_TEST(first.epochs == 4);
  BOOST_TEST(train(second, folder / "runs") == 0);
  BOOST_TEST(second.epochs == 12);  // the best was the seventh, and patience is five
  std::vector<float> model(2);
  BOOST_TEST(load_best(folder / "runs", model).value() == 7);
  BOOST_TEST(model[0] == 7.0f);
}

// docs/guides/moving.md

void move_from_fwrite(float* parameters, std::int64_t width) {
  if (std::FILE* old = std::fopen("state.bin", "rb")) {
    const std::size_t size = static_cast<std::size_t>(width * width + width);
    if (std::fread(parameters, sizeof(float), size, old) != size) std::cerr << "state.bin is short\n";
    std::fclose(old);
  }
  holdfast::state state;
  state.bind("model/fc1.weight", holdfast::tensor(parameters, {width, width})).bind("model/fc1.bias", holdfast::tensor(parameters + width * width, {width}));
  holdfast::save("run.h5", state);
}

void move_from_keras(std::vector<float>& weight, std::vector<float>& bias, std::int64_t inputs, std::int64_t outputs) {
  holdfast::state state;
  state.bind("model/dense.weight", holdfast::tensor(weight.data(), {inputs, outputs}, {1, inputs})).bind("model/dense.bias", bias);
  holdfast::restore("keras.weights.h5", state, {.only = {"model/**"}, .rename = {{"layers/*/vars/0", "model/*.weight"}, {"layers/*/vars/1", "model/*.bias"}}, .trust = holdfast::trust::foreign});
}

BOOST_AUTO_TEST_CASE(docs_moving) {
  const support::current_folder here;
  std::vector<float> memory(6);
  support::write_bytes("state.bin", std::string("\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xa0@\0\0\xc0@", 24));
  move_from_fwrite(memory.data(), 2);
  BOOST_TEST(true_in_h5py("run.h5", "f['model/fc1.weight'][()].tolist() == [[1, 2], [3, 4]] and f['model/fc1.bias'][()].tolist() == [5, 6]"));

  BOOST_TEST(std::system("/usr/bin/python3 -c \"import h5py, numpy as np; v = h5py.File('keras.weights.h5', 'w').create_group('layers/dense/vars'); v['0'] = np.float32([[1, 2, 3], [4, 5, 6]]); v['1'] = np.float32([7, 8, 9])\"") == 0);
  std::vector<float> weight(6), bias(3);
  move_from_keras(weight, bias, 2, 3);
  BOOST_TEST(weight == (std::vector<float>{1, 4, 2, 5, 3, 6}), boost::test_tools::per_element());
  BOOST_TEST(bias == (std::vector<float>{7, 8, 9}), boost::test_tools::per_element());
}
