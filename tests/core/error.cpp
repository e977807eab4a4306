#include <holdfast/core/error.hpp>

#include <cerrno>
#include <type_traits>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(core_error)

using holdfast::difference;

BOOST_AUTO_TEST_CASE(every_error_is_caught_as_the_librarys) {
  static_assert(std::is_base_of_v<std::runtime_error, holdfast::error>);
  static_assert(std::is_base_of_v<holdfast::error, holdfast::io_error>);
  static_assert(std::is_base_of_v<holdfast::error, holdfast::format_error>);
  static_assert(std::is_base_of_v<holdfast::error, holdfast::integrity_error>);
  static_assert(std::is_base_of_v<holdfast::error, holdfast::mismatch_error>);
  BOOST_CHECK_THROW(throw holdfast::format_error("x"), holdfast::error);
}

BOOST_AUTO_TEST_CASE(an_io_error_says_what_the_system_said_and_keeps_its_number) {
  const holdfast::io_error e("a.h5: cannot write", {ENOSPC, std::generic_category()});
  BOOST_TEST(std::string(e.what()) == "a.h5: cannot write: No space left on device");
  BOOST_TEST((e.code() == std::errc::no_space_on_device));
}

BOOST_AUTO_TEST_CASE(a_mismatch_lists_every_difference_on_a_line_of_its_own) {
  using enum difference::kind;
  const holdfast::mismatch_error e("a.h5", {{missing, "model/w", "float32[3]", "", "keep it"},
                                            {unexpected, "model/b", "", "float32[2]", "ignore it"},
                                            {shape, "x", "int8[2]", "int8[3]", ""}});
  BOOST_TEST(std::string(e.what()) ==
             "a.h5: 3 differences between the file and the program; nothing was restored"
             "\n  /model/w: expected float32[3], not in the file; keep it"
             "\n  /model/b: found float32[2], not bound by the program; ignore it"
             "\n  /x: expected int8[2], found int8[3]");
  BOOST_TEST(e.differences().size() == 3u);
  BOOST_TEST(e.differences()[1].path == "model/b");
}

BOOST_AUTO_TEST_CASE(one_difference_is_not_called_differences) {
  const holdfast::mismatch_error e("a.h5", {{difference::kind::dtype, "x", "int8[]", "bool[]", ""}});
  BOOST_TEST(std::string(e.what()).starts_with("a.h5: 1 difference between"));
}

BOOST_AUTO_TEST_SUITE_END()
