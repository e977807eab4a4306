#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <holdfast/adapters/npz.hpp>
#include <holdfast/adapters/safetensors.hpp>

#include "commands.hpp"
#include "progress.hpp"
#include "rewrite.hpp"
#include "tool.hpp"

namespace tool {

int import_file(const import_options& options) {
  std::size_t paths = 0;
  {
    progress bar("importing");
    std::shared_ptr<holdfast::io::file> file = bar.storage().open(options.file);
    std::unique_ptr<holdfast::hdf5::reader> in;
    if (options.file.ends_with(".safetensors")) in = std::make_unique<holdfast::detail::safetensors::basic_reader<void>>(std::move(file));
    else if (options.file.ends_with(".npz") || options.file.ends_with(".npy")) in = std::make_unique<holdfast::detail::npz::basic_reader<void>>(std::move(file));
    else throw holdfast::error(options.file + ": expected a file named .safetensors, .npz or .npy; an HDF5 file is taken by holdfast extract --trust foreign");
    std::vector<part> parts = choose(*in, options.chosen);
    write(options.to, parts, options.how, options.key, bar, false);  // there are no digests
    paths = parts.size();
  }
  print(fmt::format("{}: {}\n", shown(options.to), counted(paths, "path")));
  return fine;
}

}  // namespace tool
