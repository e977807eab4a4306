#include <holdfast/core/traits.hpp>

#include <string>
#include <vector>

#include "../support.hpp"

namespace outer::inner {

struct base {
  double inherited = 1;
};

template <class T, int N>
struct box : base {
  struct nested {
    T in_nested{};
  };
  T value{};
  T grid[2][3]{};
};

}  // namespace outer::inner

namespace {

struct unnamed_namespace {
  float weight_ = 0;
  std::vector<std::vector<int>> m_deep{};
  const int constant = 3;
  int umlaut_ä = 0;
  void (*function)(int) = nullptr;
};

class secret {
  float weight_ = 4;
  friend struct holdfast::traits<secret>;
};

struct tensor_form {};
struct composite_form {};
struct neither {};

/// What a visitor does, without one.
struct recorder {
  std::vector<std::string> names;
  void operator()(std::string_view name, auto&) { names.emplace_back(name); }
};

}  // namespace

template <>
struct holdfast::traits<secret> : holdfast::fields<holdfast::field<&secret::weight_>> {};
template <>
struct holdfast::traits<tensor_form> {
  static tensor_view view(tensor_form&) { return {}; }
};
template <>
struct holdfast::traits<composite_form> {
  static void visit(composite_form&, visitor&) {}
};

BOOST_AUTO_TEST_SUITE(core_traits)

using holdfast::field;

BOOST_AUTO_TEST_CASE(a_field_is_named_as_its_member) {
  using box = outer::inner::box<std::vector<float>, 7>;
  BOOST_TEST((field<&outer::inner::base::inherited>::name) == "inherited");
  BOOST_TEST((field<&box::value>::name) == "value");
  BOOST_TEST((field<&box::inherited>::name) == "inherited");
  BOOST_TEST((field<&box::grid>::name) == "grid");
  BOOST_TEST((field<&box::nested::in_nested>::name) == "in_nested");
  BOOST_TEST((field<&outer::inner::box<void (*)(int), 0>::value>::name) == "value");
  BOOST_TEST((field<&unnamed_namespace::weight_>::name) == "weight_");
  BOOST_TEST((field<&unnamed_namespace::m_deep>::name) == "m_deep");
  BOOST_TEST((field<&unnamed_namespace::constant>::name) == "constant");
  BOOST_TEST((field<&unnamed_namespace::umlaut_ä>::name) == "umlaut_ä");
  BOOST_TEST((field<&unnamed_namespace::function>::name) == "function");
}

BOOST_AUTO_TEST_CASE(a_local_structs_member_has_its_name_too) {
  struct local {
    int count;
  };
  BOOST_TEST((field<&local::count>::name) == "count");
}

BOOST_AUTO_TEST_CASE(a_given_name_stands_in_place_of_the_members) {
  BOOST_TEST((field<&unnamed_namespace::weight_, "fc1/weight">::name) == "fc1/weight");
  BOOST_TEST((field<&unnamed_namespace::weight_, "größe">::name) == "größe");
}

BOOST_AUTO_TEST_CASE(fields_visit_every_member_in_order) {
  using box = outer::inner::box<float, 1>;
  using all = holdfast::fields<field<&box::value>, field<&box::inherited, "base/x">, field<&box::grid>>;
  box object;
  recorder v;
  all::visit(object, v);
  BOOST_TEST((v.names == std::vector<std::string>{"value", "base/x", "grid"}));
}

BOOST_AUTO_TEST_CASE(a_class_that_makes_its_traits_a_friend_may_keep_its_members_private) {
  secret object;
  recorder v;
  holdfast::traits<secret>::visit(object, v);
  BOOST_TEST((v.names == std::vector<std::string>{"weight_"}));
}

BOOST_AUTO_TEST_CASE(a_type_is_checkpointable_in_either_form_and_only_then) {
  static_assert(holdfast::tensor_like<tensor_form> && !holdfast::composite_like<tensor_form>);
  static_assert(!holdfast::tensor_like<composite_form> && holdfast::composite_like<composite_form>);
  static_assert(holdfast::checkpointable<tensor_form> && holdfast::checkpointable<const composite_form>);
  static_assert(!holdfast::checkpointable<neither> && !holdfast::checkpointable<float*>);
  static_assert(holdfast::checkpointable<float> && holdfast::checkpointable<holdfast::tensor_view>);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(a_scalar_is_a_tensor_of_no_dimensions) {
  double x = 2;
  const holdfast::tensor_view view = holdfast::traits<double>::view(x);
  BOOST_TEST((view.shape() == holdfast::shape{}));
  BOOST_TEST((view.dtype() == holdfast::dtype::float64));
  BOOST_TEST(static_cast<void*>(view.data()) == static_cast<void*>(&x));
}

BOOST_AUTO_TEST_CASE(only_views_may_be_temporaries) {
  static_assert(holdfast::is_view<holdfast::tensor_view> && holdfast::is_view<holdfast::tensor_ref<float>>);
  static_assert(!holdfast::is_view<float> && !holdfast::is_view<std::vector<float>>);
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
