#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "commands.hpp"
#include "progress.hpp"
#include "rewrite.hpp"
#include "tool.hpp"

namespace tool {

int extract(const extract_options& options) {
  std::vector<part> parts;
  {
    progress bar("extracting");
    const auto in = open(options.file, options.key, options.trust, &bar.storage());
    parts = choose(*in, options.chosen);
    write(options.to, parts, with_notes_of(options.how, {in.get()}), options.key, bar);
    std::erase_if(parts, [](const part& p) { return p.entry->kind == holdfast::entry_kind::group; });
  }
  print(fmt::format("{}: {}\n", shown(options.to), counted(parts.size(), "path")));
  return fine;
}

}  // namespace tool
