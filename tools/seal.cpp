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

}  // namespace

int seal(const seal_options& options) {
  std::string text;
  {
    progress bar("sealing");
    const auto in = open(options.file, holdfast::trust::foreign, &bar.storage());
    if (in->sealed()) {
      print(fmt::format("{}: is sealed; nothing to do\n", shown(in->file())));
      return fine;
    }
    const hdf5_view more(in->file());
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
    std::size_t unchanged = 0;
    const auto say = [&](std::string_view what, std::string_view path) { text += fmt::format("{:<8} /{}\n", what, shown(path)); };
    for (const part& p : parts) {
      const entry& e = *p.entry;
      if (e.kind != entry_kind::tensor) continue;
      const auto blocks = for_each_piece(*in, e, [](const std::byte*, std::uint64_t) {});
      if (!in->has_digest(e)) say(more.keyed ? "unknown" : "added", e.path);
      else if (holdfast::detail::root_of(blocks) != e.digest) say("changed", e.path);
      else ++unchanged;
    }
    for (const std::string& path : digested_paths(more.digests))
      if (in->find(path) == nullptr) say("removed", path);
    text += fmt::format("{}: {} unchanged", shown(in->file()), counted(unchanged, "tensor"));
    if (!options.dry_run) {
      output how = with_notes_of(options.how, {in.get()});
      how.force = true;
      write(in->file(), parts, how, bar, false);
    }
  }
  text += options.dry_run ? "; not sealed, as --dry-run says\n" : "; sealed\n";
  if (!options.dry_run && !options.how.metric) text += "Its metric, if it had one, was lost with the seal; --metric notes it.\n";
  print(text);
  return fine;
}

}  // namespace tool
