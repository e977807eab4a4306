#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/core/error.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/pattern.hpp>
#include <holdfast/core/visitor.hpp>
#include <holdfast/hdf5/reader.hpp>

namespace holdfast::detail {

/// A file as a restore sees it: selected, renamed, and sorted by the paths the program binds.
template <class>
class basic_selection {
 public:
  struct item {
    std::string_view path;  ///< as bound
    const entry* source;
  };
  basic_selection(const basic_selection&) = delete;

  /// Throws `error` for a pattern that is malformed or matches nothing and for renames that give one path twice.
  basic_selection(const hdf5::reader& from, const restore_options& options) {
    for (const std::string& p : options.only) only_.emplace_back(p);
    for (const std::string& p : options.except) except_.emplace_back(p);
    std::vector<renaming> renames;
    for (const rename_rule& r : options.rename) {
      renames.push_back({pattern(r.from), pattern(r.to)});
      if (renames.back().from.wildcards() != renames.back().to.wildcards())
        throw error("rename {\"" + r.from + "\", \"" + r.to + "\"}: expected the same wildcards on both sides");
    }
    std::vector<bool> used(renames.size());
    items_.reserve(from.entries().size());
    for (const entry& e : from.entries()) {
      std::string_view path = e.path;
      for (std::size_t i = 0; i < renames.size(); ++i) {
        const auto captured = renames[i].from.captures(e.path);
        if (!captured) continue;
        path = *renamed_.emplace_back(std::make_unique<const std::string>(renames[i].to.filled(*captured)));
        used[i] = true;
        break;
      }
      if (selected(path)) items_.push_back({path, &e});
    }
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i]) throw error(from.file() + ": rename from \"" + options.rename[i].from + "\" matches nothing in the file");
    finish(from.file());
  }

  /// One part of a file: a path and everything below it.
  basic_selection(const hdf5::reader& file, std::string_view part) {
    if (const entry* e = file.find_alone(part); e != nullptr && e->kind == entry_kind::tensor) {
      items_.push_back({e->path, e});
      return;
    }
    for (const entry& e : file.entries())
      if (within(e.path, part)) items_.push_back({e.path, &e});
  }

  /// Whether a path as bound is to be restored.
  bool selected(std::string_view path) const {
    const auto matches = [&](const pattern& p) { return p.matches(path); };
    return (only_.empty() || std::any_of(only_.begin(), only_.end(), matches)) && std::none_of(except_.begin(), except_.end(), matches);
  }

  const std::vector<item>& items() const noexcept { return items_; }
  const std::vector<pattern>& only() const noexcept { return only_; }

  const entry* find(std::string_view path) const {
    const item* const i = item_of(path);
    return i != nullptr ? i->source : nullptr;
  }

  /// Programs mostly bind in the order of the names, or visit in that order: the one after the last found is tried first.
  const item* item_of(std::string_view path) const {
    if (next_ < items_.size() && items_[next_].path == path) return &items_[next_++];
    const auto at = from(path);
    if (at == items_.end() || at->path != path) return nullptr;
    next_ = static_cast<std::size_t>(at - items_.begin()) + 1;
    return &*at;
  }

  /// The items strictly below a path; `below` includes them and whatever sorts between.
  template <class F>
  void for_each_below(std::string_view path, F&& visit) const {
    for (auto at = from(std::string(path) + "/"); at != items_.end() && at->path.size() > path.size() && at->path.starts_with(path) && at->path[path.size()] == '/'; ++at)
      if (!visit(*at)) return;
  }

  bool any_below(std::string_view path) const {
    bool any = false;
    for_each_below(path, [&](const item&) {
      any = true;
      return false;
    });
    return any;
  }

  /// Entries and bytes at and below a path.
  std::uint64_t held(std::string_view path) const {
    std::uint64_t all = 0;
    const auto add = [&](const item& i) { all += 1 + i.source->bytes; };
    if (const item* const i = item_of(path)) add(*i);
    for_each_below(path, [&](const item& i) {
      add(i);
      return true;
    });
    return all;
  }

  presence present(std::string_view path) const {
    const entry* e = find(path);
    if (e != nullptr) return e->kind == entry_kind::absent ? presence::absent : presence::present;
    return any_below(path) ? presence::present : presence::unknown;
  }

  std::optional<std::pair<dtype, shape>> tensor(std::string_view path) const {
    const entry* e = find(path);
    if (e == nullptr || e->kind == entry_kind::group || e->kind == entry_kind::absent) return std::nullopt;
    return std::pair(e->dtype, e->shape);
  }

  std::vector<std::string> children(const std::string& path) const {
    std::vector<std::string> names;
    for_each_below(path, [&](const item& i) {
      const std::size_t start = path.size() + 1;
      std::string name = decode_component(i.path.substr(start, i.path.find('/', start) - start));
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
      return true;
    });
    // "a!" lies between "a" and "a/b", so that one name need not come in one piece.
    sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  /// The path in the file of the data that `path` names, the same for all names of shared data.
  std::string canonical(const std::string& path) const {
    if (const entry* e = find(path)) return e->alias_of.empty() ? e->path : e->alias_of;
    std::string result = path;
    for_each_below(path, [&](const item& i) {
      const std::string_view rest = i.path.substr(path.size());
      const std::string& target = i.source->alias_of.empty() ? i.source->path : i.source->alias_of;
      if (target.ends_with(rest)) result = target.substr(0, target.size() - rest.size());
      return false;
    });
    return result;
  }

 private:
  struct renaming {
    pattern from, to;
  };

  void finish(const std::string& file) {
    sort(items_, [](const item& a, const item& b) { return a.path < b.path; });
    for (std::size_t i = 1; i < items_.size(); ++i)
      if (items_[i].path == items_[i - 1].path && items_[i].source->kind != entry_kind::group)
        throw error(file + ": /" + items_[i].source->path + " and /" + items_[i - 1].source->path + " are both renamed to /" + std::string(items_[i].path));
  }

  typename std::vector<item>::const_iterator from(std::string_view path) const {
    return std::lower_bound(items_.begin(), items_.end(), path, [](const item& i, std::string_view p) { return i.path < p; });
  }

  std::vector<item> items_;
  std::vector<std::unique_ptr<const std::string>> renamed_;  // the paths that are not those of entries
  std::vector<pattern> only_, except_;
  mutable std::size_t next_ = 0;
};
using selection = basic_selection<void>;

/// The whole text of a string entry.
template <class = void>
std::string read_text(const hdf5::reader& from, const entry& e, bool verified) {
  std::string text(e.bytes, '\0');
  from.read(e, 0, e.bytes, reinterpret_cast<std::byte*>(text.data()));
  if (verified) {
    block_digest d = from.content_digest();
    d.update(std::as_bytes(std::span(text)));
    from.verify(e, d.finish());
  }
  return text;
}

}  // namespace holdfast::detail
