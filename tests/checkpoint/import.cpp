#include <holdfast/checkpoint/import.hpp>

#include <holdfast/separate.hpp>

#include "../support.hpp"

using namespace holdfast;
using support::message_of;
using support::require_all;

namespace {

/// Tensors in memory, each of whose bytes is the tensor's number.
class in_memory final : public detail::named_tensors_reader {
 public:
  explicit in_memory(std::vector<detail::named_tensor> all) : basic_named_tensors_reader<void>("in.memory") {
    for (std::size_t i = 0; i < all.size(); ++i) all[i].number = i + 1;
    set_tensors(std::move(all));
  }
  void read(const entry& e, std::uint64_t, std::uint64_t count, std::byte* out) const override {
    std::fill_n(out, count * size_of(e.dtype), static_cast<std::byte>(number_of(e)));
  }
};

detail::named_tensor bytes(std::string name, shape s = {2}) { return {.name = std::move(name), .dtype = dtype::uint8, .shape = std::move(s)}; }

restore_report import(in_memory from, state& s, restore_options options = {}) { return detail::import_from(from, s, std::move(options)); }

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_import)

BOOST_AUTO_TEST_CASE(names_become_paths_and_each_gets_its_own_content) {
  std::vector<std::uint8_t> a(2), b(2), tied;
  state s;
  s.bind("z.weight", a).bind("a/b", b).bind("tied", tied);
  detail::named_tensor second{.name = "tied", .second_name_of = "z.weight"};
  const auto report = import(in_memory({bytes("z.weight"), bytes("a/b"), second}), s);
  BOOST_TEST((a == std::vector<std::uint8_t>{1, 1}));
  BOOST_TEST((b == std::vector<std::uint8_t>{2, 2}));
  BOOST_TEST((tied == a));
  BOOST_TEST(!report.verified);
  BOOST_TEST(!report.sealed);
  BOOST_TEST((report.untied == std::vector<std::string>{"z.weight"} || report.untied == std::vector<std::string>{"tied"}));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_path_becomes_one_component) {
  const in_memory from({bytes(""), bytes("/a"), bytes("a//b"), bytes("x\ny"), bytes("..")});
  std::vector<std::string> paths;
  for (const entry& e : from.entries()) paths.push_back(e.path);
  BOOST_TEST((paths == std::vector<std::string>{"%", "%2E%2E", "%2Fa", "a%2F%2Fb", "x%0Ay"}));
  require_all(message_of<format_error>([] { in_memory({bytes("a"), bytes("a")}); }), "in.memory: /a: two objects of one name");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_read_is_named_where_it_is_bound) {
  std::vector<std::uint8_t> a(2), b(2);
  state s;
  s.bind("a", a).bind("b", b);
  auto odd = bytes("b");
  odd.unreadable = "a type of the moon";
  require_all(message_of<mismatch_error>([&] { import(in_memory({bytes("a"), odd}), s); }), "/b: expected uint8[2], found a type of the moon");
  BOOST_TEST((a == std::vector<std::uint8_t>{0, 0}));
  import(in_memory({bytes("a"), odd}), s, {.only = {"a"}});
  BOOST_TEST((a == std::vector<std::uint8_t>{1, 1}));
}

BOOST_AUTO_TEST_CASE(a_key_is_refused) {
  struct no_key final : keyed_digest {
    std::unique_ptr<stream> start() const override { return nullptr; }
  };
  state s;
  require_all(message_of<integrity_error>([&] { import(in_memory({}), s, {.key = std::make_shared<no_key>()}); }), "in.memory", "leave .key out");
}

BOOST_AUTO_TEST_CASE(shapes_that_no_tensor_has_are_refused) {
  BOOST_TEST(detail::shape_in_file({2, 3}, 4, "f").elements() == 6);
  require_all(message_of<format_error>([] { detail::shape_in_file(std::vector<std::int64_t>(33, 1), 4, "f: /a"); }), "f: /a: shape of rank 33");
  require_all(message_of<format_error>([] { detail::shape_in_file({std::int64_t{1} << 62}, 4, "f: /a"); }), "f: /a: shape [4611686018427387904]: more than");
}

BOOST_AUTO_TEST_SUITE_END()
