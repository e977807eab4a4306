#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/immediate.hpp>
#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/checkpoint/selection.hpp>
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
  /// A path that would be restored.
  struct item {
    std::string path;       ///< as bound
    std::string from;       ///< in the file
    holdfast::dtype dtype;  ///< in the file
    holdfast::shape shape;  ///< in the file
    std::uint64_t bytes;    ///< in the file
    bool converts;          ///< to another dtype
  };
  std::string file;                     ///< its name
  bool sealed = false;                  ///< whether it is as holdfast wrote it
  std::vector<item> restored;           ///< what would be
  std::vector<std::string> missing;     ///< bound, not in the file, and kept as they are
  std::vector<std::string> unexpected;  ///< in the file, not bound, and ignored
  std::vector<difference> differences;  ///< why the restore would throw `mismatch_error`; empty if it would not

  /// Whether the restore would not throw.
  bool ok() const noexcept { return differences.empty(); }
};

namespace detail {

/// The pass that compares a state with a file. It changes nothing of the state: what the restore would make is stood
/// in for by default-constructed objects.
template <class X>
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

  /// The differences found since.
  const std::vector<difference>& recorded() const noexcept { return result_.differences; }

  /// What is restored, in the order in which it is visited.
  const std::vector<match>& matches() const noexcept { return matches_; }

 private:
  void tensor(const std::string& path, const tensor_handle& object) override {
    if (!chosen_.selected(path)) {
      partly_ = true;
      return;
    }
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
      const bool stays = object.place == nullptr && options_.place.for_all() && view.space() == host;
      if (const std::string why = object.place == nullptr ? "" : out_of_reach(wanted); !why.empty())
        differ(difference::kind::place, path, "a tensor in " + name(wanted), why, "let .place give a place that is there, for " + name(e->place) + " too, where it was saved: holdfast::host, or a function of (path, saved place)");
      else if (object.place == nullptr && !stays)
        differ(difference::kind::place, path, "a tensor in " + name(wanted), "one bound in " + name(view.space()), "this type cannot move; bind memory of " + name(wanted) + ", or let .place give " + name(view.space()));
    } else if (const std::string why = view.bytes() != 0 ? misplaced(view) : out_of_reach(wanted); !why.empty()) {
      differ(difference::kind::place, path, "a tensor in " + name(wanted), why);
    }
    const void* const where = object.transient ? nullptr : view.bytes() != 0 ? view.data()
                                                                             : object.object;
    if (object.transient) view = {};
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

  /// Undoes what an attempt recorded if it shows that something else is to be compared.
  fit fits(const std::string& path, bool undo, const std::function<void()>& compare) override {
    const std::size_t differences = result_.differences.size(), missing = result_.missing.size(), matches = matches_.size(), marks = marks_.size();
    const bool outer = std::exchange(partly_, false);
    ++attempts_;
    compare();
    --attempts_;
    fit found = fit::whole;
    for (std::size_t i = differences; i < result_.differences.size(); ++i) {
      if (result_.differences[i].what == difference::kind::shape) found = fit::no;
      else if (found == fit::whole) found = fit::structure;
    }
    if (found == fit::whole && !all_taken(path)) found = fit::structure;
    if (found == fit::whole && partly_) found = fit::partly;
    partly_ = partly_ || outer;
    if (found == fit::whole || found == fit::no || !undo) return found;
    result_.differences.resize(differences);
    result_.missing.resize(missing);
    matches_.erase(matches_.begin() + static_cast<std::ptrdiff_t>(matches), matches_.end());
    for (; marks_.size() > marks; marks_.pop_back()) taken_[marks_.back()] = false;
    return found;
  }

  void at_once(const std::string& path, const std::function<void(walk&)>& load) override {
    basic_immediate_walk<X> now(from_, chosen_, options_, *this, nullptr);
    try {
      load(now);
    } catch (const typename basic_immediate_walk<X>::differs&) {
    } catch (const io_error&) {
      throw;
    } catch (const format_error&) {
      throw;
    } catch (const integrity_error&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& e) {
      differ(difference::kind::structure, path, "what the program's own code can load", e.what());
    }
  }
  void doubt() override { partly_ = true; }
  std::size_t differences() const override { return result_.differences.size(); }
  void accept(const std::string& path) override {
    if (const auto* const i = chosen_.item_of(path)) mark(i);
    chosen_.for_each_below(path, [&](const auto& i) {
      mark(&i);
      return true;
    });
  }
  std::string canonical(const std::string& path) override { return chosen_.canonical(path); }
  std::uint64_t held(const std::string& path) override { return chosen_.held(path); }

  bool all_taken(const std::string& path) const {
    const auto taken = [&](const selection::item& i) { return i.source->kind == entry_kind::group || taken_[static_cast<std::size_t>(&i - chosen_.items().data())]; };
    const auto* const i = chosen_.item_of(path);
    bool all = i == nullptr || taken(*i);
    chosen_.for_each_below(path, [&](const auto& item) { return all = all && taken(item); });
    return all;
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

  void mark(const selection::item* i) {
    const auto n = static_cast<std::size_t>(i - chosen_.items().data());
    if (attempts_ != 0 && !taken_[n]) marks_.push_back(n);
    taken_[n] = true;
  }

  void report_missing(const std::string& path, std::string expected) {
    partly_ = true;
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
        if (a.where == nullptr || a.of->source->bytes + b.of->source->bytes == 0 || !same_memory(a.view, b.view) || chosen_.canonical(one) == chosen_.canonical(other)) continue;
        differ(difference::kind::aliasing, other, "one tensor with /" + one, "a tensor of its own", "restore one of them with .only or .except, or bind them apart");
      }
    }
  }

  const hdf5::reader& from_;
  const selection& chosen_;
  const restore_options& options_;
  plan result_;
  std::vector<bool> taken_;         // of the items chosen
  std::vector<std::size_t> marks_;  // those taken by attempts that may be undone
  std::size_t attempts_ = 0;
  bool partly_ = false;  // something was left as it is
  std::vector<match> matches_;
};
using plan_walk = basic_plan_walk<void>;

}  // namespace detail
}  // namespace holdfast
