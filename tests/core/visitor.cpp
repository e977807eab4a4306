#include <holdfast/core/visitor.hpp>

#include <set>

#include "../support.hpp"

namespace {

struct layer {
  float weight = 1;
  int bias = 2;
};
struct net {
  layer fc1;
  const layer frozen{};
};
struct buffer {
  std::int64_t size = 0;
};
struct greedy : buffer {};
struct even : buffer {};
struct pinned {
  pinned(int) {}
  int x = 0;
};
struct throwing {};
struct reached {  // its state is reached through functions
  int x = 3;
};

}  // namespace

template <>
struct holdfast::traits<layer> : holdfast::fields<holdfast::field<&layer::weight>, holdfast::field<&layer::bias>> {};
template <>
struct holdfast::traits<net> : holdfast::fields<holdfast::field<&net::fc1>, holdfast::field<&net::frozen>> {};
template <>
struct holdfast::traits<buffer> {
  static tensor_view view(buffer& b) { return tensor_view(static_cast<float*>(nullptr), {0, b.size}); }
  static void resize(buffer& b, const shape& s) { b.size = s[1]; }
};
template <>
struct holdfast::traits<greedy> : holdfast::traits<buffer> {
  static constexpr bool any_size = true;
};
template <>
struct holdfast::traits<even> : holdfast::traits<buffer> {
  static bool accepts(const even&, const shape& s) { return s[1] % 2 == 0; }
};
template <>
struct holdfast::traits<pinned> : holdfast::fields<holdfast::field<&pinned::x>> {};
template <>
struct holdfast::traits<throwing> {
  static void visit(throwing&, visitor&) { throw 1; }
};
template <>
struct holdfast::traits<reached> {
  static void visit(reached& r, visitor& v) {
    v.value([&] { return r.x; }, [&](int to) { r.x = to; });
  }
};

BOOST_AUTO_TEST_SUITE(core_visitor)

namespace {

using holdfast::presence;
using holdfast::visitor;
using pass = holdfast::detail::walk::pass;

/// Writes down what it is told, as text.
class log final : public holdfast::detail::walk {
 public:
  explicit log(pass kind) : walk(kind) {}

  std::vector<std::string> lines;
  std::vector<holdfast::detail::tensor_handle> handles;
  std::vector<std::pair<holdfast::restore_order, std::function<void()>>> deferred;
  presence found = presence::unknown;
  std::vector<std::string> names;
  std::optional<std::pair<holdfast::dtype, holdfast::shape>> incoming;
  std::string asked_for;

 private:
  bool selected(const std::string& path) override { return path == asked_for; }
  std::optional<std::pair<holdfast::dtype, holdfast::shape>> incoming_tensor(const std::string& path) override { return path == asked_for ? incoming : std::nullopt; }
  void tensor(const std::string& path, const holdfast::detail::tensor_handle& h) override {
    const holdfast::tensor_view view = h.view(h.object);
    lines.push_back(path + " " + describe(view.dtype(), view.shape()) + (h.read_only ? " const" : ""));
    handles.push_back(h);
  }
  void container(const std::string& path) override { lines.push_back(path + " container"); }
  void absent(const std::string& path) override { lines.push_back(path + " absent"); }
  void missing(const std::string& path) override { lines.push_back(path + " missing"); }
  presence present(const std::string&) override { return found; }
  std::vector<std::string> children(const std::string&) override { return names; }
  void identity(const std::string& path, const std::string& value) override { lines.push_back(path + " is " + value); }
  void problem(const std::string& path, std::string expected, std::string was, std::string advice) override {
    lines.push_back(path + " expected " + expected + ", found " + was + "; " + advice);
  }
  void defer(holdfast::restore_order order, std::function<void()> run) override { deferred.emplace_back(order, std::move(run)); }
  bool seen(const std::string& path, const void* address, const void* type) override {
    const bool second = !objects_.insert({address, type}).second;
    if (second) lines.push_back(path + " seen");
    return second;
  }
  std::shared_ptr<void>* made(const std::string&, const void*) override { return &made_; }

  std::set<std::pair<const void*, const void*>> objects_;
  std::shared_ptr<void> made_;
};

using lines = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(parts_have_the_path_of_the_names_above_them) {
  log saved(pass::save);
  net object;
  visitor v(saved, "model");
  v.here(object);
  BOOST_TEST((saved.lines == lines{"model/fc1/weight float32[]", "model/fc1/bias int32[]",
                                   "model/frozen/weight float32[] const", "model/frozen/bias int32[] const"}));
  BOOST_TEST(v.path() == "model", "the path is what it was");
}

BOOST_AUTO_TEST_CASE(the_path_is_restored_when_a_part_throws) {
  log saved(pass::save);
  visitor v(saved, "a");
  throwing part;
  BOOST_CHECK_THROW(v("b", part), int);
  BOOST_TEST(v.path() == "a");
}

BOOST_AUTO_TEST_CASE(constness_ends_with_the_const_part) {
  log saved(pass::save);
  visitor v(saved, "x");
  const int fixed = 1;
  int free = 2;
  v("fixed", fixed);
  v("free", free);
  BOOST_TEST((saved.lines == lines{"x/fixed int32[] const", "x/free int32[]"}));
}

BOOST_AUTO_TEST_CASE(a_tensor_offers_the_resizing_that_its_traits_have) {
  log saved(pass::save);
  visitor v(saved, "x");
  int fixed = 0;
  buffer sized;
  greedy any;
  v.here(fixed);
  v.here(sized);
  v.here(any);
  v("again", holdfast::resizable(sized));
  BOOST_TEST((saved.handles[0].resize == nullptr));
  BOOST_TEST((saved.handles[1].resize != nullptr));
  saved.handles[1].resize(saved.handles[1].object, {0, 5});
  BOOST_TEST(sized.size == 5);
  BOOST_TEST(!saved.handles[1].any_size);
  BOOST_TEST(saved.handles[2].any_size);
  BOOST_TEST(saved.handles[3].any_size, "resizable() lets the file decide");
  v.here(sized);
  BOOST_TEST(!saved.handles[4].any_size, "and only for the part it was said of");
  even choosy;
  v.here(choosy);
  BOOST_TEST((saved.handles[4].accepts == nullptr));
  BOOST_REQUIRE((saved.handles[5].accepts != nullptr));
  BOOST_TEST(saved.handles[5].accepts(&choosy, {0, 4}));
  BOOST_TEST(!saved.handles[5].accepts(&choosy, {0, 5}));
}

BOOST_AUTO_TEST_CASE(a_value_is_stored_on_every_pass_and_set_only_by_a_deferred_call_of_a_restore) {
  for (const pass kind : {pass::save, pass::plan, pass::apply}) {
    log walked(kind);
    visitor v(walked, "x");
    int stored = 3, sets = 0;
    v.value([&] { return stored; }, [&](int to) { stored = to, ++sets; }, holdfast::restore_order::random);
    BOOST_TEST((walked.lines == lines{"x int32[]"}));
    BOOST_TEST(walked.deferred.size() == (kind == pass::apply ? 1u : 0u));
    for (const auto& [order, run] : walked.deferred) {
      BOOST_TEST((order == holdfast::restore_order::random));
      *static_cast<int*>(walked.handles[0].object) = 8;  // what reading the file does
      BOOST_TEST(sets == 0);
      run();
    }
    BOOST_TEST(stored == (kind == pass::apply ? 8 : 3));
  }
}

BOOST_AUTO_TEST_CASE(a_const_value_is_never_set) {
  log applied(pass::apply);
  const reached part;
  visitor(applied, "x").here(part);
  BOOST_TEST(applied.handles[0].read_only);
  BOOST_TEST(applied.deferred.empty());
}

BOOST_AUTO_TEST_CASE(an_empty_container_takes_its_children_from_the_file_and_a_filled_one_does_not) {
  const auto incoming = [](pass kind, presence found, bool empty) {
    log walked(kind);
    walked.found = found;
    walked.names = {"a", "b"};
    return visitor(walked, "x").incoming(empty);
  };
  BOOST_TEST((incoming(pass::plan, presence::present, true) == lines{"a", "b"}));
  BOOST_TEST((incoming(pass::apply, presence::present, true) == lines{"a", "b"}));
  BOOST_TEST(!incoming(pass::plan, presence::present, false).has_value());
  BOOST_TEST(!incoming(pass::save, presence::present, true).has_value());
  BOOST_TEST(!incoming(pass::plan, presence::unknown, true).has_value(), "not in the file: kept as it is");
}

BOOST_AUTO_TEST_CASE(what_is_made_from_the_file_asks_for_its_type_and_whether_it_is_wanted) {
  log planned(pass::plan);
  planned.asked_for = "x";
  planned.incoming = {holdfast::dtype::float64, {2, 3}};
  visitor v(planned, "x"), other(planned, "y");
  BOOST_TEST(v.selected());
  BOOST_TEST((v.incoming_tensor() == std::pair(holdfast::dtype::float64, holdfast::shape{2, 3})));
  BOOST_TEST(!other.selected());
  BOOST_TEST(!other.incoming_tensor().has_value());
}

BOOST_AUTO_TEST_CASE(absence_is_recorded_on_save_and_asked_of_the_file_on_restore) {
  const auto walked = [](pass kind, presence found, bool now) {
    log walk(kind);
    walk.found = found;
    const presence result = visitor(walk, "x").present(now);
    return std::pair(result, walk.lines);
  };
  BOOST_TEST((walked(pass::save, presence::unknown, true) == std::pair(presence::present, lines{})));
  BOOST_TEST((walked(pass::save, presence::unknown, false) == std::pair(presence::absent, lines{"x absent"})));
  BOOST_TEST((walked(pass::plan, presence::absent, true) == std::pair(presence::absent, lines{})));
  BOOST_TEST((walked(pass::plan, presence::present, false) == std::pair(presence::present, lines{})));
  BOOST_TEST((walked(pass::plan, presence::unknown, false) == std::pair(presence::unknown, lines{"x missing"})));
  BOOST_TEST((walked(pass::plan, presence::unknown, true) == std::pair(presence::unknown, lines{})));
}

BOOST_AUTO_TEST_CASE(what_the_restore_will_make_is_planned_with_a_prototype) {
  log planned(pass::plan);
  visitor v(planned, "x");
  v.prototype<layer>("0");
  v.prototype<pinned>("1");
  BOOST_TEST((planned.lines == lines{"x/0/weight float32[]", "x/0/bias int32[]",
                                     "x/1 expected an object of a type with a default constructor, found one to be made; "
                                     "make it before the restore"}));
}

BOOST_AUTO_TEST_CASE(the_second_pointer_to_an_object_is_seen_and_not_visited) {
  log saved(pass::save);
  visitor v(saved, "x");
  auto a = std::make_shared<layer>(), b = a;
  auto other = std::make_shared<layer>();
  v.shared(a);
  v.shared(b);
  v.shared(other);
  BOOST_TEST((saved.lines == lines{"x/weight float32[]", "x/bias int32[]", "x seen", "x/weight float32[]", "x/bias int32[]"}));
}

BOOST_AUTO_TEST_CASE(pointers_become_what_the_file_has) {
  log applied(pass::apply);
  visitor v(applied, "x");
  applied.found = presence::present;
  std::shared_ptr<layer> a, b = std::make_shared<layer>(), gone = b;
  v.shared(a);
  BOOST_TEST((a != nullptr));
  v.shared(b);
  BOOST_TEST((a == b), "one object in the file");
  applied.found = presence::absent;
  v.shared(gone);
  BOOST_TEST((gone == nullptr));
}

BOOST_AUTO_TEST_CASE(identities_and_problems_have_a_path) {
  log planned(pass::plan);
  visitor v(planned, "rng");
  v.identity("engine", "mt19937");
  v.problem("a", "b", "c");
  v.container();
  BOOST_TEST((planned.lines == lines{"rng/engine is mt19937", "rng expected a, found b; c", "rng container"}));
}

BOOST_AUTO_TEST_CASE(what_is_only_there_during_the_visit_says_so) {
  log saved(pass::save);
  visitor v(saved, "x");
  layer part;
  v.transient("a", part);
  v("b", part.bias);
  v.below("c").here(part.bias);
  BOOST_TEST(!v.set_transient(true));
  v("d", part.bias);
  BOOST_TEST((saved.lines == lines{"x/a/weight float32[]", "x/a/bias int32[]", "x/b int32[]", "x/c int32[]", "x/d int32[]"}));
  std::vector<bool> transient;
  for (const auto& h : saved.handles) transient.push_back(h.transient);
  BOOST_TEST((transient == std::vector<bool>{true, true, false, false, true}));
}

BOOST_AUTO_TEST_CASE(a_pass_has_one_note_of_a_type) {
  log saved(pass::save), other(pass::save);
  visitor v(saved, "x");
  v.note<int>() = 3;
  BOOST_TEST(visitor(saved, "y").note<int>() == 3);
  BOOST_TEST(visitor(saved, "y").note<long>() == 0);
  BOOST_TEST(visitor(other, "y").note<int>() == 0);
  saved.release();
  BOOST_TEST(v.note<int>() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
