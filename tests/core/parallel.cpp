#include <holdfast/core/parallel.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include "../support.hpp"

using holdfast::detail::parallel;

BOOST_AUTO_TEST_SUITE(parallel_)

BOOST_AUTO_TEST_CASE(every_number_comes_once_whatever_the_number_of_threads) {
  for (const unsigned threads : {0u, 1u, 2u, 7u})
    for (const std::size_t n : {0u, 1u, 5u, 1000u}) {
      std::vector<std::atomic<int>> seen(n);
      parallel(n, threads, [&](std::size_t i) { ++seen[i]; });
      for (const auto& s : seen) BOOST_TEST(s == 1);
    }
}

BOOST_AUTO_TEST_CASE(with_one_thread_the_caller_does_all_in_order) {
  std::vector<std::size_t> order;
  parallel(4, 1, [&, self = std::this_thread::get_id()](std::size_t i) {
    BOOST_TEST((std::this_thread::get_id() == self));
    order.push_back(i);
  });
  BOOST_TEST((order == std::vector<std::size_t>{0, 1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(the_error_of_the_lowest_number_is_thrown_and_nothing_begins_after_it) {
  for (const unsigned threads : {1u, 4u}) {
    std::atomic<std::size_t> begun{0};
    BOOST_CHECK_EXCEPTION(parallel(100000, threads,
                                   [&](std::size_t i) {
                                     ++begun;
                                     if (i >= 10) throw std::runtime_error(std::to_string(i));
                                   }),
                          std::runtime_error, [](const auto& e) { return std::string(e.what()) == "10"; });
    BOOST_TEST(begun < 100000u);
  }
}

BOOST_AUTO_TEST_CASE(a_later_error_of_a_higher_number_does_not_replace_it) {
  std::atomic<bool> second_begun{false}, first_threw{false};
  const auto until = [](const std::atomic<bool>& flag) {
    while (!flag) std::this_thread::yield();
  };
  BOOST_CHECK_EXCEPTION(parallel(2, 2,
                                 [&](std::size_t i) {
                                   if (i == 0) {
                                     until(second_begun);
                                     first_threw = true;
                                   } else {
                                     second_begun = true;
                                     until(first_threw);
                                     std::this_thread::sleep_for(std::chrono::milliseconds(50));
                                   }
                                   throw std::runtime_error(std::to_string(i));
                                 }),
                        std::runtime_error, [](const auto& e) { return std::string(e.what()) == "0"; });
}

BOOST_AUTO_TEST_SUITE_END()
