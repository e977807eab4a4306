#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <holdfast/adapters/safetensors.hpp>

#include "commands.hpp"
#include "npz.hpp"
#include "progress.hpp"
#include "rewrite.hpp"
#include "tool.hpp"

namespace tool {

int export_file(const export_options& options) {
  {
    progress bar("exporting");
    auto in = open(options.file, options.key, options.trust, &bar.storage());
    if (options.to.ends_with(".npz")) {
      if (!options.metadata.empty()) throw holdfast::error(options.to + ": an .npz file has no metadata; leave --metadata out, or export safetensors");
      write_npz(options.to, choose(*in, options.chosen), options.force, bar);
    } else if (options.to.ends_with(".safetensors")) {
      (void)choose(*in, options.chosen);  // the same words for patterns that match nothing
      bar.expect(2 * content_bytes(*in));
      holdfast::safetensors_options how{.only = options.chosen.only, .except = options.chosen.except, .metadata = {options.metadata.begin(), options.metadata.end()}, .existing = options.force ? holdfast::io::replace::yes : holdfast::io::replace::no, .storage = &bar.storage()};
      for (const auto& [from, to] : options.chosen.rename) how.rename.push_back({from, to});
      const std::string file = in->file();
      try {
        holdfast::export_safetensors(holdfast::checkpoint_file(std::move(in)), options.to, how);
      } catch (const holdfast::io_error&) {
        throw;
      } catch (const holdfast::integrity_error&) {
        throw;
      } catch (const holdfast::error& e) {
        throw holdfast::error(std::string(e.what()).starts_with(file) ? e.what() : file + ": " + e.what());
      }
    } else {
      throw holdfast::error(options.to + ": expected a name that ends in .safetensors or .npz; give it one");
    }
  }
  print(fmt::format("{}: written\n", shown(options.to)));
  return fine;
}

}  // namespace tool
