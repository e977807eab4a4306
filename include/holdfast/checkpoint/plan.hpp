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
#include <holdfast/core/convert.hpp>
#include <holdfast/core/device.hpp>
#include <holdfast/core/error.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/pattern.hpp>
#include <holdfast/core/state.hpp>
#include <holdfast/hdf5/reader.hpp>

namespace holdfast {

/// What a restore would do, decided without touching anything.
struct plan {
  struct item {
    std::string path;       ///< as bound
    std::string from;       ///< in the file
    holdfast::dtype dtype;  ///< in the file
    holdfast::shape shape;
    std::uint64_t bytes;
    bool converts;  ///< to another dtype
  };
  std::string file;
  bool sealed = false;
  std::vector<item> restored;
  std::vector<std::string> missing;     ///< bound, not in the file, and kept as they are
  std::vector<std::string> unexpected;  ///< in the file, not bound, and ignored
  std::vector<difference> differences;  ///< why the restore would throw `mismatch_error`; empty if it would not

  bool ok() const noexcept { return differences.empty(); }
};

namespace detail {

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

/// The pass that compares a state with a file. It changes nothing of the state: what the restore would make is stood
/// in for by default-constructed objects.
template <class>
class basic_plan_walk final : public walk {
 public:
  basic_plan_walk(const hdf5::reader& from, const selection& chosen, const restore_options& options)
      : walk(pass::plan), from_(from), chosen_(chosen), options_(options), taken_(chosen.items().size()) {
    result_.file = from.file();
    result_.sealed = from.sealed();
    matches_.reserve(chosen.items().size());
  }

  struct match {
    const selection::item* of;
    bool converts;
    tensor_view view;   ///< kept, since the object that has it may be gone: a view that a type's `visit` made
    const void* where;  ///< its memory, or the object itself that has none yet
  };

  /// The plan but for what is restored.
  plan run(const state& bound) {
    bound.visit(*this);
    for (const expected_role& r : bound.unbound_roles())
      if (chosen_.selected(r.path)) differ(difference::kind::structure, r.path, std::string(r.text()), "nothing bound by the program", "bind it, or take its role out of state::expects");
    check_patterns();
    check_unexpected();
    check_aliases();
    return std::move(result_);
  }

  /// What is restored, in the order in which it is visited.
  const std::vector<match>& matches() const noexcept { return matches_; }

 private:
  void tensor(const std::string& path, const tensor_handle& object) override {
    if (!chosen_.selected(path)) return;
    tensor_view view = object.view(object.object);
    const auto expected = [&] { return describe(view.dtype(), view.whole_shape()); };
    const auto* const of = take(path, expected);
    if (of == nullptr) return;
    const entry* const e = of->source;
    const auto found = [&] { return describe(e->dtype, e->shape); };
    if (e->kind == entry_kind::absent) return differ(difference::kind::structure, path, expected(), "nothing (an empty optional or null pointer was saved)");
    if (e->kind == entry_kind::group) return differ(difference::kind::structure, path, expected(), "a group");
    if (const std::string why = from_.unreadable(*e); !why.empty()) return differ(difference::kind::dtype, path, expected(), why);
    if (object.read_only) return differ(difference::kind::structure, path, "an object that may change", "one bound as const", "bind it as non-const, or leave it out with .except");
    const bool converts = view.dtype() != e->dtype;
    if (converts && (options_.cast == cast::refuse || !castable(e->dtype, view.dtype()))) {
      differ(difference::kind::dtype, path, expected(), found(),
             castable(e->dtype, view.dtype()) ? "pass .cast = holdfast::cast::allow to convert" : "holdfast does not convert between these");
    } else if (view.whole_shape() != e->shape) {
      const bool accepted = object.accepts != nullptr ? object.accepts(object.object, e->shape) : view.shape().rank() == e->shape.rank();
      const bool resizes = object.resize != nullptr && accepted;
      if (!resizes || !(object.any_size || view.shape().elements() == 0)) {
        differ(difference::kind::shape, path, expected(), found(),
               resizes                                  ? "give the program's object the file's size, or bind it empty or as holdfast::resizable(...) to take whatever size the file has"
               : object.accepts != nullptr && !accepted ? "the program's type cannot take that shape"
                                                        : "");
      }
    }
    if (const memory_space wanted = options_.place ? options_.place(path, e->place) : view.space(); wanted != view.space()) {
      if (const std::string why = object.place == nullptr ? "" : out_of_reach(wanted); !why.empty())
        differ(difference::kind::place, path, "a tensor in " + name(wanted), why, "let .place give a place that is there, for " + name(e->place) + " too, where it was saved: holdfast::host, or a function of (path, saved place)");
      else if (object.place == nullptr)
        differ(difference::kind::place, path, "a tensor in " + name(wanted), "one bound in " + name(view.space()), "this type cannot move; bind memory of " + name(wanted) + ", or let .place give " + name(view.space()));
    } else if (const std::string why = misplaced(view); !why.empty()) {
      differ(difference::kind::place, path, "a tensor in " + name(wanted), why);
    }
    const void* const where = view.bytes() != 0 ? view.data() : object.object;
    matches_.push_back({of, converts, std::move(view), where});
  }

  void container(const std::string& path) override {
    if (chosen_.selected(path) && chosen_.present(path) == presence::unknown) missing(path);
    if (const entry* e = chosen_.find(path); e != nullptr && e->kind != entry_kind::group) {
      mark(chosen_.item_of(path));
      differ(difference::kind::structure, path, "a group", describe(e->dtype, e->shape));
    }
  }

  void absent(const std::string&) override {}
  void missing(const std::string& path) override {
    if (chosen_.selected(path)) report_missing(path, "a group or dataset");
  }

  presence present(const std::string& path) override {
    const presence p = chosen_.present(path);
    if (p == presence::absent) mark(chosen_.item_of(path));
    return p;
  }

  bool selected(const std::string& path) override { return chosen_.selected(path); }
  std::optional<std::pair<dtype, shape>> incoming_tensor(const std::string& path) override { return chosen_.tensor(path); }
  std::vector<std::string> children(const std::string& path) override { return chosen_.children(path); }

  void identity(const std::string& path, const std::string& value) override {
    if (!chosen_.selected(path)) return;
    const auto* const of = take(path, [&] { return "\"" + value + "\""; });
    if (of == nullptr) return;
    const entry* const e = of->source;
    if (e->kind == entry_kind::group || e->dtype != dtype::string || !from_.unreadable(*e).empty())
      return differ(difference::kind::identity, path, "\"" + value + "\"", e->kind == entry_kind::group ? "a group" : describe(e->dtype, e->shape));
    if (const std::string found = read_text(from_, *e, options_.verify != verify::off); found != value)
      differ(difference::kind::identity, path, "\"" + value + "\"", "\"" + found + "\"", "bind an object of the type that was saved");
  }

  void problem(const std::string& path, std::string expected, std::string found, std::string advice) override {
    differ(difference::kind::structure, path, std::move(expected), std::move(found), std::move(advice));
  }

  void differ(difference::kind what, const std::string& path, std::string expected, std::string found, std::string advice = {}) {
    result_.differences.push_back({what, path, std::move(expected), std::move(found), std::move(advice)});
  }

  template <class Text>
  const selection::item* take(const std::string& path, const Text& expected) {
    if (const auto* const i = chosen_.item_of(path)) {
      mark(i);
      return i;
    }
    if (chosen_.any_below(path)) differ(difference::kind::structure, path, expected(), "a group");
    else report_missing(path, expected());
    return nullptr;
  }

  void mark(const selection::item* i) { taken_[static_cast<std::size_t>(i - chosen_.items().data())] = true; }

  void report_missing(const std::string& path, std::string expected) {
    if (options_.missing == on_missing::keep) result_.missing.push_back(path);
    else differ(difference::kind::missing, path, std::move(expected), "", "pass .missing = holdfast::on_missing::keep to leave it as it is");
  }

  void check_patterns() const {
    for (const pattern& p : chosen_.only()) {
      const bool used = std::any_of(chosen_.items().begin(), chosen_.items().end(), [&](const auto& i) { return p.matches(i.path); }) ||
                        std::any_of(result_.missing.begin(), result_.missing.end(), [&](const auto& path) { return p.matches(path); }) ||
                        std::any_of(result_.differences.begin(), result_.differences.end(), [&](const auto& d) { return p.matches(d.path); });
      if (!used) throw error(from_.file() + ": .only pattern \"" + p.text() + "\" matches nothing in the file and nothing that is bound");
    }
  }

  void check_unexpected() {
    for (const auto& i : chosen_.items()) {
      if (i.source->kind == entry_kind::group || taken_[static_cast<std::size_t>(&i - chosen_.items().data())]) continue;
      if (options_.unexpected == on_unexpected::ignore) {
        result_.unexpected.emplace_back(i.path);
      } else {
        differ(difference::kind::unexpected, std::string(i.path), "", i.source->kind == entry_kind::absent ? "an empty optional or null pointer" : describe(i.source->dtype, i.source->shape),
               "bind it, or pass .unexpected = holdfast::on_unexpected::ignore");
      }
    }
  }

  /// One object bound under two names can only take one of two contents.
  void check_aliases() {
    std::vector<const match*> all(matches_.size());
    std::transform(matches_.begin(), matches_.end(), all.begin(), [](const match& m) { return &m; });
    sort(all, [](const match* a, const match* b) { return a->where < b->where; });
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t j = i + 1; j < all.size() && all[j]->where == all[i]->where; ++j) {
        const match &a = *all[i], &b = *all[j];
        const std::string one(a.of->path), other(b.of->path);
        if (a.of->source->bytes + b.of->source->bytes == 0 || !same_memory(a.view, b.view) || chosen_.canonical(one) == chosen_.canonical(other)) continue;
        differ(difference::kind::aliasing, other, "one tensor with /" + one, "a tensor of its own", "restore one of them with .only or .except, or bind them apart");
      }
    }
  }

  const hdf5::reader& from_;
  const selection& chosen_;
  const restore_options& options_;
  plan result_;
  std::vector<bool> taken_;  // of the items chosen
  std::vector<match> matches_;
};
using plan_walk = basic_plan_walk<void>;

}  // namespace detail
}  // namespace holdfast
