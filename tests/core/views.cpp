#include <holdfast/core/views.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include <holdfast/separate.hpp>

#include "../support.hpp"

namespace {

using holdfast::accessor, holdfast::by_name, holdfast::lazy, holdfast::opaque, holdfast::restore, holdfast::save, holdfast::state;
using support::message_of;

struct moments {
  std::vector<float> exp_avg;
  long step = 0;
};

struct account {
  long balance() const { return cents_; }
  void set_balance(long cents) {
    if (cents < 0) throw std::runtime_error("a balance is not negative");
    cents_ = cents;
    ++times_set;
  }
  int times_set = 0;

 private:
  long cents_ = 0;
};

}  // namespace

template <>
struct holdfast::traits<moments> : holdfast::fields<holdfast::field<&moments::exp_avg>, holdfast::field<&moments::step>> {};

// As docs/adapters.md shows it.
class library_class {
 public:
  explicit library_class(double momentum) : momentum_(momentum) {}
  double momentum() const { return momentum_; }

 private:
  double momentum_;
};
template <auto Member>
struct momentum_of_library_class {
  friend constexpr auto private_momentum() { return Member; }
};
constexpr auto private_momentum();
template struct momentum_of_library_class<&library_class::momentum_>;

template <>
struct holdfast::traits<library_class> {
  static void visit(library_class& c, visitor& v) { v("momentum", c.*private_momentum()); }
};

BOOST_AUTO_TEST_SUITE(core_views)

BOOST_AUTO_TEST_CASE(functions_reach_what_cannot_be_named) {
  const support::folder folder;
  account a;
  a.set_balance(12);
  state s;
  s.bind("balance", accessor([&] { return a.balance(); }, [&](long x) { a.set_balance(x); }));
  save(folder / "a.h5", s);
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<long>("balance") == 12);
  a.set_balance(99);
  restore(folder / "a.h5", s);
  BOOST_TEST(a.balance() == 12);
  BOOST_TEST(a.times_set == 3);  // saving and planning set nothing
}

BOOST_AUTO_TEST_CASE(what_a_setter_throws_says_that_the_state_is_partly_restored) {
  const support::folder folder;
  long x = -5;
  account a;
  state s, t;
  s.bind("balance", x);
  save(folder / "a.h5", s);
  t.bind("balance", accessor([&] { return a.balance(); }, [&](long y) { a.set_balance(y); }));
  const auto text = message_of<holdfast::error>([&] { restore(folder / "a.h5", t); });
  BOOST_TEST(text.find("not negative") != std::string::npos);
  BOOST_TEST(text.find("partly restored") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_factory_makes_what_the_program_does_not_have_yet) {
  const support::folder folder;
  const auto make = [] { return std::make_unique<moments>(moments{std::vector<float>(3), 0}); };
  std::unique_ptr<moments> first;
  state s;
  s.bind("m", lazy(first, make));
  save(folder / "none.h5", s);
  first = std::make_unique<moments>(moments{{1, 2, 3}, 7});
  save(folder / "some.h5", s);

  std::unique_ptr<moments> second;
  state t;
  t.bind("m", lazy(second, make));
  restore(folder / "some.h5", t);
  BOOST_REQUIRE(second != nullptr);
  BOOST_TEST(second->step == 7);
  BOOST_TEST(second->exp_avg == (std::vector<float>{1, 2, 3}), boost::test_tools::per_element());
  restore(folder / "none.h5", t);
  BOOST_TEST((second == nullptr));
}

BOOST_AUTO_TEST_CASE(what_the_factory_makes_must_fit_before_anything_changes) {
  const support::folder folder;
  std::unique_ptr<moments> first = std::make_unique<moments>(moments{{1, 2, 3}, 7}), second;
  long other = 1;
  state s, t;
  s.bind("a", other).bind("m", lazy(first, [] { return std::make_unique<moments>(); }));
  save(folder / "a.h5", s);
  other = 2;
  t.bind("a", other).bind("m", lazy(second, [] { return std::make_unique<moments>(moments{std::vector<float>(4), 0}); }));
  const auto text = message_of<holdfast::mismatch_error>([&] { restore(folder / "a.h5", t); });
  BOOST_TEST(text.find("/m/exp_avg") != std::string::npos);
  BOOST_TEST((second == nullptr));
  BOOST_TEST(other == 2);
}

BOOST_AUTO_TEST_CASE(where_the_file_lacks_it_both_stay_as_they_are_if_that_is_wanted) {
  const support::folder folder;
  std::unique_ptr<moments> m;
  long other = 1;
  state s, t;
  s.bind("a", other);
  save(folder / "a.h5", s);
  t.bind("a", other).bind("m", lazy(m, [] { return std::make_unique<moments>(); }));
  support::require_all(message_of<holdfast::mismatch_error>([&] { restore(folder / "a.h5", t); }), "/m: expected a group or dataset, not in the file");
  restore(folder / "a.h5", t, {.missing = holdfast::on_missing::keep});
  BOOST_TEST((m == nullptr));
  m = std::make_unique<moments>(moments{{1}, 7});
  support::require_all(message_of<holdfast::mismatch_error>([&] { restore(folder / "a.h5", t); }), "/m/exp_avg: expected float32[1], not in the file", "/m/step: expected int64[], not in the file");
  restore(folder / "a.h5", t, {.missing = holdfast::on_missing::keep});
  BOOST_REQUIRE(m != nullptr);
  BOOST_TEST(m->step == 7);
}

BOOST_AUTO_TEST_CASE(opaque_bytes_come_back_as_they_were) {
  const support::folder folder;
  struct ring {
    std::int32_t at;
    double values[3];
  } r{2, {1, 2, 3}};
  state s;
  s.bind("ring", opaque(r));
  save(folder / "a.h5", s);
  const ring saved = r;
  r = {};
  restore(folder / "a.h5", s);
  BOOST_TEST(r.at == saved.at);
  BOOST_TEST(r.values[2] == 3);
  BOOST_TEST(holdfast::checkpoint_file(folder / "a.h5").read<std::vector<std::uint8_t>>("ring").size() == sizeof(ring));
}

BOOST_AUTO_TEST_CASE(keys_that_are_addresses_are_saved_by_name) {
  const support::folder folder;
  float w[2] = {}, b[1] = {}, unused[1] = {};
  std::unordered_map<const float*, moments> slots{{w, {{1, 2}, 5}}, {b, {{3}, 6}}};
  state s;
  s.bind("state", by_name(slots, {{"fc/weight", w}, {"bias", b}, {"unused", unused}}));
  save(folder / "a.h5", s);
  const holdfast::checkpoint_file file(folder / "a.h5");
  BOOST_TEST(file.read<long>("state/" + holdfast::encode_component("fc/weight") + "/step") == 5);
  BOOST_TEST(!file.contains("state/unused/step"));

  // Another process: other addresses, in another order, and a slot that the file does not have.
  float w2[2] = {}, b2[1] = {}, unused2[1] = {};
  std::map<const float*, moments> other{{unused2, {{9}, 9}}};
  state t;
  t.bind("state", by_name(other, {{"unused", unused2}, {"bias", b2}, {"fc/weight", w2}}));
  restore(folder / "a.h5", t);
  BOOST_TEST(other.size() == 2u);
  BOOST_TEST(other.at(w2).step == 5);
  BOOST_TEST(other.at(b2).exp_avg == (std::vector<float>{3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_key_without_a_name_and_a_name_without_a_key_are_errors) {
  const support::folder folder;
  float w[2] = {}, b[1] = {};
  std::map<const float*, moments> slots{{w, {{1, 2}, 5}}, {b, {{3}, 6}}};
  state s, t, u;
  s.bind("state", by_name(slots, {{"weight", w}}));
  BOOST_TEST(message_of<holdfast::error>([&] { save(folder / "a.h5", s); }).find("/state: an entry has a key") != std::string::npos);
  t.bind("state", by_name(slots, {{"weight", w}, {"bias", b}}));
  save(folder / "a.h5", t);
  std::map<const float*, moments> empty;
  u.bind("state", by_name(empty, {{"weight", w}}));
  BOOST_TEST(message_of<holdfast::mismatch_error>([&] { restore(folder / "a.h5", u); }).find("\"bias\"") != std::string::npos);
  BOOST_TEST(empty.empty());
}

BOOST_AUTO_TEST_CASE(entries_that_were_not_asked_for_stay) {
  const support::folder folder;
  float w[2] = {}, b[1] = {}, own[1] = {};
  std::map<const float*, moments> saved{{w, {{1, 2}, 5}}, {b, {{3}, 6}}}, slots{{b, {{9}, 9}}, {own, {{8}, 8}}};
  std::vector<std::pair<std::string, const float*>> names{{"weight", w}, {"bias", b}, {"own", own}};
  state s, t;
  s.bind("state", by_name(saved, names)), t.bind("state", by_name(slots, names));
  save(folder / "a.h5", s);
  restore(folder / "a.h5", t, {.only = {"state/weight/**"}});
  BOOST_TEST(slots.size() == 3u);
  BOOST_TEST(slots.at(w).step == 5);
  BOOST_TEST(slots.at(b).step == 9);
  restore(folder / "a.h5", t, {.except = {"state/bias", "state/bias/**"}});
  BOOST_TEST(slots.size() == 2u);
  BOOST_TEST(slots.at(b).step == 9);
}

BOOST_AUTO_TEST_CASE(private_members_can_be_named) {
  const support::folder folder;
  library_class a(0.9), b(0.1);
  state s, t;
  s.bind("a", a), t.bind("a", b);
  save(folder / "a.h5", s);
  restore(folder / "a.h5", t);
  BOOST_TEST(b.momentum() == 0.9);
}

BOOST_AUTO_TEST_SUITE_END()
