#include <holdfast/checkpoint/selection.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <holdfast/separate.hpp>

#include "../support.hpp"

using namespace holdfast;
using detail::selection;

namespace {

using names = std::vector<std::string>;

/// A file with a tie, an absent part, an empty group and a name that sorts between a group and what is in it.
class saved {
 public:
  saved() {
    const auto shared = std::make_shared<std::vector<float>>(3, 1.f);
    std::map<std::string, std::shared_ptr<std::vector<float>>> model{{"a", shared}, {"b", shared}};
    std::map<std::string, float> trunk{{"x/y", 1}, {"z", 2}}, empty;
    std::optional<float> absent;
    float between = 1;
    state s;
    s.bind("model", model).bind("net/trunk", trunk).bind("net/trunk!", between).bind("empty", empty).bind("absent", absent);
    save(folder_ / "a.h5", s);
    file = detail::open_reader(folder_ / "a.h5", trust::sealed_only, nullptr, {});
  }
  std::unique_ptr<hdf5::reader> file;

 private:
  support::folder folder_;
};

names paths(const selection& s) {
  names all;
  for (const auto& i : s.items()) all.emplace_back(i.path);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(selection_of_a_file)

BOOST_AUTO_TEST_CASE(only_except_and_rename_are_by_the_paths_as_bound) {
  const saved f;
  BOOST_TEST(paths(selection(*f.file, {.only = {"model/**"}})) == (names{"model/a", "model/b"}), boost::test_tools::per_element());
  BOOST_TEST(paths(selection(*f.file, {.only = {"model"}, .except = {"*/b"}})) == (names{"model", "model/a"}), boost::test_tools::per_element());
  const selection renamed(*f.file, {.only = {"other/**"}, .rename = {{"net/**", "other/**"}, {"model/a", "other/w"}}});
  BOOST_TEST(paths(renamed) == (names{"other/trunk", "other/trunk!", "other/trunk/x%2Fy", "other/trunk/z", "other/w"}), boost::test_tools::per_element());
  BOOST_TEST(renamed.find("other/w")->path == "model/a");
  BOOST_TEST((renamed.find("model/a") == nullptr));
  BOOST_TEST((renamed.selected("other/anything") && !renamed.selected("model/a")));
}

BOOST_AUTO_TEST_CASE(renames_that_make_no_sense_are_errors) {
  const saved f;
  const auto refused = [&](const restore_options& o) { return support::message_of<error>([&] { const selection s(*f.file, o); }); };
  support::require_all(refused({.rename = {{"net/*", "other"}}}), "expected the same wildcards on both sides");
  support::require_all(refused({.rename = {{"nothing/**", "other/**"}}}), "a.h5", "rename from \"nothing/**\" matches nothing in the file");
  support::require_all(refused({.rename = {{"model/a", "w"}, {"model/b", "w"}}}), "are both renamed to /w");
}

BOOST_AUTO_TEST_CASE(what_a_path_holds_can_be_asked) {
  const saved f;
  const selection s(*f.file, restore_options{});
  BOOST_TEST(s.children("net") == (names{"trunk", "trunk!"}), boost::test_tools::per_element());
  BOOST_TEST(s.children("net/trunk") == (names{"x/y", "z"}), boost::test_tools::per_element());
  BOOST_TEST((s.present("model/a") == presence::present && s.present("net") == presence::present && s.present("absent") == presence::absent && s.present("nothing") == presence::unknown));
  BOOST_TEST((s.any_below("net/trunk") && !s.any_below("empty") && !s.any_below("net/trunk!") && !s.any_below("net/tru")));
  BOOST_TEST((s.tensor("model/b") == std::pair(dtype::float32, shape{3})));
  BOOST_TEST((!s.tensor("net") && !s.tensor("absent") && !s.tensor("nothing")));
  BOOST_TEST(s.held("net/trunk") == 3 + 2 * sizeof(float));  // the group, and two numbers
  BOOST_TEST(s.held("nothing") == 0u);
  BOOST_TEST(s.canonical("model/a") == s.canonical("model/b"));
  BOOST_TEST(s.canonical("net/trunk/z") == "net/trunk/z");
}

BOOST_AUTO_TEST_CASE(a_part_is_a_path_and_all_below_it) {
  const saved f;
  BOOST_TEST(paths(selection(*f.file, "net/trunk")) == (names{"net/trunk", "net/trunk/x%2Fy", "net/trunk/z"}), boost::test_tools::per_element());
  BOOST_TEST(paths(selection(*f.file, "model/a")) == names{"model/a"}, boost::test_tools::per_element());
  BOOST_TEST(paths(selection(*f.file, "nothing")).empty());

  // Of many, one tensor is taken without looking at the others.
  const support::folder folder;
  std::vector<float> values(3000, 1.f);
  state s;
  for (std::size_t i = 0; i < values.size(); ++i) s.bind("g" + std::to_string(i % 2) + "/" + std::to_string(i), values[i]);
  save(folder / "a.h5", s);
  const auto on_demand = detail::open_reader(folder / "a.h5", trust::sealed_only, nullptr, {}, true);
  BOOST_TEST_REQUIRE((on_demand->find_alone("g1/7") != nullptr));
  BOOST_TEST(paths(selection(*on_demand, "g1/7")) == names{"g1/7"}, boost::test_tools::per_element());
  BOOST_TEST(paths(selection(*on_demand, "g1")).size() == 1500u);
}

BOOST_AUTO_TEST_SUITE_END()
