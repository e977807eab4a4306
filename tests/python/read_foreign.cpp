// Restores HDF5 files that holdfast did not write, and compares with the formulas of write_foreign.py:
//
//   read_foreign FILE             everything h5py writes in its usual ways
//   read_foreign --keras FILE     a Keras-like layout, under other names
//   read_foreign --refused FILE   prints why each dataset of /refused cannot be restored
#include <complex>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <holdfast/holdfast.hpp>

namespace {

int failures = 0;

template <class T>
void expect(std::string_view path, const T& found, const T& expected) {
  if (found == expected) return;
  std::cerr << "/" << path << " has other values\n";
  ++failures;
}

/// The numbers `first`, `first` + 1, … in any element type.
template <class T>
std::vector<T> numbers(std::size_t n, int first) {
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    const int number = static_cast<int>(i) + first;
    const auto x = static_cast<float>(number);
    if constexpr (requires { T::from(x); }) values[i] = T::from(x);
    else if constexpr (requires { T{}.imag(); })
      values[i] = T(static_cast<typename T::value_type>(x), static_cast<typename T::value_type>(-x));
    else values[i] = static_cast<T>(number);  // modulo its range, as numpy does
  }
  return values;
}

/// Binds empty vectors to all of `paths`, and compares them after the restore.
class bound {
 public:
  holdfast::state state;

  template <class T>
  void numbers_at(const std::string& path, holdfast::shape extents, int first = 0) {
    const auto n = static_cast<std::size_t>(extents.elements());
    auto values = std::make_shared<std::vector<T>>(n);
    state.bind(path, holdfast::tensor(values->data(), std::move(extents)));
    checks_.push_back([path, values, n, first] {
      // Bits, since the number formats without a name have no comparison.
      const auto expected = numbers<T>(n, first);
      expect(path, std::string_view(reinterpret_cast<const char*>(values->data()), n * sizeof(T)),
             std::string_view(reinterpret_cast<const char*>(expected.data()), n * sizeof(T)));
    });
  }

  template <class T>
  void value_at(const std::string& path, T initial, T expected) {
    auto value = std::make_shared<T>(std::move(initial));
    state.bind(path, *value);
    checks_.push_back([path, value, expected] { expect(path, *value, expected); });
  }

  void check() const {
    for (const auto& run : checks_) run();
  }

 private:
  std::vector<std::function<void()>> checks_;
};

int everyday(const std::string& file) {
  bound b;
  b.numbers_at<float>("contiguous", {3, 4});
  b.numbers_at<double>("chunked", {100});
  b.numbers_at<std::int32_t>("gzip", {40, 50});
  b.numbers_at<std::int32_t>("scale_offset", {100});
  b.numbers_at<std::int64_t>("cube", {7, 11, 13});
  b.numbers_at<std::uint16_t>("large", {1200, 1000});
  b.numbers_at<std::int16_t>("compact", {5});
  for (const std::string order : {"little", "big"}) {
    b.numbers_at<std::int16_t>(order + "/int16", {2, 3}, -2);
    b.numbers_at<std::int32_t>(order + "/int32", {2, 3}, -2);
    b.numbers_at<std::int64_t>(order + "/int64", {2, 3}, -2);
    b.numbers_at<std::uint16_t>(order + "/uint16", {2, 3}, 1);
    b.numbers_at<std::uint32_t>(order + "/uint32", {2, 3}, 1);
    b.numbers_at<std::uint64_t>(order + "/uint64", {2, 3}, 1);
    b.numbers_at<holdfast::float16>(order + "/float16", {2, 3}, -2);
    b.numbers_at<holdfast::bfloat16>(order + "/bfloat16", {2, 3}, -2);
    b.numbers_at<float>(order + "/float32", {2, 3}, -2);
    b.numbers_at<double>(order + "/float64", {2, 3}, -2);
    b.numbers_at<std::complex<float>>(order + "/complex64", {2, 3}, -2);
    b.numbers_at<std::complex<double>>(order + "/complex128", {2, 3}, -2);
  }
  b.numbers_at<holdfast::float8_e5m2>("float8", {4});
  b.value_at<std::vector<bool>>("bool", {}, {true, false, true});
  b.value_at("bool_scalar", false, true);
  b.value_at("integer", std::int64_t{0}, std::int64_t{-7});
  b.value_at("real", 0.0, 0.1);
  b.value_at("uint8_scalar", std::uint8_t{0}, std::uint8_t{9});
  b.value_at<std::string>("text", "x", "naïve 日本語");
  b.value_at<std::string>("empty_text", "x", "");
  b.value_at<std::string>("bytes", "x", "raw");
  b.value_at<std::string>("padded", "x", "raw");
  b.value_at<std::string>("no_bytes", "x", "");
  b.value_at<std::vector<std::string>>("texts", {}, {"one", "", "größer"});
  b.value_at<std::vector<std::string>>("fixed", {}, {"one", "three"});
  b.value_at<std::vector<std::string>>("no_texts", {"x"}, {});
  b.value_at<std::optional<double>>("nothing", 1.0, std::nullopt);
  b.value_at<std::optional<double>>("something", std::nullopt, 2.5);
  b.numbers_at<float>("zero", {0, 3});
  b.numbers_at<float>("zero_chunked", {0});
  b.value_at<std::map<std::string, std::vector<float>>>("nested/a/b", {}, {{"w", {0, 1}}, {"имя", {5}}});
  b.value_at<std::vector<std::vector<float>>>("numbered", {}, {{0}, {0, 1}, {0, 1, 2}});
  b.value_at<std::map<std::string, double>>("empty_group", {{"x", 1}}, {{"x", 1}});
  b.value_at<std::vector<std::int8_t>>("enumeration", {}, {1, 0, 1});
  auto first = std::make_shared<std::vector<float>>(), second = std::make_shared<std::vector<float>>();
  b.state.bind("linked/first", first).bind("linked/second", second);
  const auto report = holdfast::restore(file, b.state, {.except = {"empty_group"}, .trust = holdfast::trust::foreign});
  b.check();
  if (first != second || *first != numbers<float>(4, 0)) expect<bool>("linked", true, false);
  if (report.sealed || report.verified || report.step != -1 || !report.missing.empty() || !report.unexpected.empty())
    expect<bool>("(the report)", true, false);
  try {
    holdfast::restore(file, b.state);
    expect<bool>("(trust)", true, false);
  } catch (const holdfast::format_error& e) {
    if (std::string_view(e.what()).find("trust::foreign") == std::string_view::npos)
      expect<bool>("(the message)", true, false);
  }
  return failures == 0 ? 0 : 1;
}

struct dense {
  std::vector<float> bias;
  std::array<float, 12> kernel{};
};

int keras(const std::string& file) {
  dense one, two;
  std::int64_t iterations = 0;
  std::vector<float> momentum;
  holdfast::state state;
  state.bind("model/fc1/weight", holdfast::tensor(one.kernel.data(), {3, 4}))
      .bind("model/fc1/bias", one.bias)
      .bind("model/fc2/weight", holdfast::tensor(two.kernel.data(), {4, 3}))
      .bind("model/fc2/bias", two.bias)
      .bind("optimizer/step", iterations)
      .bind("optimizer/momentum", momentum);
  holdfast::restore_options options{.rename = {{"layers/dense/vars/0", "model/fc1/weight"},
                                               {"layers/dense/vars/1", "model/fc1/bias"},
                                               {"layers/dense_1/vars/0", "model/fc2/weight"},
                                               {"layers/dense_1/vars/1", "model/fc2/bias"},
                                               {"optimizer/vars/0", "optimizer/step"},
                                               {"optimizer/vars/2", "optimizer/momentum"}},
                                    .unexpected = holdfast::on_unexpected::ignore,
                                    .trust = holdfast::trust::foreign};
  const auto report = holdfast::restore(file, state, options);
  const auto kernel = numbers<float>(12, 0);
  expect("layers/dense/vars/0", std::vector<float>(one.kernel.begin(), one.kernel.end()), kernel);
  expect("layers/dense/vars/1", one.bias, numbers<float>(4, 0));
  expect("layers/dense_1/vars/0", std::vector<float>(two.kernel.begin(), two.kernel.end()), kernel);
  expect("layers/dense_1/vars/1", two.bias, numbers<float>(3, 0));
  expect("optimizer/vars/0", iterations, std::int64_t{1000});
  expect("optimizer/vars/2", momentum, numbers<float>(4, 0));
  expect("(unexpected)", report.unexpected, {"layers/dropout/seed_generator/vars/0", "optimizer/vars/1"});
  return failures == 0 ? 0 : 1;
}

int refused(const std::string& file) {
  const holdfast::checkpoint_file all(file, holdfast::trust::foreign);
  holdfast::state state;
  std::vector<std::vector<float>> targets(all.entries().size());
  std::size_t i = 0;
  for (const holdfast::entry& e : all.entries())
    if (e.kind == holdfast::entry_kind::tensor) state.bind(e.path, targets[i++]);
  for (const auto& d : holdfast::plan_restore(file, state, {.trust = holdfast::trust::foreign}).differences)
    std::cout << d.path << ": " << d.found << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view mode = argc > 2 ? argv[1] : "";
  const std::string file = argv[argc - 1];
  return mode == "--keras" ? keras(file) : mode == "--refused" ? refused(file)
                                                               : everyday(file);
} catch (const std::exception& e) {
  std::cerr << e.what() << "\n";
  return 1;
}
