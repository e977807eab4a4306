#include <holdfast/checkpoint/immediate.hpp>

#include <array>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <holdfast/separate.hpp>

#include "../support.hpp"
#include "fake_devices.hpp"

using namespace holdfast;
using support::message_of;

namespace {

/// Numbers that code of its own loads, one by one into a variable. It reports what was found while a restore was planned.
struct loading {
  std::vector<int> numbers;
  std::vector<float> weights;
  std::string found;
  std::function<void()> at_end = [] {};
  bool asks_for_more = false;
};

/// Two pointers that code of its own loads.
struct pointing {
  std::shared_ptr<int> a, b;
  bool planned_as_one = false;
};

/// The same with a tensor of a device, which it reads at once.
struct loading_device {
  explicit loading_device(fake::engine& on, const std::vector<float>& values) : weights(on, 0, values) {}
  fake::array<float> weights;
  int uses = 0;
};

std::uint64_t offset_of(const std::string& file, std::string_view path) {
  for (const entry& e : checkpoint_file(file).entries())
    if (e.path == path) return e.offset;
  throw error(std::string(path) + ": not there");
}

}  // namespace

template <>
struct holdfast::traits<loading> {
  static void visit(loading& x, visitor& v) {
    const auto compare = [&] {
      int n = static_cast<int>(x.numbers.size());
      v.transient("n", n);
      for (int i = 0; i < n; ++i) {
        int variable = x.numbers[static_cast<std::size_t>(i)];
        v.transient(std::to_string(i), variable);
        variable = -1;
      }
      v("weights", x.weights);
    };
    const auto load = [](loading& into, visitor& now) {
      int n = -1;
      now("n", n);
      into.numbers.clear();
      for (int i = 0, variable = -1; i < n; ++i, into.numbers.push_back(variable)) now(std::to_string(i), variable);
      if (into.asks_for_more) now("more", n);
      now("weights", into.weights);
      into.at_end();
    };
    if (v.saving()) compare();
    if (v.applying()) v.at_once([&](visitor& now) { load(x, now); });
    if (!v.planning()) return;
    const fit found = v.fits(true, compare);
    x.found += std::array{"whole ", "partly ", "structure ", "no "}[static_cast<std::size_t>(found)];
    loading stands_in;
    stands_in.at_end = x.at_end;
    if (found == fit::structure) v.at_once([&](visitor& now) { load(stands_in, now); });
    else if (found == fit::partly) compare();
  }
};
template <>
struct holdfast::traits<pointing> {
  static void visit(pointing& x, visitor& v) {
    const auto load = [](pointing& into, visitor& now) { now("a", into.a), now("b", into.b); };
    if (v.saving()) load(x, v);
    if (v.applying()) v.at_once([&](visitor& now) { load(x, now); });
    if (!v.planning()) return;
    pointing stands_in;
    v.at_once([&](visitor& now) { load(stands_in, now); });
    x.planned_as_one = stands_in.a == stands_in.b;
  }
};
template <>
struct holdfast::traits<loading_device> {
  static void visit(loading_device& x, visitor& v) {
    if (!v.applying()) return v("weights", x.weights);
    v.at_once([&](visitor& now) {
      now("weights", x.weights);
      x.uses += x.weights.space() == host ? x.weights.plain()[0] == 1.f : x.weights.get()[0] == 1.f;  // it is there already
    });
  }
};

BOOST_AUTO_TEST_SUITE(immediate)

BOOST_AUTO_TEST_CASE(a_type_whose_own_code_loads_is_planned_with_an_object_that_stands_in) {
  const support::folder folder;
  loading saved{{7, 8, 9}, {1, 2}, {}};
  const auto bound = [](loading& x) {
    state s;
    s.bind("x", x);
    return s;
  };
  save(folder / "a.h5", bound(saved));
  const auto into = [&](loading& x, const restore_options& options = {}) {
    state s = bound(x);
    return restore(folder / "a.h5", s, options);
  };

  loading same{{0, 0, 0}, {0, 0}, {}}, other{{5}, {}, {}};
  const restore_report report = into(same);
  BOOST_TEST((same.numbers == saved.numbers && same.weights == saved.weights && same.found == "whole "));
  BOOST_TEST(report.restored.size() == 5u);
  BOOST_TEST(report.bytes == 6 * sizeof(int));
  BOOST_TEST(report.verified);
  into(other);
  BOOST_TEST((other.numbers == saved.numbers && other.weights == saved.weights && other.found == "structure "));
  const loading before = other;
  into(other, {.except = {"x/weights"}});
  BOOST_TEST((other.numbers == saved.numbers && other.found == "structure partly "));

  // Where a part that both have differs, the object is the program's own and stays.
  loading wider{{5}, {0, 0, 0}, {}};
  support::require_all(message_of<mismatch_error>([&] { into(wider); }), "/x/weights: expected float32[3], found float32[2]", "nothing was restored");
  BOOST_TEST((wider.numbers == std::vector<int>{5} && wider.found == "no "));
  into(wider, {.except = {"x/weights"}});
  BOOST_TEST((wider.numbers == saved.numbers && wider.weights.size() == 3));

  // What its code throws is found out before anything changes, and what it asks for beyond the plan ends the restore.
  loading throwing{{5}, {}, {}, [] { throw std::runtime_error("will not"); }};
  support::require_all(message_of<mismatch_error>([&] { into(throwing); }), "/x: expected what the program's own code can load, found will not");
  BOOST_TEST((throwing.numbers == std::vector<int>{5}));
  const auto restoring = [&] { into(throwing); };
  throwing.at_end = [] { throw io_error("other.h5: cannot read", std::make_error_code(std::errc::io_error)); };
  support::require_all(message_of<io_error>(restoring), "other.h5: cannot read");
  throwing.at_end = [] { throw format_error("other.h5: no checkpoint"); };
  support::require_all(message_of<format_error>(restoring), "other.h5: no checkpoint");
  throwing.at_end = [] { throw std::bad_alloc(); };
  message_of<std::bad_alloc>(restoring);
  BOOST_TEST((throwing.numbers == std::vector<int>{5}));
  loading greedy{{0, 0, 0}, {0, 0}, {}, [] {}, true};
  support::require_all(message_of<error>([&] { into(greedy); }), "/x/more: expected int32[], found nothing", "partly restored (4 of 5");

  // A variable is copied while it is there; damage is found on the way.
  support::flip_bit(folder / "a.h5", offset_of(folder / "a.h5", "x/1"));
  support::require_all(message_of<integrity_error>([&] { into(same); }), "/x/1", "partly restored");
  loading untouched{{1}, {}, {}};
  support::require_all(message_of<integrity_error>([&] { into(untouched); }), "/x/1");
  BOOST_TEST((untouched.numbers == std::vector<int>{1}));
  support::require_all(message_of<integrity_error>([&] { into(same, {.verify = verify::before}); }), "/x/1");
}

BOOST_AUTO_TEST_CASE(pointers_that_are_loaded_at_once_point_to_one_object_where_the_file_has_one) {
  const support::folder folder;
  pointing one, two, first, second;
  one.a = one.b = std::make_shared<int>(5);
  two.a = std::make_shared<int>(6), two.b = std::make_shared<int>(6);
  state from_one, from_two, to_first, to_second;
  from_one.bind("x", one);
  from_two.bind("x", two);
  to_first.bind("x", first);
  to_second.bind("x", second);
  save(folder / "one.h5", from_one);
  save(folder / "two.h5", from_two);
  restore(folder / "one.h5", to_first);
  BOOST_TEST((first.planned_as_one && first.a == first.b && *first.a == 5));
  restore(folder / "two.h5", to_second);
  BOOST_TEST((!second.planned_as_one && second.a != second.b && *second.a == 6 && *second.b == 6));
}

BOOST_AUTO_TEST_CASE(what_is_read_at_once_may_live_on_a_device) {
  const support::folder folder;
  fake::engine devices;
  for (const std::size_t n : {10u, 100'000u}) {
    std::vector<float> values(n, 1.f);
    loading_device saved(devices, values), bound(devices, std::vector<float>(n, -1.f));
    state from, to;
    from.bind("x", saved);
    to.bind("x", bound);
    save(folder / "a.h5", from);
    restore(folder / "a.h5", to);
    BOOST_TEST((bound.uses == 1 && bound.weights.get() == values));
    restore(folder / "a.h5", to, {.place = gpu(1)});
    BOOST_TEST((bound.uses == 2 && bound.weights.space() == gpu(1) && bound.weights.get() == values));
    restore(folder / "a.h5", to, {.place = host});
    BOOST_TEST((bound.uses == 3 && bound.weights.space() == host && bound.weights.plain() == values));
  }
}

BOOST_AUTO_TEST_SUITE_END()
