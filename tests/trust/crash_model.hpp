#pragma once
/// What a disk may hold after a crash of the machine at some call of a trace.
///
/// Promised by the file system, and nothing else:
///   - `sync` of a file makes its content and length durable, but not its name. Where several machines (nodes) write to it, what
///     the one that syncs has written, and zeros before it where nobody's content is durable;
///   - `sync_folder` makes the names in that folder durable as they are: files, folders, renames, removals. It says
///     nothing about the content of the files;
///   - a file keeps its old name until it has the new one: a rename never leaves it without a name.
/// What was not yet made durable may be there or not, each piece for itself and in any order:
///   - every write, whole or torn at multiples of 4 KiB or of 512 bytes of the file (a sector is written or it is not);
///   - every length between the durable one and the newest;
///   - every creation, removal and rename of a folder. A rename may also leave both names: `posix_storage` makes it from
///     a link and a removal where the file system cannot rename without replacing.
/// Where a length is there and the content is not, the file has zeros (ext4 in ordered mode, xfs, btrfs) or what those
/// blocks held before (ext4 in writeback mode): the content of a file that was removed or replaced.
/// This is more than ext4, xfs and btrfs leave, which keep the order of folder operations and make a file's name durable
/// with its content. A protocol that holds here relies on neither.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <xxhash.h>

#include "memory_storage.hpp"

namespace support {

/// Calls `visit(choice)` for combinations in which decision i has one of `outcomes[i]` outcomes; outcome 0 is "nothing of it
/// is on the disk" and the last one "all of it". All of them if they are no more than `most`. Otherwise: every prefix and
/// suffix of the decisions; all, none, and the first `names` of them, each also with every single decision changed (of all
/// these a random part where even they are more than `most`); then random ones up to `most`. Ends when `visit` returns
/// false, and returns whether it never did.
template <class Visit>
bool for_each_choice(const std::vector<unsigned>& outcomes, std::size_t names, std::size_t most, std::mt19937_64& engine,
                     Visit&& visit) {
  std::size_t all = 1;
  for (const unsigned n : outcomes) all = std::min(all * n, most + 1);
  std::vector<unsigned> choice(outcomes.size());
  if (all <= most) {
    for (;;) {
      if (!visit(choice)) return false;
      std::size_t i = 0;
      while (i < choice.size() && ++choice[i] == outcomes[i]) choice[i++] = 0;
      if (i == choice.size()) return true;
    }
  }
  std::size_t tried = 0;
  const auto try_it = [&] {
    ++tried;
    return visit(choice);
  };
  const auto keep = [&](std::size_t first, std::size_t end) {
    for (std::size_t i = 0; i < choice.size(); ++i) choice[i] = first <= i && i < end ? outcomes[i] - 1 : 0;
  };
  const std::size_t stride = 1 + 5 * choice.size() / most;
  for (const std::size_t kept : {choice.size(), std::size_t{0}, names}) {
    keep(0, kept);
    if (!try_it()) return false;
    for (std::size_t i = engine() % stride; i < choice.size(); i += stride) {
      const unsigned before = choice[i];
      for (choice[i] = 0; choice[i] < outcomes[i]; ++choice[i])
        if (choice[i] != before && !try_it()) return false;
      choice[i] = before;
    }
  }
  for (std::size_t i = 1 + engine() % stride; i < choice.size(); i += stride) {
    keep(0, i);
    if (!try_it()) return false;
    keep(i, choice.size());
    if (!try_it()) return false;
  }
  while (tried < most) {
    // How likely of 16 a decision is to be on the disk. Files are mostly given names, without which they do not matter.
    const auto kept = static_cast<unsigned>(engine() % 16), kept_names = engine() % 4 == 0 ? kept : 15;
    for (std::size_t i = 0; i < choice.size(); ++i) {
      const std::uint64_t r = engine();
      choice[i] = r % 16 < (i < names ? kept_names : kept) ? outcomes[i] - 1 : static_cast<unsigned>((r >> 8) % outcomes[i]);
    }
    if (!try_it()) return false;
  }
  return true;
}

/// Follows a trace call by call. After each, `for_each_state` builds what a crash at this moment may leave.
class crash_model {
 public:
  using kind = disk_call::kind;

  explicit crash_model(const disk_image& start) {
    for (const std::string& folder : start.folders) names_[folder] = is_folder;
    for (const auto& [path, inode] : start.files) {
      names_[path] = inode->number;
      tracked& file = files_[inode->number];
      file.durable = inode->bytes;
    }
  }

  void apply(const disk_call& call) {
    switch (call.what) {
      case kind::make_folder: pending_.push_back({&call, io::detail::parent_of(call.path), is_folder}); break;
      case kind::create:
        files_[call.file];
        [[fallthrough]];
      case kind::rename:
      case kind::remove: pending_.push_back({&call, io::detail::parent_of(call.path), call.file}); break;
      case kind::preallocate:
      case kind::write: files_[call.file].pending.push_back(&call); break;
      case kind::sync: settle(files_[call.file], call.node); break;
      case kind::sync_folder:
        for (const name_call& n : pending_) {
          if (n.folder != call.path) continue;
          free_blocks(n);
          carry_out(names_, n, done);
        }
        std::erase_if(pending_, [&](const name_call& n) { return n.folder == call.path; });
        break;
      case kind::lease:
      case kind::began:
      case kind::reported: break;
    }
  }

  /// Builds states with writes torn at multiples of `unit` bytes (0: not torn), at most about `most`, and calls
  /// `visit(image, hash)`: images of the same names and contents, and only these, have the same hash.
  template <class Visit>
  bool for_each_state(std::size_t unit, std::size_t most, std::mt19937_64& engine, Visit&& visit) {
    std::vector<unsigned> outcomes;
    for (const name_call& n : pending_) outcomes.push_back(n.call->what == kind::rename ? 3 : 2);
    std::vector<part> parts;
    for (auto& [number, file] : files_)
      if (!file.pending.empty() && can_have_a_name(number)) parts.push_back(part_of(number, file, unit, outcomes));
    return for_each_choice(outcomes, pending_.size(), most, engine, [&](std::vector<unsigned>& choice) {
      const auto names = names_of(choice);
      for (const part& p : parts) {
        const bool has_name = std::any_of(names.begin(), names.end(), [&](const auto& n) { return n.second == p.number; });
        if (!is_plain(p, choice, has_name)) return true;  // another choice gives the same disk
        if (has_name) build(p, choice);
      }
      return visit_names(names, visit);
    });
  }

 private:
  static constexpr std::size_t is_folder = static_cast<std::size_t>(-1);
  enum outcome : unsigned { not_done,
                            both_names,
                            done };  // of a rename; the others are done or not

  struct name_call {
    const disk_call* call;
    std::string folder;
    std::size_t number;
  };

  struct tracked {
    std::vector<std::byte> durable{};
    std::vector<const disk_call*> pending{};
    std::shared_ptr<memory_inode> built{};  ///< the content in the state that is being visited
    std::uint64_t hash = 0;
  };

  /// One file's share of the decisions: the length, what is where nothing was written, then each piece of a write.
  struct piece {
    std::uint64_t offset;
    std::span<const std::byte> bytes;
  };
  struct part {
    tracked* file;
    std::size_t number, first;
    std::vector<std::uint64_t> lengths;
    std::vector<piece> pieces;
  };

  static part part_of(std::size_t number, tracked& file, std::size_t unit, std::vector<unsigned>& outcomes) {
    part p{&file, number, outcomes.size(), {file.durable.size()}, {}};
    for (const disk_call* call : file.pending) {
      const std::uint64_t end = call->offset + call->bytes;
      const auto next = [&](std::uint64_t at) { return unit == 0 ? end : std::min<std::uint64_t>(end, (at / unit + 1) * unit); };
      while (p.lengths.back() < end) p.lengths.push_back(next(p.lengths.back()));
      for (std::uint64_t at = call->offset, n = 0; call->what == kind::write && at < end; at += n) {
        n = next(at) - at;
        p.pieces.push_back({at, std::span(call->content).subspan(at - call->offset, n)});
      }
    }
    outcomes.push_back(static_cast<unsigned>(p.lengths.size()));
    outcomes.push_back(2);
    outcomes.insert(outcomes.end(), p.pieces.size(), 2);
    return p;
  }

  /// Whether nothing is decided that does not matter: what is in a file without a name, or behind a file's end.
  static bool is_plain(const part& p, const std::vector<unsigned>& choice, bool has_name) {
    const std::uint64_t length = p.lengths[choice[p.first]];
    if (!has_name && (choice[p.first] != 0 || choice[p.first + 1] != 0)) return false;
    for (std::size_t i = 0; i < p.pieces.size(); ++i)
      if (choice[p.first + 2 + i] != 0 && (!has_name || p.pieces[i].offset >= length)) return false;
    return true;
  }

  /// Makes the file's content of the state that `choice` describes.
  void build(const part& p, const std::vector<unsigned>& choice) {
    tracked& file = *p.file;
    if (!file.built || file.built.use_count() > 1) file.built = std::make_shared<memory_inode>();
    std::vector<std::byte>& bytes = file.built->bytes;
    const bool zeros = choice[p.first + 1] != 0;
    bytes.assign(p.lengths.back(), zeros ? std::byte{0} : std::byte{0xA5});
    if (!zeros) std::copy_n(stale_.begin(), std::min(stale_.size(), bytes.size()), bytes.begin());
    std::copy(file.durable.begin(), file.durable.end(), bytes.begin());
    for (std::size_t i = 0; i < p.pieces.size(); ++i)
      if (choice[p.first + 2 + i] != 0) std::memcpy(bytes.data() + p.pieces[i].offset, p.pieces[i].bytes.data(), p.pieces[i].bytes.size());
    bytes.resize(p.lengths[choice[p.first]]);
    file.hash = XXH3_64bits(bytes.data(), bytes.size());
  }

  std::map<std::string, std::size_t> names_of(const std::vector<unsigned>& choice) const {
    auto names = names_;
    for (std::size_t i = 0; i < pending_.size(); ++i)
      if (choice[i] != 0) carry_out(names, pending_[i], pending_[i].call->what == kind::rename ? static_cast<outcome>(choice[i]) : done);
    return names;
  }

  template <class Visit>
  bool visit_names(const std::map<std::string, std::size_t>& names, Visit&& visit) {
    disk_image image;
    std::uint64_t hash = 0;
    for (const auto& [path, number] : names) {
      if (path != "/" && !image.folders.contains(io::detail::parent_of(path))) continue;  // sorted: the folder came before
      std::uint64_t content = 0;
      if (number == is_folder) {
        image.folders.insert(image.folders.end(), path);
      } else {
        tracked& file = files_.at(number);
        if (file.pending.empty() && !file.built) settle(file, 0);
        image.files.emplace_hint(image.files.end(), path, file.built);
        content = file.hash;
      }
      hash = XXH3_64bits_withSeed(path.data(), path.size(), hash ^ content);
    }
    return visit(std::as_const(image), hash);
  }

  bool can_have_a_name(std::size_t number) const {
    return std::any_of(pending_.begin(), pending_.end(), [&](const name_call& n) { return n.number == number; }) ||
           std::any_of(names_.begin(), names_.end(), [&](const auto& n) { return n.second == number; });
  }

  /// What a node has written to the file is durable.
  static void settle(tracked& file, std::size_t node) {
    for (const disk_call* call : file.pending) {
      if (call->node != node) continue;
      file.durable.resize(std::max<std::uint64_t>(file.durable.size(), call->offset + call->bytes));
      if (call->what != kind::write) continue;
      std::copy(call->content.begin(), call->content.end(), file.durable.begin() + static_cast<std::ptrdiff_t>(call->offset));
    }
    std::erase_if(file.pending, [&](const disk_call* call) { return call->node == node; });
    file.built = std::make_shared<memory_inode>(memory_inode{.number = 0, .bytes = file.durable});
    file.hash = XXH3_64bits(file.durable.data(), file.durable.size());
  }

  static void carry_out(std::map<std::string, std::size_t>& names, const name_call& n, outcome how) {
    if (n.call->what == kind::rename) names[n.call->to] = n.number;
    if (n.call->what == kind::remove || (n.call->what == kind::rename && how == done)) names.erase(n.call->path);
    if (n.call->what == kind::make_folder || n.call->what == kind::create) names[n.call->path] = n.number;
  }

  /// The blocks of a file that durably lost its name may be given to another one.
  void free_blocks(const name_call& n) {
    if (n.call->what != kind::remove && n.call->what != kind::rename) return;
    const auto victim = names_.find(n.call->what == kind::remove ? n.call->path : n.call->to);
    if (victim != names_.end()) stale_ = files_.at(victim->second).durable;
  }

  std::map<std::string, std::size_t> names_;  ///< durable ones
  std::vector<name_call> pending_;
  std::map<std::size_t, tracked> files_;
  std::vector<std::byte> stale_;  ///< what freed blocks hold
};

}  // namespace support
