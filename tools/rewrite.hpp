#pragma once
/// Writing a checkpoint from the entries of files, without the program's objects.
#include <cstdint>
#include <string>
#include <vector>

#include <holdfast/hdf5/reader.hpp>
#include <holdfast/io/storage.hpp>

#include "commands.hpp"
#include "progress.hpp"

namespace tool {

/// A path of a file that is to be written, and where it comes from.
struct part {
  std::string path{};
  const holdfast::hdf5::reader* from = nullptr;
  const holdfast::entry* entry = nullptr;
  std::string link_to{};  ///< of a group that is another name of one: how that one would be named
};

/// What a selection takes of a file. Throws `holdfast::error` for a pattern that is malformed or matches nothing, and where two
/// paths get one name.
std::vector<part> choose(const holdfast::hdf5::reader& from, const selection& chosen);

/// Writes them as one sealed checkpoint: what is one tensor, or one group, stays one, and containers, what is absent and
/// where tensors lived are kept.
/// Content is compared with its digests, if `verified`. Throws what reading and `holdfast::save` throw; a file of that name is
/// replaced only by a whole one.
void write(const std::string& path, const std::vector<part>& parts, const output& how, const holdfast::seal_key& key, progress& bar, bool verified = true);

/// Step and metric as the options give them, or else as the first of the files that has them.
output with_notes_of(output how, const std::vector<const holdfast::hdf5::reader*>& files);

}  // namespace tool
