#include <holdfast/core/path.hpp>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_path)

using holdfast::decode_component;
using holdfast::encode_component;
using namespace std::string_view_literals;

BOOST_AUTO_TEST_CASE(any_text_becomes_one_component_and_comes_back) {
  // clang-format off
  const struct {
    std::string_view text, component;
  } rows[] = {{"weight", "weight"}, {"fc1.bias", "fc1.bias"}, {"a/b", "a%2Fb"},     {"a\0b"sv, "a%00b"},
              {"", "%"},            {".", "%2E"},             {"..", "%2E%2E"},     {"...", "..."},
              {"%", "%25"},         {"%2F", "%252F"},         {"50%", "50%25"},     {"a\n\x7f", "a%0A%7F"},
              {"größe", "größe"},   {"重み", "重み"},         {" a b ", " a b "},   {"/", "%2F"}};
  // clang-format on
  for (const auto& r : rows) {
    BOOST_TEST(encode_component(r.text) == r.component);
    BOOST_TEST(decode_component(r.component) == r.text);
  }
}

BOOST_AUTO_TEST_CASE(every_two_bytes_survive_and_make_a_name_of_their_own) {
  std::vector<std::string> all;
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      all.push_back(encode_component(text));
      if (decode_component(all.back()) != text) BOOST_ERROR("bytes " << a << ", " << b << " became " << all.back());
      if (holdfast::detail::checked_path(all.back()) != all.back()) BOOST_ERROR(all.back() << " is not itself");
    }
  std::sort(all.begin(), all.end());
  BOOST_TEST((std::adjacent_find(all.begin(), all.end()) == all.end()));
}

BOOST_AUTO_TEST_CASE(text_that_is_no_encoding_decodes_to_itself) {
  for (const char* text : {"100%", "%2", "%zz", "a%2g", "%2f"}) BOOST_TEST(decode_component(text) == text);
}

BOOST_AUTO_TEST_CASE(a_path_loses_its_leading_slash_only) {
  using holdfast::detail::checked_path;
  for (const char* path : {"model", "model/fc1.weight", "größe/重み", "a/%", ".hidden/...", "holdfast2", "a/holdfast"}) {
    BOOST_TEST(checked_path(path) == path);
    BOOST_TEST(checked_path("/" + std::string(path)) == path);
  }
}

BOOST_AUTO_TEST_CASE(a_path_that_hdf5_would_read_as_another_is_refused_with_what_to_do) {
  const struct {
    std::string_view path, message;
  } rows[] = {{"", "\"\" cannot name a part of a checkpoint: empty name"},
              {"/", "empty name"},
              {"//a", "empty component"},
              {"a//b", "empty component"},
              {"a/", "\"a/\" cannot name a part of a checkpoint: empty component"},
              {"a/./b", "\".\" and \"..\" are not names"},
              {"..", "\".\" and \"..\" are not names"},
              {"a/b\0c"sv, "\"a/b%00c\" cannot name a part of a checkpoint: control character or NUL in the name"},
              {"a\nb", "\"a%0Ab\""},
              {"a\x7f", "\"a%7F\""},
              {"holdfast", "/holdfast is the library's own group"},
              {"/holdfast/x", "/holdfast is the library's own group"}};
  for (const auto& r : rows)
    support::require_all(support::message_of<holdfast::error>([&] { (void)holdfast::detail::checked_path(r.path); }),
                         r.message, "holdfast::encode_component makes any text one component");
}

BOOST_AUTO_TEST_CASE(a_path_is_within_itself_and_the_groups_above_it) {
  using holdfast::detail::within;
  BOOST_TEST(within("model/w", "model"));
  BOOST_TEST(within("model", "model"));
  BOOST_TEST(!within("model2", "model"));
  BOOST_TEST(!within("model", "model/w"));
}

BOOST_AUTO_TEST_SUITE_END()
