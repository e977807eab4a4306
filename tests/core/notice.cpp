#include <holdfast/core/notice.hpp>

#include <stdexcept>

#include "../support.hpp"

using namespace holdfast;

BOOST_AUTO_TEST_SUITE(notice)

BOOST_AUTO_TEST_CASE(each_kind_goes_to_its_own_hook_and_a_hook_that_throws_ends_nothing) {
  std::vector<std::string> warnings, errors;
  on_warning([&](const std::string& text) { warnings.push_back(text); });
  on_unobserved_error([&](const std::string& text) { errors.push_back(text); });
  detail::notices::warnings().report("a");
  detail::notices::unobserved_errors().report("b");
  on_warning([](const std::string&) { throw std::runtime_error("no"); });
  detail::notices::warnings().report("c");
  on_warning({});
  on_unobserved_error({});
  BOOST_TEST(warnings == std::vector<std::string>{"a"}, boost::test_tools::per_element());
  BOOST_TEST(errors == std::vector<std::string>{"b"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(without_a_hook_it_goes_to_stderr) {
  const support::folder dir;
  support::in_child([&] {
    if (std::freopen((dir / "err").c_str(), "w", stderr) == nullptr) return 1;
    detail::notices::warnings().report("the scaler is missing");
    detail::notices::unobserved_errors().report("disk full");
    std::fflush(stderr);
    return 0;
  });
  BOOST_TEST(support::bytes_of(dir / "err") == "holdfast: warning: the scaler is missing\nholdfast: a save in the background failed, and nobody asked: disk full\n");
}

BOOST_AUTO_TEST_SUITE_END()
