// The handwritten digits of data/digits.csv: 1,797 rows of 8 x 8 pixels from 0 to 16, then the digit.
#pragma once
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "tensor.hpp"

namespace example {

inline constexpr std::int64_t pixels = 64, classes = 10;

struct digit_set {
  tensor images{0, pixels};  // 0 to 1
  std::vector<std::int32_t> labels;

  std::size_t size() const { return labels.size(); }
  void append(const std::vector<float>& image, std::int32_t label) {
    images.data.insert(images.data.end(), image.begin(), image.end());
    ++images.shape[0];
    labels.push_back(label);
  }

  /// The images named by `count` indices.
  digit_set select(const std::int32_t* index, std::size_t count) const {
    digit_set chosen;
    for (std::size_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(index[i]);
      chosen.append({images.row(at), images.row(at) + pixels}, labels[at]);
    }
    return chosen;
  }
};

struct digits {
  digit_set train, test;
};

/// Every sixth image is held out for the test. Throws std::runtime_error with the file and the line of what is wrong.
inline digits load_digits(const std::string& path) {
  std::ifstream file(path);
  if (!file || file.peek() == std::ifstream::traits_type::eof())
    throw std::runtime_error(path + ": cannot read any digits");
  digits all;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    const auto malformed = [&](const std::string& expected) {
      return std::runtime_error(path + ":" + std::to_string(number) + ": expected " + expected);
    };
    std::vector<float> cells;
    const char* at = line.data();
    const char* const end = at + line.size();
    while (at != end) {
      int value = 0;
      const auto [next, failure] = std::from_chars(at, end, value);
      if (failure != std::errc{} || value < 0 || value > 16) throw malformed("integers from 0 to 16");
      if (next != end && *next != ',') throw malformed("commas between the integers");
      cells.push_back(static_cast<float>(value));
      at = next == end ? end : next + 1;
    }
    if (cells.size() != pixels + 1 || cells.back() >= classes) throw malformed("64 pixels and a digit");
    const auto label = static_cast<std::int32_t>(cells.back());
    cells.pop_back();
    for (float& cell : cells) cell /= 16.0f;
    (number % 6 == 0 ? all.test : all.train).append(cells, label);
  }
  if (all.test.size() == 0) throw std::runtime_error(path + ": expected at least six images");
  return all;
}

}  // namespace example
