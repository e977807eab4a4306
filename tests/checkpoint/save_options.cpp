#include <holdfast/checkpoint/save_options.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace holdfast;

BOOST_AUTO_TEST_SUITE(options_of_a_save)

BOOST_AUTO_TEST_CASE(without_any_a_save_is_durable_and_replaces) {
  const save_options o;
  BOOST_TEST(o.step == -1);
  BOOST_TEST(std::isnan(o.metric));
  BOOST_TEST((o.existing == io::replace::yes && o.storage == nullptr && o.key == nullptr && o.io == io::mode::automatic && o.durable && o.recycle.empty()));
  BOOST_TEST((o.staging_bytes == 16u << 20 && o.staging == staging::snapshot));
}

BOOST_AUTO_TEST_CASE(they_are_named_in_this_order) {
  const save_options o{.step = 3, .metric = 0.5, .existing = io::replace::no, .storage = nullptr, .key = {}, .io = io::mode::buffered, .durable = false, .recycle = "old.h5", .staging_bytes = 1 << 20, .staging = staging::stream_through};
  BOOST_TEST((o.step == 3 && o.metric == 0.5 && !o.durable && o.recycle == "old.h5" && o.staging == staging::stream_through));
}

BOOST_AUTO_TEST_SUITE_END()
