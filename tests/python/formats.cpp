// For formats.py: one state, known to both sides, in each format that holds it.
//
//   formats export FILE      writes it: .h5 or .safetensors
//   formats import FILE      restores it, .npz too, and compares
//   formats keras FILE       restores a layer of Keras as one of PyTorch's
#include <complex>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <holdfast/adapters/npz.hpp>
#include <holdfast/adapters/safetensors.hpp>
#include <holdfast/holdfast.hpp>

namespace {

using holdfast::dtype;

struct everything {
  std::map<dtype, std::vector<std::byte>> content;
  std::vector<float> column_major = std::vector<float>(6), tied = std::vector<float>(3), empty;
  std::int64_t step = 0;
  std::string text;
  std::optional<double> absent = 1;
  std::map<std::string, int> none{{"a", 1}};

  void fill() {
    for (auto& [type, bytes] : content)
      for (std::size_t k = 0; k < bytes.size(); ++k)
        bytes[k] = static_cast<std::byte>(type == dtype::boolean ? k % 2 : (37 * k + 11 * static_cast<std::size_t>(type) + 5) % 251);
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < 3; ++j) column_major[i + 2 * j] = static_cast<float>(10 * i + j);
    tied = {1, 2, 3};
    step = 1000;
    text = "größe";
    absent.reset();
    none.clear();
  }

  /// What a format holds: all, without text and complex numbers, or what numpy has.
  holdfast::state bind(const std::string& format) {
    holdfast::state s;
    for (int n = 1; n <= 17; ++n) {
      const auto type = static_cast<dtype>(n);
      const bool complex = type == dtype::complex64 || type == dtype::complex128, narrow = type == dtype::bfloat16 || n >= 16;
      if ((complex && format == "safetensors") || (narrow && format == "npz")) continue;
      auto& bytes = content[type];
      bytes.resize(6 * size_of(type));
      s.bind("tensors/" + std::string(name(type)), holdfast::tensor_view(bytes.data(), type, {2, 3}));
    }
    s.bind("column.major", holdfast::tensor(column_major.data(), {2, 3}, {1, 2})).bind("empty", holdfast::tensor(empty.data(), {0, 4}));
    s.bind("tied/a", tied);
    if (format != "npz") s.bind("tied/b", tied);
    s.bind("progress/step", step);
    if (format == "h5") s.bind("text", text).bind("absent", absent).bind("none", holdfast::resizable(none));
    return s;
  }

  friend bool operator==(const everything&, const everything&) = default;
};

/// Keras has a kernel as [inputs, outputs], PyTorch as [outputs, inputs].
void take_up_keras(const std::string& path) {
  std::vector<float> weight(2 * 3), bias(2);
  holdfast::state state;
  state.bind("model/dense.weight", holdfast::tensor(weight.data(), {3, 2}, {1, 3})).bind("model/dense.bias", bias);
  holdfast::restore(path, state, {.only = {"model/**"}, .rename = {{"layers/*/vars/0", "model/*.weight"}, {"layers/*/vars/1", "model/*.bias"}}, .trust = holdfast::trust::foreign});
  if (weight != std::vector<float>{0, 10, 20, 1, 11, 21} || bias != std::vector<float>{5, 6}) throw holdfast::error(path + ": restored something else");
}

}  // namespace

int main(int, char** arguments) try {
  const std::string command = arguments[1], path = arguments[2], format = path.substr(path.rfind('.') + 1);
  if (command == "keras") return take_up_keras(path), 0;
  everything expected, found;
  const holdfast::state of_expected = expected.bind(format);
  holdfast::state s = found.bind(format);
  expected.fill();
  if (command == "export") {
    if (format == "h5") holdfast::save(path, of_expected);
    else holdfast::export_safetensors(of_expected, path, {.metadata = {{"format", "pt"}}});
    return 0;
  }
  const auto report = format == "h5"            ? holdfast::restore(path, s, {.trust = holdfast::trust::foreign})
                      : format == "safetensors" ? holdfast::import_safetensors(path, s)
                                                : holdfast::import_npz(path, s);
  if (format != "h5") found.text = expected.text, found.absent = expected.absent, found.none = expected.none;
  if (!(found == expected)) throw holdfast::error(path + ": restored another state");
  std::cout << "step " << report.step << (report.verified ? ", verified" : "") << '\n';
} catch (const holdfast::error& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
