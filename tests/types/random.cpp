#include <holdfast/types/random.hpp>

#include <algorithm>
#include <locale>
#include <map>
#include <random>
#include <sstream>
#include <tuple>

#include "round_trip.hpp"

namespace {

/// State whose setter draws from an engine, as one that makes layers with random weights does.
struct drawing {
  std::mt19937& engine;
  int x = 0;
};

}  // namespace

template <>
struct holdfast::traits<drawing> {
  static void visit(drawing& d, visitor& v) {
    v.value([&d] { return d.x; }, [&d](int to) {
      d.engine.discard(1);
      d.x = to; });
  }
};

BOOST_AUTO_TEST_SUITE(types_random)

namespace {

using round_trip::file;

/// Commas for points and points between thousands, in every stream that does not say otherwise.
class german : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};
class in_german {
 public:
  in_german() : before_(std::locale::global(std::locale(std::locale::classic(), new german))) {}
  in_german(const in_german&) = delete;
  ~in_german() { std::locale::global(before_); }

 private:
  std::locale before_;
};

using engines = std::tuple<std::mt19937, std::mt19937_64, std::minstd_rand0, std::minstd_rand, std::ranlux24, std::ranlux48,
                           std::ranlux24_base, std::ranlux48_base, std::knuth_b,
                           std::independent_bits_engine<std::mt19937, 17, std::uint32_t>>;

using distributions =
    std::tuple<std::normal_distribution<float>, std::normal_distribution<double>, std::normal_distribution<long double>,
               std::lognormal_distribution<float>, std::lognormal_distribution<long double>, std::gamma_distribution<double>,
               std::chi_squared_distribution<double>, std::fisher_f_distribution<float>, std::student_t_distribution<double>,
               std::student_t_distribution<long double>, std::cauchy_distribution<double>, std::exponential_distribution<float>,
               std::extreme_value_distribution<double>, std::weibull_distribution<double>, std::uniform_real_distribution<float>,
               std::uniform_int_distribution<int>, std::uniform_int_distribution<std::uint64_t>, std::poisson_distribution<int>,
               std::geometric_distribution<int>, std::binomial_distribution<int>, std::negative_binomial_distribution<std::int64_t>>;

/// One whose parameters are not those of a default-constructed one, and have many digits.
template <class D>
D with_parameters() {
  if constexpr (std::is_same_v<D, std::uniform_int_distribution<std::uint64_t>>) return D(3, UINT64_MAX - 5);
  else if constexpr (std::is_same_v<D, std::uniform_int_distribution<int>>) return D(-1234567, 7654321);
  else if constexpr (std::is_same_v<D, std::poisson_distribution<int>>) return D(1234.5 / 7);
  else if constexpr (std::is_same_v<D, std::geometric_distribution<int>>) return D(1.0 / 3);
  else if constexpr (std::is_integral_v<typename D::result_type>) return D(1234, 1.0 / 3);
  else if constexpr (requires(typename D::result_type x) { D(x, x); }) return D(static_cast<typename D::result_type>(1) / 7, static_cast<typename D::result_type>(12345.678));
  else return D(static_cast<typename D::result_type>(22) / 7);
}

}  // namespace

BOOST_AUTO_TEST_CASE_TEMPLATE(an_engine_continues_its_sequence, Engine, engines) {
  const in_german everywhere;
  for (const unsigned drawn : {0u, 1u, 7u, 1000u}) {
    Engine saved(42), fresh, other(7);
    saved.discard(drawn);
    other.discard(3);
    file f;
    f.save(saved).restore(fresh);
    f.restore(other);
    for (int i = 0; i < 2000; ++i) {
      const auto expected = saved(), first = fresh(), second = other();
      if (expected == first && expected == second) continue;
      BOOST_ERROR("after " << drawn << " numbers, number " << i << " differs");
      break;
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_distribution_continues_its_sequence, Distribution, distributions) {
  const in_german everywhere;
  for (const int drawn : {0, 1, 2, 3}) {  // with and without a value drawn ahead
    std::mt19937_64 engine(42);
    Distribution saved = with_parameters<Distribution>(), fresh, other;
    for (int i = 0; i < drawn; ++i) saved(engine);
    other(engine);
    file f;
    f.save(saved).restore(fresh);
    f.restore(other);
    BOOST_TEST((fresh == saved));
    auto a = engine, b = engine, c = engine;
    for (int i = 0; i < 50; ++i) {
      const auto expected = saved(a), first = fresh(b), second = other(c);
      BOOST_TEST_REQUIRE((expected == first && expected == second), "after " << drawn << " numbers, number " << i << " differs");
    }
  }
}

BOOST_AUTO_TEST_CASE(another_engine_is_refused_and_both_are_named) {
  std::mt19937 saved, kept;
  std::mt19937_64 other;
  std::minstd_rand minimal;
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x/engine: expected \"mersenne_twister_engine<64, 312, ",
                       ", found \"mersenne_twister_engine<32, 624, ", "; bind an object of the type that was saved");
  support::require_all(f.refusal(minimal), "\n  /x/engine: expected \"linear_congruential_engine<48271, 0, 2147483647>\"");
  BOOST_TEST((other == std::mt19937_64()));
}

BOOST_AUTO_TEST_CASE(every_engine_has_an_identity_of_its_own) {
  using holdfast::detail::engine_name;
  const std::string names[] = {engine_name<std::mt19937>(), engine_name<std::mt19937_64>(), engine_name<std::minstd_rand0>(),
                               engine_name<std::minstd_rand>(), engine_name<std::ranlux24_base>(), engine_name<std::ranlux48_base>(),
                               engine_name<std::ranlux24>(), engine_name<std::ranlux48>(), engine_name<std::knuth_b>(),
                               engine_name<std::independent_bits_engine<std::mt19937, 17, std::uint32_t>>(),
                               engine_name<std::independent_bits_engine<std::mt19937, 18, std::uint32_t>>(),
                               engine_name<std::independent_bits_engine<std::mt19937_64, 17, std::uint32_t>>()};
  for (const std::string& a : names) BOOST_TEST(std::count(std::begin(names), std::end(names), a) == 1, a);
}

BOOST_AUTO_TEST_CASE(identities_stand_in_files_and_stay) {
  using holdfast::detail::distribution_name, holdfast::detail::engine_name;
  BOOST_TEST(engine_name<std::mt19937>() ==
             "mersenne_twister_engine<32, 624, 397, 31, 2567483615, 11, 4294967295, 7, 2636928640, 15, 4022730752, 18, 1812433253>");
  BOOST_TEST(engine_name<std::minstd_rand>() == "linear_congruential_engine<48271, 0, 2147483647>");
  BOOST_TEST(engine_name<std::ranlux24>() == "discard_block_engine<223, 23> of subtract_with_carry_engine<24, 10, 24>");
  BOOST_TEST(engine_name<std::knuth_b>() == "shuffle_order_engine<256> of linear_congruential_engine<16807, 0, 2147483647>");
  BOOST_TEST((engine_name<std::independent_bits_engine<std::minstd_rand, 17, std::uint32_t>>()) == "independent_bits_engine<17> of linear_congruential_engine<48271, 0, 2147483647>");
  BOOST_TEST((engine_name<std::independent_bits_engine<std::minstd_rand0, 64, std::uint64_t>>()) == "independent_bits_engine<64> of linear_congruential_engine<16807, 0, 2147483647>");
  BOOST_TEST(distribution_name<std::normal_distribution<long double>>() == "normal_distribution<long double>");
  BOOST_TEST(distribution_name<std::uniform_int_distribution<std::uint64_t>>() == "uniform_int_distribution<uint64>");
}

BOOST_AUTO_TEST_CASE(another_distribution_is_refused_and_both_are_named) {
  std::normal_distribution<float> saved;
  std::normal_distribution<double> wider;
  std::lognormal_distribution<float> other;
  std::uniform_int_distribution<int> ints;
  file f;
  support::require_all(f.save(saved).refusal(wider), "/x/distribution: expected \"normal_distribution<float64>\", found \"normal_distribution<float32>\"");
  support::require_all(f.refusal(other), "expected \"lognormal_distribution<float32>\", found \"normal_distribution<float32>\"");
  support::require_all(f.refusal(ints), "expected \"uniform_int_distribution<int32>\"");
}

BOOST_AUTO_TEST_CASE(a_generator_and_its_distribution_in_one_state_continue_together) {
  std::mt19937 engine(1), engine2;
  std::normal_distribution<double> normal(3, 2), normal2;
  normal(engine);
  support::folder folder;
  holdfast::state saved, bound;
  saved.bind("rng/engine", engine).bind("rng/normal", normal);
  bound.bind("rng/normal", normal2).bind("rng/engine", engine2);
  holdfast::save(folder / "a.h5", saved);
  holdfast::restore(folder / "a.h5", bound);
  for (int i = 0; i < 10; ++i) BOOST_TEST(normal(engine) == normal2(engine2));
}

BOOST_AUTO_TEST_CASE(a_value_drawn_ahead_does_not_change_the_layout) {
  std::mt19937 engine;
  std::normal_distribution<long double> d;
  support::folder folder;
  holdfast::state s;
  s.bind("d", d);
  holdfast::saver saver;
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 3; ++i) {
    saver.save(folder / "a.h5", s);
    sizes.push_back(holdfast::checkpoint_file(folder / "a.h5").read<std::string>("d/state").size());
    d(engine);
  }
  BOOST_TEST(sizes == std::vector<std::size_t>(3, sizes[0]), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(random_state_is_put_back_after_everything_else) {
  std::mt19937 engine(5), expected = engine;
  drawing object{engine, 3};
  file f;
  holdfast::state s;
  s.bind("engine", engine).bind("object", object);
  holdfast::save(f.path(), s);
  engine.discard(9);
  object.x = 0;
  holdfast::restore(f.path(), s);
  BOOST_TEST(object.x == 3);
  BOOST_TEST(engine() == expected());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(integers_that_are_no_state_of_an_engine_are_refused, Engine, engines) {
  Engine engine;
  engine.discard(1000);
  holdfast::detail::engine_state sound{holdfast::detail::engine_name<Engine>(), {}};
  std::istringstream in(holdfast::detail::streamed_text(engine));
  for (std::uint64_t x = 0; in >> x;) sound.state.push_back(x);
  file f;
  Engine into;
  f.save(sound).restore(into);
  BOOST_TEST(into() == engine());
  // A position beyond the words would make the engine write there, and a word beyond the greatest a number that none is.
  for (std::size_t i = 0; i < sound.state.size(); i += i + 20 < sound.state.size() ? 1 + i / 20 : 1) {
    auto bad = sound;
    bad.state[i] = ~std::uint64_t{0};
    if (Engine::max() == bad.state[i] && i + 1 != sound.state.size()) continue;  // that is a word of it
    support::require_all(support::message_of<holdfast::error>([&] { f.save(bad).restore(into); }), "the saved state of a random generator is none that a " + sound.engine + " can be in");
  }
  for (const std::size_t n : {sound.state.size() + 1, sound.state.size() / 2, std::size_t{0}}) {
    auto bad = sound;
    bad.state.resize(n);
    BOOST_TEST(!holdfast::detail::is_state_of<Engine>(bad.state));
  }
}

BOOST_AUTO_TEST_CASE(text_that_is_no_state_is_refused) {
  std::string text = "no numbers at all";
  std::mt19937 engine;
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::detail::stream_back(text, engine); }),
                       "the saved state of a random generator is not one: \"no numbers at all");
  BOOST_TEST((engine == std::mt19937()), "unchanged");
}

BOOST_AUTO_TEST_CASE(a_const_engine_is_saved_and_not_restored) {
  const std::mt19937 engine;
  const std::normal_distribution<float> normal;
  file f;
  support::require_all(f.save(engine).refusal(engine), "\n  /x/state: expected an object that may change, found one bound as const");
  support::require_all(f.save(normal).refusal(normal), "\n  /x/state: expected an object that may change, found one bound as const");
}

namespace {

/// An engine that streams what its locale makes of it.
struct counting {
  unsigned long at = 1234567;
  unsigned long operator()() { return at++; }
  friend std::ostream& operator<<(std::ostream& out, const counting& c) { return out << c.at; }
  friend std::istream& operator>>(std::istream& in, counting& c) { return in >> c.at; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(engines_of_the_program_are_saved_as_what_they_stream) {
  const support::folder folder;
  counting engine;
  holdfast::state s;
  s.bind("engine", holdfast::streamed(engine));
  holdfast::save(folder / "a.h5", s);
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::string>("engine") == "1234567");
  engine.at = 99999999999;
  holdfast::restore(folder / "a.h5", s);
  BOOST_TEST(engine() == 1234567u);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(what_no_distribution_streams_is_refused, D, distributions) {
  using holdfast::detail::is_text_of, holdfast::detail::streamed_text;
  D d = with_parameters<D>();
  std::mt19937_64 engine(1);
  for (int i = 0; i < 3; ++i) {  // with and without a value drawn ahead
    const std::string text = streamed_text(d);
    BOOST_TEST(is_text_of<D>(text + "   "), text);
    BOOST_TEST(!is_text_of<D>(text.substr(0, text.find(' ')) + " -"), text);
    if constexpr (!holdfast::detail::standard<D, "normal_distribution">) BOOST_TEST(!is_text_of<D>(text + " 1"), text);
    (void)d(engine);
  }
  BOOST_TEST(!is_text_of<D>(""));
  BOOST_TEST(!is_text_of<D>("nan nan"));
  if constexpr (holdfast::detail::standard<D, "uniform_int_distribution", "uniform_real_distribution">) BOOST_TEST(!is_text_of<D>("3 2"));
  else BOOST_TEST(!is_text_of<D>("-1 -1"));
}

BOOST_AUTO_TEST_CASE(parameters_inside_a_distribution_are_those_that_follow_from_its_own) {
  using holdfast::detail::is_text_of, holdfast::detail::streamed_text;
  std::lognormal_distribution<double> d(0.5, 2);
  std::string text = streamed_text(d);
  BOOST_TEST(is_text_of<std::lognormal_distribution<double>>(text));
  text.replace(text.rfind("1.0"), 1, "-1");  // the deviation of the normal distribution that it draws from
  BOOST_TEST(!is_text_of<std::lognormal_distribution<double>>(text));
}

BOOST_AUTO_TEST_CASE(a_file_with_such_a_text_is_an_error) {
  const support::folder folder;
  std::normal_distribution<float> d(0, 1);
  std::map<std::string, std::string> forged;
  holdfast::state s, t;
  s.bind("d", d), t.bind("d", forged);
  holdfast::save(folder / "a.h5", s);
  holdfast::restore(folder / "a.h5", t);
  std::string& text = forged.at("state");
  text.replace(text.find(' ') + 1, 1, "-1");
  holdfast::save(folder / "a.h5", t);
  BOOST_TEST(support::message_of<holdfast::error>([&] { holdfast::restore(folder / "a.h5", s); }).find("none that a normal_distribution<float32> can be in") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
