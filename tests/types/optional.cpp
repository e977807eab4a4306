#include <holdfast/types/optional.hpp>

#include "round_trip.hpp"

namespace {

struct layer {
  std::vector<float> weight;
  int units = 0;
};
struct relu {};  // has no state
struct tree {
  int value = 0;
  std::unique_ptr<tree> left, right;
};
struct fixed {
  explicit fixed(int x) : value(x) {}
  int value;
};
struct pointers {
  std::shared_ptr<layer> a, b, c;
};

}  // namespace

template <>
struct holdfast::traits<layer> : holdfast::fields<holdfast::field<&layer::weight>, holdfast::field<&layer::units>> {};
template <>
struct holdfast::traits<relu> : holdfast::fields<> {};
template <>
struct holdfast::traits<tree> : holdfast::fields<holdfast::field<&tree::value>, holdfast::field<&tree::left>, holdfast::field<&tree::right>> {};
template <>
struct holdfast::traits<fixed> : holdfast::fields<holdfast::field<&fixed::value>> {};
template <>
struct holdfast::traits<pointers> : holdfast::fields<holdfast::field<&pointers::a>, holdfast::field<&pointers::b>, holdfast::field<&pointers::c>> {};

BOOST_AUTO_TEST_SUITE(types_optional)

using round_trip::copy;
using round_trip::file;

BOOST_AUTO_TEST_CASE(an_optional_becomes_what_the_file_has) {
  using numbers = std::optional<std::vector<float>>;
  for (numbers saved : {numbers(), numbers({}), numbers({1, 2})})
    for (const numbers& before : {numbers(), numbers({}), numbers({8, 9})}) {
      if (saved && saved->size() != 2 && before && before->size() == 2) continue;  // another size, which is refused
      BOOST_TEST((copy(saved, before) == saved));
    }
  std::optional<int> one = 1, none;
  BOOST_TEST((copy(one) == one));
  BOOST_TEST((copy(none, one) == none));
  std::optional<std::string> text = "abc";
  BOOST_TEST((copy(text) == text));
}

BOOST_AUTO_TEST_CASE(a_held_vector_of_another_size_is_refused) {
  std::optional<std::vector<float>> saved{{1, 2, 3}}, other(std::in_place, 1u);
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x: expected float32[1], found float32[3]; ");
}

BOOST_AUTO_TEST_CASE(a_refused_restore_empties_and_fills_nothing) {
  std::optional<int> one = 1, none;
  int extra = 0;
  support::folder folder;
  holdfast::state saved, bound;
  saved.bind("a", one).bind("b", none);
  holdfast::save(folder / "a.h5", saved);
  bound.bind("a", none).bind("b", one).bind("extra", extra);
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", bound); }), ": 1 difference ",
                       "\n  /extra: expected int32[], not in the file");
  BOOST_TEST((!none && one == 1));
}

BOOST_AUTO_TEST_CASE(an_optional_that_the_file_does_not_have_is_missing) {
  std::optional<int> none, one = 1;
  holdfast::state s;
  file f;
  int x = 0;
  f.save(x);
  s.bind("x", x).bind("none", none).bind("one", one);
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(f.path(), s); }),
                       "\n  /none: expected a group or dataset, not in the file", "\n  /one: expected int32[], not in the file");
  const auto report = holdfast::restore(f.path(), s, {.missing = holdfast::on_missing::keep});
  BOOST_TEST((report.missing == std::vector<std::string>{"none", "one"}));
  BOOST_TEST((!none && one == 1));
}

BOOST_AUTO_TEST_CASE(a_part_that_is_not_optional_cannot_be_absent) {
  std::optional<int> none;
  int x = 5;
  file f;
  support::require_all(f.save(none).refusal(x), "\n  /x: expected int32[], found nothing (an empty optional or null pointer was saved)");
  BOOST_TEST(x == 5);
}

BOOST_AUTO_TEST_CASE(a_unique_pointer_to_a_tree_comes_back) {
  tree saved{1, std::make_unique<tree>(), nullptr}, other{0, nullptr, std::make_unique<tree>()};
  saved.left->value = 2;
  saved.left->right = std::make_unique<tree>();
  saved.left->right->value = 3;
  file f;
  f.save(saved).restore(other);
  BOOST_TEST((other.right == nullptr));
  BOOST_REQUIRE((other.left != nullptr && other.left->right != nullptr));
  BOOST_TEST(other.value == 1);
  BOOST_TEST(other.left->right->value == 3);
  BOOST_TEST((other.left->left == nullptr));
}

BOOST_AUTO_TEST_CASE(a_pointer_to_something_keeps_its_object) {
  auto saved = std::make_unique<layer>(), other = std::make_unique<layer>();
  saved->units = 3;
  layer* const object = other.get();
  file f;
  f.save(saved).restore(other);
  BOOST_TEST((other.get() == object));
  BOOST_TEST(object->units == 3);
}

BOOST_AUTO_TEST_CASE(an_object_that_cannot_be_made_must_be_there) {
  std::unique_ptr<fixed> saved = std::make_unique<fixed>(4), none, other = std::make_unique<fixed>(0);
  file f;
  support::require_all(f.save(saved).refusal(none),
                       "\n  /x: expected an object of a type with a default constructor, found one to be made; "
                       "make it before the restore");
  f.restore(other);
  BOOST_TEST(other->value == 4);
}

BOOST_AUTO_TEST_CASE(shared_pointers_to_one_object_come_back_as_one_object) {
  const auto tied = std::make_shared<layer>(layer{{1, 2}, 3});
  pointers saved{tied, std::make_shared<layer>(), tied};
  const pointers before[] = {{},
                             {std::make_shared<layer>(), nullptr, std::make_shared<layer>()},
                             {nullptr, std::make_shared<layer>(), std::make_shared<layer>()},
                             saved};
  for (const pointers& start : before) {
    pointers other;
    if (start.a) other.a = std::make_shared<layer>();
    if (start.b) other.b = std::make_shared<layer>();
    if (start.c) other.c = start.c == start.a ? other.a : std::make_shared<layer>();
    file f;
    f.save(saved).restore(other);
    BOOST_REQUIRE((other.a != nullptr && other.b != nullptr));
    BOOST_TEST((other.a == other.c && other.a != other.b));
    BOOST_TEST(other.a->weight == (std::vector<float>{1, 2}), boost::test_tools::per_element());
    BOOST_TEST(other.a->units == 3);
  }
}

BOOST_AUTO_TEST_CASE(shared_tensors_and_null_pointers_come_back) {
  std::vector<std::shared_ptr<std::vector<float>>> saved(4), other;
  saved[1] = saved[3] = std::make_shared<std::vector<float>>(3, 1.5f);
  saved[2] = std::make_shared<std::vector<float>>();
  file f;
  f.save(saved).restore(other);
  BOOST_REQUIRE(other.size() == 4u);
  BOOST_TEST((other[0] == nullptr));
  BOOST_REQUIRE((other[1] != nullptr && other[2] != nullptr));
  BOOST_TEST((other[1] == other[3]));
  BOOST_TEST(*other[1] == *saved[1], boost::test_tools::per_element());
  BOOST_TEST(other[2]->empty());
  std::vector<std::shared_ptr<std::vector<float>>> filled(4, std::make_shared<std::vector<float>>());
  filled[1] = filled[3] = nullptr;
  filled[0] = std::make_shared<std::vector<float>>(7);
  f.restore(filled);
  BOOST_TEST((filled[0] == nullptr && filled[1] != nullptr && filled[1] == filled[3]));
}

BOOST_AUTO_TEST_CASE(one_object_of_the_program_cannot_become_two) {
  pointers saved{std::make_shared<layer>(layer{{1}, 1}), std::make_shared<layer>(layer{{2}, 2}), nullptr}, other;
  other.a = other.b = std::make_shared<layer>(layer{{9}, 9});
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x/b/units: expected one tensor with /x/a/units, found a tensor of its own; ",
                       "\n  /x/b/weight: expected one tensor with /x/a/weight");
  BOOST_TEST(other.a->units == 9);
}

BOOST_AUTO_TEST_CASE(a_pointer_inside_a_shared_object_is_shared_with_it) {
  using inner = std::shared_ptr<layer>;
  const auto shared = std::make_shared<inner>(std::make_shared<layer>(layer{{1}, 5}));
  std::vector<std::shared_ptr<inner>> saved{shared, shared}, other;
  file f;
  f.save(saved).restore(other);
  BOOST_REQUIRE(other.size() == 2u);
  BOOST_TEST((other[0] == other[1]));
  BOOST_TEST((*other[0])->units == 5);
}

BOOST_AUTO_TEST_CASE(a_shared_object_without_state_is_restored_where_there_is_one) {
  const auto activation = std::make_shared<relu>();
  std::vector<std::shared_ptr<relu>> saved{activation, activation}, other{activation, activation};
  file f;
  f.save(saved).restore(other);
  BOOST_TEST((other[0] == activation && other[1] == activation));
}

BOOST_AUTO_TEST_CASE(pointers_to_const_are_saved_and_not_restored) {
  auto shared = std::shared_ptr<const layer>(std::make_shared<layer>(layer{{1}, 2})), again = shared;
  auto unique = std::unique_ptr<const int>(new int(3));
  file f;
  support::require_all(f.save(shared).refusal(again), "\n  /x/units: expected an object that may change, found one bound as const");
  support::require_all(f.save(unique).refusal(unique), "\n  /x: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_CASE(a_const_optional_that_would_have_to_change_is_refused) {
  std::optional<int> none, two = 2;
  const std::optional<int> one = 1, constant_none;
  file f;
  support::require_all(f.save(none).refusal(one), "\n  /x: expected an object that may change, found one bound as const");
  support::require_all(f.save(two).refusal(constant_none), "\n  /x: expected an object that may change, found one bound as const");
  BOOST_TEST((one == 1));
}

BOOST_AUTO_TEST_SUITE_END()
