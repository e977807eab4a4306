#include <holdfast/checkpoint/restore.hpp>

#include <cstring>

#include <holdfast/separate.hpp>

#include "../fuzz/sealed_file.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using support::contents;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

std::uint64_t offset_of(const std::string& file, const std::string& path) {
  const checkpoint_file f(file);
  for (const entry& e : f.entries())
    if (e.path == path) return e.offset;
  BOOST_FAIL("no " + path);
  return 0;
}

struct node {
  std::vector<float> value;
};
struct block {
  std::vector<float> own;
  std::shared_ptr<node> shared;
  std::vector<std::vector<float>> list;
};
/// State behind functions; setting it draws random numbers, as making a layer does.
struct layer {
  int width;
  std::mt19937* engine;
  int set = 0;
};

/// Made of the type that the file has, and emptied where the file has none of it.
struct as_found {
  std::vector<float> single;
  std::vector<double> twice;
  std::string planned, applied;
};

}  // namespace

template <>
struct holdfast::traits<as_found> {
  static void visit(as_found& a, visitor& v) {
    const auto found = v.incoming_tensor();
    if (!v.saving()) (v.planning() ? a.planned : a.applied) = found ? describe(found->first, found->second) : v.selected() ? "none"
                                                                                                                           : "not asked for";
    if (v.saving() ? !a.twice.empty() : found && found->first == dtype::float64) v.here(a.twice);
    else if (v.saving() ? !a.single.empty() : found.has_value()) v.here(a.single);
    else if (v.applying() && v.selected()) a.single.clear(), a.twice.clear();
  }
};
template <>
struct holdfast::traits<layer> {
  static void visit(layer& l, visitor& v) {
    v.value([&l] { return l.width; },
            [&l](int width) {
              if (l.engine == nullptr) throw std::runtime_error("no engine");
              (*l.engine)();
              l.width = width;
              ++l.set;
            });
  }
};
template <>
struct holdfast::traits<node> : holdfast::fields<holdfast::field<&node::value>> {};
template <>
struct holdfast::traits<block> : holdfast::fields<holdfast::field<&block::own>, holdfast::field<&block::shared>, holdfast::field<&block::list>> {};

BOOST_AUTO_TEST_SUITE(restore_)

BOOST_AUTO_TEST_CASE(the_report_says_what_was_done) {
  const support::folder dir;
  const trainer from(3);
  trainer to(4);
  save(dir / "f.h5", from.bound, {.step = 6});
  const auto r = restore(dir / "f.h5", to.bound);
  BOOST_TEST((to.contents() == from.contents()));
  BOOST_TEST(r.file == dir / "f.h5");
  BOOST_TEST(r.step == 6);
  BOOST_TEST((r.sealed && r.verified));
  BOOST_TEST(r.bytes > 12000u);
  BOOST_TEST(r.restored.size() == 8u);
  BOOST_TEST((r.converted.empty() && r.missing.empty() && r.unexpected.empty() && r.untied.empty()));
}

BOOST_AUTO_TEST_CASE(a_partial_restore_changes_what_was_selected_and_nothing_else) {
  const support::folder dir;
  const trainer from(3);
  save(dir / "f.h5", from.bound);
  trainer to(4);
  const trainer untouched(4);
  const auto r = restore(dir / "f.h5", to.bound, {.only = {"model"}, .except = {"model/bias"}});
  BOOST_TEST((to.weight == from.weight));
  BOOST_TEST((to.matrix == from.matrix));
  BOOST_TEST((to.bias == untouched.bias));
  BOOST_TEST((to.engine == untouched.engine && to.momentum == untouched.momentum && to.step == untouched.step));
  BOOST_TEST(r.restored.size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_renamed_part_lands_where_the_program_binds_it) {
  const support::folder dir;
  std::vector<float> encoder{1, 2, 3}, trunk, head{9};
  state s, t;
  s.bind("encoder/layer.0/weight", encoder).bind("encoder/extra", encoder[1]);
  t.bind("model/backbone/layer.0/weight", trunk).bind("model/head", head);
  save(dir / "f.h5", s);
  const auto r = restore(dir / "f.h5", t, {.rename = {{"encoder/**", "model/backbone/**"}}, .missing = on_missing::keep, .unexpected = on_unexpected::ignore});
  BOOST_TEST((trunk == encoder));
  BOOST_TEST((head == std::vector<float>{9}));
  BOOST_TEST(r.missing == (std::vector<std::string>{"model/head"}), boost::test_tools::per_element());
  BOOST_TEST(r.unexpected == (std::vector<std::string>{"model/backbone/extra"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_conversion_gives_the_nearest_values_and_is_reported) {
  const support::folder dir;
  std::vector<double> d{1.0 / 3, 1e300, -2.5};
  std::vector<std::int32_t> i{-1, 7, 1 << 24};
  state s, t;
  s.bind("d", d).bind("i", i);
  save(dir / "f.h5", s);
  std::vector<float> f(3), strided(6);
  t.bind("d", f).bind("i", tensor(strided.data(), {3}, {2}));
  const auto r = restore(dir / "f.h5", t, {.cast = cast::allow});
  BOOST_TEST(f[0] == static_cast<float>(1.0 / 3));
  BOOST_TEST(std::isinf(f[1]));
  BOOST_TEST(f[2] == -2.5f);
  BOOST_TEST(strided == (std::vector<float>{-1, 0, 7, 0, 1 << 24, 0}), boost::test_tools::per_element());
  BOOST_TEST(r.converted.size() == 2u);
  BOOST_TEST(r.verified);
}

BOOST_AUTO_TEST_CASE(a_tensor_that_needs_many_reads_is_converted_and_scattered_whole) {
  const support::folder dir;
  constexpr std::int64_t n = 1500;
  std::vector<float> from(n * n), to(n * n);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i % 1000003);
  std::vector<double> wide(n * n);
  state s, t, u;
  s.bind("x", tensor(from.data(), {n, n}));
  save(dir / "f.h5", s);
  t.bind("x", tensor(to.data(), {n, n}, {1, n}));
  u.bind("x", tensor(wide.data(), {n, n}, {1, n}));
  restore(dir / "f.h5", t);
  restore(dir / "f.h5", u, {.cast = cast::allow});
  bool same = true;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) same = same && to[j * n + i] == from[i * n + j] && wide[j * n + i] == static_cast<double>(from[i * n + j]);
  BOOST_TEST(same);
}

BOOST_AUTO_TEST_CASE(nothing_is_changed_when_the_file_does_not_fit) {
  const support::folder dir;
  const trainer from(3);
  save(dir / "f.h5", from.bound);
  trainer to(4);
  float extra = 1;
  to.bound.bind("extra", extra);
  const std::string before = to.contents();
  require_all(message_of<mismatch_error>([&] { restore(dir / "f.h5", to.bound); }), "1 difference", "/extra: expected float32[], not in the file");
  BOOST_TEST((to.contents() == before));
}

BOOST_AUTO_TEST_CASE(an_engine_of_another_kind_is_refused_by_name) {
  const support::folder dir;
  std::mt19937 small(7);
  std::ranlux24_base other(1);
  const auto before = other;
  state s, t;
  s.bind("rng", small);
  t.bind("rng", other);
  save(dir / "f.h5", s);
  require_all(message_of<mismatch_error>([&] { restore(dir / "f.h5", t); }), "/rng/engine: expected \"subtract_with_carry_engine<", "found \"mersenne_twister_engine<32, 624,");
  BOOST_TEST((other == before));
}

BOOST_AUTO_TEST_CASE(damage_found_on_the_way_names_tensor_and_bytes_and_says_what_is_left) {
  const support::folder dir;
  std::vector<float> a(10, 1.f), b(600000, 2.f), c(10, 3.f);
  state s;
  s.bind("a", a).bind("b", b).bind("c", c);
  save(dir / "f.h5", s);
  support::flip_bit(dir / "f.h5", offset_of(dir / "f.h5", "b") + (3 << 19), 2);
  const auto text = message_of<integrity_error>([&] { restore(dir / "f.h5", s); });
  require_all(text, (dir / "f.h5") + ": /b: bytes 1048576 to 2097152 of 2400000 are not those that were saved", "take an older checkpoint", "partly restored (2 of 3 tensors)");
}

BOOST_AUTO_TEST_CASE(damage_found_before_leaves_the_state_alone) {
  const support::folder dir;
  const trainer from(3);
  save(dir / "f.h5", from.bound);
  for (const char* path : {"model/weight", "model/bias", "rng/state", "optimizer/momentum"}) {
    const std::uint64_t at = offset_of(dir / "f.h5", path);
    support::flip_bit(dir / "f.h5", at);
    trainer to(4);
    const std::string before = to.contents();
    const auto text = message_of<integrity_error>([&] { restore(dir / "f.h5", to.bound, {.verify = verify::before}); });
    require_all(text, (dir / "f.h5") + ": /" + path, "are not those that were saved");
    BOOST_TEST(text.find("partly") == std::string::npos);
    BOOST_TEST((to.contents() == before));
    support::flip_bit(dir / "f.h5", at);
  }
  trainer to(4);
  BOOST_TEST(restore(dir / "f.h5", to.bound, {.verify = verify::before}).verified);
  BOOST_TEST((to.contents() == from.contents()));
}

BOOST_AUTO_TEST_CASE(without_verification_what_is_there_is_restored) {
  const support::folder dir;
  std::vector<float> a(10, 1.f);
  state s;
  s.bind("a", a);
  save(dir / "f.h5", s);
  support::flip_bit(dir / "f.h5", offset_of(dir / "f.h5", "a") + 3, 7);
  const auto r = restore(dir / "f.h5", s, {.verify = verify::off});
  BOOST_TEST(!r.verified);
  BOOST_TEST(a[0] == -1.f);
  BOOST_TEST(a[1] == 1.f);
}

BOOST_AUTO_TEST_CASE(damage_to_what_is_not_asked_for_is_not_in_the_way) {
  const support::folder dir;
  const trainer from(3);
  save(dir / "f.h5", from.bound);
  support::flip_bit(dir / "f.h5", offset_of(dir / "f.h5", "model/weight"));
  trainer to(4);
  BOOST_TEST(restore(dir / "f.h5", to.bound, {.only = {"model/bias"}}).verified);
  BOOST_TEST((to.bias == from.bias));
}

BOOST_AUTO_TEST_CASE(damaged_metadata_is_found_before_anything_is_changed) {
  const support::folder dir;
  const trainer from(3);
  save(dir / "f.h5", from.bound);
  support::flip_bit(dir / "f.h5", 40);
  trainer to(4);
  const std::string before = to.contents();
  for (const verify v : {verify::during, verify::before})
    require_all(message_of<integrity_error>([&] { restore(dir / "f.h5", to.bound, {.verify = v}); }), dir / "f.h5", "the HDF5 metadata is damaged");
  BOOST_TEST((to.contents() == before));
  restore(dir / "f.h5", to.bound, {.verify = verify::off});
  BOOST_TEST((to.contents() == from.contents()));
}

BOOST_AUTO_TEST_CASE(tied_tensors_come_back_tied_or_are_reported) {
  const support::folder dir;
  std::vector<float> w{1, 2, 3}, a(3), b(3), c(3);
  state s, tied, apart, only_second;
  s.bind("first", w).bind("second", w).bind("third", w);
  save(dir / "f.h5", s);
  tied.bind("first", a).bind("second", a).bind("third", a);
  BOOST_TEST(restore(dir / "f.h5", tied).untied.empty());
  BOOST_TEST((a == w));
  a.assign(3, 0.f);
  apart.bind("first", a).bind("second", b).bind("third", b);
  const auto r = restore(dir / "f.h5", apart);
  BOOST_TEST((a == w && b == w));
  BOOST_TEST(r.untied.size() == 2u);
  only_second.bind("second", c);
  BOOST_TEST(restore(dir / "f.h5", only_second, {.only = {"second"}}).untied.empty());
  BOOST_TEST((c == w));
}

BOOST_AUTO_TEST_CASE(an_object_with_several_owners_comes_back_as_one) {
  const support::folder dir;
  const auto shared = std::make_shared<node>(node{{1, 2}});
  // "first-ema" sorts between the group "first" and what is in it.
  std::shared_ptr<node> p = shared, q = shared, other = std::make_shared<node>(node{{3}});
  state s;
  s.bind("first", p).bind("first-ema", other).bind("second", q);
  save(dir / "f.h5", s);
  p.reset(), q.reset(), other.reset();
  restore(dir / "f.h5", s);
  BOOST_REQUIRE((p && q && other));
  BOOST_TEST(p == q);
  BOOST_TEST(p != other);
  BOOST_TEST((p->value == std::vector<float>{1, 2} && other->value == std::vector<float>{3}));
}

BOOST_AUTO_TEST_CASE(owners_inside_objects_with_several_owners_come_back_too) {
  const support::folder dir;
  const auto leaf = std::make_shared<node>(node{{1, 2}});
  auto outer = std::make_shared<block>(block{{5}, leaf, {}});
  std::shared_ptr<node> l = leaf;
  std::shared_ptr<block> a = outer, b = outer;
  state s;
  s.bind("z", l).bind("b", a).bind("c", b);
  save(dir / "f.h5", s);
  const checkpoint_file file(dir / "f.h5");
  for (const char* path : {"b/shared/value", "c/shared/value", "c/own", "c/list"}) BOOST_TEST(file.contains(path), path);
  BOOST_TEST((file.read<std::vector<float>>("c/shared/value") == std::vector<float>{1, 2}));
  l.reset(), a.reset(), b.reset();
  restore(dir / "f.h5", s);
  BOOST_REQUIRE((l && a && b));
  BOOST_TEST(a == b);
  BOOST_TEST(a->shared == l);
  BOOST_TEST((a->own == std::vector<float>{5} && l->value == std::vector<float>{1, 2}));
  // Objects of their own get what the names lead to.
  auto own = std::make_shared<block>(block{{0}, std::make_shared<node>(node{{0, 0}}), {}});
  state t;
  t.bind("c", *own);
  restore(dir / "f.h5", t, {.only = {"c"}});
  BOOST_TEST((own->own == std::vector<float>{5} && own->shared->value == std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(what_the_file_has_decides_whether_an_optional_has_a_value) {
  const support::folder dir;
  std::optional<std::vector<float>> full(std::in_place, 2, 7.f), empty;
  state s;
  s.bind("full", full).bind("empty", empty);
  save(dir / "f.h5", s);
  full.reset();
  empty.emplace(5, 1.f);
  restore(dir / "f.h5", s);
  BOOST_TEST((full == std::vector<float>(2, 7.f)));
  BOOST_TEST(!empty);
}

BOOST_AUTO_TEST_CASE(sizes_come_from_the_file_where_the_object_is_empty_or_resizable) {
  const support::folder dir;
  std::vector<float> x{1, 2, 3};
  std::vector<std::vector<float>> list{{1}, {}, {2, 3}};
  std::string text = "longer than it was";
  state s;
  s.bind("x", x).bind("list", list).bind("text", text);
  save(dir / "f.h5", s);
  std::vector<float> y(10);
  std::vector<std::vector<float>> empty;
  std::string other = "short";
  state t;
  t.bind("x", resizable(y)).bind("list", empty).bind("text", other);
  restore(dir / "f.h5", t);
  BOOST_TEST((y == x && empty == list && other == text));
}

BOOST_AUTO_TEST_CASE(random_generators_are_put_back_after_what_setters_do_to_them) {
  const support::folder dir;
  std::mt19937 engine(5);
  layer l{3, &engine};
  state s;
  s.bind("rng", engine).bind("layer", l);
  save(dir / "f.h5", s);
  const auto expected = engine;
  engine.discard(100);
  l.width = 4;
  restore(dir / "f.h5", s);
  BOOST_TEST(l.width == 3);
  BOOST_TEST(l.set == 1);
  BOOST_TEST((engine == expected));
}

BOOST_AUTO_TEST_CASE(a_setter_that_throws_is_named_with_what_is_left) {
  const support::folder dir;
  std::mt19937 engine(5);
  layer l{3, &engine};
  state s;
  s.bind("layer", l);
  save(dir / "f.h5", s);
  l.engine = nullptr;
  require_all(message_of<error>([&] { restore(dir / "f.h5", s); }), dir / "f.h5", "no engine", "the state is partly restored (1 of 1 tensors)");
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_bool_never_get_where_one_is_read) {
  // Under digests that are right: what another program, or a hostile one, may have written.
  bool flags[] = {true, false, true};
  std::vector<bool> bits{true, true};
  state s;
  s.bind("flags", flags).bind("bits", bits);
  support::memory_files memory;
  auto& file = memory["f.h5"] = support::tiny_sealed_file(s);
  const auto refused = [&](const restore_options& options) {
    return message_of<format_error>([&] {
      const auto from = holdfast::detail::open_to_restore("f.h5", options, &memory);
      holdfast::detail::restore_from(*from, holdfast::detail::selection(*from, options), s, options);
    });
  };
  const auto sound = file;
  for (const char* path : {"flags", "bits"}) {
    file = sound;
    const auto reader = holdfast::detail::open_reader("f.h5", trust::sealed_only, &memory);
    file[reader->find(path)->offset + 1] = std::byte{0x6f};
    support::reseal(file);
    flags[1] = false;
    require_all(refused({.verify = verify::before}), "f.h5: /" + std::string(path) + ": expected bytes of 0 and 1, found others in a tensor of bool");
    BOOST_TEST(!flags[1]);
    require_all(refused({.verify = verify::off}), "a tensor of bool", "the state is partly restored");
    unsigned char byte;
    std::memcpy(&byte, &flags[1], 1);
    BOOST_TEST(byte <= 1);
  }
}

BOOST_AUTO_TEST_CASE(an_object_can_be_made_as_the_file_has_it_and_left_alone_where_it_was_not_asked_for) {
  const support::folder folder;
  as_found single, twice, none, back;
  single.single = {1, 2}, twice.twice = {3};
  const auto bound = [](as_found& a, as_found& b, as_found& c) {
    state s;
    s.bind("a", a).bind("b", b).bind("c", c);
    return s;
  };
  save(folder / "a.h5", bound(single, twice, none));
  as_found a, b, c;
  c.single = {7};
  state s = bound(a, b, c);
  restore(folder / "a.h5", s, {.except = {"c"}});
  BOOST_TEST((a.single == single.single && a.planned == "float32[2]" && a.applied == a.planned));
  BOOST_TEST((b.twice == twice.twice && b.planned == "float64[1]" && b.applied == b.planned));
  BOOST_TEST((c.single == std::vector<float>{7} && c.planned == "not asked for"));
  restore(folder / "a.h5", s);
  BOOST_TEST((c.single.empty() && c.planned == "none" && c.applied == "none"));
}

BOOST_AUTO_TEST_CASE(hooks_run_before_a_save_and_between_the_state_and_the_generators) {
  const support::folder folder;
  std::string order;
  std::mt19937 engine(1);
  int x = 1, doubled = 0;
  state s;
  s.bind("engine", engine).bind("x", x);
  s.before_save([&] { order += "a", x = 2; }).before_save([&] { order += "b"; });
  s.after_restore([&] { order += "c", doubled = 2 * x, engine(); }).after_restore([&] { order += "d"; });
  save(folder / "a.h5", s);
  BOOST_TEST(order == "ab");
  const auto expected = std::mt19937(engine)();
  x = 7, engine();
  restore(folder / "a.h5", s);
  BOOST_TEST(order == "abcd");
  BOOST_TEST(doubled == 4);
  BOOST_TEST(engine() == expected);
}

namespace {

/// What a process holds of a tensor of float32, cut by `from` at its offsets.
std::vector<float> cut(const std::vector<float>& whole, const detail::shard& part) {
  std::vector<float> own;
  part.for_each(0, whole.size(), [&](std::uint64_t at, std::uint64_t, std::uint64_t n) { own.insert(own.end(), whole.begin() + static_cast<std::ptrdiff_t>(at), whole.begin() + static_cast<std::ptrdiff_t>(at + n)); });
  return own;
}

struct geometry {
  shape extents;
  std::vector<std::int64_t> offsets;
};
/// Rows, columns, a grid, stretches of the elements, everything, nothing.
const std::vector<geometry>& geometries() {
  static const std::vector<geometry> all{{{200, 1500}, {300, 0}}, {{700, 311}, {0, 777}}, {{111, 222}, {500, 1000}}, {{300'001}, {123'457}}, {{1}, {1'049'999}}, {{700, 1500}, {0, 0}}, {{0, 1500}, {700, 0}}, {{0}, {5}}};
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_part_of_a_tensor_is_restored_by_itself) {
  const support::folder folder;
  std::mt19937_64 engine = support::random_engine();
  std::vector<float> large(700 * 1500), small(5 * 6);  // of several digest blocks, and of a part of one
  for (auto* v : {&large, &small})
    for (float& x : *v) x = static_cast<float>(engine() % 100000);
  state saved;
  saved.bind("large", tensor(large.data(), {700, 1500})).bind("small", tensor(small.data(), {5, 6}));
  save(folder / "a.h5", saved);
  for (const geometry& g : geometries()) {
    const detail::shard part({700, 1500}, g.offsets, g.extents), few({5, 6}, {1, 2}, {3, 2});
    for (const auto verified : {verify::during, verify::before, verify::off}) {
      std::vector<float> own(part.elements(), -1), own_few(few.elements(), -1);
      state s;
      s.bind("large", sharded(tensor(own.data(), g.extents), {700, 1500}, g.offsets)).bind("small", sharded(tensor(own_few.data(), {3, 2}), {5, 6}, {1, 2}));
      const restore_report report = restore(folder / "a.h5", s, {.verify = verified});
      BOOST_REQUIRE_MESSAGE(own == cut(large, part) && own_few == cut(small, few), part.text());
      BOOST_TEST(report.bytes == 4 * (own.size() + own_few.size()));
    }
    // Converted, and to memory in another order.
    std::vector<double> other(part.elements(), -1);
    state s;
    s.bind("large", sharded(tensor(other.data(), g.extents, column_major(g.extents)), {700, 1500}, g.offsets));
    restore(folder / "a.h5", s, {.only = {"large"}, .cast = cast::allow});
    std::vector<double> in_order(other.size());
    gather(tensor_view(other.data(), g.extents, column_major(g.extents)), 0, other.size(), reinterpret_cast<std::byte*>(in_order.data()));
    const std::vector<float> expected = cut(large, part);
    BOOST_TEST(std::equal(in_order.begin(), in_order.end(), expected.begin(), expected.end()));
  }
}

BOOST_AUTO_TEST_CASE(of_a_part_only_its_blocks_are_read_and_verified) {
  const support::folder folder;
  std::vector<float> whole(4 << 18, 1), own(1 << 18, -1);
  state saved;
  saved.bind("w", tensor(whole.data(), {4, 1 << 18}));
  save(folder / "a.h5", saved);
  const auto at = checkpoint_file(folder / "a.h5").entries().front().offset;
  support::flip_bit(folder / "a.h5", at + (2u << 20) + 5);
  for (std::int64_t row = 0; row < 4; ++row) {
    state s;
    s.bind("w", sharded(own, {4, 1 << 18}, {row * (1 << 18)}));
    if (row == 2) support::require_all(support::message_of<integrity_error>([&] { restore(folder / "a.h5", s); }), "/w", "bytes 2097152 to 3145728");
    else restore(folder / "a.h5", s);
  }
  // Without a seal there is one digest of all of it.
  std::filesystem::resize_file(folder / "a.h5", std::filesystem::file_size(folder / "a.h5") - 1);
  state s;
  s.bind("w", sharded(own, {4, 1 << 18}, {0}));
  support::message_of<integrity_error>([&] { restore(folder / "a.h5", s, {.trust = trust::foreign}); });
  support::flip_bit(folder / "a.h5", at + (2u << 20) + 5);
  own.assign(own.size(), -1);
  restore(folder / "a.h5", s, {.trust = trust::foreign});
  BOOST_TEST((own == std::vector<float>(own.size(), 1)));
}

BOOST_AUTO_TEST_CASE(a_part_is_compared_with_the_whole) {
  const support::folder folder;
  std::vector<float> whole(12), own(6);
  state saved, s;
  saved.bind("w", tensor(whole.data(), {4, 3}));
  save(folder / "a.h5", saved);
  s.bind("w", sharded(tensor(own.data(), {2, 3}), {6, 3}, {4, 0}));
  support::require_all(support::message_of<mismatch_error>([&] { restore(folder / "a.h5", s); }), "/w", "expected float32[6, 3]", "found float32[4, 3]");
}

BOOST_AUTO_TEST_SUITE_END()
