#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <holdfast/checkpoint/directory.hpp>
#include <holdfast/io/posix.hpp>

#include "commands.hpp"
#include "history.hpp"
#include "progress.hpp"
#include "tool.hpp"

namespace tool {

using holdfast::checkpoint_info;

int prune(const prune_options& options) {
  const std::string& folder = options.folder;
  const bool dry_run = options.dry_run;
  if (!options.keep_last && !options.keep_best && !options.keep_every && !options.damaged) throw holdfast::error(folder + ": expected what to keep, found nothing; pass --keep-last, --keep-best or --keep-every");
  const holdfast::retention keep{.keep_last = options.keep_last.value_or(1), .keep_best = options.keep_best.value_or(0), .keep_every = options.keep_every.value_or(0), .higher_is_better = options.higher_is_better};
  std::vector<checkpoint_info> all = checkpoints_in(folder);
  const std::shared_ptr<void> lease = dry_run ? nullptr : holdfast::detail::lease_directory(holdfast::io::posix(), folder);
  find_damage(all, false, options.key);
  for (const checkpoint_info& c : all)
    if (c.damage.empty() && unverifiable(c, options.key)) throw holdfast::error(c.path + ": was sealed with a key, without which nobody can tell whether it is whole; name the file that holds it with --key-file");
  // What only the key does not fit may be as it was saved, with another key or with none.
  std::vector<checkpoint_info> unfit = all;
  std::erase_if(unfit, [&](const checkpoint_info& c) { return c.damage.empty() || !options.key; });
  for (checkpoint_info& c : unfit) c.damage.clear();
  find_damage(unfit, false, nullptr);
  const auto only_unfit = [&](const checkpoint_info& c) { return std::any_of(unfit.begin(), unfit.end(), [&](const checkpoint_info& other) { return other.path == c.path && other.damage.empty(); }); };
  // The newest one that is kept must be whole to the last byte: what seems so and is not does not count.
  for (auto c = all.rbegin(); c != all.rend(); ++c) {
    if (!c->damage.empty()) continue;
    std::vector<checkpoint_info> one{*c};
    find_damage(one, true, options.key);
    c->damage = one.front().damage;
    if (c->damage.empty()) break;
  }
  std::vector<checkpoint_info> whole = all;
  std::erase_if(whole, [](const checkpoint_info& c) { return !c.damage.empty(); });
  // Nothing at all is removed from a folder in which nothing is whole: a damaged file may be all that is left of the run.
  std::vector<std::string> reasons = holdfast::detail::reasons_to_keep(whole, keep);

  std::vector<std::vector<std::string>> rows;
  std::size_t i = 0, removed = 0;
  std::uint64_t freed = 0;
  const auto report = [&] {
    print(aligned(rows, "<>><"));
    print(fmt::format("{}: {} kept, {} {}, {} {}\n", shown(folder), all.size() - removed, removed, dry_run ? "would be removed" : "removed", readable(freed), dry_run ? "would be free" : "freed"));
  };
  try {
    for (const checkpoint_info& c : all) {
      const bool sound = c.damage.empty();
      const std::string reason = sound ? reasons[i++] : "damaged: " + reason_alone(c);
      const bool remove = sound ? reason.empty() : options.damaged && !whole.empty() && !only_unfit(c);
      if (remove && !dry_run) holdfast::io::posix().remove(c.path);
      rows.push_back({remove ? dry_run ? "would remove" : "removed" : "kept", std::to_string(c.step), readable(c.bytes), reason});
      if (!remove) continue;
      ++removed;
      freed += c.bytes;
    }
  } catch (const holdfast::error&) {
    report();
    throw;
  }
  report();
  if (whole.empty() && !all.empty()) throw holdfast::integrity_error(folder + ": none of its checkpoints is whole, and so none was removed; holdfast history says why");
  return fine;
}

}  // namespace tool
