#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "commands.hpp"
#include "hdf5_view.hpp"
#include "pieces.hpp"
#include "progress.hpp"
#include "rewrite.hpp"
#include "tool.hpp"

namespace tool {
namespace {

using holdfast::entry;
using holdfast::entry_kind;

/// "/a, /b, and 3 more"
std::string few_of(const std::vector<std::string>& all) {
  constexpr std::size_t most = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(most, all.size()); ++i) text += (i ? ", " : "") + all[i];
  return all.size() > most ? text + fmt::format(", and {} more", all.size() - most) : text;
}

/// The paths of the lines of /holdfast/digests.
std::vector<std::string> digested_paths(const std::string& text) {
  constexpr std::size_t before = 34;  // 32 digits and two spaces
  std::vector<std::string> paths;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end - at > before) paths.push_back(text.substr(at + before, end - at - before));
    at = end + 1;
  }
  return paths;
}

/// Of a file that is sealed: without a key it may be given one.
int reseal(const std::string& file, const seal_options& options, progress& bar) {
  const bool plain = seal_of(file) == seal_kind::plain;
  const auto in = open(file, plain ? nullptr : options.key, holdfast::trust::sealed_only, &bar.storage());
  std::string text = shown(file) + ": is sealed; nothing to do\n";
  if (plain && options.key) {
    if (options.dry_run) {
      verify_all(*in);
      text = shown(file) + ": was sealed without the key; not sealed with it, as --dry-run says\n";
    } else {
      in->verify_metadata();
      output how = with_notes_of(options.how, {in.get()});
      how.force = true;
      write(file, choose(*in, {}), how, options.key, bar);
      text = shown(file) + ": was sealed without the key; sealed with it\n";
    }
  }
  print(text);
  return fine;
}

}  // namespace

int seal(const seal_options& options) {
  std::string text;
  {
    progress bar("sealing");
    const std::string file = checkpoint_at(options.file);
    if (seal_of(file) != seal_kind::none) return reseal(file, options, bar);
    const hdf5_view more(file);
    if (more.keyed && !options.key) throw holdfast::error(file + ": its digests were made with a key, without which nobody can tell what changed; name the file that holds it with --key-file");
    const auto in = open_as_hdf5(file, more.keyed ? options.key : nullptr, &bar.storage());
    std::vector<std::string> lost = more.links;
    lost.insert(lost.end(), more.attributes.begin(), more.attributes.end());
    if (!lost.empty() && !options.drop)
      throw holdfast::error(fmt::format("{}: has attributes or soft links, which a checkpoint does not hold: {}; pass --drop to leave them out", in->file(), few_of(lost)));
    std::vector<part> parts = choose(*in, {});
    for (const part& p : parts) {
      if (const std::string why = in->unreadable(*p.entry); !why.empty())
        throw holdfast::format_error(fmt::format("{}: /{}: holds {}; delete it with h5py, or copy the rest with holdfast extract --trust foreign --except", in->file(), p.entry->path, why));
      if (p.entry->kind == entry_kind::tensor) bar.expect(p.entry->bytes);
    }
    std::size_t unchanged = 0, changed = 0;
    const auto say = [&](std::string_view what, std::string_view path) { text += fmt::format("{:<8} /{}\n", what, shown(path)); };
    for (const part& p : parts) {
      const entry& e = *p.entry;
      if (e.kind != entry_kind::tensor) continue;
      const auto blocks = for_each_piece(*in, e, [](const std::byte*, std::uint64_t) {});
      if (!in->has_digest(e)) say("added", e.path);
      else if (holdfast::detail::root_of(blocks, in->key()) != e.digest) say("changed", e.path), ++changed;
      else ++unchanged;
    }
    if (more.keyed && changed != 0 && unchanged == 0)
      throw holdfast::integrity_error(file + ": not one tensor is what its digest says; they were made with another key, or everything was changed: holdfast extract --trust foreign copies it unverified, without a key");
    for (const std::string& path : digested_paths(more.digests))
      if (in->find(path) == nullptr) say("removed", path);
    text += fmt::format("{}: {} unchanged", shown(in->file()), counted(unchanged, "tensor"));
    if (!options.dry_run) {
      output how = with_notes_of(options.how, {in.get()});
      how.force = true;
      write(in->file(), parts, how, options.key, bar, false);
    }
  }
  text += options.dry_run ? "; not sealed, as --dry-run says\n" : "; sealed\n";
  if (!options.dry_run && !options.how.metric) text += "Its metric, if it had one, was lost with the seal; --metric notes it.\n";
  print(text);
  return fine;
}

}  // namespace tool
