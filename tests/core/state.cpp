#include <holdfast/core/state.hpp>

#include <memory>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_state)

namespace {

using holdfast::state;

/// The tensors of a state in the order they are visited, each with the number of its binding.
class listing final : public holdfast::detail::walk {
 public:
  explicit listing(const state& bound) : walk(pass::save) { bound.visit(*this); }
  std::vector<std::string> lines;
  std::vector<holdfast::detail::tensor_handle> handles;

 private:
  void tensor(const std::string& path, const holdfast::detail::tensor_handle& h) override {
    const holdfast::tensor_view view = h.view(h.object);
    lines.push_back(std::to_string(binding) + " " + path + " " + describe(view.dtype(), view.shape()));
    handles.push_back(h);
  }
  void container(const std::string&) override {}
  void absent(const std::string&) override {}
  void identity(const std::string&, const std::string&) override {}
};

using lines = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(objects_are_bound_by_reference_and_visited_in_order) {
  float z = 1;
  double a = 2;
  state s;
  s.bind("z", z).bind("/deep/a", a);
  BOOST_TEST(s.size() == 2u);
  const listing l(s);
  BOOST_TEST((l.lines == lines{"0 z float32[]", "1 deep/a float64[]"}));
  BOOST_TEST(l.handles[0].object == &z);
  BOOST_TEST(l.handles[1].object == &a);
}

BOOST_AUTO_TEST_CASE(a_state_can_be_visited_again_and_sees_what_the_objects_are_then) {
  float memory[4]{};
  holdfast::tensor_view view(memory, {4});
  state s;
  s.bind("x", view);
  BOOST_TEST((listing(s).lines == lines{"0 x float32[4]"}));
  view = holdfast::tensor_view(memory, {2, 2});
  BOOST_TEST((listing(s).lines == lines{"0 x float32[2, 2]"}));
}

BOOST_AUTO_TEST_CASE(a_view_may_be_bound_as_a_temporary) {
  std::uint8_t memory[6]{};
  state s;
  s.bind("x", holdfast::tensor(memory, {2, 3})).bind("y", holdfast::tensor_view(memory, {6}));
  BOOST_TEST((listing(s).lines == lines{"0 x uint8[2, 3]", "1 y uint8[6]"}));
}

BOOST_AUTO_TEST_CASE(a_const_object_is_bound_as_one_to_be_read) {
  const int constant = 1;
  int variable = 1;
  state s;
  s.bind("constant", constant).bind("variable", variable);
  const listing l(s);
  BOOST_TEST(l.handles[0].read_only);
  BOOST_TEST(!l.handles[1].read_only);
}

BOOST_AUTO_TEST_CASE(memory_that_may_not_change_is_bound_as_one_to_be_read) {
  const float constant[2]{};
  float variable[2]{};
  state s;
  s.bind("constant", holdfast::tensor(constant, {2})).bind("variable", holdfast::tensor(variable, {2}));
  const listing l(s);
  BOOST_TEST(l.handles[0].read_only);
  BOOST_TEST(!l.handles[1].read_only);
}

BOOST_AUTO_TEST_CASE(a_name_is_bound_once) {
  int x = 0;
  state s;
  s.bind("model/x", x);
  BOOST_TEST(support::message_of<holdfast::error>([&] { s.bind("/model/x", x); }) ==
             "/model/x is bound twice; give every object a name of its own");
  BOOST_TEST(s.size() == 1u, "the refused binding is not there");
}

BOOST_AUTO_TEST_CASE(a_malformed_name_is_refused_when_it_is_bound) {
  int x = 0;
  state s;
  for (const char* path : {"", "/", "a//b", "a/", "../a", "holdfast/x", "a\tb"})
    support::require_all(support::message_of<holdfast::error>([&] { s.bind(path, x); }), "cannot name a part of a checkpoint");
  BOOST_TEST(s.size() == 0u);
}

BOOST_AUTO_TEST_CASE(what_a_run_has_and_does_not_bind_is_told) {
  using holdfast::role;
  float x = 0;
  state s;
  s.bind("model/weight", x).bind("optimizer", x).bind("rng-of-the-loader", x).bind("loader/position", x);
  BOOST_TEST(s.unbound_roles().empty());
  s.expects({role::model, role::optimizer, role::rng, {role::data_order, "loader"}}).expects({role::scaler});
  lines unbound;
  for (const auto& r : s.unbound_roles()) unbound.push_back(r.path);
  BOOST_TEST(unbound == (lines{"rng", "scaler"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(versions_are_patterns_with_counters) {
  float x = 1;
  const std::uint64_t counter = 4;
  state s;
  s.bind("trunk/x", x).version("trunk/**", counter);
  BOOST_REQUIRE_EQUAL(s.versions().size(), 1u);
  BOOST_TEST(s.versions()[0].which.matches("trunk/x"));
  BOOST_TEST(s.versions()[0].counter == &counter);
  BOOST_CHECK_THROW(s.version("", counter), holdfast::error);
}

BOOST_AUTO_TEST_SUITE_END()
