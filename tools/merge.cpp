#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "commands.hpp"
#include "progress.hpp"
#include "rewrite.hpp"
#include "tool.hpp"

namespace tool {
namespace {

using holdfast::entry_kind;

/// Whether both are the same, to the last bit, so that either will do.
bool same(const part& a, const part& b) {
  const holdfast::entry &x = *a.entry, &y = *b.entry;
  if (x.kind == entry_kind::absent || y.kind == entry_kind::absent) return x.kind == y.kind;
  if (x.dtype != y.dtype || x.shape != y.shape) return false;
  return a.from->has_digest(x) && b.from->has_digest(y) && a.from->comparable(*b.from) && x.digest == y.digest;
}

/// The part of other files at, above or below a path, if there is one.
const part* clashing(const std::map<std::string, const part*, std::less<>>& taken, const part& p) {
  if (const auto at = taken.find(p.path); at != taken.end()) return at->second;
  for (std::size_t slash = p.path.find('/'); slash != std::string::npos; slash = p.path.find('/', slash + 1))
    if (const auto at = taken.find(std::string_view(p.path).substr(0, slash)); at != taken.end()) return at->second;
  const auto below = taken.lower_bound(p.path + "/");
  return below != taken.end() && below->first.starts_with(p.path + "/") ? below->second : nullptr;
}

}  // namespace

int merge(const merge_options& options) {
  std::size_t paths = 0;
  {
    progress bar("merging");
    std::vector<std::unique_ptr<holdfast::hdf5::reader>> files;
    std::vector<const holdfast::hdf5::reader*> order;
    for (const std::string& f : options.files) order.push_back(files.emplace_back(open(f, options.key, options.trust, &bar.storage())).get());
    if (options.prefer == preference::last) std::reverse(order.begin(), order.end());
    std::vector<part> parts;
    std::map<std::string, const part*, std::less<>> taken;
    std::vector<std::string> clashes;
    std::vector<std::vector<part>> all;
    for (const auto* f : order) {
      const std::vector<part>& of_file = all.emplace_back(choose(*f, options.chosen));
      std::vector<const part*> added;
      std::map<std::string_view, const part*> instead;  // the same data as some of this file that is not taken
      for (const part& p : of_file) {
        if (p.entry->kind == entry_kind::group) {
          if (!taken.contains(p.path)) parts.push_back(p);
          continue;
        }
        const part* const other = clashing(taken, p);
        if (other == nullptr) added.push_back(&p);
        else if (other->path == p.path && same(*other, p)) instead.emplace(p.entry->alias_of.empty() ? p.entry->path : p.entry->alias_of, other);
        else if (options.prefer == preference::none) clashes.push_back("/" + p.path + (other->path == p.path ? "" : " (" + p.from->file() + ") and /" + other->path + " (" + other->from->file() + ")"));
      }
      for (const part* p : added) {
        taken.emplace(p->path, p);
        parts.push_back(*p);
        const auto same_data = instead.find(p->entry->alias_of.empty() ? p->entry->path : p->entry->alias_of);
        if (same_data != instead.end()) parts.back().from = same_data->second->from, parts.back().entry = same_data->second->entry;
      }
    }
    if (!clashes.empty()) {
      constexpr std::size_t most = 5;
      std::string text = fmt::format("{}: {} in several files, and not the same: ", options.to, clashes.size() == 1 ? "1 path is" : fmt::format("{} paths are", clashes.size()));
      for (std::size_t i = 0; i < std::min(most, clashes.size()); ++i) text += (i ? ", " : "") + clashes[i];
      if (clashes.size() > most) text += fmt::format(", and {} more", clashes.size() - most);
      throw holdfast::error(text + "; pass --prefer first or last, or leave them out with --except");
    }
    std::vector<const holdfast::hdf5::reader*> notes(order);
    write(options.to, parts, with_notes_of(options.how, notes), options.key, bar);
    paths = taken.size();
  }
  print(fmt::format("{}: {} of {}\n", shown(options.to), counted(paths, "path"), counted(options.files.size(), "file")));
  return fine;
}

}  // namespace tool
