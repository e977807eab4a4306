#include <holdfast/core/device.hpp>

#include <string>
#include <vector>

#include "../support.hpp"

using namespace holdfast;

namespace {

/// A machine with gpu(0), where every pointer is the host's.
class engine final : public detail::device_engine {
 public:
  engine() { detail::registered_engine() = this; }
  ~engine() { detail::registered_engine() = nullptr; }
  std::unique_ptr<detail::device_staging> staging() override { return nullptr; }
  std::string misplaced(const tensor_view& view) override { return view.space() == host ? "" : "memory of the host"; }
  std::string absent(memory_space space) override { return space == gpu(0) ? "" : "not here"; }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(core_device)

BOOST_AUTO_TEST_CASE(without_an_engine_only_the_host_is_in_reach) {
  BOOST_TEST(detail::out_of_reach(host) == "");
  support::require_all(detail::out_of_reach(gpu(0)), "not built to reach", "<holdfast/cuda.hpp>");
  std::vector<float> x(3);
  BOOST_TEST(detail::misplaced(tensor_view(x.data(), {3})) == "");
  support::require_all(detail::misplaced(tensor_view(x.data(), {3}, {}, gpu(0))), "not built to reach");
}

BOOST_AUTO_TEST_CASE(an_engine_says_what_there_is_and_where_memory_is) {
  const engine one;
  BOOST_TEST(detail::out_of_reach(host) == "");
  BOOST_TEST(detail::out_of_reach(gpu(0)) == "");
  BOOST_TEST(detail::out_of_reach(gpu(1)) == "not here");
  std::vector<float> x(3);
  BOOST_TEST(detail::misplaced(tensor_view(x.data(), {3})) == "");
  BOOST_TEST(detail::misplaced(tensor_view(x.data(), {3}, {}, gpu(0))) == "memory of the host");
  BOOST_TEST(detail::misplaced(tensor_view(x.data(), {3}, {}, gpu(1))) == "not here");
  BOOST_TEST(detail::misplaced(tensor_view(x.data(), {0}, {}, gpu(1))) == "");  // no bytes are anywhere
  detail::require_in_place("x", tensor_view(x.data(), {3}));
  support::require_all(support::message_of<error>([&] { detail::require_in_place("a/x", tensor_view(x.data(), {3}, {}, gpu(0))); }), "/a/x: bound as a tensor in gpu(0), but that is memory of the host");
}

BOOST_AUTO_TEST_SUITE_END()
