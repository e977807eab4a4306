#pragma once
/// A small training state with a part of every kind, and what a test compares of any state.
#include <cmath>
#include <complex>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

namespace support {

/// Every path, type, shape and byte that a save of the state would write.
inline std::string contents(const holdfast::state& bound) {
  std::string text;
  const holdfast::detail::manifest m(bound);
  for (const auto& item : m.items()) {
    const holdfast::entry& e = item.entry;
    text += e.path + " " + std::to_string(static_cast<int>(e.kind)) + holdfast::describe(e.dtype, e.shape) + e.alias_of + "=";
    if (e.kind != holdfast::entry_kind::tensor) continue;
    const std::size_t at = text.size();
    text.resize(at + e.bytes);
    holdfast::gather(item.view, 0, static_cast<std::uint64_t>(e.shape.elements()), reinterpret_cast<std::byte*>(text.data() + at));
  }
  return text;
}

struct trainer {
  std::vector<float> weight = std::vector<float>(3000), bias = std::vector<float>(5);
  std::vector<double> matrix = std::vector<double>(12);  // 3 x 4, column-major
  std::optional<std::vector<float>> momentum;
  std::string name = "run";
  std::int64_t step = 0;
  std::mt19937_64 engine;
  holdfast::state bound;

  /// Another seed is another content, of one layout.
  explicit trainer(unsigned seed = 1) : engine(seed) {
    for (float& x : weight) x = static_cast<float>(engine() % 1000) / 7;
    for (float& x : bias) x = static_cast<float>(seed) + 0.25f;
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<double>(i * seed);
    momentum.emplace(7, static_cast<float>(seed));
    step = seed * 10;
    bound.bind("model/weight", weight)
        .bind("model/bias", bias)
        .bind("model/matrix", holdfast::tensor(matrix.data(), {3, 4}, {1, 3}))
        .bind("model/tied", weight)
        .bind("optimizer/momentum", momentum)
        .bind("name", name)
        .bind("progress/step", step)
        .bind("rng", engine);
  }
  trainer(const trainer&) = delete;

  std::string contents() const { return support::contents(bound); }
};

}  // namespace support
