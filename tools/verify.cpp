#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "hdf5_view.hpp"
#include "progress.hpp"
#include "tool.hpp"

namespace tool {
namespace {

using holdfast::entry;
using holdfast::entry_kind;

std::string kind_of(const holdfast::hdf5::reader& in, const entry* e) {
  if (e == nullptr) return "nothing of that name";
  if (const std::string why = in.unreadable(*e); !why.empty()) return why;
  if (e->kind == entry_kind::group) return "a group";
  if (e->kind == entry_kind::absent) return "absent";
  return holdfast::describe(e->dtype, e->shape);
}

/// Throws `integrity_error` where HDF5 programs would see something else than the index says. Of content, whose digests have been
/// compared, it is enough that it lies in the same place.
void compare_views(const holdfast::hdf5::reader& index) {
  const auto hdf5 = open_as_hdf5(index.file());
  const hdf5_view more(index.file());
  const auto here = first_names(index), there = first_names(*hdf5);
  std::map<std::string_view, std::uint64_t> offsets;  // by first name: libhdf5 visits what has several by one of them
  for (const auto& [path, at] : more.offsets)
    if (const auto first = there.find(path); first != there.end()) offsets.emplace(first->second, at);
  const auto differ = [&](std::string_view path, const std::string& expected, const std::string& found) {
    throw holdfast::integrity_error(fmt::format("{}: /{}: the index says {}, HDF5 programs find {}; take an older checkpoint", index.file(), path, expected, found));
  };
  for (const entry& e : index.entries()) {
    const entry* const found = hdf5->find(e.path);
    if (const std::string said = kind_of(index, &e), seen = kind_of(*hdf5, found); said != seen) differ(e.path, said, seen);
    if (e.bytes == 0) continue;
    const auto at = offsets.find(there.at(e.path));
    if (at == offsets.end() || at->second != e.offset) differ(e.path, fmt::format("its bytes at {}", e.offset), at == offsets.end() ? "them elsewhere" : fmt::format("them at {}", at->second));
  }
  for (const entry& e : hdf5->entries())
    if (e.kind != entry_kind::group && index.find(e.path) == nullptr) differ(e.path, kind_of(index, nullptr), kind_of(*hdf5, &e));
  for (const auto& [path, first] : here)
    if (there.at(path) != first) differ(path, fmt::format("data of /{}", first), fmt::format("that of /{}", there.at(path)));
  std::string digests;
  for (const entry& e : index.entries())
    if (e.kind == entry_kind::tensor) digests += e.digest.text() + "  " + e.path + "\n";
  if (more.digests != digests) throw holdfast::integrity_error(index.file() + ": /holdfast/digests is not what the index says; take an older checkpoint");
}

}  // namespace

int verify(const verify_options& options) {
  int status = fine;
  auto all = nlohmann::ordered_json::array();
  for (const std::string& path : options.files) {
    nlohmann::ordered_json j{{"file", path}, {"whole", true}};
    try {
      const std::string file = checkpoint_at(path);
      j["file"] = file;
      std::uint64_t tensors = 0, bytes = 0;
      {
        progress bar("verifying");
        const auto in = open(file, options.key, holdfast::trust::sealed_only, &bar.storage());
        bytes = content_bytes(*in);
        bar.expect(bytes);
        tensors = static_cast<std::uint64_t>(std::count_if(in->entries().begin(), in->entries().end(), [](const entry& e) { return e.kind == entry_kind::tensor; }));
        verify_all(*in);
        compare_views(*in);
      }
      j["tensors"] = tensors;
      j["bytes"] = bytes;
      const palette& c = out_colours();
      if (!options.json) print(fmt::format("{}: {}whole{}: {}, {}, every byte as it was saved, and HDF5 programs see the same\n", shown(file), c.green, c.plain, counted(tensors, "tensor"), readable(bytes)));
    } catch (const std::exception& e) {
      const auto* const refused = dynamic_cast<const holdfast::io_error*>(&e);
      const bool damage = dynamic_cast<const holdfast::integrity_error*>(&e) != nullptr || dynamic_cast<const holdfast::format_error*>(&e) != nullptr || (refused != nullptr && refused->code() == std::errc::io_error);
      status = std::max(status, damage ? different : trouble);
      j["whole"] = false;
      j["error"] = one_line(e);
      if (!options.json) complain(e);
    }
    all.push_back(std::move(j));
  }
  if (options.json) print_json(all);
  return status;
}

}  // namespace tool
