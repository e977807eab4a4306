#include <holdfast/adapters/cereal.hpp>

#include <array>
#include <bitset>
#include <cmath>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <stack>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>

#include <cereal/types/bitset.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/stack.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/valarray.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>

#include <holdfast/holdfast.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include "../seed.hpp"
#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

using holdfast::mismatch_error;
using round_trip::copy;
using round_trip::file;
using support::message_of;
using support::require_all;

namespace {

/// One function in the class for both directions, with names and without.
struct layer {
  std::vector<float> weight, bias;
  float rate[2][3]{};
  std::int32_t step = 0;
  bool frozen = false;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(weight), CEREAL_NVP(bias), cereal::make_nvp("learning rate", rate));
    archive(step);
    archive & frozen;
  }
  friend bool operator==(const layer& a, const layer& b) {
    return bits::equal(a.weight.data(), b.weight.data(), a.weight.size()) && a.weight.size() == b.weight.size() && a.bias == b.bias && bits::equal(&a.rate[0][0], &b.rate[0][0], 6) && a.step == b.step &&
           a.frozen == b.frozen;
  }
};
layer filled(std::size_t width, std::int32_t step = 7) {
  layer l;
  l.weight.resize(width);
  l.bias = {0.5f, static_cast<float>(step)};
  bits::fill(l.weight.data(), width);
  bits::fill(&l.rate[0][0], 6);
  l.step = step;
  l.frozen = true;
  return l;
}

/// One function beside the class.
struct point {
  double x = 0, y = 0;
  friend bool operator==(const point&, const point&) = default;
  friend auto operator<=>(const point&, const point&) = default;
};
template <class Archive>
void serialize(Archive& archive, point& p) { archive(cereal::make_nvp("x", p.x), cereal::make_nvp("y", p.y)); }

/// Two functions, private, that go through variables of their own.
class packed {
 public:
  packed() = default;
  explicit packed(std::vector<int> numbers) : numbers_(numbers.begin(), numbers.end()) {}
  friend bool operator==(const packed&, const packed&) = default;

 private:
  friend class cereal::access;
  template <class Archive>
  void save(Archive& archive) const {
    std::vector<int> variable(numbers_.begin(), numbers_.end());
    const std::size_t count = variable.size();
    archive(cereal::make_nvp("count", count), cereal::make_nvp("numbers", variable));
    std::fill(variable.begin(), variable.end(), -1);
  }
  template <class Archive>
  void load(Archive& archive) {
    std::size_t count;
    std::vector<int> variable;
    archive(count_name(count), cereal::make_nvp("numbers", variable));
    if (count != variable.size()) throw cereal::Exception("another count");
    numbers_.assign(variable.begin(), variable.end());
  }
  static cereal::NameValuePair<std::size_t&> count_name(std::size_t& count) { return cereal::make_nvp("count", count); }
  std::list<int> numbers_;
};

/// Two functions beside the class, of which one takes more.
struct split {
  std::string text;
  int derived = 0;
  friend bool operator==(const split&, const split&) = default;
};
template <class Archive>
void save(Archive& archive, const split& s) { archive << cereal::make_nvp("text", s.text); }
template <class Archive>
void load(Archive& archive, split& s) {
  archive >> cereal::make_nvp("text", s.text);
  s.derived = static_cast<int>(s.text.size());
}

/// Types that are one value.
struct celsius {
  double degrees = 0;
  template <class Archive>
  double save_minimal(const Archive&) const { return degrees; }
  template <class Archive>
  void load_minimal(const Archive&, const double& value) { degrees = value; }
  friend bool operator==(const celsius&, const celsius&) = default;
};
struct word {
  std::string text;
  friend bool operator==(const word&, const word&) = default;
};
template <class Archive>
std::string save_minimal(const Archive&, const word& w) { return w.text; }
template <class Archive>
void load_minimal(const Archive&, word& w, const std::string& text) { w.text = text; }

enum class phase : std::int8_t { warm = 3,
                                 cool = -2 };

/// All of the ways in one type.
struct everything {
  layer l;
  point p;
  packed k;
  split s;
  celsius c;
  word w;
  phase f = phase::warm;
  long double precise = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(l), CEREAL_NVP(p), CEREAL_NVP(k), CEREAL_NVP(s), CEREAL_NVP(c), CEREAL_NVP(w), CEREAL_NVP(f), CEREAL_NVP(precise)); }
  friend bool operator==(const everything&, const everything&) = default;
};

/// A class whose version is 2; files of version 1 have no bias and a rate of another type.
struct versioned {
  static inline std::uint32_t saved_as = 2;  // what this program writes
  float rate = 0;
  int bias = 0;
  std::uint32_t loaded_as = 0;
  template <class Archive>
  void save(Archive& archive, const std::uint32_t) const {
    if (saved_as == 1) archive(cereal::make_nvp("rate", static_cast<double>(rate)));
    else archive(CEREAL_NVP(rate), CEREAL_NVP(bias));
  }
  template <class Archive>
  void load(Archive& archive, const std::uint32_t version) {
    loaded_as = version;
    if (version == 1) {
      double old = 0;
      archive(cereal::make_nvp("rate", old));
      rate = static_cast<float>(old);
      bias = -1;
    } else {
      archive(CEREAL_NVP(rate), CEREAL_NVP(bias));
    }
  }
};
struct versioned_celsius {
  double degrees = 0;
  template <class Archive>
  double save_minimal(const Archive&, const std::uint32_t) const { return degrees; }
  template <class Archive>
  void load_minimal(const Archive&, const double& value, const std::uint32_t version) { degrees = value + version; }
};

/// Bases, of which one is reached on two ways.
struct top {
  int x = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(x)); }
};
struct left : virtual top {
  int l = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::virtual_base_class<top>(this), CEREAL_NVP(l)); }
};
struct right : virtual top {
  int r = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::virtual_base_class<top>(this), CEREAL_NVP(r)); }
};
struct bottom : left, right, point {
  int own = 0, second = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<left>(this), cereal::base_class<right>(this), cereal::make_nvp("corner", cereal::base_class<point>(this)));
    archive(cereal::make_nvp("x", own), second);
  }
};

/// What holdfast has no traits for, and cereal has functions.
struct containers {
  std::forward_list<int> forward;
  std::queue<int> queue;
  std::stack<point> stack;
  std::priority_queue<int> priority;
  std::multimap<int, std::string> many;
  std::map<std::pair<int, int>, layer> by_pair;
  std::multiset<int> bag;
  std::bitset<70> bits;
  std::variant<int, std::string, layer> either;
  std::wstring wide;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(forward), CEREAL_NVP(queue), CEREAL_NVP(stack), CEREAL_NVP(priority), CEREAL_NVP(many), CEREAL_NVP(by_pair), CEREAL_NVP(bag), CEREAL_NVP(bits), CEREAL_NVP(either), CEREAL_NVP(wide));
  }
};
/// What holdfast has traits for, of what has cereal functions.
struct own_containers {
  std::vector<layer> vector;
  std::list<layer> list;
  std::map<std::string, layer> map;
  std::set<point> set;
  std::array<layer, 2> array;
  layer builtin[2];
  std::optional<layer> optional;
  std::pair<layer, point> pair;
  std::tuple<layer, int> tuple;
  std::vector<bool> flags;
  std::valarray<float> values;
  std::mt19937 engine;
  std::vector<std::string> texts;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(vector), CEREAL_NVP(list), CEREAL_NVP(map), CEREAL_NVP(set), CEREAL_NVP(array), CEREAL_NVP(builtin), CEREAL_NVP(optional), CEREAL_NVP(pair), CEREAL_NVP(tuple), CEREAL_NVP(flags));
    archive(CEREAL_NVP(values), CEREAL_NVP(engine), CEREAL_NVP(texts));
  }
};

/// Memory of its own, of a size that a function says.
class blob {
 public:
  explicit blob(std::size_t n = 0) : size_(n), data_(new double[n]()) {}
  double* begin() { return data_.get(); }
  double* end() { return data_.get() + size_; }

 private:
  friend class cereal::access;
  template <class Archive>
  void save(Archive& archive) const {
    archive(cereal::make_size_tag(static_cast<cereal::size_type>(size_)));
    archive(cereal::make_nvp("data", cereal::binary_data(data_.get(), size_ * sizeof(double))));
  }
  template <class Archive>
  void load(Archive& archive) {
    cereal::size_type n;
    archive(cereal::make_size_tag(n));
    size_ = static_cast<std::size_t>(n);
    data_.reset(new double[size_]);
    archive(cereal::make_nvp("data", cereal::binary_data(data_.get(), size_ * sizeof(double))));
  }
  std::size_t size_;
  std::unique_ptr<double[]> data_;
};

}  // namespace

CEREAL_SPECIALIZE_FOR_ALL_ARCHIVES(bottom, cereal::specialization::member_serialize)
CEREAL_CLASS_VERSION(versioned, 2)
CEREAL_CLASS_VERSION(versioned_celsius, 3)

BOOST_AUTO_TEST_SUITE(adapters_cereal)

BOOST_AUTO_TEST_CASE(objects_of_every_kind_of_function_come_back_bit_by_bit) {
  everything a;
  a.l = filled(1000);
  a.p = {1.5, -0.0};
  a.k = packed({4, 5, 6});
  a.s = {"some text", 9};
  a.c = {36.6};
  a.w = {"w"};
  a.f = phase::cool;
  a.precise = 1.0L / 3;
  everything b;
  file f;
  f.save(a).restore(b);
  BOOST_TEST((a == b));
  BOOST_TEST(std::signbit(b.p.y));
  f.restore(b);  // into one that is there
  BOOST_TEST((a == b));
  BOOST_TEST(true_in_h5py(f.path(),
                          "sorted(f['x/l']) == ['0', '1', 'bias', 'learning rate', 'weight'] and f['x/l/weight'].shape == (1000,) and f['x/l/weight'].dtype == 'f4'"
                          " and f['x/l/learning rate'].shape == (2, 3) and f['x/l/0'][()] == 7 and f['x/l/1'][()] == True and f['x/p/x'][()] == 1.5"
                          " and list(f['x/k/numbers']) == [4, 5, 6] and f['x/k/count'][()] == 3 and f['x/s/text'][()] == b'some text'"
                          " and f['x/c'][()] == 36.6 and f['x/w'][()] == b'w' and f['x/f'][()] == -2"));
}

BOOST_AUTO_TEST_CASE(a_file_of_another_version_of_a_class_loads_as_that) {
  std::pair<versioned, versioned_celsius> a, b;
  a.first = {0.25f, 3};
  a.second.degrees = 20;
  file f;
  f.save(a).restore(b);
  BOOST_TEST((b.first.rate == 0.25f && b.first.bias == 3 && b.first.loaded_as == 2));
  BOOST_TEST(b.second.degrees == 23);
  BOOST_TEST(true_in_h5py(f.path(), "f['x/first/cereal_class_version'][()] == 2 and f['x/second/cereal_class_version'][()] == 3 and f['x/second/0'][()] == 20"));

  const auto versions = [](std::uint32_t now) { cereal::detail::StaticObject<cereal::detail::Versions>::getInstance().mapping[typeid(versioned).hash_code()] = versioned::saved_as = now; };
  versions(1);
  file old;
  old.save(a);
  versions(2);
  b.first = {};
  old.restore(b);
  BOOST_TEST((b.first.rate == 0.25f && b.first.bias == -1 && b.first.loaded_as == 1));
  versions(1);
  f.restore(b);
  BOOST_TEST((b.first.bias == 3 && b.first.loaded_as == 2));
  versions(2);
}

BOOST_AUTO_TEST_CASE(bases_are_in_the_group_of_the_class_and_names_that_come_twice_are_numbered) {
  bottom a, b;
  a.top::x = 1, a.l = 2, a.r = 3, a.own = 4, a.second = 5, a.point::x = 6, a.y = 7;
  file f;
  f.save(a).restore(b);
  BOOST_TEST((b.top::x == 1 && b.l == 2 && b.r == 3 && b.own == 4 && b.second == 5 && b.point::x == 6 && b.y == 7));
  BOOST_TEST(true_in_h5py(f.path(), "sorted(f['x']) == ['0', 'corner', 'l', 'r', 'x', 'x_2'] and f['x/x'][()] == 1 and f['x/x_2'][()] == 4 and f['x/corner/y'][()] == 7"));
}

BOOST_AUTO_TEST_CASE(containers_that_only_cereal_knows_become_what_the_file_has) {
  containers a, b, other;
  a.forward = {1, 2, 3};
  a.queue.push(4), a.queue.push(5);
  a.stack.push({1, 2});
  a.priority.push(3), a.priority.push(9);
  a.many = {{1, "a"}, {1, "b"}};
  a.by_pair[{1, 2}] = filled(3);
  a.by_pair[{0, 5}] = filled(2);
  a.bag = {1, 1};
  a.bits[69] = a.bits[1] = true;
  a.either = filled(4);
  a.wide = L"wide";
  other.forward = {9};
  other.either = "text";
  other.by_pair[{7, 7}] = filled(1);
  file f;
  f.save(a).restore(b);
  f.restore(other);
  for (containers* c : {&b, &other}) {
    BOOST_TEST((c->forward == a.forward && c->queue == a.queue && c->stack.top() == a.stack.top()));
    BOOST_TEST((c->many == a.many && c->bag == a.bag));
    BOOST_TEST((c->by_pair == a.by_pair));
    BOOST_TEST((c->bits == a.bits));
    BOOST_TEST((c->either == a.either && c->wide == a.wide && c->priority.size() == 2 && c->priority.top() == 9));
  }
  containers empty;
  file g;
  g.save(empty);
  require_all(g.refusal(other), "/x/queue/container: expected int32[2], found int32[0]", "holdfast::resizable");
  g.restore(holdfast::resizable(other));
  BOOST_TEST((other.forward.empty() && other.by_pair.empty() && other.either == empty.either && other.wide.empty()));
  BOOST_TEST(true_in_h5py(f.path(),
                          "f['x/forward/size'][()] == 3 and f['x/forward/2'][()] == 3 and f['x/by_pair/1/key/second'][()] == 2 and f['x/by_pair/1/value/0'][()] == 7"
                          " and f['x/either/index'][()] == 2 and len(f['x/either/data/weight']) == 4"));
}

BOOST_AUTO_TEST_CASE(containers_that_holdfast_knows_are_as_without_cereal) {
  own_containers a, b, other;
  a.vector = {filled(1), filled(2)};
  a.list = {filled(3)};
  a.map["k/1"] = filled(4);
  a.set = {{1, 2}, {0, 3}};
  a.array = {filled(5), filled(6)};
  a.builtin[1] = filled(7);
  a.optional = filled(8);
  a.pair = {filled(9), {4, 5}};
  a.tuple = {filled(1), 3};
  a.flags = {true, false, true};
  a.values = {1, 2, 3};
  a.engine.seed(5);
  a.texts = {"a", "bc"};
  other.vector.resize(5);
  other.map["z"] = {};
  file f;
  f.save(a).restore(b);
  f.restore(other);
  for (own_containers* c : {&b, &other}) {
    BOOST_TEST((c->vector == a.vector && c->list == a.list && c->map == a.map && c->set == a.set && c->array == a.array && c->builtin[1] == a.builtin[1] && c->optional == a.optional));
    BOOST_TEST((c->pair == a.pair && c->tuple == a.tuple && c->flags == a.flags && c->values.sum() == 6 && c->engine == a.engine && c->texts == a.texts));
  }
  other.optional.reset(), other.vector.clear();
  file g;
  g.save(other).restore(b);
  BOOST_TEST((!b.optional && b.vector.empty()));
  BOOST_TEST(true_in_h5py(f.path(), "f['x/map/k%2F1/0'][()] == 7 and f['x/pair/second/x'][()] == 4 and f['x/values'].shape == (3,) and f['x/builtin/1/weight'].shape == (7,)"));
}

BOOST_AUTO_TEST_CASE(numbers_that_lie_side_by_side_are_one_dataset) {
  blob a(1000), b(3);
  bits::fill(a.begin(), 1000);
  file f;
  f.save(a).restore(b);
  BOOST_TEST_REQUIRE(b.end() - b.begin() == 1000);
  BOOST_TEST(bits::equal(a.begin(), b.begin(), 1000));
  BOOST_TEST(true_in_h5py(f.path(), "sorted(f['x']) == ['data', 'size'] and f['x/data'].dtype == 'f8' and f['x/data'].shape == (1000,)"));
}

BOOST_AUTO_TEST_SUITE_END()
