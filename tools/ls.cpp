#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <holdfast/core/pattern.hpp>

#include "commands.hpp"
#include "tool.hpp"

namespace tool {
namespace {

/// A group, or what is in it.
struct node {
  const holdfast::entry* entry = nullptr;  // none for a group that is only in the paths below it
  std::map<std::string, node, std::less<>> children{};
  std::uint64_t tensors = 0, bytes = 0;  // here and below, each once
};

node tree_of(const std::vector<const holdfast::entry*>& entries) {
  node root;
  for (const holdfast::entry* e : entries) {
    const bool counts = e->kind == holdfast::entry_kind::tensor;
    node* at = &root;
    for (std::string_view rest = e->path;;) {
      at->tensors += counts;
      at->bytes += counts ? e->bytes : 0;
      if (rest.empty()) break;
      const std::string_view name = rest.substr(0, rest.find('/'));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      const auto found = at->children.find(name);
      at = found != at->children.end() ? &found->second : &at->children.emplace(name, node{}).first->second;
    }
    at->entry = e;
  }
  return root;
}

class listing {
 public:
  explicit listing(const holdfast::hdf5::reader& in) : in_(in) {}

  void tree(const node& n, std::size_t depth = 0) {
    for (const auto& [name, child] : n.children) {
      const bool group = !child.children.empty();
      const bool link = child.entry != nullptr && !child.entry->alias_of.empty();
      const bool empty = !group && !link && child.entry->kind == holdfast::entry_kind::group;
      std::string what = empty ? "empty" : group && !link ? counted(child.tensors, "tensor")
                                                          : kind_text(in_, *child.entry);
      rows_.push_back({std::string(2 * depth, ' ') + shown(name) + (group || child.entry->kind == holdfast::entry_kind::group ? "/" : ""), std::move(what), child.tensors != 0 ? readable(child.bytes) : ""});
      if (!link) tree(child, depth + 1);
    }
  }

  void flat(const std::vector<const holdfast::entry*>& entries) {
    for (const holdfast::entry* e : entries) rows_.push_back({"/" + shown(e->path), kind_text(in_, *e), e->kind == holdfast::entry_kind::tensor ? readable(e->bytes) : ""});
  }

  std::string text() const { return aligned(rows_, "<<>"); }

 private:
  const holdfast::hdf5::reader& in_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace

int ls(const ls_options& options) {
  const auto in = open(options.file, options.key, options.trust);
  const std::vector<holdfast::detail::pattern> only(options.only.begin(), options.only.end());
  std::vector<const holdfast::entry*> chosen;
  std::uint64_t tensors = 0, bytes = 0;
  for (const holdfast::entry& e : in->entries()) {
    if (!only.empty() && std::none_of(only.begin(), only.end(), [&](const auto& p) { return p.matches(e.path); })) continue;
    chosen.push_back(&e);
    if (e.kind != holdfast::entry_kind::tensor) continue;
    ++tensors;
    bytes += e.bytes;
  }
  if (chosen.empty() && !only.empty()) throw holdfast::error(in->file() + ": nothing matches \"" + only.front().text() + "\"; holdfast ls without a pattern lists all paths");

  if (options.json) {
    nlohmann::ordered_json j{{"file", in->file()}, {"sealed", in->sealed()}, {"tensors", tensors}, {"bytes", bytes}};
    if (in->step() >= 0) j["step"] = in->step();
    if (!std::isnan(in->metric())) j["metric"] = in->metric();
    auto& entries = j["entries"] = nlohmann::ordered_json::array();
    for (const holdfast::entry* e : chosen) entries.push_back(kind_json(*in, *e));
    print_json(j);
    return fine;
  }

  const palette& c = out_colours();
  std::string head = fmt::format("{}{}{}: {}, {}, {}", c.bold, shown(in->file()), c.plain, counted(tensors, "tensor"), readable(bytes), in->sealed() ? in->key() ? "sealed with the key" : "sealed" : "not sealed");
  if (in->step() >= 0) head += fmt::format(", step {}", in->step());
  if (!std::isnan(in->metric())) head += ", metric " + number(in->metric());
  print(head + "\n");
  (void)std::fflush(stdout);
  listing all(*in);
  if (options.flat) all.flat(chosen);
  else all.tree(tree_of(chosen));
  print(all.text());
  return fine;
}

}  // namespace tool
