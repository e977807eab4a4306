#include <holdfast/separate.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support.hpp"

namespace {

/// What a trainer forgets to bind, or does wrong.
enum class flaw { none,
                  momentum,
                  adam_step,
                  scheduler,
                  rng,
                  data_order,
                  late_optimizer,
                  buffer,
                  wrong_restore,
                  unreproducible,
                  dies };

std::mt19937 global_dropout(7);  // a generator outside the trainer, as programs have them

struct adam {
  std::vector<double> exp_avg, exp_avg_sq;
  std::int64_t step = 0;
};

/// State whose setter loses what it is given.
struct counter {
  int value = 0;
};

}  // namespace

template <>
struct holdfast::traits<counter> {
  static void visit(counter& c, holdfast::visitor& v) {
    v.value([&c] { return ++c.value; }, [](int) {});
  }
};

namespace {

/// Fits y = w.x by Adam over shuffled samples, with noise, a normalised input and a step schedule: small, but with every
/// kind of state that real trainers have.
class regression {
 public:
  explicit regression(flaw which) : flaw_(which) {
    std::mt19937 data(1);
    std::normal_distribution<double> normal;
    for (auto& row : x_)
      for (double& v : row) v = normal(data);
    std::iota(order_.begin(), order_.end(), 0);
    w_.assign(4, 0.1);
    if (flaw_ != flaw::late_optimizer) make_optimizer();
    global_dropout.seed(7);
  }

  void bind(holdfast::state& s) {
    s.bind("model/weight", w_).bind("progress/step", step_);
    if (flaw_ != flaw::buffer) s.bind("model/running_mean", mean_);
    if (optimizer_) {
      if (flaw_ != flaw::momentum) s.bind("optimizer/exp_avg", optimizer_->exp_avg);
      s.bind("optimizer/exp_avg_sq", optimizer_->exp_avg_sq);
      if (flaw_ != flaw::adam_step) s.bind("optimizer/step", optimizer_->step);
    }
    if (flaw_ != flaw::scheduler) s.bind("scheduler/last_epoch", epochs_);
    if (flaw_ != flaw::rng) s.bind("rng/dropout", global_dropout);
    s.bind("rng/shuffle", shuffle_);
    if (flaw_ != flaw::data_order) s.bind("data/order", order_).bind("data/position", position_);
    if (flaw_ == flaw::wrong_restore) s.bind("broken", broken_);
  }

  void step() {
    if (flaw_ == flaw::dies && step_ == 5) throw std::runtime_error("out of luck at step 5");
    if (!optimizer_) make_optimizer();
    if (position_ == 0) std::shuffle(order_.begin(), order_.end(), shuffle_);
    const auto& x = x_[order_[position_]];
    if (++position_ == order_.size()) {
      position_ = 0;
      ++epochs_;
    }
    double y = 0, target = 0;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      mean_[i] = 0.9 * mean_[i] + 0.1 * x[i];
      y += w_[i] * (x[i] - mean_[i]);
      target += (static_cast<double>(i) + 1) * x[i];
    }
    const double dropout = std::uniform_real_distribution<double>(0.5, 1.5)(global_dropout);
    const double lr = 0.05 * std::pow(0.5, static_cast<double>(epochs_));
    adam& o = *optimizer_;
    ++o.step;
    for (std::size_t i = 0; i < w_.size(); ++i) {
      const double g = (y - target) * x[i] * dropout;
      o.exp_avg[i] = 0.9 * o.exp_avg[i] + 0.1 * g;
      o.exp_avg_sq[i] = 0.999 * o.exp_avg_sq[i] + 0.001 * g * g;
      const double m = o.exp_avg[i] / (1 - std::pow(0.9, static_cast<double>(o.step)));
      const double v = o.exp_avg_sq[i] / (1 - std::pow(0.999, static_cast<double>(o.step)));
      w_[i] -= lr * m / (std::sqrt(v) + 1e-8);
    }
    ++step_;
    if (flaw_ == flaw::unreproducible) w_[0] += std::ldexp(static_cast<double>(std::random_device{}() % 100), -20);
  }

 private:
  void make_optimizer() { optimizer_ = adam{std::vector<double>(4), std::vector<double>(4), 0}; }

  flaw flaw_;
  std::array<std::array<double, 4>, 7> x_{};
  std::vector<double> w_;
  std::array<double, 4> mean_{};
  std::optional<adam> optimizer_;
  std::int64_t step_ = 0, epochs_ = 0;
  std::mt19937 shuffle_{3};
  std::array<std::size_t, 7> order_{};
  std::size_t position_ = 0;
  counter broken_;
};

holdfast::testing::equivalence_report check(flaw which, bool processes = true) {
  return holdfast::testing::resume_equivalence([=] { return std::make_unique<regression>(which); }, 12, {.processes = processes});
}

/// The message must say that the resumed run differs, where first, by how many ULPs, and what may be missing.
void requires_divergence(const holdfast::testing::equivalence_report& r, const std::string& path) {
  BOOST_REQUIRE(!r);
  const std::string text = r.text();
  BOOST_TEST_MESSAGE(text);
  support::require_all(text, "the resumed run differs from the uninterrupted one after step", "/" + path + ": ", "elements differ, first [", "expected ", "found ", "not bound");
  BOOST_TEST(r.divergences.front().tensors.front().path == path);
  BOOST_TEST(r.divergences.front().tensors.front().ulps.value_or(0) > 0u);
  BOOST_TEST(r.reproducible);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resume_equivalence)

BOOST_AUTO_TEST_CASE(a_trainer_that_binds_everything_is_equivalent) {
  for (const bool processes : {true, false}) {
    const auto r = check(flaw::none, processes);
    BOOST_TEST(r.equivalent(), r.text());
    BOOST_TEST((r.cuts == std::vector<std::int64_t>{1, 6, 9, 12, 23}));
    BOOST_TEST(r.text() == "resumed runs are bit for bit the uninterrupted run of 24 steps, cut after 1, 6, 9, 12, 23");
  }
}

BOOST_AUTO_TEST_CASE(missing_momentum_is_caught) { requires_divergence(check(flaw::momentum), "model/weight"); }
BOOST_AUTO_TEST_CASE(missing_adam_step_count_is_caught) { requires_divergence(check(flaw::adam_step), "model/weight"); }
BOOST_AUTO_TEST_CASE(missing_scheduler_counter_is_caught) { requires_divergence(check(flaw::scheduler), "model/weight"); }
BOOST_AUTO_TEST_CASE(missing_data_position_is_caught) { requires_divergence(check(flaw::data_order), "model/running_mean"); }
BOOST_AUTO_TEST_CASE(missing_buffer_is_caught) { requires_divergence(check(flaw::buffer), "model/weight"); }
BOOST_AUTO_TEST_CASE(missing_random_generator_is_caught) { requires_divergence(check(flaw::rng), "model/weight"); }

BOOST_AUTO_TEST_CASE(optimizer_built_after_restore_is_caught) {
  const auto r = check(flaw::late_optimizer);
  BOOST_REQUIRE(!r);
  support::require_all(r.text(), "cut after step 1 of 24: the resumed run failed", "/optimizer/exp_avg: found float64[4], not bound by the program", "/optimizer/step");
}

BOOST_AUTO_TEST_CASE(a_setter_that_loses_its_value_is_caught_on_restore_itself) {
  const auto r = check(flaw::wrong_restore);
  BOOST_REQUIRE(!r);
  BOOST_TEST(r.divergences.front().step == r.divergences.front().cut);
  support::require_all(r.text(), "the restored state is not the saved one", "/broken: 1 of 1 element differs", "expected 1, found 3");
}

BOOST_AUTO_TEST_CASE(an_unreproducible_run_is_told_from_an_incomplete_state) {
  const auto r = check(flaw::unreproducible);
  BOOST_REQUIRE(!r);
  BOOST_TEST(!r.reproducible);
  support::require_all(r.text(), "Two uninterrupted runs differ as well");
}

BOOST_AUTO_TEST_CASE(a_trainer_that_throws_or_dies_is_reported) {
  const auto r = check(flaw::dies);
  BOOST_REQUIRE(!r);
  support::require_all(r.text(), "the uninterrupted run failed: out of luck at step 5");
  const auto dead = holdfast::testing::resume_equivalence(
      [] {
        std::raise(SIGKILL);
        return std::make_unique<regression>(flaw::none);
      },
      2);
  support::require_all(dead.text(), "the uninterrupted run failed: ended by signal 9");
}

BOOST_AUTO_TEST_CASE(files_stay_in_a_given_folder_and_nowhere_else) {
  const support::folder folder;
  const auto r = holdfast::testing::resume_equivalence([] { return regression(flaw::none); }, 4, {.cuts = {3}, .folder = folder / "kept"});
  BOOST_TEST(r.equivalent(), r.text());
  BOOST_TEST(holdfast::checkpoint_file(folder / "kept/cut-3-saved.h5").step() == 3);
}

BOOST_AUTO_TEST_CASE(cuts_outside_the_run_are_refused) {
  const auto with = [](std::int64_t steps, std::vector<std::int64_t> cuts) { holdfast::testing::resume_equivalence([] { return regression(flaw::none); }, steps, {.cuts = std::move(cuts)}); };
  support::require_all(support::message_of<holdfast::error>([&] { with(4, {8}); }), "cut after step 8, expected 1 to 7");
  support::require_all(support::message_of<holdfast::error>([&] { with(0, {}); }), "0 steps, expected at least 1");
}

BOOST_AUTO_TEST_SUITE_END()
