#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <holdfast/core/digest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/state.hpp>

namespace holdfast {

/// What a path in a checkpoint is; the file's index stores the numbers.
enum class entry_kind : std::uint8_t {
  tensor = 0,  ///< a dataset
  group = 1,   ///< a container whose children were decided at run time, recorded so that an empty one is not missing
  alias = 2,   ///< a hard link: another name of `alias_of`
  absent = 3,  ///< an empty optional or null pointer (a dataset with a null dataspace; h5py.Empty)
};

/// One path of a checkpoint, without the data.
struct entry {
  std::string path{};                    ///< without a leading slash
  entry_kind kind = entry_kind::tensor;  ///< what it is
  holdfast::dtype dtype = dtype::uint8;  ///< of a tensor
  holdfast::shape shape{0};              ///< of a tensor
  std::uint64_t bytes = 0;               ///< of its content
  std::uint64_t offset = 0;              ///< of its bytes in the file; 0 where there are none or the file is not contiguous
  holdfast::digest digest{};             ///< of the logical bytes; all zero in a file without digests
  std::string alias_of{};                ///< the path whose data this is, for an alias
  memory_space place = host;             ///< where it lived when it was saved
};

namespace detail {

/// The same name, kind, type, shape and place: files of both have one layout.
template <class = void>
bool same_layout(const entry& a, const entry& b) {
  return a.path == b.path && a.kind == b.kind && a.dtype == b.dtype && a.shape == b.shape && a.alias_of == b.alias_of && a.place == b.place;
}

/// Throws `error` for a part of a tensor, which one process cannot write as the whole.
template <class = void>
void require_whole(const std::string& path, const tensor_view& view) {
  if (view.shard() != nullptr && !view.shard()->covers())
    throw error("/" + path + ": this process holds " + view.shard()->text() + ", and one process writes whole tensors only; holdfast::mpi::save makes one of the parts of all processes");
}

/// The pass of a save: entries sorted by path, each tensor with where its bytes are now.
template <class>
class basic_manifest final : public walk {
 public:
  struct item {
    holdfast::entry entry{};
    tensor_view view{};
    std::size_t binding = 0, visit = 0;      ///< the numbers of the binding and of the visit that it came from
    std::optional<std::uint64_t> version{};  ///< of its content, where the program counts it (`state::version`)
    const std::uint64_t* counter = nullptr;  ///< which counts it
  };

  /// Throws `error` for a name HDF5 cannot hold, for two parts of the state that have one name, and for one that lies
  /// inside a tensor, inside a container's group, or inside itself.
  explicit basic_manifest(const state& bound) : walk(pass::save), versions_(bound.versions()) {
    items_.reserve(bound.size());
    tensors_.reserve(bound.size());
    bound.visit(*this);
    sort(items_, [](const item& a, const item& b) { return a.entry.path < b.entry.path; });
    check_names();
    visits_.resize(items_.size());
    for (std::size_t i = 0; i < items_.size(); ++i) visits_[items_[i].visit] = i;
    for (const auto& [which, counter] : bound.versions())
      for (item& i : items_)
        if (which.matches(i.entry.path)) i.counter = counter;
    count();
  }

  /// Takes a state again. Where it has the names, types, shapes and ties that it had, which is what a periodic save meets,
  /// only the places of its tensors are taken and true is returned. Otherwise, and after an exception, this is good for
  /// nothing more.
  bool refresh(const state& bound) {
    const auto same_counter = [](const auto& a, const auto& b) { return a.counter == b.counter && a.which.text() == b.which.text(); };
    const auto& versions = bound.versions();
    if (shared_ || !std::equal(versions.begin(), versions.end(), versions_.begin(), versions_.end(), same_counter)) return false;
    refreshing_ = same_ = true;
    next_ = 0;
    const auto before = release();  // alive until all is visited, so that nothing new lies at an old address
    bound.visit(*this);
    count();
    return same_ && next_ == items_.size();
  }

  const std::vector<item>& items() const noexcept { return items_; }
  /// The item of this path; null where there is none.
  const item* find(std::string_view path) const {
    const auto at = std::lower_bound(items_.begin(), items_.end(), path, [](const item& x, std::string_view p) { return x.entry.path < p; });
    return at != items_.end() && at->entry.path == path ? &*at : nullptr;
  }
  std::vector<entry> entries() const {
    std::vector<entry> all;
    all.reserve(items_.size());
    for (const item& i : items_) all.push_back(i.entry);
    return all;
  }

 private:
  void tensor(const std::string& path, const tensor_handle& object) override {
    tensor_view view = object.view(object.object);
    if (object.transient) view = copy_of(view);
    if (refreshing_) return refresh_tensor(path, std::move(view));
    if (view.bytes() != 0) {
      if (const item* first = tied(view)) return add_alias(path, first->entry.path);
      tensors_.emplace(view.data(), number{items_.size()});
    }
    item& i = add(path);
    i.entry.dtype = view.dtype();
    i.entry.shape = view.whole_shape();
    i.entry.bytes = view.whole_bytes();
    i.entry.place = view.saved_space();
    i.view = std::move(view);
  }

  tensor_view copy_of(const tensor_view& view) {
    const std::shared_ptr<std::byte[]> copy(new std::byte[view.bytes() + 1]);
    gather(view, 0, static_cast<std::uint64_t>(view.shape().elements()), copy.get());
    keep(copy);
    return tensor_view(copy.get(), view.dtype(), view.shape(), {}, view.space()).saved_as_in(view.saved_space());
  }

  void refresh_tensor(const std::string& path, tensor_view view) {
    item* const i = met(path);
    if (i == nullptr) return;
    if (i->entry.kind == entry_kind::alias) {
      const item* const first = tied(view);
      same_ = first != nullptr && first->entry.path == i->entry.alias_of;
      return;
    }
    if (same_memory(i->view, view) && i->entry.place == view.saved_space()) {
      i->view = std::move(view);  // its stream may be another one
      return;
    }
    same_ = i->entry.kind == entry_kind::tensor && i->entry.dtype == view.dtype() && i->entry.shape == view.whole_shape() && same_part(i->view, view) && i->entry.place == view.saved_space() && (view.bytes() == 0 || tied(view) == nullptr);
    if (!same_) return;
    if (view.data() != i->view.data() && view.bytes() != 0) {
      for (auto [at, end] = tensors_.equal_range(i->view.data()); at != end; ++at) {
        if (at->second.of_item != i->visit) continue;
        tensors_.erase(at);
        break;
      }
      tensors_.emplace(view.data(), number{i->visit});
    }
    i->view = std::move(view);
  }

  /// The tensor that is the same memory, if there is one.
  const item* tied(const tensor_view& view) const {
    for (auto [at, end] = tensors_.equal_range(view.data()); at != end; ++at) {
      const item& first = items_[refreshing_ ? visits_[at->second.of_item] : at->second.of_item];
      if (same_memory(first.view, view)) return &first;
    }
    return nullptr;
  }

  /// The item of the next visit if it has this path and nothing has differed yet.
  item* met(const std::string& path) {
    if (!same_ || next_ == items_.size()) same_ = false;
    else if (item& i = items_[visits_[next_++]]; i.entry.path == path) return &i;
    else same_ = false;
    return nullptr;
  }
  void met(const std::string& path, entry_kind kind) {
    if (const item* i = met(path)) same_ = i->entry.kind == kind;
  }

  void count() {
    for (item& i : items_)
      if (i.counter != nullptr) i.version = *i.counter;
  }

  void container(const std::string& path) override { plain(path, entry_kind::group); }
  void absent(const std::string& path) override { plain(path, entry_kind::absent); }
  void plain(const std::string& path, entry_kind kind) {
    if (refreshing_) met(path, kind);
    else add(path).entry.kind = kind;
  }

  void identity(const std::string& path, const std::string& value) override {
    auto text = std::make_shared<std::string>(value);
    keep(text);
    tensor_view view(text->data(), dtype::string, {static_cast<std::int64_t>(text->size())});
    if (refreshing_) {
      item* const i = met(path);
      same_ = i != nullptr && i->entry.kind == entry_kind::tensor && i->entry.dtype == dtype::string && i->entry.shape == view.shape();
      if (same_) i->view = std::move(view);
      return;
    }
    item& i = add(path);
    i.entry.dtype = dtype::string;
    i.entry.shape = view.shape();
    i.entry.bytes = view.bytes();
    i.view = std::move(view);
  }

  bool seen(const std::string& path, const void* address, const void* type) override {
    shared_ = true;
    const auto [at, is_new] = objects_.insert({{address, type}, {path, items_.size()}});
    if (is_new) return false;
    const auto& [first, begin] = at->second;
    if (within(path, first)) throw error("/" + path + " points back to /" + first + ", which it is a part of; a checkpoint cannot hold a cycle");
    // An object without state left nothing that could have a second name.
    if (begin < items_.size() && within(items_[begin].entry.path, first)) add_alias(path, first);
    return true;
  }

  void add_alias(const std::string& path, std::string target) {
    item& i = add(path);
    i.entry.kind = entry_kind::alias;
    i.entry.alias_of = std::move(target);
  }

  item& add(const std::string& path) {
    item& i = items_.emplace_back();
    i.entry.path = path;
    i.binding = binding;
    i.visit = items_.size() - 1;
    return i;
  }

  void check_names() const {
    std::string_view before;
    // Where that has its slashes, and what has the name up to each. '/' does not sort before everything ("a!" lies between "a" and
    // "a/b"), so these need not be just before it.
    std::vector<std::pair<std::size_t, const item*>> above;
    for (const item& i : items_) {
      const entry& e = i.entry;
      (void)checked_path(e.path);  // traits give names too
      if (before == e.path) throw error("/" + e.path + " is bound twice; give every object a name of its own");
      const auto common = static_cast<std::size_t>(std::ranges::mismatch(before, e.path).in1 - before.begin());
      before = e.path;
      while (!above.empty() && above.back().first >= common) above.pop_back();
      for (std::size_t slash = e.path.find('/', above.empty() ? 0 : above.back().first + 1); slash != std::string::npos; slash = e.path.find('/', slash + 1)) above.emplace_back(slash, find(before.substr(0, slash)));
      for (const auto& [slash, outer] : above) {
        if (outer == nullptr) continue;
        if (outer->entry.kind != entry_kind::group)
          throw error("/" + e.path + " lies inside /" + outer->entry.path + ", which is a tensor and not a group; rename one of them");
        if (outer->binding != i.binding)
          throw error("/" + e.path + " lies inside /" + outer->entry.path + ", a container whose children restore decides; bind it beside, not inside");
      }
    }
  }

  std::vector<item> items_;          // by path
  std::vector<std::size_t> visits_;  // which of them a visit gave
  std::vector<state::versioned> versions_;
  std::size_t next_ = 0;
  bool refreshing_ = false, same_ = true, shared_ = false;
  struct number {
    std::size_t of_item;
  };
  struct shared_object {
    const void *address, *type;
    friend auto operator<=>(const shared_object&, const shared_object&) = default;
  };
  struct visited {
    std::string first_path;
    std::size_t first_item;
  };
  std::unordered_multimap<const std::byte*, number> tensors_;
  std::map<shared_object, visited> objects_;
};
using manifest = basic_manifest<void>;

}  // namespace detail
}  // namespace holdfast
