#include "rewrite.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <holdfast/checkpoint/compare.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/checkpoint/transfer.hpp>
#include <holdfast/core/pattern.hpp>
#include <holdfast/types/optional.hpp>

#include "tool.hpp"

namespace tool {

using holdfast::entry;
using holdfast::entry_kind;
using holdfast::detail::pattern;
using holdfast::hdf5::reader;

namespace {

/// A path of the file that is written: a tensor, nothing (an empty optional), or a group.
struct node {
  struct link {
    std::shared_ptr<node> to{};
    bool second = false;  ///< another name of what has one already
  };
  std::optional<holdfast::tensor_view> tensor{};
  bool absent = false, container = false, shared = false;
  std::map<std::string, link, std::less<>> links{};

  bool group() const { return !tensor && !absent; }
};

}  // namespace
}  // namespace tool

template <>
struct holdfast::traits<tool::node> {
  static void visit(tool::node& n, visitor& v) {
    if (n.absent) v.present(false);
    else if (n.tensor) v.here(*n.tensor);
    else if (n.container) v.container();
    for (const bool second : {false, true})
      for (auto& [name, link] : n.links)
        if (link.second == second) v(name, link.to);
  }
};

namespace tool {
namespace {

/// Memory for content that is not in place in its file: pages of a file without a name beside the one that is written, so that the
/// machine's memory need not hold it.
class spill {
 public:
  spill(const std::string& beside, std::uint64_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    std::string name = holdfast::io::detail::parent_of(beside) + "/.holdfast-spill-XXXXXX";
    const int file = ::mkstemp(name.data());
    const auto fail = [&](int code) {
      if (file >= 0) ::close(file);
      throw holdfast::io_error(beside + ": cannot make room for " + readable(bytes) + " beside it", std::error_code(code, std::generic_category()));
    };
    if (file < 0) fail(errno);
    ::unlink(name.c_str());
    if (const int code = ::posix_fallocate(file, 0, static_cast<off_t>(bytes)); code != 0) fail(code);
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) fail(errno);
    ::close(file);
    memory_ = static_cast<std::byte*>(at);
  }
  spill(const spill&) = delete;
  ~spill() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
  }
  std::byte* memory() const noexcept { return memory_; }

 private:
  std::byte* memory_ = nullptr;
  std::uint64_t bytes_;
};

const std::string& data_path(const entry& e) { return e.alias_of.empty() ? e.path : e.alias_of; }

struct data_of {
  const reader* from;
  std::string_view path;
  friend auto operator<=>(const data_of&, const data_of&) = default;
};

/// The content of the parts' tensors in memory, each once.
class content {
 public:
  content(const std::string& path, const std::vector<part>& parts, progress& bar, bool verified) {
    std::map<const reader*, std::vector<const entry*>> all;
    std::uint64_t elsewhere = 0;
    for (const part& p : parts) {
      if (p.entry->kind == entry_kind::group || p.entry->kind == entry_kind::absent) continue;
      if (const std::string why = p.from->unreadable(*p.entry); !why.empty()) throw holdfast::format_error(p.from->file() + ": /" + p.entry->path + ": holds " + why + "; leave it out with --except");
      if (!tensors_.try_emplace({p.from, data_path(*p.entry)}).second) continue;
      all[p.from].push_back(p.entry);
      bar.expect(2 * p.entry->bytes);  // read, and written
      if (p.from->contiguous() == nullptr) elsewhere += aligned(p.entry->bytes);
    }
    spill_ = std::make_unique<spill>(path, elsewhere);
    std::byte* next = spill_->memory();
    for (const auto& [from, entries] : all) {
      const holdfast::io::file* const in_place = from->contiguous();
      std::shared_ptr<const std::byte> map;
      if (in_place != nullptr && in_place->size() != 0) map = maps_.emplace_back(in_place->map());
      std::vector<holdfast::detail::transfer> reads;
      for (const entry* e : entries) {
        holdfast::tensor_view& view = tensors_[{from, data_path(*e)}];
        std::byte* const at = e->bytes == 0 ? &nothing_ : map ? const_cast<std::byte*>(map.get()) + e->offset
                                                              : next;
        view = holdfast::tensor_view(at, e->dtype, e->shape).saved_as_in(e->place);
        if (map) {
          reads.push_back({e, nullptr});
          continue;
        }
        next += aligned(e->bytes);
        const std::uint64_t before = bar.done();
        holdfast::detail::transfers(*from, {{e, &view}}, verified).run();
        bar.reach(before + e->bytes);
      }
      holdfast::detail::transfers(*from, std::move(reads), verified).run();
    }
  }

  const holdfast::tensor_view& of(const part& p) const { return tensors_.at({p.from, data_path(*p.entry)}); }

 private:
  static std::uint64_t aligned(std::uint64_t bytes) { return (bytes + 63) / 64 * 64; }

  std::map<data_of, holdfast::tensor_view> tensors_;
  std::vector<std::shared_ptr<const std::byte>> maps_;
  std::unique_ptr<spill> spill_;
  std::byte nothing_{};
};

/// The parts as a tree in which what has several names is one object.
class tree {
 public:
  tree(const std::vector<part>& parts, const content& from) {
    std::map<data_of, std::shared_ptr<node>> made;
    std::set<data_of> first_is_there;
    for (const part& p : parts)
      if (p.entry->kind == entry_kind::tensor) first_is_there.insert({p.from, p.entry->path});
    for (const part& p : parts) {
      if (p.entry->kind == entry_kind::group) continue;
      const data_of data{p.from, data_path(*p.entry)};
      std::shared_ptr<node>& n = made[data];
      const bool again = n != nullptr;
      if (!n || p.entry->kind == entry_kind::absent) n = std::make_shared<node>();
      if (p.entry->kind == entry_kind::absent) n->absent = true;
      else n->tensor = from.of(p);
      node::link& at = link(p);
      if (at.to) fail(p, at.to->group() ? "which is a group of others" : "as another one");
      at = {n, p.entry->kind == entry_kind::alias && (again || first_is_there.contains(data))};
    }
    for (const part& p : parts)
      if (p.entry->kind == entry_kind::group) take_group(p);
    for (const part& p : parts)
      if (!p.link_to.empty()) tie(p);
  }

  /// What can be one binding each: containers and shared groups as a whole, everything else by itself; second names last, so that
  /// the first ones stay those that have the data.
  void bind(holdfast::state& to) {
    collect(root_, "");
    std::sort(units_.begin(), units_.end(), [](const unit& a, const unit& b) { return std::tie(a.order, a.path) < std::tie(b.order, b.path); });
    for (unit& u : units_) to.bind(u.path, u.what);
  }

 private:
  struct unit {
    std::string path;
    std::shared_ptr<node> what;
    int order;  // what has no second name in it, then what has one, then what is one
  };

  [[noreturn]] static void fail(const part& p, const char* why) { throw holdfast::error(p.from->file() + ": /" + p.entry->path + ": would be /" + p.path + ", " + why + "; leave it out with --except, or give it another name"); }

  /// The link of that path, made with the groups above it.
  node::link& link(const part& p) {
    node* at = &root_;
    for (std::string_view rest = p.path;;) {
      const std::size_t slash = rest.find('/');
      node::link& next = at->links[std::string(rest.substr(0, slash))];
      if (slash == std::string_view::npos) return next;
      if (!next.to) next.to = std::make_shared<node>();
      if (!next.to->group()) fail(p, "which lies inside a tensor");
      at = next.to.get();
      rest.remove_prefix(slash + 1);
    }
  }

  node::link* find(std::string_view path) {
    node* at = &root_;
    for (std::string_view rest = path;;) {
      const std::size_t slash = rest.find('/');
      const auto next = at->links.find(rest.substr(0, slash));
      if (next == at->links.end()) return nullptr;
      if (slash == std::string_view::npos) return &next->second;
      at = next->second.to.get();
      rest.remove_prefix(slash + 1);
    }
  }

  /// A container, which is listed even if it is empty. One of which all was left out is no empty one. Any HDF5 file lists all groups.
  void take_group(const part& p) {
    const bool empty = !holdfast::detail::is_group(*p.from, p.entry->path);
    if (!empty && find(p.path) == nullptr) return;
    node::link& at = link(p);
    if (!at.to) at.to = std::make_shared<node>();
    if (!at.to->group()) fail(p, "which is a tensor");
    const entry* const listed = p.from->find(data_path(*p.entry));
    at.to->container = at.to->container || empty || (p.from->sealed() && listed != nullptr && listed->kind == entry_kind::group);
  }

  /// Makes a group that is another name of one that again, if the same parts of both are there.
  void tie(const part& p) {
    node::link *const second = find(p.path), *const first = find(p.link_to);
    if (second == nullptr || first == nullptr || holdfast::detail::within(p.path, p.link_to) || holdfast::detail::within(p.link_to, p.path)) return;
    if (second->to == first->to || !equal(*second->to, *first->to)) return;
    second->to = first->to;
    second->second = true;
    first->to->shared = true;
  }

  static bool equal(const node& a, const node& b) {
    if (&a == &b) return true;
    return a.group() && b.group() && a.container == b.container &&
           std::equal(a.links.begin(), a.links.end(), b.links.begin(), b.links.end(), [](const auto& x, const auto& y) { return x.first == y.first && equal(*x.second.to, *y.second.to); });
  }

  void collect(const node& group, const std::string& path) {
    for (const auto& [name, link] : group.links) {
      std::string below = path.empty() ? name : path + "/" + name;
      const node& n = *link.to;
      if (n.group() && !n.container && !n.shared) collect(n, below);
      else units_.push_back({std::move(below), link.to, link.second ? 2 : int{has_second(n)}});
    }
  }

  static bool has_second(const node& n) {
    return std::any_of(n.links.begin(), n.links.end(), [](const auto& l) { return l.second.second || has_second(*l.second.to); });
  }

  node root_;
  std::vector<unit> units_;
};

}  // namespace

std::vector<part> choose(const reader& from, const selection& chosen) {
  const auto patterns = [](const std::vector<std::string>& texts) { return std::vector<pattern>(texts.begin(), texts.end()); };
  const auto only = patterns(chosen.only), except = patterns(chosen.except);
  struct renaming {
    pattern from, to;
    bool used = false;
  };
  std::vector<renaming> renames;
  for (const auto& [before, after] : chosen.rename) {
    renames.push_back({pattern(before), pattern(after)});
    if (renames.back().from.wildcards() != renames.back().to.wildcards()) throw holdfast::error("--rename " + before + " " + after + ": expected the same wildcards on both sides; write each * and ** of the one in the other");
  }
  const auto renamed = [&](const std::string& path) {
    for (renaming& r : renames) {
      const auto captured = r.from.captures(path);
      if (!captured) continue;
      r.used = true;
      std::string name = r.to.filled(*captured);
      return name.substr(name.starts_with('/') ? 1 : 0);  // "model/**" to "**" leaves what is below
    }
    return path;
  };
  std::vector<bool> used(only.size());
  std::vector<part> parts;
  std::map<std::string, const entry*, std::less<>> names;
  for (const entry& e : from.entries()) {
    bool taken = only.empty();
    for (std::size_t i = 0; i < only.size(); ++i)
      if (only[i].matches(e.path)) taken = used[i] = true;
    if (!taken || std::any_of(except.begin(), except.end(), [&](const pattern& p) { return p.matches(e.path); })) continue;
    part p{renamed(e.path), &from, &e, e.kind == entry_kind::group && !e.alias_of.empty() ? renamed(e.alias_of) : std::string()};
    if (e.kind != entry_kind::group)
      if (const auto [at, is_new] = names.emplace(p.path, &e); !is_new)
        throw holdfast::error(from.file() + ": /" + at->second->path + " and /" + e.path + " would both be named /" + p.path + "; leave one out with --except, or give it another name");
    parts.push_back(std::move(p));
  }
  for (std::size_t i = 0; i < only.size(); ++i)
    if (!used[i]) throw holdfast::error(from.file() + ": --only \"" + only[i].text() + "\" matches nothing in it; holdfast ls lists all paths");
  for (const renaming& r : renames)
    if (!r.used) throw holdfast::error(from.file() + ": --rename \"" + r.from.text() + "\" matches nothing that is taken; holdfast ls lists all paths");
  if (names.empty() && !from.entries().empty()) throw holdfast::error(from.file() + ": nothing is left of it; see --only and --except");
  return parts;
}

output with_notes_of(output how, const std::vector<const reader*>& files) {
  for (const reader* f : files) {
    if (!how.step && f->step() >= 0) how.step = f->step();
    if (!how.metric && !std::isnan(f->metric())) how.metric = f->metric();
  }
  return how;
}

void write(const std::string& path, const std::vector<part>& parts, const output& how, const holdfast::seal_key& key, progress& bar, bool verified) {
  const content from(path, parts, bar, verified);
  tree all(parts, from);
  holdfast::state state;
  all.bind(state);
  holdfast::save(path, state,
                 {.step = how.step.value_or(-1), .metric = how.metric.value_or(std::numeric_limits<double>::quiet_NaN()), .existing = how.force ? holdfast::io::replace::yes : holdfast::io::replace::no, .storage = &bar.storage(), .key = key});
}

}  // namespace tool
