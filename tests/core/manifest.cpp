#include <holdfast/core/manifest.hpp>

#include <map>

#include <holdfast/types/map.hpp>
#include <holdfast/types/optional.hpp>
#include <holdfast/types/string.hpp>

#include "../support.hpp"

namespace {

struct layer {
  std::vector<float> weight{1, 2}, bias{3};
};
/// Parts with the names that a test gives them.
struct named {
  std::vector<std::string> names;
  std::vector<std::unique_ptr<int>> values;
};
/// Two tensors that may become one.
struct pointers {
  float** at;
};
/// Numbers in a variable of its own.
struct variables {
  int first = 1;
};
struct nothing {};
struct identified {};
struct node {
  int value = 0;
  std::shared_ptr<node> next;
};

}  // namespace

template <>
struct holdfast::traits<layer> : holdfast::fields<holdfast::field<&layer::weight>, holdfast::field<&layer::bias>> {};
template <>
struct holdfast::traits<named> {
  static void visit(named& n, visitor& v) {
    for (const std::string& name : n.names) v(name, *n.values.emplace_back(std::make_unique<int>()));
  }
};
template <>
struct holdfast::traits<pointers> {
  static void visit(pointers& p, visitor& v) {
    v("a", tensor(p.at[0], {3}));
    v("b", tensor(p.at[1], {3}));
  }
};
template <>
struct holdfast::traits<variables> {
  static void visit(variables& x, visitor& v) {
    std::vector<int> variable{x.first, 2, 3};
    v.transient("a", variable);
    std::fill(variable.begin(), variable.end(), -1);
    v.transient("b", variable);
  }
};
template <>
struct holdfast::traits<nothing> : holdfast::fields<> {};
template <>
struct holdfast::traits<identified> {
  static void visit(identified&, visitor& v) { v.identity("type", "a thing"); }
};
template <>
struct holdfast::traits<node> : holdfast::fields<holdfast::field<&node::value>, holdfast::field<&node::next>> {};

BOOST_AUTO_TEST_SUITE(core_manifest)

namespace {

using holdfast::entry;
using holdfast::entry_kind;
using holdfast::state;
using holdfast::detail::manifest;
using lines = std::vector<std::string>;

/// "path float32[2]", "path -> the path it is an alias of", "path group", "path absent"
lines listed(const manifest& m) {
  lines all;
  for (const auto& i : m.items()) {
    const entry& e = i.entry;
    switch (e.kind) {
      case entry_kind::tensor: all.push_back(e.path + " " + describe(e.dtype, e.shape)); break;
      case entry_kind::alias: all.push_back(e.path + " -> " + e.alias_of); break;
      case entry_kind::group: all.push_back(e.path + " group"); break;
      case entry_kind::absent: all.push_back(e.path + " absent");
    }
  }
  return all;
}

std::string refusal(const state& s) {
  return support::message_of<holdfast::error>([&] { (void)manifest(s); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(entries_are_sorted_by_path_whatever_the_order_of_binding) {
  layer z, a;
  int step = 0;
  state s;
  s.bind("z", z).bind("a", a).bind("a!", step);
  BOOST_TEST((listed(manifest(s)) ==
              lines{"a! int32[]", "a/bias float32[1]", "a/weight float32[2]", "z/bias float32[1]", "z/weight float32[2]"}));
}

BOOST_AUTO_TEST_CASE(an_entry_says_where_its_bytes_are) {
  double x[6]{};
  state s;
  s.bind("x", holdfast::tensor(x, {2, 3}, {1, 2}));
  const manifest m(s);
  BOOST_REQUIRE(m.items().size() == 1u);
  BOOST_TEST(m.items()[0].entry.bytes == 48u);
  BOOST_TEST((m.items()[0].entry.place == holdfast::host));
  BOOST_TEST(static_cast<void*>(m.items()[0].view.data()) == static_cast<void*>(x));
  BOOST_TEST((m.items()[0].view.strides() == std::vector<std::int64_t>{1, 2}));
}

BOOST_AUTO_TEST_CASE(a_tensor_of_the_same_memory_is_an_alias_of_the_first_that_was_bound) {
  std::vector<float> tied{1, 2, 3}, equal = tied;
  state s;
  s.bind("z/first", tied).bind("a/second", tied).bind("b/equal", equal).bind("c/other_shape", holdfast::tensor(tied.data(), {3, 1}));
  BOOST_TEST((listed(manifest(s)) == lines{"a/second -> z/first", "b/equal float32[3]", "c/other_shape float32[3, 1]",
                                           "z/first float32[3]"}));
}

BOOST_AUTO_TEST_CASE(empty_tensors_are_not_aliases_of_each_other) {
  std::vector<float> a, b;
  state s;
  s.bind("a", a).bind("b", b);
  BOOST_TEST((listed(manifest(s)) == lines{"a float32[0]", "b float32[0]"}));
}

BOOST_AUTO_TEST_CASE(pointers_to_one_object_make_one_object_and_aliases) {
  const auto shared = std::make_shared<layer>();
  std::vector<std::shared_ptr<layer>> layers{shared, std::make_shared<layer>(), shared, nullptr};
  state s;
  s.bind("layers", layers);
  BOOST_TEST((listed(manifest(s)) == lines{"layers group", "layers/0/bias float32[1]", "layers/0/weight float32[2]",
                                           "layers/1/bias float32[1]", "layers/1/weight float32[2]", "layers/2 -> layers/0",
                                           "layers/3 absent"}));
}

BOOST_AUTO_TEST_CASE(an_empty_container_is_an_entry_of_its_own) {
  std::map<std::string, float> none;
  state s;
  s.bind("none", none);
  BOOST_TEST((listed(manifest(s)) == lines{"none group"}));
}

BOOST_AUTO_TEST_CASE(an_identity_is_stored_as_text) {
  identified x;
  state s;
  s.bind("x", x);
  const manifest m(s);
  BOOST_TEST((listed(m) == lines{"x/type string[7]"}));
  BOOST_TEST(std::string(reinterpret_cast<const char*>(m.items()[0].view.data()), 7) == "a thing");
}

BOOST_AUTO_TEST_CASE(two_parts_of_one_name_are_refused) {
  named twice{{"w", "w"}, {}};
  layer net;
  int x = 0;
  state s, across;
  s.bind("model", twice);
  BOOST_TEST(refusal(s) == "/model/w is bound twice; give every object a name of its own");
  across.bind("model", net).bind("model/weight", x);
  BOOST_TEST(refusal(across) == "/model/weight is bound twice; give every object a name of its own");
}

BOOST_AUTO_TEST_CASE(a_name_inside_a_tensors_is_refused_with_both_names) {
  int x = 0, y = 0, between = 0;
  state s;
  s.bind("model/w/deep/er", x).bind("model/w", y).bind("model/w!", between);
  BOOST_TEST(refusal(s) == "/model/w/deep/er lies inside /model/w, which is a tensor and not a group; rename one of them");
}

BOOST_AUTO_TEST_CASE(a_name_inside_an_alias_or_an_absent_part_is_refused) {
  std::vector<float> tied{1};
  std::optional<float> none;
  int x = 0;
  state alias, absent;
  alias.bind("a", tied).bind("b", tied).bind("b/x", x);
  support::require_all(refusal(alias), "/b/x lies inside /b");
  absent.bind("none", none).bind("none/x", x);
  support::require_all(refusal(absent), "/none/x lies inside /none");
}

BOOST_AUTO_TEST_CASE(a_binding_inside_a_container_of_another_is_refused_and_its_own_parts_are_not) {
  std::map<std::string, std::map<int, float>> moments{{"w", {{1, 2.f}}}};
  int x = 0;
  state s;
  s.bind("moments", moments);
  BOOST_TEST((listed(manifest(s)) == lines{"moments group", "moments/w group", "moments/w/1 float32[]"}));
  s.bind("moments/w/step", x);
  BOOST_TEST(refusal(s) ==
             "/moments/w/step lies inside /moments, a container whose children restore decides; bind it beside, not inside");
}

BOOST_AUTO_TEST_CASE(a_name_beside_a_group_of_the_same_beginning_is_no_conflict) {
  std::map<std::string, int> scores{{"a", 1}};
  int best = 0, last = 0;
  state container;
  container.bind("scores", scores).bind("scores0", best).bind("scores!", last);
  BOOST_TEST((listed(manifest(container)) == lines{"scores group", "scores! int32[]", "scores/a int32[]", "scores0 int32[]"}));
  layer net;
  int x = 0, y = 0;
  state s;
  s.bind("model", net).bind("model.step", x).bind("model2", y);
  BOOST_TEST(manifest(s).items().size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_name_that_a_type_gives_is_checked_as_one_that_is_bound) {
  for (const char* name : {"", "a//b", ".", "../x", "a\nb", "/a", "a/"}) {
    named parts{{name}, {}};
    state s;
    s.bind("model", parts);
    support::require_all(refusal(s), "cannot name a part of a checkpoint", "\"model/");
  }
}

BOOST_AUTO_TEST_CASE(pointers_to_one_object_without_state_are_no_aliases) {
  const auto shared = std::make_shared<nothing>();
  std::vector<std::shared_ptr<nothing>> two{shared, shared};
  state s;
  s.bind("two", two);
  BOOST_TEST((listed(manifest(s)) == lines{"two group"}));
}

BOOST_AUTO_TEST_CASE(pointers_in_a_circle_are_refused) {
  const auto first = std::make_shared<node>();
  first->next = std::make_shared<node>();
  first->next->next = first;
  auto start = first;
  state s;
  s.bind("list", start);
  BOOST_TEST(refusal(s) == "/list/next/next points back to /list, which it is a part of; a checkpoint cannot hold a cycle");
  first->next.reset();
}

BOOST_AUTO_TEST_CASE(a_layout_is_the_same_unless_something_but_offset_and_digest_differs) {
  using holdfast::detail::same_layout;
  const entry e{.path = "a", .dtype = holdfast::dtype::float32, .shape = {2}, .bytes = 8};
  entry same = e;
  same.offset = 4096;
  same.digest.bytes[0] = 1;
  BOOST_TEST(same_layout(e, same));
  for (int part = 0; part < 6; ++part) {
    entry other = e;
    if (part == 0) other.path = "b";
    if (part == 1) other.kind = entry_kind::alias;
    if (part == 2) other.dtype = holdfast::dtype::int32;
    if (part == 3) other.shape = {1, 2};
    if (part == 4) other.alias_of = "b";
    if (part == 5) other.place = holdfast::gpu(0);
    BOOST_TEST(!same_layout(e, other), "part " << part);
  }
}

BOOST_AUTO_TEST_CASE(a_refreshed_manifest_is_a_new_one_or_says_that_it_cannot_be) {
  using holdfast::detail::manifest;
  struct program {
    std::vector<float> weight{1, 2, 3}, bias{4}, other{5, 6, 7};
    std::optional<double> loss = 0.5;
    std::map<std::string, std::vector<int>> named{{"a", {1}}, {"b", {2, 3}}};
    std::string text = "run";
    holdfast::state bound;
    program() {
      bound.bind("weight", weight).bind("bias", bias).bind("loss", loss).bind("named", named).bind("text", text);
    }
  };
  const auto same = [](const manifest& a, const manifest& b) {
    if (a.items().size() != b.items().size()) return false;
    for (std::size_t i = 0; i < a.items().size(); ++i) {
      const auto &x = a.items()[i], &y = b.items()[i];
      if (x.entry.path != y.entry.path || x.entry.kind != y.entry.kind || x.entry.dtype != y.entry.dtype || x.entry.shape != y.entry.shape || x.entry.alias_of != y.entry.alias_of || x.version != y.version) return false;
      if (x.entry.kind == holdfast::entry_kind::tensor && !same_memory(x.view, y.view)) return false;
    }
    return true;
  };
  program p;
  std::uint64_t counter = 1;
  p.bound.version("weight", counter);
  manifest m(p.bound);
  BOOST_TEST((m.refresh(p.bound) && same(m, manifest(p.bound))));
  counter = 2;
  BOOST_TEST((m.refresh(p.bound) && same(m, manifest(p.bound))));
  std::vector<float>(p.weight).swap(p.weight);  // elsewhere
  std::swap(p.named["a"], p.named["b"]);
  std::swap(p.named["a"], p.named["b"]);
  for (int i = 0; i < 3; ++i) {
    std::vector<float>(p.bias).swap(p.bias);
    BOOST_TEST((m.refresh(p.bound) && same(m, manifest(p.bound))));
  }

  const auto refuses = [&](auto&& change, auto&& undo) {
    manifest before(p.bound);
    change();
    const bool refreshed = before.refresh(p.bound);
    undo();
    return !refreshed;
  };
  BOOST_TEST(refuses([&] { p.bias.push_back(1); }, [&] { p.bias.pop_back(); }));
  BOOST_TEST(refuses([&] { p.loss.reset(); }, [&] { p.loss = 0.5; }));
  BOOST_TEST(refuses([&] { p.named["c"] = {}; }, [&] { p.named.erase("c"); }));
  BOOST_TEST(refuses([&] { p.text = "longer"; }, [&] { p.text = "run"; }));
  BOOST_TEST(refuses([&] { p.bound.version("bias", counter); }, [] {}));
  BOOST_TEST(refuses([&] { p.bound.bind("more", p.other); }, [] {}));

  holdfast::state ends_early;
  ends_early.bind("named", p.named);
  manifest longer(ends_early);
  p.named.erase("b");
  BOOST_TEST(!longer.refresh(ends_early));
  p.named["b"] = {2, 3};

  // Ties that come and go.
  holdfast::state tied;
  std::vector<float> memory(6);
  float* where[2] = {memory.data(), memory.data() + 3};
  pointers two{where};
  tied.bind("two", two);
  manifest apart(tied);
  where[1] = where[0];
  BOOST_TEST(!apart.refresh(tied));
  manifest together(tied);
  BOOST_TEST(together.refresh(tied));
  where[0] = where[1] = memory.data() + 3;
  BOOST_TEST((together.refresh(tied) && same(together, manifest(tied))));
  where[1] = memory.data();
  BOOST_TEST(!together.refresh(tied));
}

BOOST_AUTO_TEST_CASE(a_view_may_say_that_it_lived_elsewhere) {
  std::vector<float> x(3);
  state here, there;
  here.bind("x", holdfast::tensor_ref<float>{holdfast::tensor_view(x.data(), {3})});
  there.bind("x", holdfast::tensor_ref<float>{holdfast::tensor_view(x.data(), {3}).saved_as_in(holdfast::gpu(1))});
  manifest m(there);
  BOOST_TEST((m.items()[0].entry.place == holdfast::gpu(1) && m.items()[0].view.space() == holdfast::host));
  BOOST_TEST((m.refresh(there) && m.items()[0].entry.place == holdfast::gpu(1)));
  BOOST_TEST(!m.refresh(here));
  BOOST_TEST((manifest(here).items()[0].entry.place == holdfast::host));
}

BOOST_AUTO_TEST_CASE(what_is_only_there_during_the_visit_is_copied) {
  variables x;
  holdfast::state s;
  s.bind("x", x);
  manifest m(s);
  const auto content = [&](std::size_t i) {
    const holdfast::tensor_view& view = m.items()[i].view;
    std::vector<int> all(static_cast<std::size_t>(view.shape().elements()));
    gather(view, 0, all.size(), reinterpret_cast<std::byte*>(all.data()));
    return all;
  };
  BOOST_TEST_REQUIRE(m.items().size() == 2u);
  BOOST_TEST((content(0) == std::vector<int>{1, 2, 3} && content(1) == std::vector<int>{-1, -1, -1}), "one memory, and no alias");
  x.first = 5;
  BOOST_TEST(m.refresh(s));
  BOOST_TEST((content(0) == std::vector<int>{5, 2, 3}));
}

BOOST_AUTO_TEST_SUITE_END()
