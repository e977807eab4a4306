// Armadillo by its headers alone draws from std::rand(), which cannot be read. What adapters/armadillo.hpp and docs/adapters.md advise
// for that, to seed anew from a counter that is bound, resumes bit for bit; without it, a resumed run goes another way.
#define ARMA_DONT_USE_WRAPPER
#include <holdfast/adapters/armadillo.hpp>

#include <cstdint>
#include <memory>

#include <holdfast/separate.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include "../support.hpp"

namespace {

struct noisy_walk {
  arma::vec position = arma::vec(3, arma::fill::zeros);
  std::int64_t epoch = 0;
  bool seeds;
  explicit noisy_walk(bool seeds_anew) : seeds(seeds_anew) { arma::arma_rng::set_seed(5); }
  void step() {
    if (seeds) arma::arma_rng::set_seed(static_cast<arma::arma_rng::seed_type>(5 + epoch));
    ++epoch;
    position += arma::randn<arma::vec>(3) + arma::randu();
  }
  void bind(holdfast::state& s) { s.bind("position", position).bind("epoch", epoch); }
};

auto resumed(bool seeds) {
  return holdfast::testing::resume_equivalence([=] { return std::make_unique<noisy_walk>(seeds); }, 10);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(armadillo_without_library)

BOOST_AUTO_TEST_CASE(seeding_anew_from_a_bound_counter_resumes_bit_for_bit) {
  static_assert(arma::arma_rng::rng_method == 0, "Armadillo draws from std::rand() here");
  const auto seeded = resumed(true), not_seeded = resumed(false);
  BOOST_TEST(seeded.equivalent(), seeded.text());
  BOOST_TEST(!not_seeded.equivalent());
  BOOST_TEST(not_seeded.reproducible);
}

BOOST_AUTO_TEST_SUITE_END()
