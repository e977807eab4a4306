// Writes one checkpoint of everything that holdfast can hold, with values that everything.py computes again:
//
//   write_everything FILE           all of it
//   write_everything --small FILE   what golden files hold, and so never changes: less of each kind
//   write_everything --tiny FILE    the example of docs/format.md
//   write_everything --check [--small | --tiny] [--foreign] FILE   restores and compares with what was saved
//   write_everything --hdf5         prints the version of HDF5 it writes with
#include <array>
#include <atomic>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <holdfast/holdfast.hpp>

namespace {

using holdfast::dtype;
using holdfast::shape;

/// A tensor whose bytes follow from its path: words of splitmix64 seeded with the path's FNV-1a hash, so that floats
/// of every kind occur, NaNs with payloads among them.
struct patterned {
  std::string path;
  dtype type;
  shape extents;
  std::vector<std::byte> bytes;

  patterned(std::string at, dtype t, shape s)
      : path(std::move(at)),
        type(t),
        extents(std::move(s)),
        bytes(static_cast<std::size_t>(extents.elements()) * size_of(t)) {}

  void fill() {
    std::uint64_t seed = 14695981039346656037u;
    for (const char c : path) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
      seed += 0x9E3779B97F4A7C15u;
      std::uint64_t word = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9u;
      word = (word ^ word >> 27) * 0x94D049BB133111EBu;
      word ^= word >> 31;
      std::memcpy(bytes.data() + at, &word, std::min<std::size_t>(8, bytes.size() - at));
    }
    if (type == dtype::boolean)
      for (std::byte& b : bytes) b &= std::byte{1};
  }

  /// Every code of an 8- or 16-bit type, or every `stride`th.
  void fill_codes(std::uint32_t stride) {
    for (std::size_t i = 0; i < bytes.size() / size_of(type); ++i) {
      const auto code = static_cast<std::uint16_t>(i * stride);
      std::memcpy(bytes.data() + i * size_of(type), &code, size_of(type));
    }
  }

  /// Zeros, infinities, quiet and signalling NaNs with payloads, the least and greatest subnormal and normal numbers.
  void fill_special() {
    static constexpr std::uint32_t single[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001,
                                               0x7f800001, 0xffa5a5a5, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff};
    static constexpr std::uint64_t wide[] = {0x0000000000000000, 0x8000000000000000, 0x7ff0000000000000,
                                             0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001,
                                             0x7ff0000000000001, 0xfff5a5a5a5a5a5a5, 0x0000000000000001,
                                             0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff};
    if (type == dtype::float32 || type == dtype::complex64) std::memcpy(bytes.data(), single, bytes.size());
    else std::memcpy(bytes.data(), wide, bytes.size());
  }
};

struct block {
  std::vector<float> weight;
  std::int32_t heads = 0;
};

struct layer {
  std::string name;
  std::vector<block> blocks;
  std::array<float, 3> scale{};
};

struct trunk {
  std::vector<double> weight;
  std::string name;
  std::shared_ptr<std::vector<std::int64_t>> numbers;
};

struct text {
  std::string ascii, empty, utf8, with_nul;
  std::vector<std::string> lines, no_lines, empty_lines;
};

struct absence {
  std::optional<double> nothing, something;
  std::unique_ptr<trunk> null, object;
};

enum class phase : std::uint8_t { warm_up = 1,
                                  decay = 3 };

struct containers {
  std::map<std::string, std::vector<float>> keys;
  std::map<std::int64_t, double> numbers;
  std::unordered_map<std::string, std::int16_t> unordered;
  std::map<std::string, double> no_keys;
  std::vector<layer> layers, no_layers;
  std::array<std::string, 2> names;
  std::array<std::complex<double>, 2> roots{};
  std::int32_t grid[2][3] = {};
  std::pair<double, std::string> pair;
  std::tuple<std::uint8_t, float> tuple;
  std::deque<std::int64_t> deque;
  std::list<float> list;
  std::set<std::int32_t> set;
  std::vector<bool> bits;
  std::vector<std::byte> opaque;
  std::atomic<std::int64_t> atomic{0};
  phase in = phase::warm_up;
};

struct clocks {
  std::chrono::milliseconds elapsed{};
  std::chrono::duration<double, std::ratio<60>> minutes{};
  std::chrono::sys_time<std::chrono::seconds> started{};
};

/// Engines and distributions in the middle of their streams, with what they would draw next.
struct random_state {
  std::mt19937 mt19937;
  std::mt19937_64 mt19937_64;
  std::minstd_rand minstd;
  std::ranlux24 ranlux24;
  std::knuth_b knuth;
  std::normal_distribution<double> normal{0.5, 2.0};
  std::vector<std::uint64_t> mt19937_draws, mt19937_64_draws, minstd_draws, ranlux24_draws, knuth_draws;
  std::vector<double> normal_draws;
};

}  // namespace

template <> struct holdfast::traits<block>
    : holdfast::fields<holdfast::field<&block::weight>, holdfast::field<&block::heads>> {};
template <> struct holdfast::traits<layer>
    : holdfast::fields<holdfast::field<&layer::name>, holdfast::field<&layer::blocks>, holdfast::field<&layer::scale>> {
};
template <> struct holdfast::traits<trunk>
    : holdfast::fields<holdfast::field<&trunk::weight>, holdfast::field<&trunk::name>,
                       holdfast::field<&trunk::numbers>> {};
template <> struct holdfast::traits<text>
    : holdfast::fields<holdfast::field<&text::ascii>, holdfast::field<&text::empty>, holdfast::field<&text::utf8>,
                       holdfast::field<&text::with_nul>, holdfast::field<&text::lines>,
                       holdfast::field<&text::no_lines>, holdfast::field<&text::empty_lines>> {};
template <> struct holdfast::traits<absence>
    : holdfast::fields<holdfast::field<&absence::nothing>, holdfast::field<&absence::something>,
                       holdfast::field<&absence::null>, holdfast::field<&absence::object>> {};
template <> struct holdfast::traits<containers>
    : holdfast::fields<holdfast::field<&containers::keys>, holdfast::field<&containers::numbers>,
                       holdfast::field<&containers::unordered>, holdfast::field<&containers::no_keys>,
                       holdfast::field<&containers::layers>, holdfast::field<&containers::no_layers>,
                       holdfast::field<&containers::names>, holdfast::field<&containers::roots>,
                       holdfast::field<&containers::grid>, holdfast::field<&containers::pair>,
                       holdfast::field<&containers::tuple>, holdfast::field<&containers::deque>,
                       holdfast::field<&containers::list>, holdfast::field<&containers::set>,
                       holdfast::field<&containers::bits>, holdfast::field<&containers::opaque>,
                       holdfast::field<&containers::atomic>, holdfast::field<&containers::in, "phase">> {};
template <> struct holdfast::traits<clocks>
    : holdfast::fields<holdfast::field<&clocks::elapsed>, holdfast::field<&clocks::minutes>,
                       holdfast::field<&clocks::started>> {};
template <> struct holdfast::traits<random_state>
    : holdfast::fields<holdfast::field<&random_state::mt19937>, holdfast::field<&random_state::mt19937_64>,
                       holdfast::field<&random_state::minstd>, holdfast::field<&random_state::ranlux24>,
                       holdfast::field<&random_state::knuth>, holdfast::field<&random_state::normal>,
                       holdfast::field<&random_state::mt19937_draws, "draws/mt19937">,
                       holdfast::field<&random_state::mt19937_64_draws, "draws/mt19937_64">,
                       holdfast::field<&random_state::minstd_draws, "draws/minstd">,
                       holdfast::field<&random_state::ranlux24_draws, "draws/ranlux24">,
                       holdfast::field<&random_state::knuth_draws, "draws/knuth">,
                       holdfast::field<&random_state::normal_draws, "draws/normal">> {};

namespace {

constexpr std::int64_t step = 123456789;
constexpr double metric = 0.125;

template <class Engine>
std::vector<std::uint64_t> next_of(Engine engine) {
  std::vector<std::uint64_t> draws(10);
  for (std::uint64_t& x : draws) x = engine();
  return draws;
}

std::vector<double> next_of(std::normal_distribution<double> normal, std::mt19937 engine) { return {normal(engine)}; }

/// All of it, bound. What is not filled is what a program would restore into: fixed tensors of the right shape, the
/// rest empty or, where restore has to take something away, not empty.
class everything {
 public:
  everything(bool small, bool filled) {
    declare_tensors(small);
    if (filled) fill(small);
    else {
      absence_.nothing = 7;
      absence_.null = std::make_unique<trunk>();
    }
    bind();
  }

  holdfast::state& state() { return state_; }

  /// Whether shared objects are shared, and engines go on with the draws that were saved beside them.
  bool as_saved() const {
    if (first_ == nullptr || first_ != second_) return false;
    if (numbers_ == nullptr || numbers_ != same_numbers_ || numbers_ != first_->numbers) return false;
    const random_state& r = random_;
    return next_of(r.mt19937) == r.mt19937_draws && next_of(r.mt19937_64) == r.mt19937_64_draws &&
           next_of(r.minstd) == r.minstd_draws && next_of(r.ranlux24) == r.ranlux24_draws &&
           next_of(r.knuth) == r.knuth_draws && next_of(r.normal, r.mt19937) == r.normal_draws;
  }

 private:
  void declare_tensors(bool small) {
    for (int i = 1; i <= static_cast<int>(dtype::float8_e5m2); ++i) {
      const auto type = static_cast<dtype>(i);
      const std::string group = "dtypes/" + std::string(name(type));
      tensors_.emplace_back(group + "/matrix", type, shape{3, 5});
      if (small && type != dtype::float32) continue;
      tensors_.emplace_back(group + "/scalar", type, shape{});
      tensors_.emplace_back(group + "/empty", type, shape{0});
      tensors_.emplace_back(group + "/vector", type, shape{7});
      tensors_.emplace_back(group + "/deep", type, shape{2, 1, 3, 1, 2});
      tensors_.emplace_back(group + "/empty_matrix", type, shape{4, 0, 2});
    }
    patterned_ = tensors_.size();
    for (const dtype type : {dtype::float8_e4m3fn, dtype::float8_e5m2, dtype::float16, dtype::bfloat16}) {
      const bool wide = size_of(type) == 2 && !small;
      tensors_.emplace_back("codes/" + std::string(name(type)), type, wide ? shape{256, 256} : shape{16, 16});
    }
    special_ = tensors_.size();
    for (const dtype type : {dtype::float32, dtype::float64, dtype::complex64, dtype::complex128})
      tensors_.emplace_back("special/" + std::string(name(type)), type,
                            name(type).starts_with("complex") ? shape{6} : shape{12});
    // Sizes around a block of digests, a page-aligned tensor, and neither.
    large_ = tensors_.size();
    tensors_.emplace_back("sizes/100", dtype::uint8, shape{100});
    if (small) return;
    tensors_.emplace_back("sizes/64KiB-1", dtype::uint8, shape{65535});
    tensors_.emplace_back("sizes/64KiB", dtype::uint8, shape{65536});
    tensors_.emplace_back("sizes/1MiB", dtype::uint8, shape{1 << 20});
    tensors_.emplace_back("sizes/1MiB+1", dtype::uint8, shape{(1 << 20) + 1});
    tensors_.emplace_back("sizes/matrix", dtype::float32, shape{701, 1000});
    tensors_.emplace_back("sizes/complex", dtype::complex128, shape{131072 + 3});
  }

  void fill(bool small) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      patterned& t = tensors_[i];
      if (i < patterned_ || i >= large_) t.fill();
      else if (i >= special_) t.fill_special();
      else t.fill_codes(t.extents.elements() == 256 && size_of(t.type) == 2 ? 257 : 1);
    }
    for (std::size_t j = 0; j < 6; ++j)
      for (std::size_t i = 0; i < 4; ++i) column_major_[j * 4 + i] = static_cast<float>(100 * i + j);
    for (std::size_t i = 0; i < backwards_.size(); ++i) backwards_[i] = static_cast<std::int32_t>(9 - i);
    for (std::size_t i = 0; i < tied_.size(); ++i) tied_[i] = static_cast<float>(i) / 8;
    many_.resize(small ? 2 : 400);
    for (std::size_t i = 0; i < many_.size(); ++i)
      for (std::size_t k = 0; k < i % 7; ++k) many_[i].push_back(static_cast<float>(i) + static_cast<float>(k) / 8);

    text_ = {"plain", "", "naïve 日本語 🙂", std::string("a\0b\0", 4), {"one", "", "größer"}, {}, {"", ""}};
    absence_.something = 2.5;
    absence_.object = std::make_unique<trunk>(trunk{{1, 2, 3}, "owned", nullptr});
    for (const char* key : {"", "a/b", "ключ", ".", "..", "100%", "%2F", "tab\there", "two words", "a.b", "a", "~"})
      containers_.keys[key] = {static_cast<float>(std::strlen(key)), -1};
    containers_.numbers = {{-5, 0.5}, {0, 1.5}, {7, 2.5}, {10, 3.5}};
    containers_.unordered = {{"x", std::int16_t{1}}, {"y", std::int16_t{-2}}, {"z", std::int16_t{3}}};
    containers_.layers = {{"first", {{{1, 2}, 4}, {{3}, 8}}, {1, 2, 3}}, {"second", {}, {4, 5, 6}}};
    containers_.names = {"left", "right"};
    containers_.roots = {std::complex(0.0, 1.0), std::complex(-0.0, -1.0)};
    for (int i = 0; i < 6; ++i) containers_.grid[i / 3][i % 3] = 10 * i;
    containers_.pair = {0.75, "three quarters"};
    containers_.tuple = {std::uint8_t{9}, 0.25f};
    containers_.deque = {3, 1, 2};
    containers_.list = {0.5f, 1.5f};
    containers_.set = {30, 10, 20};
    containers_.bits = {true, false, true, true};
    containers_.opaque = {std::byte{0}, std::byte{255}, std::byte{1}};
    containers_.atomic = -42;
    containers_.in = phase::decay;
    clocks_ = {std::chrono::milliseconds(90061001), std::chrono::duration<double, std::ratio<60>>(1.5),
               std::chrono::sys_time<std::chrono::seconds>(std::chrono::seconds(1700000000))};

    random_state& r = random_;
    r.mt19937.seed(20240229);
    r.mt19937.discard(700);
    r.mt19937_64.seed(5489);
    r.mt19937_64.discard(3);
    r.minstd.seed(17);
    r.ranlux24.seed(18);
    r.ranlux24.discard(30);
    r.knuth.seed(19);
    r.knuth.discard(5);
    std::istringstream("0.5 2 1 -1.25") >> r.normal;  // one drawn ahead, and no logarithm of some libm
    r.mt19937_draws = next_of(r.mt19937);
    r.mt19937_64_draws = next_of(r.mt19937_64);
    r.minstd_draws = next_of(r.minstd);
    r.ranlux24_draws = next_of(r.ranlux24);
    r.knuth_draws = next_of(r.knuth);
    r.normal_draws = next_of(r.normal, r.mt19937);

    numbers_ = same_numbers_ = std::make_shared<std::vector<std::int64_t>>(std::vector<std::int64_t>{1, -1});
    first_ = second_ = std::make_shared<trunk>(trunk{{0.5, 0.25}, "shared", numbers_});
  }

  void bind() {
    for (patterned& t : tensors_) state_.bind(t.path, holdfast::tensor_view(t.bytes.data(), t.type, t.extents));
    state_.bind("views/column_major", holdfast::tensor(column_major_.data(), {4, 6}, {1, 4}))
        .bind("views/backwards", holdfast::tensor(backwards_.data() + 9, {10}, {-1}))
        .bind("views/every_other", holdfast::tensor(backwards_.data(), {5}, {2}))
        .bind("model/embed", holdfast::tensor(tied_.data(), {4, 8}))
        .bind("model/head", holdfast::tensor(tied_.data(), {4, 8}))
        .bind("model/имя", tied_[3])
        .bind("model/fc1.bias with space", tied_[4])
        .bind("shared/numbers", numbers_)
        .bind("shared/same_numbers", same_numbers_)
        .bind("shared/second", second_)  // a link in what has a second name itself, and that sorts first
        .bind("shared/first", first_)
        .bind("many", many_)
        .bind("text", text_)
        .bind("absent", absence_)
        .bind("containers", containers_)
        .bind("clocks", clocks_)
        .bind("rng", random_);
  }

  std::deque<patterned> tensors_;
  std::size_t patterned_ = 0, special_ = 0, large_ = 0;
  std::array<float, 24> column_major_{};
  std::array<std::int32_t, 10> backwards_{};
  std::array<float, 32> tied_{};
  std::vector<std::vector<float>> many_;
  text text_;
  absence absence_;
  containers containers_;
  clocks clocks_;
  random_state random_;
  std::shared_ptr<trunk> first_, second_;
  std::shared_ptr<std::vector<std::int64_t>> numbers_, same_numbers_;
  holdfast::state state_;
};

/// Compares two states in memory, bit for bit; returns the first path that differs.
std::optional<std::string> first_difference(const holdfast::state& a, const holdfast::state& b) {
  const holdfast::detail::manifest ours(a), theirs(b);
  for (std::size_t i = 0; i < std::max(ours.items().size(), theirs.items().size()); ++i) {
    if (i >= theirs.items().size()) return ours.items()[i].entry.path;
    if (i >= ours.items().size()) return theirs.items()[i].entry.path;
    const auto &x = ours.items()[i], &y = theirs.items()[i];
    if (!holdfast::detail::same_layout(x.entry, y.entry)) return x.entry.path;
    std::vector<std::byte> left(x.view.bytes()), right(y.view.bytes());
    gather(x.view, 0, static_cast<std::uint64_t>(x.view.shape().elements()), left.data());
    gather(y.view, 0, static_cast<std::uint64_t>(y.view.shape().elements()), right.data());
    if (left != right) return x.entry.path;
  }
  return std::nullopt;
}

/// A few tensors, none of them empty.
struct tiny {
  std::vector<float> weight;
  std::int64_t count = 0;
  std::string name;
  holdfast::state bound;

  explicit tiny(bool filled) {
    if (filled) weight = {0.5f, 1.0f, 1.5f}, count = 1000, name = "tiny";
    bound.bind("model/weight", weight).bind("model/tied", weight).bind("count", count).bind("name", name);
  }
  holdfast::state& state() { return bound; }
  bool as_saved() const { return true; }
};

template <class State>
int check(const std::string& file, State&& saved, State&& restored, bool foreign) {
  const auto trusted = foreign ? holdfast::trust::foreign : holdfast::trust::sealed_only;
  const auto report = holdfast::restore(file, restored.state(), {.trust = trusted});
  if (const auto path = first_difference(saved.state(), restored.state())) {
    std::cerr << file << ": /" << *path << " differs\n";
    return 1;
  }
  if (report.step != step || !report.verified || report.sealed == foreign || !restored.as_saved()) {
    std::cerr << file << ": expected step " << step << ", verified, " << (foreign ? "unsealed" : "sealed")
              << "; found step " << report.step << (report.verified ? ", " : ", not ") << "verified, "
              << (report.sealed ? "sealed" : "unsealed")
              << (restored.as_saved() ? "" : "; and the links or the random streams are not what they were") << "\n";
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  std::set<std::string_view> options;
  std::string file;
  for (const std::string_view argument : std::vector<std::string_view>(argv + 1, argv + argc))
    argument.starts_with("--") ? void(options.insert(argument)) : void(file = argument);
  const bool tiny_one = options.contains("--tiny"), small = options.contains("--small"),
             foreign = options.contains("--foreign");
  if (options.contains("--hdf5")) {
    std::cout << H5_VERS_INFO << "\n";
  } else if (options.contains("--check")) {
    return tiny_one ? check(file, tiny(true), tiny(false), foreign)
                    : check(file, everything(small, true), everything(small, false), foreign);
  } else if (tiny_one) {
    holdfast::save(file, tiny(true).state(), {.step = step, .metric = metric});
  } else {
    holdfast::save(file, everything(small, true).state(), {.step = step, .metric = metric});
  }
} catch (const std::exception& e) {
  std::cerr << e.what() << "\n";
  return 1;
}
