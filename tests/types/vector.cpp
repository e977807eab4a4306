#include <holdfast/types/vector.hpp>

#include <bit>
#include <complex>
#include <new>

#include "round_trip.hpp"

namespace {

struct layer {
  std::vector<float> weight;
  int units = 0;
};
struct net {
  std::vector<layer> layers;
};
enum class colour : std::uint8_t { red = 1,
                                   green = 200 };
/// Memory at multiples of 64 bytes, as vector instructions like it.
template <class T>
struct aligned {
  using value_type = T;
  aligned() = default;
  template <class U>
  aligned(const aligned<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t(64)); }
  friend bool operator==(const aligned&, const aligned&) { return true; }
};
/// Cannot be made anew or moved, as a class that owns a mutex.
struct fixed {
  explicit fixed(int x) : value(x) {}
  fixed(const fixed&) = default;
  int value;
};

}  // namespace

template <>
struct holdfast::traits<layer> : holdfast::fields<holdfast::field<&layer::weight>, holdfast::field<&layer::units>> {};
template <>
struct holdfast::traits<net> : holdfast::fields<holdfast::field<&net::layers>> {};
template <>
struct holdfast::traits<fixed> : holdfast::fields<holdfast::field<&fixed::value>> {};

BOOST_AUTO_TEST_SUITE(types_vector)

using round_trip::copy;
using round_trip::file;

BOOST_AUTO_TEST_CASE(vectors_of_every_element_type_come_back) {
  const auto check = [](auto filled) {
    BOOST_TEST((copy(filled) == filled), "into an empty one");
    BOOST_TEST((copy(filled, decltype(filled)(filled.size())) == filled), "into one of its size");
    const decltype(filled) none;
    decltype(filled) empty;
    BOOST_TEST((copy(empty) == none));
  };
  check(std::vector<float>{1, -2.5f, 1e-45f});
  check(std::vector<double>{0.1, -1e308});
  check(std::vector<std::int8_t>{-128, 127});
  check(std::vector<std::uint64_t>{0, UINT64_MAX});
  check(std::vector<std::complex<double>>{{1, -2}, {0, 3}});
  check(std::vector<std::complex<float>>{{1, -2}});
  check(std::vector<std::byte>{std::byte{0}, std::byte{255}});
  check(std::vector<colour>{colour::red, colour::green});
  check(std::vector<bool>{true, false, true, true});
  check(std::vector<char>{'a', '\0', 'b'});
  check(std::vector<float, aligned<float>>{1, 2, 3});
  check(std::vector<bool, aligned<bool>>{true, false});
}

BOOST_AUTO_TEST_CASE(raw_memory_comes_back_where_it_lies) {
  const auto one = std::make_unique<float[]>(6), other = std::make_unique<float[]>(6), columns = std::make_unique<float[]>(6);
  for (std::size_t i = 0; i < 6; ++i) one[i] = static_cast<float>(i);
  file f;
  f.save(holdfast::tensor(one.get(), {2, 3}));
  f.restore(holdfast::tensor(other.get(), {2, 3}));
  f.restore(holdfast::tensor(columns.get(), {2, 3}, holdfast::column_major({2, 3})));
  BOOST_TEST(std::equal(one.get(), one.get() + 6, other.get()));
  BOOST_TEST((std::vector<float>(columns.get(), columns.get() + 6) == std::vector<float>{0, 3, 1, 4, 2, 5}));
}

BOOST_AUTO_TEST_CASE(every_bit_of_every_nan_comes_back) {
  std::vector<float> f;
  for (const std::uint32_t bits : {0x7fc00000u, 0x7f800001u, 0xffbfffffu, 0x7fffffffu, 0x80000000u}) f.push_back(std::bit_cast<float>(bits));
  std::vector<double> d;
  for (const std::uint64_t bits : {0x7ff0000000000001u, 0xfff7ffffffffffffu, 0x7ff8000000000123u}) d.push_back(std::bit_cast<double>(bits));
  std::vector<holdfast::float16> half{{0x7c01}, {0xfdff}, {0x7e00}};
  std::vector<holdfast::bfloat16> brain{{0x7f81}, {0xffbf}, {0x7fc0}};
  std::vector<holdfast::float8_e4m3fn> e4m3{{0x7f}, {0xff}};
  std::vector<holdfast::float8_e5m2> e5m2{{0x7d}, {0xfe}};
  const auto check = [](auto& values) {
    const auto back = copy(values);
    BOOST_REQUIRE(back.size() == values.size());
    BOOST_TEST(std::memcmp(back.data(), values.data(), values.size() * sizeof values[0]) == 0);
  };
  check(f);
  check(d);
  check(half);
  check(brain);
  check(e4m3);
  check(e5m2);
}

BOOST_AUTO_TEST_CASE(a_filled_vector_of_another_size_is_refused_and_stays_as_it_was) {
  std::vector<float> saved{1, 2, 3}, other{7, 8};
  file f;
  f.save(saved);
  support::require_all(f.refusal(other), "\n  /x: expected float32[2], found float32[3]; ",
                       "bind it empty or as holdfast::resizable(...) to take whatever size the file has");
  BOOST_TEST(other == (std::vector<float>{7, 8}), boost::test_tools::per_element());
  std::vector<bool> bits{true}, more(3);
  f.save(bits);
  support::require_all(f.refusal(more), "\n  /x: expected bool[3], found bool[1]; ");
}

BOOST_AUTO_TEST_CASE(a_vector_of_another_element_type_is_refused) {
  std::vector<float> saved{1};
  std::vector<double> other;
  file f;
  support::require_all(f.save(saved).refusal(other), "\n  /x: expected float64[0], found float32[1]; pass .cast = holdfast::cast::allow");
  f.restore(other, {.cast = holdfast::cast::allow});
  BOOST_TEST(other == std::vector<double>{1}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_resizable_vector_takes_any_size) {
  std::vector<float> saved{1, 2, 3};
  std::vector<bool> bits{true, false};
  file f;
  f.save(saved);
  for (const std::size_t size : {0u, 2u, 3u, 9u}) {
    std::vector<float> other(size, -1.f);
    f.restore(holdfast::resizable(other));
    BOOST_TEST(other == saved, boost::test_tools::per_element());
  }
  f.save(bits);
  std::vector<bool> other(9);
  f.restore(holdfast::resizable(other));
  BOOST_TEST((other == bits));
}

BOOST_AUTO_TEST_CASE(nested_vectors_of_composites_grow_from_nothing) {
  net saved{{{{1, 2}, 3}, {{}, 4}, {{5}, 6}}}, other;
  for (int i = 0; i < 20; ++i) saved.layers.push_back({{static_cast<float>(i)}, i});  // also 10 after 9, not after 1
  file f;
  f.save(saved).restore(other);
  BOOST_REQUIRE(other.layers.size() == saved.layers.size());
  for (std::size_t i = 0; i < saved.layers.size(); ++i) {
    BOOST_TEST(other.layers[i].weight == saved.layers[i].weight, boost::test_tools::per_element());
    BOOST_TEST(other.layers[i].units == saved.layers[i].units);
  }
  std::vector<std::vector<std::vector<int>>> deep{{{1}, {}}, {}, {{2, 3}, {4}}};
  BOOST_TEST((copy(deep) == deep));
}

BOOST_AUTO_TEST_CASE(a_filled_vector_of_composites_must_have_the_files_elements) {
  std::vector<layer> saved(2), fewer(1), more(3);
  file f;
  f.save(saved);
  support::require_all(f.refusal(fewer), "\n  /x/1/units: found int32[], not bound by the program; ",
                       "\n  /x/1/weight: found float32[0], not bound by the program; bind it, or pass .unexpected");
  support::require_all(f.refusal(more), "\n  /x/2/units: expected int32[], not in the file; ",
                       "\n  /x/2/weight: expected float32[0], not in the file; pass .missing");
  f.restore(holdfast::resizable(fewer));
  f.restore(holdfast::resizable(more));
  BOOST_TEST(fewer.size() == 2u);
  BOOST_TEST(more.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_refused_restore_does_not_grow_anything) {
  std::vector<layer> saved(3), other;
  file f;
  f.save(saved);
  int x = 0;
  holdfast::state s;
  s.bind("x", other).bind("y", x);
  BOOST_CHECK_THROW(holdfast::restore(f.path(), s), holdfast::mismatch_error);
  BOOST_TEST(other.empty());
}

BOOST_AUTO_TEST_CASE(resizable_reaches_everything_below) {
  net saved{{{{1, 2, 3}, 4}}}, other{{{{9, 9}, 0}, {{8}, 0}}};
  file f;
  support::require_all(f.save(saved).refusal(other), "/x/layers/0/weight: expected float32[2], found float32[3]");
  f.restore(holdfast::resizable(other));
  BOOST_REQUIRE(other.layers.size() == 1u);
  BOOST_TEST(other.layers[0].weight == saved.layers[0].weight, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(elements_that_cannot_be_made_are_restored_where_they_are) {
  std::vector<fixed> saved{fixed(1), fixed(2)}, other{fixed(0), fixed(0)}, none;
  file f;
  f.save(saved).restore(other);
  BOOST_TEST(other[1].value == 2);
  support::require_all(f.refusal(none), "\n  /x: expected 0 elements, found 2 elements; give the program's object the file's size");
  std::vector<fixed> three(3, fixed(7));
  support::require_all(f.refusal(holdfast::resizable(three)), "\n  /x: expected 3 elements, found 2 elements");
  std::vector<std::atomic<int>> counters(2), restored(2);
  counters[1] = 5;
  f.save(counters).restore(restored);
  BOOST_TEST(restored[1] == 5);
}

BOOST_AUTO_TEST_CASE(a_const_vector_is_saved_and_not_restored) {
  const std::vector<float> constant{1, 2};
  const std::vector<layer> layers{{{1}, 2}};
  file f;
  support::require_all(f.save(constant).refusal(constant), "\n  /x: expected an object that may change, found one bound as const; ");
  support::require_all(f.save(layers).refusal(layers), "\n  /x/0/units: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_CASE(a_vector_with_a_hole_in_the_file_is_refused) {
  std::vector<layer> saved(3), other;
  file f;
  support::require_all(f.save(saved).refusal(other, {.except = {"x/1"}}), "\n  /x: expected elements 0 to 1, found no element 1; restore all of them");
}

BOOST_AUTO_TEST_CASE(one_vector_under_two_names_cannot_take_two_sizes) {
  std::vector<float> a{1}, b{2, 3}, one;
  support::folder folder;
  holdfast::state saved, bound;
  saved.bind("a", a).bind("b", b);
  holdfast::save(folder / "a.h5", saved);
  bound.bind("a", one).bind("b", one);
  support::require_all(support::message_of<holdfast::mismatch_error>([&] { holdfast::restore(folder / "a.h5", bound); }),
                       "\n  /b: expected one tensor with /a, found a tensor of its own");
  BOOST_TEST(one.empty());
}

BOOST_AUTO_TEST_CASE(one_empty_vector_under_two_names_takes_what_was_saved_so) {
  std::vector<float> tied{1, 2}, none, other;
  support::folder folder;
  for (auto* from : {&tied, &none}) {
    other.clear();
    holdfast::state saved, bound;
    saved.bind("a", *from).bind("b", *from);
    holdfast::save(folder / "a.h5", saved);
    bound.bind("a", other).bind("b", other);
    holdfast::restore(folder / "a.h5", bound);
    BOOST_TEST(other == *from, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
