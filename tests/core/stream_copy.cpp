#include <holdfast/core/stream_copy.hpp>

#include <random>
#include <vector>

#include "../support.hpp"

BOOST_AUTO_TEST_SUITE(stream_copy_)

BOOST_AUTO_TEST_CASE(any_length_at_any_place_is_copied_and_nothing_else_is_touched) {
  std::mt19937_64 engine = support::random_engine();
  std::vector<std::byte> from(70000);
  for (auto& b : from) b = static_cast<std::byte>(engine());
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(engine() % n); };
  for (int i = 0; i < 300; ++i) {
    const std::size_t a = below(100), b = below(100), n = i < 200 ? below(9000) : below(69900);
    std::vector<std::byte> to(70100, std::byte{0xaa}), expected = to;
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(a), n, expected.begin() + static_cast<std::ptrdiff_t>(b));
    holdfast::detail::stream_copy(to.data() + b, from.data() + a, n);
    BOOST_TEST((to == expected), n << " bytes from " << a << " to " << b);
  }
}

BOOST_AUTO_TEST_SUITE_END()
