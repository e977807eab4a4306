#include <holdfast/hdf5/reader.hpp>

#include "../support.hpp"

using namespace holdfast;

namespace {

/// A reader of given entries, without a file.
class listed final : public hdf5::reader {
 public:
  explicit listed(std::vector<entry> all, bool sealed = false) : hdf5::reader("f.h5", sealed) { set_entries(std::move(all)); }
  void read(const entry&, std::uint64_t, std::uint64_t, std::byte*) const override {}
  using hdf5::reader::origin;

  /// "path kind->target" for every entry.
  std::string text() const {
    std::string s;
    for (const entry& e : entries()) {
      s += (s.empty() ? "" : ", ") + e.path;
      if (e.kind == entry_kind::group) s += " group";
      if (e.kind == entry_kind::absent) s += " absent";
      if (!e.alias_of.empty()) s += "->" + e.alias_of;
    }
    return s;
  }
};

entry data(const std::string& path) { return {.path = path, .dtype = dtype::float32, .shape = {2}, .bytes = 8, .offset = 64}; }
entry second(const std::string& path, const std::string& to) { return {.path = path, .kind = entry_kind::alias, .alias_of = to}; }
entry group(const std::string& path) { return {.path = path, .kind = entry_kind::group}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(reader)

BOOST_AUTO_TEST_CASE(a_link_has_the_type_and_the_shape_of_what_it_names) {
  const listed r(std::vector{second("a", "w"), data("w")});
  BOOST_TEST(r.text() == "a->w, w");
  const entry& a = r.entries()[0];
  BOOST_TEST((a.kind == entry_kind::alias && a.dtype == dtype::float32 && a.shape == shape{2} && a.bytes == 8 && a.offset == 64));
  BOOST_TEST(r.origin(a) == 1u);
  BOOST_TEST(r.origin(r.entries()[1]) == 1u);
}

BOOST_AUTO_TEST_CASE(a_link_to_a_group_has_everything_below_it) {
  const listed r({second("a", "m"), group("m"), {.path = "m/none", .kind = entry_kind::absent}, data("m/w"), data("m/x/y"), data("mm")});
  BOOST_TEST(r.text() == "a group->m, a/none absent->m/none, a/w->m/w, a/x/y->m/x/y, m group, m/none absent, m/w, m/x/y, mm");
  const listed plain({second("a", "m"), data("m-ema/w"), data("m/w")});
  BOOST_TEST(plain.text() == "a group->m, a/w->m/w, m-ema/w, m/w");
}

BOOST_AUTO_TEST_CASE(a_link_inside_a_linked_group_leads_to_the_data_itself) {
  const listed r({data("d"), second("l", "m"), second("m/a", "d"), data("m/w")});
  BOOST_TEST(r.text() == "d, l group->m, l/a->d, l/w->m/w, m/a->d, m/w");
  BOOST_TEST((r.find("l/a")->dtype == dtype::float32));
}

BOOST_AUTO_TEST_CASE(a_linked_group_inside_a_linked_group_has_everything_below_it_too) {
  const listed r({data("g/w"), second("l", "m"), second("m/g", "g"), data("m/w")});
  BOOST_TEST(r.text() == "g/w, l group->m, l/g group->g, l/g/w->g/w, l/w->m/w, m/g group->g, m/g/w->g/w, m/w");
  BOOST_TEST((r.find("l/g/w")->shape == shape{2}));
  const listed early({second("a", "b"), second("b/g", "c"), data("b/w"), data("c/w")});
  BOOST_TEST(early.text() == "a group->b, a/g group->c, a/g/w->c/w, a/w->b/w, b/g group->c, b/g/w->c/w, b/w, c/w");
}

BOOST_AUTO_TEST_CASE(an_empty_container_in_a_linked_group_is_there_under_both_names) {
  const listed r({second("a", "m"), group("m/list"), data("m/w")});
  BOOST_TEST(r.text() == "a group->m, a/list group->m/list, a/w->m/w, m/list group, m/w");
}

BOOST_AUTO_TEST_CASE(links_that_lead_back_to_themselves_are_refused) {
  const auto text = support::message_of<format_error>([] { listed({second("g/x", "h"), data("g/w"), second("h/y", "g"), data("h/w")}); });
  support::require_all(text, "f.h5: /g/x/y/x", "links without end");
}

BOOST_AUTO_TEST_CASE(links_that_multiply_are_refused_before_they_fill_the_memory) {
  // Each group has two links to the next: 2^40 names of one tensor, in a few kilobytes.
  std::vector<entry> all;
  for (char g = 'a'; g < 'a' + 20; ++g) {
    for (const char* link : {"/0", "/1"}) all.push_back(second(std::string(1, g) + link, std::string(1, static_cast<char>(g + 1))));
  }
  all.push_back(data("u/w"));
  support::require_all(support::message_of<format_error>([&] { listed{all}; }), "f.h5: /", "links without end");
  // And names that grow with each level.
  const std::string lengthy(10000, 'n');
  all.clear();
  for (char g = 'a'; g < 'a' + 12; ++g)
    for (const char* link : {"/0", "/1"}) all.push_back(second(std::string(1, g) + link + lengthy, std::string(1, static_cast<char>(g + 1))));
  all.push_back(data("m/w"));
  support::require_all(support::message_of<format_error>([&] { listed{all}; }), "f.h5: /", "links without end");
}

BOOST_AUTO_TEST_CASE(many_links_to_one_large_group_are_not_too_many) {
  std::vector<entry> all;
  for (int i = 100; i < 700; ++i) all.push_back(second("layers/" + std::to_string(i), "shared"));
  for (int i = 100; i < 700; ++i) all.push_back(data("shared/blocks/attention/weight." + std::to_string(i)));
  BOOST_TEST(listed(all).entries().size() == 600u * 601 + 600);
}

BOOST_AUTO_TEST_CASE(two_objects_of_one_name_are_refused) {
  support::require_all(support::message_of<format_error>([] { listed({second("a", "m"), data("a/w"), data("m/w")}); }), "f.h5: /a/w: two objects of one name");
  support::require_all(support::message_of<format_error>([] { listed({data("w"), data("w")}); }), "f.h5: /w: two objects of one name");
}

BOOST_AUTO_TEST_CASE(an_entry_is_found_by_its_whole_path_only) {
  const listed r({data("a/b"), data("a/bc"), data("b")});
  BOOST_REQUIRE(r.find("a/bc") != nullptr);
  BOOST_TEST(r.find("a/bc")->path == "a/bc");
  for (const char* path : {"", "a", "a/", "a/b/", "/b", "c"}) BOOST_TEST(r.find(path) == nullptr, path);
}

BOOST_AUTO_TEST_CASE(an_entry_without_a_digest_is_not_verified) {
  entry e = data("w"), known = data("x");
  known.digest.bytes[3] = 1;
  const listed r({e, known});
  const std::vector<digest> blocks(1);
  BOOST_TEST(!r.has_digest(r.entries()[0]));
  BOOST_TEST(r.has_digest(r.entries()[1]));
  r.verify(r.entries()[0], blocks);
  const auto text = support::message_of<integrity_error>([&] { r.verify(r.entries()[1], blocks); });
  support::require_all(text, "f.h5: /x: ", "changed since", "verify::off");
  const listed sealed({known}, true);
  support::require_all(support::message_of<integrity_error>([&] { sealed.verify(sealed.entries()[0], blocks); }), "take an older checkpoint");
}

BOOST_AUTO_TEST_SUITE_END()
