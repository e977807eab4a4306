#include <holdfast/adapters/cereal.hpp>

#include <cmath>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <queue>
#include <random>
#include <set>
#include <stack>
#include <unordered_map>
#include <unordered_set>
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
    archive& frozen;
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


}  // namespace

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
  BOOST_TEST(true_in_h5py(f.path(), "sorted(f['x/l']) == ['0', '1', 'bias', 'learning rate', 'weight'] and f['x/l/weight'].shape == (1000,) and f['x/l/weight'].dtype == 'f4'"
                                    " and f['x/l/learning rate'].shape == (2, 3) and f['x/l/0'][()] == 7 and f['x/l/1'][()] == True and f['x/p/x'][()] == 1.5"
                                    " and list(f['x/k/numbers']) == [4, 5, 6] and f['x/k/count'][()] == 3 and f['x/s/text'][()] == b'some text'"
                                    " and f['x/c'][()] == 36.6 and f['x/w'][()] == b'w' and f['x/f'][()] == -2"));
}

BOOST_AUTO_TEST_SUITE_END()
