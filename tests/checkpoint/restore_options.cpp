#include <holdfast/checkpoint/restore_options.hpp>

#include "../support.hpp"

using namespace holdfast;

BOOST_AUTO_TEST_SUITE(restore_options_)

BOOST_AUTO_TEST_CASE(the_defaults_are_strict_and_verified) {
  const restore_options o;
  BOOST_TEST((o.only.empty() && o.except.empty() && o.rename.empty()));
  BOOST_TEST((o.missing == on_missing::error && o.unexpected == on_unexpected::error));
  BOOST_TEST((o.cast == cast::refuse && o.verify == verify::during && o.trust == trust::sealed_only));
  BOOST_TEST(!o.place);
}

BOOST_AUTO_TEST_CASE(all_of_them_can_be_named_in_their_order) {
  const restore_options o{.only = {"model/**"},
                          .except = {"model/head"},
                          .rename = {{"encoder/**", "model/backbone/**"}},
                          .missing = on_missing::keep,
                          .unexpected = on_unexpected::ignore,
                          .cast = cast::allow,
                          .place = gpu(1),
                          .verify = verify::before,
                          .trust = trust::foreign};
  BOOST_TEST(o.rename.front().to == "model/backbone/**");
  BOOST_TEST((o.place("any", host) == gpu(1)));
}

BOOST_AUTO_TEST_CASE(a_placement_is_one_place_or_a_function_of_path_and_saved_place) {
  const placement everywhere = gpu(3);
  BOOST_TEST((everywhere("x", host) == gpu(3)));
  const placement chosen = [](std::string_view path, memory_space saved) { return path == "x" ? host : saved; };
  BOOST_TEST(static_cast<bool>(chosen));
  BOOST_TEST((chosen("x", gpu(1)) == host));
  BOOST_TEST((chosen("y", gpu(1)) == gpu(1)));
  const placement copy = chosen;
  BOOST_TEST((copy("y", gpu(2)) == gpu(2)));
}

BOOST_AUTO_TEST_SUITE_END()
