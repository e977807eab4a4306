#include <holdfast/adapters/cereal.hpp>

#include <array>
#include <bitset>
#include <cmath>
#include <cstring>
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

#include <holdfast/separate.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include "../seed.hpp"
#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

/// A ring of shared pointers is never freed, and so not one that stood in for another while a restore was planned.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:cereal_make\n"; }

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

/// A polymorphic family: an abstract base with state, and types that are registered or not.
struct optimizer {
  double rate = 0;
  virtual ~optimizer() = default;
  virtual int kind() const = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(rate)); }
};
struct sgd : optimizer {
  std::vector<float> momentum;
  int kind() const override { return 1; }
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::base_class<optimizer>(this), CEREAL_NVP(momentum)); }
};
struct adam : optimizer {
  std::vector<float> first, second;
  int step = 0;
  int kind() const override { return 2; }
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::base_class<optimizer>(this), CEREAL_NVP(first), CEREAL_NVP(second), CEREAL_NVP(step)); }
};
struct unknown : optimizer {
  int kind() const override { return 3; }
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::base_class<optimizer>(this)); }
};
/// A base that cereal knows nothing of, and not the first one.
struct named_thing {
  virtual ~named_thing() = default;
  std::string not_saved = "n";
};
/// And one that is not even registered as a base.
struct stranger {
  virtual ~stranger() = default;
};
struct gadget : point, named_thing, stranger {
  std::vector<int> parts;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(parts)); }
};
/// A polymorphic type that is used as itself.
struct concrete {
  int x = 0;
  virtual ~concrete() = default;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(x)); }
};
struct derived : concrete {
  int y = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::base_class<concrete>(this), CEREAL_NVP(y)); }
};

template <class T, class Base>
bool is_exactly(const Base& x) { return typeid(x) == typeid(T); }

/// Types without a default constructor.
struct sized {
  explicit sized(int n) : width(n), weight(static_cast<std::size_t>(n)) {}
  const int width;
  std::vector<float> weight;
  template <class Archive>
  void save(Archive& archive) const { archive(CEREAL_NVP(width), CEREAL_NVP(weight)); }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<sized>& construct) {
    int width = 0;
    archive(CEREAL_NVP(width));
    construct(width);
    archive(cereal::make_nvp("weight", construct->weight));
  }
};
/// One whose functions go by a text, which they may refuse, and by a size.
class measured {
 public:
  explicit measured(std::string unit, std::size_t n = 0) : unit_(std::move(unit)), values(n) {}
  const std::string& unit() const { return unit_; }

 private:
  friend class cereal::access;
  template <class Archive>
  void save(Archive& archive) const {
    const std::string unit = unit_;
    archive(CEREAL_NVP(unit), cereal::make_size_tag(static_cast<cereal::size_type>(values.size())));
    archive(cereal::make_nvp("values", cereal::binary_data(values.data(), values.size() * sizeof(float))));
  }
  template <class Archive>
  void load(Archive& archive) {
    cereal::size_type n;
    archive(cereal::make_nvp("unit", unit_), cereal::make_size_tag(n));
    if (unit_ != "metre" && unit_ != "inch") throw cereal::Exception("no unit " + unit_);
    values.resize(static_cast<std::size_t>(n));
    archive(cereal::make_nvp("values", cereal::binary_data(values.data(), values.size() * sizeof(float))));
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<measured>& construct) {
    construct("");
    construct->load(archive);
  }
  std::string unit_;

 public:
  std::vector<float> values;
};
struct session : std::enable_shared_from_this<session> {
  explicit session(int n) : id(n) {}
  int id, calls = 0;
  template <class Archive>
  void serialize(Archive& archive, const std::uint32_t) { archive(CEREAL_NVP(id), CEREAL_NVP(calls)); }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<session>& construct, const std::uint32_t version) {
    int id = 0;
    archive(CEREAL_NVP(id));
    construct(id);
    archive(cereal::make_nvp("calls", construct->calls));
    construct->calls += static_cast<int>(version) + static_cast<int>(construct->shared_from_this() == nullptr);
  }
};

struct pointers {
  std::shared_ptr<layer> a, b, c;
  std::weak_ptr<layer> weak;
  std::shared_ptr<const point> constant;
  std::unique_ptr<layer> own;
  std::unique_ptr<sized> made;
  std::shared_ptr<sized> shared_made;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(weak), CEREAL_NVP(a), CEREAL_NVP(b), CEREAL_NVP(c), CEREAL_NVP(constant), CEREAL_NVP(own), CEREAL_NVP(made), CEREAL_NVP(shared_made));
  }
};
struct by_bases {
  std::shared_ptr<named_thing> first;
  std::shared_ptr<stranger> second;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(first), CEREAL_NVP(second)); }
};
struct family {
  std::shared_ptr<optimizer> first, second;
  std::unique_ptr<optimizer> own;
  std::weak_ptr<optimizer> weak;
  std::shared_ptr<adam> as_adam;
  std::shared_ptr<named_thing> thing;
  std::shared_ptr<concrete> itself, more;
  std::vector<std::shared_ptr<optimizer>> list;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(first), CEREAL_NVP(second), CEREAL_NVP(own), CEREAL_NVP(weak), CEREAL_NVP(as_adam), CEREAL_NVP(thing), CEREAL_NVP(itself), CEREAL_NVP(more), CEREAL_NVP(list));
  }
};

/// Nodes that know the one above them, and the one beside them.
struct node {
  int value = 0;
  std::weak_ptr<node> parent;
  std::shared_ptr<node> next;
  std::vector<std::shared_ptr<node>> children;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(value), CEREAL_NVP(parent), CEREAL_NVP(next), CEREAL_NVP(children)); }
};
/// A graph whose edges come after all nodes.
struct vertex;
struct edge {
  std::weak_ptr<vertex> to;
  float weight = 0;
  template <class Archive>
  void serialize(Archive& archive) { archive(cereal::make_nvp("to", cereal::defer(to)), CEREAL_NVP(weight)); }
};
struct vertex {
  int id = 0;
  std::vector<edge> edges;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(id), CEREAL_NVP(edges)); }
};
struct graph {
  std::vector<std::shared_ptr<vertex>> vertices;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(vertices));
    archive.serializeDeferments();
  }
};

/// A matrix in column-major order with traits, whose library has cereal functions of its own.
struct matrix {
  std::int64_t rows = 0, columns = 0;
  std::vector<float> elements;
};
template <class Archive>
void save(Archive& archive, const matrix& m) {
  static_assert(!std::is_same_v<Archive, holdfast::cereal_output_archive>, "traits come first");
  for (float x : m.elements) archive(x);
}
template <class Archive>
void load(Archive& archive, matrix& m) {
  static_assert(!std::is_same_v<Archive, holdfast::cereal_input_archive>);
  for (float& x : m.elements) archive(x);
}
struct owner {
  matrix m;
  std::map<std::string, matrix> more;
  template <class Archive>
  void serialize(Archive& archive) { archive(CEREAL_NVP(m), CEREAL_NVP(more)); }
};

/// A trainer whose parts have cereal functions; a test leaves one of them out.
struct trainer {
  std::string without;
  layer model = layer{{1, 2}, {3}, {}, 0, false};
  std::unique_ptr<optimizer> own;
  struct data_order {
    std::vector<int> left;
    std::mt19937 engine{3};
    template <class Archive>
    void serialize(Archive& archive) { archive(CEREAL_NVP(left), CEREAL_NVP(engine)); }
  } order;

  void step() {
    if (own == nullptr) own = std::make_unique<adam>();
    auto& a = static_cast<adam&>(*own);
    a.first.resize(2), a.step++;
    if (order.left.empty()) order.left = {1, 2, 3, 4, 5};
    const std::size_t at = order.engine() % order.left.size();
    for (std::size_t i = 0; i < 2; ++i) {
      a.first[i] = 0.9f * a.first[i] + static_cast<float>(order.left[at]) * model.weight[i];
      model.weight[i] -= 0.001f * a.first[i] / static_cast<float>(a.step);
    }
    order.left.erase(order.left.begin() + static_cast<std::ptrdiff_t>(at));
    model.step++;
  }
  void bind(holdfast::state& s) {
    if (without != "model") s.bind("model", model);
    if (without != "optimizer") s.bind("optimizer", own);
    if (without != "data") s.bind("data", holdfast::resizable(order));
  }
};

/// A file's entries, which a test alters, written again.
struct entries {
  struct one {
    std::string path;
    holdfast::entry_kind kind;
    holdfast::dtype type;
    holdfast::shape extents;
    std::vector<std::byte> bytes;
  };
  std::vector<one> all;

  explicit entries(const std::string& path) {
    const auto from = holdfast::detail::open_reader(path, holdfast::trust::sealed_only);
    for (const holdfast::entry& e : from->entries()) {
      all.push_back({e.path, e.kind, e.dtype, e.shape, std::vector<std::byte>(e.bytes)});
      if (e.kind == holdfast::entry_kind::alias) all.back().kind = holdfast::entry_kind::tensor;
      if (e.bytes != 0) from->read(e, 0, static_cast<std::uint64_t>(e.shape.elements()), all.back().bytes.data());
    }
  }
  one& at(const std::string& path) {
    for (one& e : all)
      if (e.path == path) return e;
    BOOST_FAIL("no " + path);
    return all[0];
  }
  template <class T>
  void set(const std::string& path, const T& value) {
    one& e = at(path);
    BOOST_REQUIRE(e.bytes.size() == sizeof value);
    std::memcpy(e.bytes.data(), &value, sizeof value);
  }
  void set(const std::string& path, const std::string& text) {
    one& e = at(path);
    e.bytes.resize(text.size());
    std::memcpy(e.bytes.data(), text.data(), text.size());
    e.extents = {static_cast<std::int64_t>(text.size())};
  }
  void write(const std::string& path) {
    holdfast::state s;
    std::optional<int> none;
    std::vector<std::vector<int>> empty;
    for (one& e : all) {
      if (e.kind == holdfast::entry_kind::absent) s.bind(e.path, none);
      else if (e.kind == holdfast::entry_kind::tensor) s.bind(e.path, holdfast::tensor_view(e.bytes.data(), e.type, e.extents));
      else if (std::none_of(all.begin(), all.end(), [&](const one& o) { return o.path.starts_with(e.path + "/"); })) s.bind(e.path, empty);
    }
    holdfast::save(path, s, {.durable = false});
  }
};

}  // namespace

template <>
struct holdfast::traits<matrix> {
  static tensor_view view(matrix& m) {
    const shape s{m.rows, m.columns};
    return tensor_view(m.elements.data(), s, column_major(s));
  }
  static void resize(matrix& m, const shape& s) { m.rows = s[0], m.columns = s[1], m.elements.resize(static_cast<std::size_t>(s.elements())); }
};

CEREAL_SPECIALIZE_FOR_ALL_ARCHIVES(gadget, cereal::specialization::member_serialize)
CEREAL_SPECIALIZE_FOR_ALL_ARCHIVES(bottom, cereal::specialization::member_serialize)
CEREAL_REGISTER_TYPE(sgd)
CEREAL_REGISTER_TYPE_WITH_NAME(adam, "AdamW")
CEREAL_REGISTER_TYPE(gadget)
CEREAL_REGISTER_TYPE(derived)
CEREAL_REGISTER_POLYMORPHIC_RELATION(named_thing, gadget)
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

BOOST_AUTO_TEST_CASE(pointers_come_back_as_they_point) {
  pointers a, b;
  a.a = a.b = std::make_shared<layer>(filled(3));
  a.weak = a.a;
  a.constant = std::make_shared<const point>(point{1, 2});
  a.own = std::make_unique<layer>(filled(4));
  a.made = std::make_unique<sized>(5);
  a.made->weight[4] = 9;
  a.shared_made = std::make_shared<sized>(2);
  a.shared_made->weight[1] = 8;
  b.c = std::make_shared<layer>();
  b.b = b.c;
  b.shared_made = std::make_shared<sized>(7);
  const std::weak_ptr<sized> old = b.shared_made;
  file f;
  f.save(a).restore(b);
  BOOST_TEST_REQUIRE((b.a && b.constant && b.own && b.made && b.shared_made));
  BOOST_TEST((*b.a == *a.a && b.b == b.a && b.weak.lock() == b.a && b.c == nullptr && *b.constant == *a.constant && *b.own == *a.own));
  BOOST_TEST((b.made->width == 5 && b.made->weight == a.made->weight && b.shared_made->width == 2 && b.shared_made->weight == a.shared_made->weight && old.expired()));
  BOOST_TEST(true_in_h5py(f.path(), "f['x/a'] == f['x/weak'] and f['x/a'] == f['x/b'] and f['x/c'].shape is None and f['x/made/width'][()] == 5"));

  // What is there already is restored where it is.
  layer* const at = b.own.get();
  const std::shared_ptr<layer> held = b.a;
  b.own->step = b.a->step = 0;
  f.restore(b);
  BOOST_TEST((b.own.get() == at && *at == *a.own && held == b.a && *held == *a.a && b.weak.lock() == held));

  // One object of the program's that the file has as two becomes two.
  pointers apart;
  apart.a = std::make_shared<layer>(filled(3, 1)), apart.b = std::make_shared<layer>(filled(3, 2));
  file g;
  g.save(apart).restore(b);
  BOOST_TEST((b.a != b.b && *b.a == *apart.a && *b.b == *apart.b && b.weak.expired() && !b.own && !b.made));
}

BOOST_AUTO_TEST_CASE(an_object_that_only_load_and_construct_makes_takes_other_parts_from_the_file) {
  measured a("metre", 3);
  a.values = {1, 2, 3};
  file f;
  f.save(a);
  for (measured b : {measured("metre", 3), measured("inch", 3), measured("metre", 1), measured("inch", 5)}) {
    f.restore(b);
    BOOST_TEST((b.unit() == "metre" && b.values == a.values));
  }
  entries text(f.path());
  text.set("x/unit", std::string("foot"));
  text.write(f.path());
  for (const std::size_t n : {2u, 3u}) {
    measured b("inch", n);
    require_all(f.refusal(b), "/x: expected what the program's own code can load, found no unit foot");
    BOOST_TEST((b.unit() == "inch" && b.values == std::vector<float>(n)));
  }
}

BOOST_AUTO_TEST_CASE(sharing_from_this_works_in_objects_that_load_and_construct_makes) {
  auto a = std::make_shared<session>(4);
  a->calls = 2;
  std::shared_ptr<session> b;
  file f;
  f.save(a).restore(b);
  BOOST_TEST_REQUIRE((b != nullptr));
  BOOST_TEST(b->id == 4);
  BOOST_TEST(b->calls == 2);
  BOOST_TEST((b->shared_from_this() == b));
  BOOST_TEST(b.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(polymorphic_objects_come_back_with_the_type_that_they_are_registered_under) {
  family a, b;
  const auto first = std::make_shared<adam>();
  first->rate = 0.1, first->first = {1, 2}, first->second = {3}, first->step = 9;
  a.first = a.second = a.as_adam = first;
  a.weak = a.first;
  auto own = std::make_unique<sgd>();
  own->momentum = {4};
  a.own = std::move(own);
  auto thing = std::make_shared<gadget>();
  thing->parts = {7, 8};
  a.thing = thing;
  auto more = std::make_shared<derived>();
  more->x = 1, more->y = 2;
  a.itself = std::make_shared<concrete>(), a.itself->x = 5;
  a.more = more;
  a.list = {first, std::make_shared<sgd>(), nullptr};
  file f;
  f.save(a).restore(b);
  BOOST_TEST_REQUIRE((b.as_adam && b.own && b.thing && b.itself && b.more && b.list.size() == 3));
  BOOST_TEST((b.first == b.as_adam && b.second == b.first && b.weak.lock() == b.first && b.list[0] == b.first && b.list[2] == nullptr));
  BOOST_TEST((b.as_adam->rate == 0.1 && b.as_adam->first == first->first && b.as_adam->second == first->second && b.as_adam->step == 9));
  BOOST_TEST((b.own->kind() == 1 && b.list[1]->kind() == 1 && static_cast<sgd&>(*b.own).momentum == std::vector<float>{4}));
  BOOST_TEST((dynamic_cast<gadget&>(*b.thing).parts == thing->parts && b.itself->x == 5 && is_exactly<concrete>(*b.itself) && dynamic_cast<derived&>(*b.more).y == 2 && b.more->x == 1));
  BOOST_TEST(true_in_h5py(f.path(),
                          "f['x/first/polymorphic_name'][()] == b'AdamW' and f['x/first/rate'][()] == 0.1 and f['x/own/polymorphic_name'][()] == b'sgd' and f['x/as_adam'] == f['x/first']"
                          " and 'polymorphic_name' not in f['x/itself']"));

  // Of the same type it stays where it is; of another one, it is made anew.
  optimizer* const at = b.own.get();
  b.own->rate = 5;
  b.second = std::make_shared<sgd>();
  b.itself = std::make_shared<derived>();
  f.restore(b);
  BOOST_TEST((b.own.get() == at && b.own->rate == 0 && b.second == b.first && b.first == b.as_adam && is_exactly<concrete>(*b.itself)));
  family c;
  c.own = std::make_unique<adam>();
  c.first = std::make_shared<sgd>();
  f.restore(c);
  BOOST_TEST((c.own->kind() == 1 && c.first->kind() == 2));
}

BOOST_AUTO_TEST_CASE(types_that_are_not_registered_are_errors_before_anything_changes) {
  family a, b;
  a.first = std::make_shared<unknown>();
  file f;
  require_all(message_of<holdfast::error>([&] { f.save(a); }), "/x/first: the type", "unknown", "is not registered", "CEREAL_REGISTER_TYPE");

  a.first = std::make_shared<sgd>();
  a.itself = std::make_shared<concrete>();
  f.save(a);
  // The same file with another name in it.
  holdfast::state other;
  double rate = 0;
  std::string name = "martian";
  int x = 3;
  std::vector<float> momentum;
  other.bind("x/first/polymorphic_name", name).bind("x/first/rate", rate).bind("x/first/momentum", momentum).bind("x/itself/x", x);
  const std::string path = f.path();
  holdfast::save(path, other);
  b.itself = std::make_shared<concrete>();
  const holdfast::restore_options keep{.missing = holdfast::on_missing::keep};
  require_all(message_of<mismatch_error>([&] { f.restore(b, keep); }), "/x/first: expected the name of a registered type, found \"martian\"", "nothing was restored");
  BOOST_TEST((b.first == nullptr && b.itself->x == 0));
  b.first = std::make_shared<adam>();
  require_all(message_of<mismatch_error>([&] { f.restore(b, keep); }), "found \"martian\"");
  name = "sgd";
  holdfast::save(path, other);
  f.restore(b, keep);
  BOOST_TEST((b.first->kind() == 1 && b.itself->x == 3));
}

BOOST_AUTO_TEST_CASE(bases_without_a_relation_are_errors_before_anything_changes) {
  std::shared_ptr<named_thing> thing = std::make_shared<gadget>();
  std::shared_ptr<stranger> base = std::make_shared<gadget>();
  file f;
  require_all(message_of<holdfast::error>([&] { f.save(base); }), "/x: ", "unregistered polymorphic cast", "stranger", "gadget", "CEREAL_REGISTER_POLYMORPHIC_RELATION");
  f.save(thing);
  base = nullptr;
  require_all(f.refusal(base), "/x: ", "stranger", "gadget");
  BOOST_TEST((base == nullptr));

  // The file has one object where the program points to it by two bases.
  std::pair<std::shared_ptr<named_thing>, std::shared_ptr<named_thing>> one{thing, thing};
  std::unique_ptr<by_bases> other;
  f.save(one);
  require_all(f.refusal(other), "/x/second: expected a pointer to ", "stranger, found an object of ", "gadget; register their relation with CEREAL_REGISTER_POLYMORPHIC_RELATION");
  BOOST_TEST((other == nullptr));
}

BOOST_AUTO_TEST_CASE(cycles_of_pointers_end) {
  const auto ring = [](int first, int count) {
    auto start = std::make_shared<node>(), last = start;
    start->value = first;
    for (int i = 1; i < count; ++i) {
      last->next = std::make_shared<node>();
      last->next->value = first + i;
      last->next->parent = start;
      last = last->next;
    }
    start->children = {last, start->next};
    last->next = start;
    return start;
  };
  const auto open = [](std::shared_ptr<node>& n) {  // so that the ring is freed
    if (n == nullptr) return;
    for (auto at = n; at->next;) at = std::exchange(at->next, nullptr);
  };
  auto a = ring(1, 3), same = ring(10, 3), longer = ring(20, 4);
  std::shared_ptr<node> none;
  const auto* const second = same->next.get();
  file f;
  f.save(a);
  for (std::shared_ptr<node>* b : {&same, &longer, &none}) {
    std::vector<std::shared_ptr<node>> before;
    if (*b != nullptr)
      for (auto at = (*b)->next; at != *b; at = at->next) before.push_back(at);
    f.restore(*b);
    BOOST_TEST_REQUIRE((*b != nullptr && (*b)->next && (*b)->next->next));
    const node& n = **b;
    BOOST_TEST((n.value == 1 && n.next->value == 2 && n.next->next->value == 3 && n.next->next->next == *b && n.next->parent.lock() == *b && n.next->next->parent.lock() == *b));
    BOOST_TEST((n.children.size() == 2 && n.children[0] == n.next->next && n.children[1] == n.next && n.parent.expired()));
    for (auto& old : before) old->next = nullptr;
    if (b == &same) BOOST_TEST((same->next.get() == second));
    before.clear();
  }
  BOOST_TEST(true_in_h5py(f.path(), "f['x/next/parent/reference'][()] == b'../..' and f['x/next/next/next/reference'][()] == b'../../..' and f['x/children/0'] == f['x/next/next']"));
  for (auto* n : {&a, &same, &longer, &none}) open(*n);
}

BOOST_AUTO_TEST_CASE(chains_of_pointers_that_are_too_long_for_the_stack_are_errors) {
  const auto chain = [](int length) {
    auto first = std::make_shared<node>();
    for (auto last = first; --length > 0; last = last->next) last->next = std::make_shared<node>();
    return first;
  };
  auto fits = chain(200), longer = chain(201);
  std::shared_ptr<node> none;
  file f;
  f.save(fits).restore(none);
  std::size_t length = 0;
  for (auto at = none; at != nullptr; at = at->next) ++length;
  BOOST_TEST(length == 200u);
  f.restore(none);
  require_all(message_of<holdfast::error>([&] { f.save(longer); }), "pointers lead to pointers more than 200 deep", "cereal::defer");

  holdfast::state deep;
  std::vector<int> values(1000);
  std::string path = "x";
  for (int& value : values) deep.bind(path + "/value", value), path += "/next";
  holdfast::save(f.path(), deep);
  for (std::shared_ptr<node> fresh : {std::shared_ptr<node>(), chain(3)}) {
    const std::shared_ptr<node> before = fresh;
    require_all(f.refusal(fresh, {.missing = holdfast::on_missing::keep}), "pointers lead to pointers more than 200 deep");
    BOOST_TEST(fresh == before);
  }
}

BOOST_AUTO_TEST_CASE(an_object_that_is_bound_without_its_pointer_can_be_pointed_back_to_where_it_is) {
  auto a = std::make_shared<node>(), b = std::make_shared<node>(), fresh = std::make_shared<node>();
  for (auto* n : {&a, &b}) {
    (*n)->children = {std::make_shared<node>()};
    (*n)->children[0]->parent = *n;
  }
  a->children[0]->value = 5;
  file f;
  f.save(*a).restore(*b);
  BOOST_TEST((b->children[0]->value == 5 && b->children[0]->parent.lock() == b));
  require_all(f.refusal(*fresh), "/x/children/0/parent: expected a shared pointer that leads to /x, found none; bind the pointer itself");
  BOOST_TEST(fresh->children.empty());
}

BOOST_AUTO_TEST_CASE(what_is_deferred_comes_after_the_rest) {
  graph a, b, other;
  for (int i = 0; i < 3; ++i) a.vertices.push_back(std::make_shared<vertex>());
  for (int i = 0; i < 3; ++i) {
    a.vertices[static_cast<std::size_t>(i)]->id = i;
    a.vertices[static_cast<std::size_t>(i)]->edges = {{a.vertices[static_cast<std::size_t>((i + 1) % 3)], 0.5f}, {a.vertices[static_cast<std::size_t>(i)], 2}};
  }
  other.vertices = {std::make_shared<vertex>()};
  other.vertices[0]->edges = {{other.vertices[0], 1}};
  file f;
  f.save(a).restore(b);
  f.restore(other);
  f.restore(b);
  for (const graph* g : {&b, &other}) {
    BOOST_TEST_REQUIRE(g->vertices.size() == 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      const vertex& v = *g->vertices[i];
      BOOST_TEST_REQUIRE(v.edges.size() == 2u);
      BOOST_TEST((v.id == static_cast<int>(i) && v.edges[0].to.lock() == g->vertices[(i + 1) % 3] && v.edges[1].to.lock() == g->vertices[i] && v.edges[1].weight == 2));
    }
  }
  BOOST_TEST(true_in_h5py(f.path(), "f['x/vertices/0/edges/0/to/reference'][()] == b'../../../../1' and f['x/vertices/2/edges/1/to/reference'][()] == b'../../..'"));
}

BOOST_AUTO_TEST_CASE(traits_come_before_the_cereal_functions_of_a_type) {
  owner a, b;
  a.m = a.more["k"] = {2, 3, {1, 2, 3, 4, 5, 6}};
  file f;
  f.save(a).restore(b);
  BOOST_TEST((b.m.rows == 2 && b.m.elements == a.m.elements && b.more["k"].elements == a.m.elements));
  BOOST_TEST(true_in_h5py(f.path(), "f['x/m'].shape == (2, 3) and list(f['x/m'][0]) == [1, 3, 5]"));
}

BOOST_AUTO_TEST_CASE(a_trainer_resumes_bit_for_bit_and_differs_without_any_of_its_parts) {
  const auto run = [](const std::string& without) {
    return holdfast::testing::resume_equivalence(
        [=] {
          auto t = std::make_unique<trainer>();
          t->without = without;
          return t;
        },
        7);
  };
  const auto whole = run("");
  BOOST_TEST(bool(whole), whole.text());
  for (const char* part : {"model", "optimizer", "data"}) BOOST_TEST(!bool(run(part)), part);
}

BOOST_AUTO_TEST_CASE(a_state_is_saved_again_and_again_with_what_it_has_then) {
  const support::folder folder;
  packed numbers({1, 2, 3});
  layer l = filled(10);
  auto own = std::make_shared<layer>(filled(5));
  holdfast::state s;
  s.bind("numbers", numbers).bind("l", l).bind("own", own);
  holdfast::saver periodic;
  for (int i = 0; i < 3; ++i) {
    numbers = packed({i, i, i});
    l = filled(10, i);
    own->step = i;
    const std::string path = folder / (std::to_string(i) + ".h5");
    periodic.save(path, s);
    packed n;
    layer k;
    std::shared_ptr<layer> o;
    holdfast::state t;
    t.bind("numbers", n).bind("l", k).bind("own", o);
    holdfast::restore(path, t);
    BOOST_TEST((n == numbers && k == l && *o == *own));
  }
}

BOOST_AUTO_TEST_CASE(parts_of_objects_can_be_restored_where_no_variable_stands_for_them) {
  everything a, b;
  a.l = filled(6, 3), a.p = {1, 2}, a.k = packed({1, 2}), a.s = {"text", 0};
  file f;
  f.save(a);
  f.restore(b, {.only = {"x/l/**", "x/p/x"}});
  BOOST_TEST((b.l == a.l && b.p.x == 1 && b.p.y == 0 && b.k == packed() && b.s.text.empty()));
  b = {};
  f.restore(b, {.except = {"x/l/bias", "x/k/**"}});
  layer but_bias = a.l;
  but_bias.bias.clear();
  BOOST_TEST((b.l == but_bias && b.s.text == "text" && b.k == packed()));
  const everything before = b;
  require_all(f.refusal(b, {.except = {"x/k/count"}}), "/x/k/count: expected a value, which the program's load function reads into a variable, found none", "restore all of the object, or leave all of it out");
  BOOST_TEST((b == before));

  holdfast::state renamed;
  point p;
  renamed.bind("y/q", p);
  holdfast::restore(f.path(), renamed, {.only = {"y/**"}, .rename = {{"x/p/**", "y/q/**"}}});
  BOOST_TEST((p == a.p));
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_listed_or_kept) {
  layer a = filled(4), b = filled(4, 9);
  file f;
  f.save(a);
  entries some(f.path());
  std::erase_if(some.all, [](const auto& e) { return e.path == "x/bias" || e.path == "x/1"; });
  some.write(f.path());
  const layer before = b;
  const std::string refusal = f.refusal(b);
  require_all(refusal, "/x/bias: expected float32[2], not in the file", "/x/1: expected bool[], not in the file");
  BOOST_TEST((b == before));
  const auto report = f.restore(b, {.missing = holdfast::on_missing::keep});
  BOOST_TEST((report.missing == std::vector<std::string>{"x/bias", "x/1"} && b.weight.size() == 4 && bits::equal(a.weight.data(), b.weight.data(), 4) && b.bias == before.bias && b.step == 7));

  packed k;
  file g;
  const packed two({1, 2});
  g.save(two);
  entries less(g.path());
  std::erase_if(less.all, [](const auto& e) { return e.path == "x/count"; });
  less.write(g.path());
  require_all(g.refusal(k), "/x/count: expected uint64[], not in the file");
  require_all(g.refusal(k, {.missing = holdfast::on_missing::keep}), "/x/count: expected a value, which the program's load function reads into a variable");
  BOOST_TEST((k == packed()));

  layer wider = filled(5);
  require_all(f.refusal(wider, {.missing = holdfast::on_missing::keep}), "/x/weight: expected float32[5], found float32[4]", "holdfast::resizable");
  BOOST_TEST((wider.weight.size() == 5));
  f.restore(holdfast::resizable(wider), {.missing = holdfast::on_missing::keep});
  BOOST_TEST((wider.weight.size() == 4));
}

BOOST_AUTO_TEST_CASE(constants_are_saved_and_not_restored) {
  const layer a = filled(3);
  file f;
  f.save(a);
  layer b;
  f.restore(b);
  BOOST_TEST((a == b));
  require_all(f.refusal(a), "/x/weight: expected an object that may change, found one bound as const");
}

BOOST_AUTO_TEST_CASE(sizes_beyond_what_a_file_has_are_errors) {
  const blob a(100);
  file f;
  f.save(a);
  entries size(f.path());
  for (const std::uint64_t n : {std::uint64_t{1} << 60, std::uint64_t{1} << 32, std::uint64_t{101}, std::uint64_t{0}}) {
    size.set("x/size", n);
    size.write(f.path());
    blob b(2);
    const std::string refusal = f.refusal(b);
    require_all(refusal, n > 1000 ? "/x/size: expected a number of elements that the file has, found " + std::to_string(n) : "/x/data: expected float64[" + std::to_string(n) + "], found float64[100]");
    BOOST_TEST(b.end() - b.begin() == 2);
  }
}

BOOST_AUTO_TEST_CASE(references_that_lead_nowhere_are_errors) {
  auto a = std::make_shared<node>();
  a->next = std::make_shared<node>();
  a->next->parent = a;
  file f;
  f.save(a);
  entries text(f.path());
  for (const std::string to : {"", "..", "../../..", "../../../../..", "../..//", "x", "../../next/next", "/"}) {
    text.set("x/next/parent/reference", to);
    text.write(f.path());
    std::shared_ptr<node> b;
    if (to == "..") {  // the object that has the pointer
      f.restore(b);
      BOOST_TEST((b->next->parent.lock() == b->next));
    } else {
      require_all(f.refusal(b), "/x/next/parent: expected a shared pointer that leads to /");
      BOOST_TEST((b == nullptr));
    }
  }
}

BOOST_AUTO_TEST_CASE(files_with_any_entry_altered_restore_or_are_refused_and_change_nothing) {
  everything kinds;
  kinds.l = filled(3), kinds.k = packed({1, 2}), kinds.s.text = "abc", kinds.w.text = "w";
  containers held;
  held.forward = {1, 2}, held.queue.push(3), held.many = {{1, "a"}}, held.by_pair[{1, 2}] = filled(2), held.either = "text", held.bits[3] = true, held.wide = L"ab";
  pointers points;
  points.a = points.b = std::make_shared<layer>(filled(2)), points.weak = points.a, points.made = std::make_unique<sized>(3), points.shared_made = std::make_shared<sized>(2);
  family kin;
  kin.first = kin.as_adam = std::make_shared<adam>(), kin.own = std::make_unique<sgd>(), kin.thing = std::make_shared<gadget>(), kin.list = {kin.first, nullptr}, kin.itself = std::make_shared<derived>();
  auto nodes = std::make_shared<node>();
  nodes->next = std::make_shared<node>(), nodes->next->parent = nodes, nodes->children = {std::make_shared<node>()};
  versioned version{1, 2};

  const auto bind = [](auto&... x) {
    holdfast::state s;
    std::size_t i = 0;
    (s.bind(std::string(1, static_cast<char>('a' + i++)), x), ...);
    return s;
  };
  const support::folder folder;
  holdfast::save(folder / "sound.h5", bind(kinds, held, points, kin, nodes, version));
  const entries sound(folder / "sound.h5");
  std::size_t refused = 0, tried = 0;
  const auto attempt = [&](entries& altered) {
    altered.write(folder / "altered.h5");
    for (const bool filled_in : {false, true}) {
      everything k;
      containers h;
      pointers p;
      family q;
      std::shared_ptr<node> n;
      versioned v;
      holdfast::state s = bind(k, h, p, q, n, v);
      if (filled_in) holdfast::restore(folder / "sound.h5", s);
      holdfast::save(folder / "before.h5", s, {.durable = false});
      ++tried;
      try {
        holdfast::restore(folder / "altered.h5", s);
        if (n && n->next && n->next->next == n) n->next = nullptr;
      } catch (const mismatch_error& e) {
        ++refused;
        BOOST_TEST(!e.differences().empty());
        holdfast::save(folder / "after.h5", s, {.durable = false});
        BOOST_TEST((holdfast::compare(folder / "before.h5", folder / "after.h5").empty()));
      }
    }
  };
  entries same = sound;
  attempt(same);
  BOOST_TEST(refused == 0u);
  for (std::size_t i = 0; i < sound.all.size(); ++i) {
    BOOST_TEST_CONTEXT(sound.all[i].path) {
      entries less = sound;
      less.all.erase(less.all.begin() + static_cast<std::ptrdiff_t>(i));
      attempt(less);
      entries other = sound;
      auto& e = other.all[i];
      if (e.kind == holdfast::entry_kind::tensor && !e.bytes.empty()) {
        for (std::byte& b : e.bytes) b ^= e.type == holdfast::dtype::boolean ? std::byte{1} : e.type == holdfast::dtype::string ? std::byte{2}
                                                                                                                                : std::byte{0xff};
      } else {
        e = {e.path, holdfast::entry_kind::tensor, holdfast::dtype::uint8, holdfast::shape{}, std::vector<std::byte>(1)};
        if (std::any_of(sound.all.begin(), sound.all.end(), [&](const auto& o) { return o.path.starts_with(e.path + "/"); })) continue;
      }
      attempt(other);
      e.kind = holdfast::entry_kind::absent;
      attempt(other);
    }
  }
  BOOST_TEST_MESSAGE(tried << " files, " << refused << " refused");
  BOOST_TEST(refused > tried / 2);
}

BOOST_AUTO_TEST_CASE(damage_is_found_in_any_entry_before_or_while_it_changes_something) {
  family a;
  a.first = std::make_shared<adam>(), a.own = std::make_unique<sgd>(), a.itself = std::make_shared<derived>();
  a.first->rate = 0.5;
  file f;
  f.save(a);
  const std::string sound = support::bytes_of(f.path());
  const holdfast::checkpoint_file read(f.path());
  for (const holdfast::entry& e : read.entries()) {
    if (e.bytes == 0) continue;
    support::flip_bit(f.path(), e.offset);
    family b;
    BOOST_CHECK_THROW(f.restore(b), holdfast::integrity_error);
    BOOST_TEST((!b.first && !b.own && !b.itself), "found while it was planned");
    support::write_bytes(f.path(), sound);
  }
}

BOOST_AUTO_TEST_SUITE_END()
