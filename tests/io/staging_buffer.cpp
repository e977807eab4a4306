#include <holdfast/io/staging_buffer.hpp>

#include "../support.hpp"

using holdfast::io::staging_buffer;

BOOST_AUTO_TEST_SUITE(staging_buffer_)

BOOST_AUTO_TEST_CASE(memory_is_page_aligned_writable_and_kept_while_it_is_large_enough) {
  staging_buffer b;
  BOOST_TEST(b.memory().empty());
  const auto first = b.reserve(5000);
  BOOST_TEST(first.size() >= 5000u);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(first.data()) % holdfast::io::page_bytes == 0u);
  first.front() = first.back() = std::byte{7};
  const auto again = b.reserve(100);
  BOOST_TEST(again.size() == 100u);
  BOOST_TEST(static_cast<const void*>(again.data()) == static_cast<const void*>(first.data()));
  BOOST_TEST((again.front() == std::byte{7}));
  const auto more = b.reserve(std::size_t{9} << 20);
  more.back() = std::byte{1};
  BOOST_TEST(b.memory().size() >= std::size_t{9} << 20);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_had_is_bad_alloc) {
  staging_buffer b;
  BOOST_CHECK_THROW(b.reserve(std::size_t{1} << 60), std::bad_alloc);
  BOOST_TEST(b.reserve(10).size() >= 10u);
}

BOOST_AUTO_TEST_SUITE_END()
