#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <holdfast/checkpoint/compare.hpp>

#include "commands.hpp"
#include "progress.hpp"
#include "tool.hpp"

namespace tool {
namespace {

/// Paths that are one tensor in `a` and several in `b`; the reverse, with `a` and `b` changed.
std::vector<holdfast::tensor_difference> untied(const holdfast::hdf5::reader& a, const holdfast::hdf5::reader& b, bool reverse) {
  std::vector<holdfast::tensor_difference> all;
  const auto here = first_names(a), there = first_names(b);
  for (const auto& [path, first] : here) {
    const auto one = there.find(path), other = there.find(first);
    if (path == first || one == there.end() || other == there.end() || one->second == other->second) continue;
    std::string tied = fmt::format("one tensor with /{}", first), apart = "a tensor of its own";
    all.push_back({.path = std::string(path), .expected = reverse ? apart : tied, .found = reverse ? tied : apart});
  }
  return all;
}

nlohmann::ordered_json json_of(const holdfast::tensor_difference& d) {
  nlohmann::ordered_json j{{"path", "/" + d.path}, {"expected", d.expected}, {"found", d.found}};
  if (d.elements != 0) j["elements"] = d.elements, j["of"] = d.of, j["first"] = d.first;
  if (d.ulps) j["ulps"] = *d.ulps;
  if (d.relative && std::isfinite(*d.relative)) j["relative"] = *d.relative;
  return j;
}

}  // namespace

int diff(const diff_options& options) {
  std::vector<holdfast::tensor_difference> all;
  {
    progress bar("comparing");
    const auto a = open(options.a, options.key, options.trust, &bar.storage()), b = open(options.b, options.key, options.trust, &bar.storage());
    bar.expect(content_bytes(*a) + content_bytes(*b));
    all = holdfast::detail::compare_files(*a, *b);
    for (auto& d : untied(*a, *b, false)) all.push_back(std::move(d));
    for (auto& d : untied(*b, *a, true)) all.push_back(std::move(d));
  }
  std::erase_if(all, [&](const auto& d) { return (d.ulps && *d.ulps <= options.ulps && options.ulps != 0) || (d.relative && *d.relative <= options.relative && options.relative != 0); });
  std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return std::tie(x.path, x.expected) < std::tie(y.path, y.expected); });
  if (options.json) {
    auto differences = nlohmann::ordered_json::array();
    for (const auto& d : all) differences.push_back(json_of(d));
    print_json({{"a", options.a}, {"b", options.b}, {"differences", std::move(differences)}});
  } else {
    for (const auto& d : all) print(shown(d.text()) + (d.relative ? fmt::format(", relative {:.2g}", *d.relative) : "") + "\n");
  }
  return all.empty() ? fine : different;
}

}  // namespace tool
