#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <holdfast/checkpoint/compare.hpp>
#include <holdfast/core/convert.hpp>

#include "commands.hpp"
#include "progress.hpp"
#include "statistics.hpp"
#include "tool.hpp"

namespace tool {
namespace {

using holdfast::dtype;
using holdfast::entry;
using holdfast::entry_kind;
using holdfast::detail::family;

statistics statistics_of(const holdfast::hdf5::reader& in, const entry& e) {
  statistics s;
  read_verified(in, e, [&](const std::byte* at, std::uint64_t n) { s.take(at, e.dtype, n); });
  return s;
}

bool has_numbers(const holdfast::hdf5::reader& in, const entry& e) {
  return (e.kind == entry_kind::tensor || e.kind == entry_kind::alias) && in.unreadable(e).empty() && e.dtype != dtype::string;
}

std::string number_of(long double x, dtype type) {
  const family f = holdfast::detail::family_of(type);
  return f == family::real || f == family::complex ? fmt::format("{:.6g}", static_cast<double>(x)) : fmt::format("{:.0f}", x);
}

/// The values as numpy prints them: rows in brackets, and the middle left out of what is large.
class values {
 public:
  values(const holdfast::hdf5::reader& in, const entry& e, bool all)
      : in_(in), e_(e), extents_(e.shape.begin(), e.shape.end()), edge_(all || e.shape.elements() <= 1000 ? std::numeric_limits<std::int64_t>::max() / 2 : 3) {
    if (e.shape.rank() > 4 && edge_ == 3) extents_ = {e.shape.elements()};  // with a few of each dimension there would be many
  }

  std::string text() {
    if (edge_ != 3) {
      content_.resize(e_.bytes);
      in_.read(e_, 0, e_.bytes / size_of(e_.dtype), content_.data());
    }
    append(0, 0, 1);
    return text_ + "\n";
  }

 private:
  void append(std::size_t axis, std::int64_t first, std::size_t indent) {
    if (axis == extents_.size()) {
      text_ += element(first);
      return;
    }
    const bool rows = axis + 1 < extents_.size();
    text_ += '[';
    for (std::int64_t i = 0; i < extents_[axis]; ++i) {
      if (i != 0) text_ += rows ? "\n" + std::string(indent, ' ') : ", ";
      if (i == edge_ && extents_[axis] > 2 * edge_) {
        text_ += rows ? "…\n" + std::string(indent, ' ') : "…, ";
        i = extents_[axis] - edge_;
      }
      append(axis + 1, first * extents_[axis] + i, indent + 1);
    }
    text_ += ']';
  }

  std::string element(std::int64_t at) {
    std::byte bytes[16];
    const std::byte* x = bytes;
    if (content_.empty()) in_.read(e_, static_cast<std::uint64_t>(at), 1, bytes);
    else x = content_.data() + static_cast<std::size_t>(at) * size_of(e_.dtype);
    if (e_.dtype == dtype::boolean) return *x == std::byte{0} ? "false" : "true";
    return number_text(x);
  }

  std::string number_text(const std::byte* at) const {
    if (holdfast::detail::family_of(e_.dtype) != family::real) return holdfast::detail::element_text(at, e_.dtype);
    double value = 0;
    if (e_.dtype == dtype::float64) std::memcpy(&value, at, sizeof value);
    else convert(at, e_.dtype, reinterpret_cast<std::byte*>(&value), dtype::float64, 1);
    return e_.dtype == dtype::float64 ? fmt::format("{}", value) : fmt::format("{}", static_cast<float>(value));
  }

  const holdfast::hdf5::reader& in_;
  const entry& e_;
  std::vector<std::int64_t> extents_;
  std::int64_t edge_;
  std::vector<std::byte> content_;  // where all of it is shown
  std::string text_;
};

/// The strings of a tensor of text, of which each is as wide as the last extent.
std::vector<std::string> strings_of(const holdfast::hdf5::reader& in, const entry& e) {
  std::string content;
  read_verified(in, e, [&](const std::byte* at, std::uint64_t n) { content.append(reinterpret_cast<const char*>(at), n); });
  const auto width = static_cast<std::size_t>(e.shape.back());
  std::size_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < e.shape.rank(); ++axis) rows *= static_cast<std::size_t>(e.shape[axis]);
  std::vector<std::string> all;
  for (std::size_t i = 0; i < rows; ++i) {
    std::string s = content.substr(i * width, width);
    if (e.shape.rank() > 1) s.erase(s.find_last_not_of('\0') + 1);
    all.push_back(std::move(s));
  }
  return all;
}

nlohmann::ordered_json finite(long double x) { return std::isfinite(x) ? nlohmann::ordered_json(static_cast<double>(x)) : nlohmann::ordered_json(); }

nlohmann::ordered_json json_of(const holdfast::hdf5::reader& in, const entry& e, bool with_values) {
  nlohmann::ordered_json j = kind_json(in, e);
  if (e.dtype == dtype::string && in.unreadable(e).empty() && with_values && e.bytes < 1 << 20) {
    const auto all = strings_of(in, e);
    j["values"] = e.shape.rank() == 1 ? nlohmann::ordered_json(all.at(0)) : nlohmann::ordered_json(all);
  }
  if (!has_numbers(in, e)) return j;
  const statistics s = statistics_of(in, e);
  if (s.finite != 0) j["min"] = finite(s.min), j["max"] = finite(s.max), j["mean"] = finite(s.mean()), j["norm"] = finite(s.norm());
  j["nan"] = s.nan;
  j["inf"] = s.infinite;
  if (!with_values) return j;
  auto& values = j["values"] = nlohmann::ordered_json::array();
  read_verified(in, e, [&](const std::byte* at, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::byte* const x = at + i * size_of(e.dtype);
      const std::string text = holdfast::detail::element_text(x, e.dtype);
      const nlohmann::ordered_json value = nlohmann::ordered_json::parse(text, nullptr, false);
      if (e.dtype == dtype::boolean) values.push_back(*x != std::byte{0});
      else if (value.is_number()) values.push_back(value);
      else values.push_back(text);  // "nan", "inf", "1-2j": JSON has no such numbers
    }
  });
  return j;
}

std::string tensor_text(const holdfast::hdf5::reader& in, const entry& e, bool all) {
  const palette& c = out_colours();
  std::string head = fmt::format("{}/{}{}: ", c.bold, shown(e.path), c.plain);
  if (const std::string why = in.unreadable(e); !why.empty()) throw holdfast::error(in.file() + ": /" + e.path + ": holds " + why + "; h5dump may show it");
  if (e.kind == entry_kind::absent) return head + "absent (an empty optional or null pointer)\n";
  head += fmt::format("{}, {}", holdfast::describe(e.dtype, e.shape), readable(e.bytes));
  if (!e.alias_of.empty()) head += ", the same data as /" + shown(e.alias_of);
  head += "\n";
  if (e.dtype == dtype::string) {
    const auto strings = strings_of(in, e);
    const std::size_t most = all ? strings.size() : std::min<std::size_t>(strings.size(), 100);
    for (std::size_t i = 0; i < most; ++i) head += "\"" + shown(strings[i]) + "\"\n";
    if (most < strings.size()) head += fmt::format("… {} more; --all shows them\n", strings.size() - most);
    return head;
  }
  const statistics s = statistics_of(in, e);
  std::string line;
  if (s.finite != 0) line = fmt::format("min {}, max {}, mean {:.6g}, norm {:.6g}, ", number_of(s.min, e.dtype), number_of(s.max, e.dtype), static_cast<double>(s.mean()), static_cast<double>(s.norm()));
  if (holdfast::detail::family_of(e.dtype) == family::complex && s.finite != 0) line = "magnitudes: " + line;
  return head + fmt::format("{}{} NaN, {} Inf\n", line, s.nan, s.infinite) + values(in, e, all).text();
}

std::string group_text(const holdfast::hdf5::reader& in, const std::vector<const entry*>& below) {
  std::vector<std::vector<std::string>> rows{{"path", "type", "min", "max", "mean", "norm", "NaN", "Inf"}};
  for (const entry* e : below) {
    std::vector<std::string> row{"/" + shown(e->path), kind_text(in, *e)};
    if (has_numbers(in, *e) && e->alias_of.empty()) {
      const statistics s = statistics_of(in, *e);
      if (s.finite != 0) row.insert(row.end(), {number_of(s.min, e->dtype), number_of(s.max, e->dtype), fmt::format("{:.6g}", static_cast<double>(s.mean())), fmt::format("{:.6g}", static_cast<double>(s.norm()))});
      else row.insert(row.end(), {"", "", "", ""});
      row.insert(row.end(), {std::to_string(s.nan), std::to_string(s.infinite)});
    }
    rows.push_back(std::move(row));
  }
  return aligned(rows, "<<>>>>>>");
}

}  // namespace

int show(const show_options& options) {
  std::string text;
  nlohmann::ordered_json j;
  {
    progress bar("reading");
    const auto in = open(options.file, options.key, options.trust, &bar.storage());
    const std::string path = options.path.substr(options.path.starts_with('/') ? 1 : 0);
    if (const entry* const only = in->find(path); only != nullptr && only->kind != entry_kind::group) {
      bar.expect(only->bytes);
      if (options.json) j = json_of(*in, *only, options.all || only->shape.elements() <= 1000);
      else text = tensor_text(*in, *only, options.all);
    } else {
      std::vector<const entry*> below;
      for (const entry& e : in->entries())
        if (e.kind != entry_kind::group && (path.empty() || holdfast::detail::within(e.path, path))) below.push_back(&e);
      if (below.empty()) throw holdfast::error(in->file() + ": /" + path + ": nothing of that name; holdfast ls lists what is there");
      for (const entry* e : below) bar.expect(e->alias_of.empty() ? e->bytes : 0);
      j = nlohmann::ordered_json::array();
      if (options.json)
        for (const entry* e : below) j.push_back(json_of(*in, *e, options.all));
      else text = group_text(*in, below);
    }
  }
  options.json ? print_json(j) : print(text);
  return fine;
}

}  // namespace tool
