#include <holdfast/checkpoint/plan.hpp>

#include <map>

#include <holdfast/separate.hpp>

#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using kind = difference::kind;
using support::contents;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

using names = std::vector<std::string>;

/// A file with encoder/{a,b}, decoder/{a,b} and head, each of float32[2], and what a program binds to them.
struct network {
  support::folder dir;
  std::string path = dir / "f.h5";
  std::map<std::string, std::vector<float>> values;
  network() {
    state s;
    for (const char* p : {"encoder/a", "encoder/b", "decoder/a", "decoder/b", "head"}) s.bind(p, values[p] = {static_cast<float>(values.size()), 0.5f});
    save(path, s);
  }
  /// The plan for a program that binds float32[2] under these names, and that nothing is touched to make it.
  plan of(const names& bound, const restore_options& options = {}) const {
    std::map<std::string, std::vector<float>> objects;
    state s;
    for (const std::string& p : bound) s.bind(p, objects[p] = {-1, -2});
    const std::string before = contents(s);
    plan result = plan_restore(path, s, options);
    BOOST_TEST((contents(s) == before));
    return result;
  }
};

/// Rows of three, as many as there are.
struct triples {
  std::vector<float> elements;
};
/// A vector, or a table of any rank.
struct table {
  std::vector<float> elements;
  std::vector<std::int64_t> extents{0};
};

names paths(const plan& p) {
  names all;
  for (const auto& i : p.restored) all.push_back(i.path);
  std::sort(all.begin(), all.end());
  return all;
}
names sources(const plan& p) {
  names all;
  for (const auto& i : p.restored) all.push_back(i.from);
  std::sort(all.begin(), all.end());
  return all;
}
/// "kind path" of every difference, sorted.
names differing(const plan& p) {
  static const char* const kinds[] = {"missing", "unexpected", "dtype", "shape", "place", "identity", "aliasing", "structure"};
  names all;
  for (const difference& d : p.differences) all.push_back(std::string(kinds[static_cast<int>(d.what)]) + " " + d.path);
  std::sort(all.begin(), all.end());
  return all;
}

#define SAME(a, b) BOOST_TEST((a) == (b), boost::test_tools::per_element())

}  // namespace

template <>
struct holdfast::traits<triples> {
  static tensor_view view(triples& t) { return tensor_view(t.elements.data(), {static_cast<std::int64_t>(t.elements.size() / 3), 3}); }
  static bool accepts(const triples&, const shape& s) { return s.rank() == 2 && s[1] == 3; }
  static void resize(triples& t, const shape& s) { t.elements.resize(static_cast<std::size_t>(s.elements())); }
};
template <>
struct holdfast::traits<table> {
  static tensor_view view(table& t) { return tensor_view(t.elements.data(), shape(t.extents)); }
  static bool accepts(const table&, const shape&) { return true; }
  static void resize(table& t, const shape& s) {
    t.extents.assign(s.begin(), s.end());
    t.elements.resize(static_cast<std::size_t>(s.elements()));
  }
};

namespace {

/// Names its memory twice, by views that live as long as its visit.
struct tied_by_views {
  float memory[3] = {};
};

}  // namespace

template <>
struct holdfast::traits<tied_by_views> {
  static void visit(tied_by_views& x, visitor& v) {
    v("one", tensor(x.memory, {3}));
    v("two", tensor(x.memory, {3}));
  }
};

BOOST_AUTO_TEST_SUITE(plan_)

BOOST_AUTO_TEST_CASE(a_plan_says_what_would_be_restored_from_where) {
  const network n;
  const plan p = n.of({"encoder/a", "encoder/b", "decoder/a", "decoder/b", "head"});
  BOOST_TEST(p.ok());
  BOOST_TEST(p.file == n.path);
  BOOST_TEST(p.sealed);
  SAME(paths(p), (names{"decoder/a", "decoder/b", "encoder/a", "encoder/b", "head"}));
  SAME(sources(p), paths(p));
  const auto& i = p.restored.front();
  BOOST_TEST((i.dtype == dtype::float32 && i.shape == shape{2} && i.bytes == 8 && !i.converts));
}

BOOST_AUTO_TEST_CASE(strictly_nothing_may_be_missing_or_left_over) {
  const network n;
  const plan p = n.of({"encoder/a", "encoder/b", "decoder/a", "new"});
  BOOST_TEST(!p.ok());
  SAME(differing(p), (names{"missing new", "unexpected decoder/b", "unexpected head"}));
}

BOOST_AUTO_TEST_CASE(what_is_missing_can_be_kept_and_what_is_left_over_ignored) {
  const network n;
  const plan kept = n.of({"encoder/a", "encoder/b", "decoder/a", "decoder/b", "head", "new"}, {.missing = on_missing::keep});
  BOOST_TEST(kept.ok());
  SAME(kept.missing, (names{"new"}));
  const plan ignored = n.of({"encoder/a", "head"}, {.unexpected = on_unexpected::ignore});
  BOOST_TEST(ignored.ok());
  SAME(ignored.unexpected, (names{"decoder/a", "decoder/b", "encoder/b"}));
  SAME(paths(ignored), (names{"encoder/a", "head"}));
}

BOOST_AUTO_TEST_CASE(only_and_except_choose_and_what_they_leave_out_is_neither_missing_nor_left_over) {
  const network n;
  const plan p = n.of({"encoder/a", "encoder/b", "new"}, {.only = {"encoder"}});
  BOOST_TEST(p.ok());
  SAME(paths(p), (names{"encoder/a", "encoder/b"}));
  SAME(paths(n.of({"encoder/a", "decoder/a", "decoder/b", "new"}, {.only = {"*/a"}})), (names{"decoder/a", "encoder/a"}));
  const plan without = n.of({"encoder/a", "encoder/b", "decoder/a", "decoder/b", "new"}, {.except = {"head", "new"}});
  BOOST_TEST(without.ok());
  SAME(paths(without), (names{"decoder/a", "decoder/b", "encoder/a", "encoder/b"}));
  SAME(paths(n.of({"encoder/a", "encoder/b"}, {.only = {"encoder/**"}, .except = {"**/b"}})), (names{"encoder/a"}));
  SAME(differing(n.of({"encoder/a"}, {.only = {"encoder"}})), (names{"unexpected encoder/b"}));
  SAME(differing(n.of({"encoder/a", "encoder/b", "encoder/c"}, {.only = {"encoder"}})), (names{"missing encoder/c"}));
}

BOOST_AUTO_TEST_CASE(renames_take_paths_of_the_file_to_the_names_the_program_binds) {
  const network n;
  const plan p = n.of({"trunk/x/a", "trunk/x/b"}, {.only = {"trunk"}, .rename = {{"encoder/**", "trunk/x/**"}}});
  BOOST_TEST(p.ok());
  SAME(paths(p), (names{"trunk/x/a", "trunk/x/b"}));
  SAME(sources(p), (names{"encoder/a", "encoder/b"}));
  SAME(paths(n.of({"m/a", "m/b"}, {.only = {"m"}, .rename = {{"encoder", "m"}}})), (names{"m/a", "m/b"}));
  // The first rule that matches is the one.
  const plan first = n.of({"z", "m/b"}, {.only = {"z", "m"}, .rename = {{"encoder/a", "z"}, {"encoder/*", "m/*"}}});
  SAME(paths(first), (names{"m/b", "z"}));
}

BOOST_AUTO_TEST_CASE(two_paths_renamed_to_one_are_an_error_that_names_all_three) {
  const network n;
  const auto text = message_of<error>([&] { n.of({"m/a"}, {.rename = {{"encoder/*", "m/*"}, {"decoder/*", "m/*"}}}); });
  require_all(text, n.path, "/decoder/a", "/encoder/a", "both renamed to /m/a");
  message_of<error>([&] { n.of({"head"}, {.rename = {{"encoder/a", "head"}}}); });
  message_of<error>([&] { n.of({"head/a", "head"}, {.rename = {{"encoder/a", "head"}}}); });
}

BOOST_AUTO_TEST_CASE(patterns_that_match_nothing_are_most_likely_misspelt) {
  const network n;
  require_all(message_of<error>([&] { n.of({"head"}, {.only = {"haed"}}); }), n.path, ".only pattern \"haed\" matches nothing");
  require_all(message_of<error>([&] { n.of({"head"}, {.only = {"head", "decoder/c*"}}); }), "\"decoder/c*\" matches nothing");
  require_all(message_of<error>([&] { n.of({"head"}, {.rename = {{"enc/**", "m/**"}}}); }), "rename from \"enc/**\" matches nothing");
  require_all(message_of<error>([&] { n.of({"head"}, {.rename = {{"encoder/*", "m"}}}); }), "the same wildcards");
  require_all(message_of<error>([&] { n.of({"head"}, {.only = {""}}); }), "empty pattern");
  BOOST_TEST(n.of({"head", "new"}, {.only = {"head", "new"}, .missing = on_missing::keep}).ok());
  BOOST_TEST(n.of({"encoder/a", "encoder/b", "decoder/a", "decoder/b", "head"}, {.except = {"nothing/like/it"}}).ok());
}

BOOST_AUTO_TEST_CASE(every_kind_of_difference_is_listed_at_once) {
  const support::folder dir;
  std::vector<float> typed(3), shaped(3), tied(3), other(3), unbound(3), group(3);
  std::mt19937 engine;
  std::optional<float> empty;
  state s;
  s.bind("typed", typed).bind("shaped", shaped).bind("one", tied).bind("two", other).bind("unbound", unbound);
  s.bind("group/x", group).bind("rng", engine).bind("leaf", typed[0]).bind("empty", empty).bind("placed", group[1]);
  save(dir / "f.h5", s);

  std::vector<double> wrong_type(3, 1);
  std::vector<float> wrong_shape(4, 1), shared(3, 1), new_one(3, 1), leaf(3, 1);
  float not_group = 1, not_empty = 1, placed = 1;
  std::mt19937_64 wrong_engine;
  state t;
  t.bind("typed", wrong_type).bind("shaped", wrong_shape).bind("one", shared).bind("two", shared).bind("new", new_one);
  t.bind("group", not_group).bind("rng", wrong_engine).bind("leaf/x", leaf).bind("empty", not_empty).bind("placed", placed);
  const restore_options options{.place = [](std::string_view path, memory_space) { return path == "placed" ? gpu(0) : host; }};
  const plan p = plan_restore(dir / "f.h5", t, options);
  // std::mt19937's numbers and std::mt19937_64's are both stored as uint64, in another count.
  SAME(differing(p), (names{"aliasing two", "dtype typed", "identity rng/engine", "missing leaf/x", "missing new", "place placed", "shape rng/state", "shape shaped", "structure empty",
                            "structure group", "unexpected group/x", "unexpected leaf", "unexpected unbound"}));

  const std::string before = contents(t);
  const auto text = message_of<mismatch_error>([&] { restore(dir / "f.h5", t, options); });
  BOOST_TEST((contents(t) == before));
  require_all(text, (dir / "f.h5") + ": " + std::to_string(p.differences.size()) + " differences between the file and the program; nothing was restored",
              "/typed: expected float64[3], found float32[3]; pass .cast = holdfast::cast::allow to convert",
              "/shaped: expected float32[4], found float32[3]; give the program's object the file's size, or bind it empty or as holdfast::resizable",
              "/new: expected float32[3], not in the file; pass .missing = holdfast::on_missing::keep",
              "/unbound: found float32[3], not bound by the program; bind it, or pass .unexpected = holdfast::on_unexpected::ignore",
              "/rng/engine: expected \"mersenne_twister_engine<64,", "found \"mersenne_twister_engine<32,", "bind an object of the type that was saved",
              "/two: expected one tensor with /one, found a tensor of its own", "/group: expected float32[], found a group",
              "/empty: expected float32[], found nothing (an empty optional or null pointer was saved)", "/placed: expected a tensor in gpu(0), found one bound in host");
}

BOOST_AUTO_TEST_CASE(what_is_no_text_is_no_identity) {
  const support::folder dir;
  float number = 1;
  std::mt19937 first, second;
  state s, t;
  s.bind("a/engine", number).bind("b/engine/x", number);
  save(dir / "f.h5", s);
  t.bind("a", first).bind("b", second);
  require_all(message_of<mismatch_error>([&] { restore(dir / "f.h5", t, {.missing = on_missing::keep, .unexpected = on_unexpected::ignore}); }),
              "/a/engine: expected \"mersenne_twister_engine<32,", "found float32[]", "/b/engine: expected \"mersenne_twister_engine<32,", "found a group");
}

BOOST_AUTO_TEST_CASE(shapes_must_be_equal_unless_the_object_takes_what_comes) {
  const support::folder dir;
  std::vector<float> x(6);
  state s;
  s.bind("x", x);
  save(dir / "f.h5", s);
  const auto differs = [&](auto&& object) {
    state t;
    t.bind("x", object);
    return differing(plan_restore(dir / "f.h5", t));
  };
  std::vector<float> empty, same(6), longer(7);
  float scalar = 0;
  SAME(differs(empty), names{});
  SAME(differs(same), names{});
  SAME(differs(longer), names{"shape x"});
  SAME(differs(scalar), names{"shape x"});
  SAME(differs(tensor(same.data(), {2, 3})), names{"shape x"});
  state t;
  t.bind("x", resizable(longer));
  BOOST_TEST(plan_restore(dir / "f.h5", t).ok());
}

BOOST_AUTO_TEST_CASE(a_type_says_which_shapes_it_can_take) {
  const support::folder dir;
  std::vector<float> x{1, 2, 3, 4, 5, 6};
  state s;
  s.bind("3x2", tensor(x.data(), {3, 2})).bind("2x3", tensor(x.data(), {2, 3})).bind("6", x).bind("2x3x1", tensor(x.data(), {2, 3, 1}));
  save(dir / "f.h5", s);
  const auto restored = [&](const std::string& from, auto&& object) {
    state t;
    t.bind("x", object);
    restore(dir / "f.h5", t, {.only = {"x"}, .rename = {{from, "x"}}});
  };
  const auto refused = [&](const std::string& from, auto&& object) { return message_of<mismatch_error>([&] { restored(from, object); }); };
  triples t, full{std::vector<float>(3)};
  require_all(refused("3x2", t), "/x: expected float32[0, 3], found float32[3, 2]; the program's type cannot take that shape");
  require_all(refused("3x2", resizable(full)), "/x: expected float32[1, 3], found float32[3, 2]; the program's type cannot");
  require_all(refused("6", t), "/x: expected float32[0, 3], found float32[6]; the program's type cannot");
  require_all(refused("2x3", full), "/x: expected float32[1, 3], found float32[2, 3]; give the program's object the file's size");
  BOOST_TEST(t.elements.empty());
  restored("2x3", t);
  restored("2x3", resizable(full));
  BOOST_TEST((t.elements == x));
  BOOST_TEST((full.elements == x));
  table any;
  restored("2x3x1", any);  // of another rank
  BOOST_TEST((any.elements == x));
  BOOST_TEST((any.extents == std::vector<std::int64_t>{2, 3, 1}));
}

BOOST_AUTO_TEST_CASE(types_must_be_equal_unless_a_conversion_is_allowed_and_exists) {
  const support::folder dir;
  std::vector<float> f(2);
  std::vector<std::int32_t> i(2);
  std::string text = "ab";
  state s;
  s.bind("f", f).bind("i", i).bind("text", text);
  save(dir / "f.h5", s);
  const auto differs = [&](const char* path, auto&& object, cast c) {
    state t;
    t.bind(path, object);
    const plan p = plan_restore(dir / "f.h5", t, {.only = {path}, .cast = c});
    if (p.ok()) BOOST_TEST(p.restored.front().converts);
    return p.ok() ? "" : p.differences.front().advice;
  };
  std::vector<double> d(2);
  std::vector<std::int16_t> narrow(2);
  std::vector<std::int64_t> wide(2);
  std::vector<std::uint8_t> bytes(2);
  require_all(differs("f", d, cast::refuse), "cast::allow");
  BOOST_TEST(differs("f", d, cast::allow) == "");
  BOOST_TEST(differs("i", d, cast::allow) == "");
  BOOST_TEST(differs("i", wide, cast::allow) == "");
  require_all(differs("i", narrow, cast::allow), "does not convert between these");
  require_all(differs("f", wide, cast::allow), "does not convert between these");
  require_all(differs("text", bytes, cast::allow), "does not convert between these");
}

BOOST_AUTO_TEST_CASE(one_object_under_two_names_needs_one_content) {
  const support::folder dir;
  std::vector<float> a(3), b(3), shared(3);
  state apart, tied;
  apart.bind("a", a).bind("b", b);
  tied.bind("a", shared).bind("b", shared);
  save(dir / "apart.h5", apart);
  save(dir / "tied.h5", tied);
  SAME(differing(plan_restore(dir / "apart.h5", tied)), names{"aliasing b"});
  BOOST_TEST(plan_restore(dir / "apart.h5", tied, {.only = {"a"}}).ok());
  BOOST_TEST(plan_restore(dir / "tied.h5", tied).ok());
  BOOST_TEST(plan_restore(dir / "tied.h5", apart).ok());
}

BOOST_AUTO_TEST_CASE(a_const_object_is_not_a_target) {
  const support::folder dir;
  const std::vector<float> x(3);
  state s;
  s.bind("x", x);
  save(dir / "f.h5", s);
  SAME(differing(plan_restore(dir / "f.h5", s)), names{"structure x"});
  BOOST_TEST(plan_restore(dir / "f.h5", s, {.except = {"x"}}).ok());
}

BOOST_AUTO_TEST_CASE(a_plan_is_what_the_restore_does) {
  const support::folder dir;
  const trainer from(3);
  save(dir / "f.h5", from.bound);
  trainer to(4);
  const std::string before = to.contents();
  const restore_options options{.except = {"progress"}};
  const plan p = plan_restore(dir / "f.h5", to.bound, options);
  BOOST_TEST((to.contents() == before));
  BOOST_TEST(p.ok());
  auto report = restore(dir / "f.h5", to.bound, options);
  std::sort(report.restored.begin(), report.restored.end());
  SAME(paths(p), report.restored);
  BOOST_TEST(to.step == 40);
}

BOOST_AUTO_TEST_CASE(what_a_restore_would_make_is_planned_without_making_it) {
  const support::folder dir;
  std::optional<std::vector<float>> o(std::in_place, 3);
  std::vector<std::vector<float>> list{{1, 2}, {3}};
  std::map<std::string, std::vector<float>> m{{"k", {4}}};
  auto p = std::make_unique<float>(5.f);
  state s;
  s.bind("o", o).bind("list", list).bind("m", m).bind("p", p);
  save(dir / "f.h5", s);
  o.reset();
  list.clear();
  m.clear();
  p.reset();
  BOOST_TEST(plan_restore(dir / "f.h5", s).restored.size() == 5u);
  BOOST_TEST((!o && list.empty() && m.empty() && !p));
}

BOOST_AUTO_TEST_CASE(views_that_a_type_makes_while_it_is_visited_may_name_one_memory) {
  const support::folder dir;
  tied_by_views bound;
  std::vector<float> one(3), two(3);
  state s, t;
  s.bind("x", bound), t.bind("x/one", one).bind("x/two", two);
  save(dir / "tied.h5", s);
  save(dir / "apart.h5", t);
  BOOST_TEST(plan_restore(dir / "tied.h5", s).ok());
  SAME(differing(plan_restore(dir / "apart.h5", s)), names{"aliasing x/two"});
}

BOOST_AUTO_TEST_SUITE_END()
