#include <holdfast/core/pattern.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_pattern)

using holdfast::detail::pattern;
using texts = std::vector<std::string>;

BOOST_AUTO_TEST_CASE(patterns_match_whole_paths_and_the_groups_above_them) {
  const struct {
    const char *pattern, *path;
    bool matches;
  } rows[] = {
      {"model", "model", true},
      {"/model", "model", true},
      {"model", "model/fc/weight", true},
      {"model", "model2", false},
      {"model", "a/model", false},
      {"model/fc", "model", false},
      {"mod", "model", false},
      {"model/", "model/w", false},
      {"model/*", "model/w", true},
      {"model/*", "model", false},
      {"model/*", "model/a/b", true},  // the group model/a
      {"*/weight", "fc/weight", true},
      {"*/weight", "a/fc/weight", false},
      {"**/weight", "a/fc/weight", true},
      {"**/weight", "weight", false},
      {"**", "anything/at/all", true},
      {"**weight", "a/fc/weight", true},
      {"model/**", "model/a/b", true},
      {"model/**", "model", false},
      {"a*c", "abbc", true},
      {"a*c", "a/c", false},
      {"a*c", "ac", true},
      {"a**c", "a/b/c", true},
      {"fc?", "fc1", true},
      {"fc?", "fc", false},
      {"fc?", "fc12", false},
      {"a?b", "a/b", false},
      {"*a*b", "xaxbxab", true},
      {"layer.*.weight", "layer.10.weight", true},
      {"layer.*.weight", "layer.10.bias", false},
      {"*", "größe", true},
  };
  for (const auto& r : rows) BOOST_TEST(pattern(r.pattern).matches(r.path) == r.matches, r.pattern << " and " << r.path);
}

BOOST_AUTO_TEST_CASE(captures_are_what_each_wildcard_stood_for_and_the_rest_below) {
  const struct {
    const char *pattern, *path;
    texts captured;
  } rows[] = {{"encoder/**", "encoder/a/b", {"a/b", ""}},
              {"encoder", "encoder/a/b", {"/a/b"}},
              {"*/fc?", "net/fc1/weight", {"net", "1", "/weight"}},
              {"**/x*", "a/b/xyz", {"a/b", "yz", ""}},
              {"*", "a/b", {"a", "/b"}}};
  for (const auto& r : rows) {
    const auto found = pattern(r.pattern).captures(r.path);
    BOOST_REQUIRE(found.has_value());
    BOOST_TEST(texts(found->begin(), found->end()) == r.captured, boost::test_tools::per_element());
  }
  BOOST_TEST(!pattern("encoder/**").captures("decoder/a").has_value());
}

BOOST_AUTO_TEST_CASE(a_rename_fills_the_wildcards_of_one_pattern_with_the_captures_of_another) {
  const struct {
    const char *from, *to, *path, *renamed;
  } rows[] = {{"encoder/**", "model/trunk/**", "encoder/a/b", "model/trunk/a/b"},
              {"encoder", "trunk", "encoder/a/b", "trunk/a/b"},
              {"*/fc?", "layers.?/*", "net/fc1/weight", "layers.net/1/weight"},  // in order, whatever the wildcard
              {"**.gamma", "/**.weight", "model/norm.gamma", "model/norm.weight"},
              {"a", "b/c", "a", "b/c"}};
  for (const auto& r : rows) {
    const pattern from(r.from), to(r.to);
    BOOST_TEST(from.wildcards() == to.wildcards());
    BOOST_TEST(to.filled(*from.captures(r.path)) == r.renamed);
  }
}

BOOST_AUTO_TEST_CASE(two_stars_are_one_wildcard) {
  BOOST_TEST(pattern("a").wildcards() == 0u);
  BOOST_TEST(pattern("a/**/b").wildcards() == 1u);
  BOOST_TEST(pattern("?*/**").wildcards() == 3u);
}

BOOST_AUTO_TEST_CASE(an_empty_pattern_is_refused) {
  for (const char* text : {"", "/"})
    BOOST_TEST(support::message_of<holdfast::error>([&] { (void)pattern(text); }) ==
               "empty pattern: name a path, or \"**\" for all");
}

BOOST_AUTO_TEST_SUITE_END()
