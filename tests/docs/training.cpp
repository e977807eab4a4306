// The blocks of docs/guides/training.md, word for word (blocks.py holds them to it), and what the page says of them.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

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
struct trainer {
  two_networks networks;
  averaged ema;
  gradient_scaler scaler;
  accumulation gradients{std::vector<float>(8), 0};
  loader data;
  std::mt19937 noise{7};
  std::int64_t steps = 0;
  std::string leave_out;

  trainer() { data.new_epoch(10); }

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
    auto t = std::make_unique<trainer>();
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
  trainer a, b;
  holdfast::state s, t;
  a.bind(s), b.bind(t);
  for (int i = 0; i < 9; ++i) a.step();
  holdfast::save(folder / "a.h5", s);
  BOOST_TEST(take_up_the_generator(folder / "a.h5", t).restored.size() == 1u);
  BOOST_TEST(b.networks.generator.weight == a.networks.generator.weight, boost::test_tools::per_element());
  BOOST_TEST(b.steps == 0);
}

BOOST_AUTO_TEST_CASE(what_was_not_bound_is_named) {
  holdfast::state s;
  network n;
  s.bind("model", n);
  expect_all(s);
  BOOST_TEST(s.unbound_roles().size() == 5u);
}

BOOST_AUTO_TEST_SUITE_END()
