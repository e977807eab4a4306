#include <holdfast/core/order.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(order)

BOOST_AUTO_TEST_CASE(items_are_sorted_and_equal_ones_keep_their_order) {
  struct item {
    int key;
    std::string text;
  };
  std::vector<item> items;
  for (int i = 0; i < 1000; ++i) items.push_back({(i * 7919) % 10, std::to_string(i)});
  holdfast::detail::sort(items, [](const item& a, const item& b) { return a.key < b.key; });
  for (std::size_t i = 1; i < items.size(); ++i) {
    BOOST_TEST(items[i - 1].key <= items[i].key);
    if (items[i - 1].key == items[i].key) BOOST_TEST(std::stoi(items[i - 1].text) < std::stoi(items[i].text));
  }
}

BOOST_AUTO_TEST_CASE(nothing_and_one_item_are_sorted) {
  std::vector<std::string> none, one{"a"};
  holdfast::detail::sort(none, std::less<>());
  holdfast::detail::sort(one, std::less<>());
  BOOST_TEST(none.empty());
  BOOST_TEST(one.front() == "a");
}

BOOST_AUTO_TEST_CASE(any_number_of_items_is_sorted) {
  for (int n = 0; n < 70; ++n) {
    std::vector<int> items, sorted;
    for (int i = 0; i < n; ++i) items.push_back((i * 7919 + n) % 31);
    sorted = items;
    std::sort(sorted.begin(), sorted.end());
    holdfast::detail::sort(items);
    BOOST_TEST(items == sorted, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
