// The `holdfast` command: looks at checkpoints without the program that wrote them.
#include <cmath>
#include <cstdint>
#include <exception>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <holdfast/holdfast.hpp>

namespace {

std::string readable(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string kind_of(const holdfast::entry& e) {
  switch (e.kind) {
    case holdfast::entry_kind::tensor: return holdfast::describe(e.dtype, e.shape);
    case holdfast::entry_kind::alias: return "= /" + e.alias_of;
    case holdfast::entry_kind::group: return e.alias_of.empty() ? "group" : "= /" + e.alias_of;
    case holdfast::entry_kind::absent: return "absent";
  }
  return {};
}

int list(const std::string& path, holdfast::trust trusted) {
  const holdfast::checkpoint_file file(path, trusted);
  std::size_t tensors = 0, width = 0;
  std::uint64_t bytes = 0;
  for (const holdfast::entry& e : file.entries()) {
    width = std::max(width, kind_of(e).size());
    if (e.kind != holdfast::entry_kind::tensor) continue;
    ++tensors;
    bytes += e.bytes;
  }
  fmt::print("{}: {} tensors, {}, {}", path, tensors, readable(bytes), file.sealed() ? "sealed" : "not sealed");
  if (file.step() >= 0) fmt::print(", step {}", file.step());
  if (!std::isnan(file.metric())) fmt::print(", metric {}", file.metric());
  fmt::print("\n");
  for (const holdfast::entry& e : file.entries())
    fmt::print("{:>10}  {:<{}}  /{}\n", e.kind == holdfast::entry_kind::tensor ? readable(e.bytes) : "", kind_of(e), width, e.path);
  return 0;
}

int verify(const std::vector<std::string>& paths) {
  int status = 0;
  for (const std::string& path : paths) {
    try {
      holdfast::checkpoint_file(path).verify();
      fmt::print("{}: every byte is as it was saved\n", path);
    } catch (const holdfast::error& e) {
      fmt::print(stderr, "{}\n", e.what());
      status = 1;
    }
  }
  return status;
}

int diff(const std::string& a, const std::string& b, holdfast::trust trusted) {
  const std::vector<holdfast::tensor_difference> all = holdfast::compare(a, b, trusted);
  for (const holdfast::tensor_difference& d : all) fmt::print("{}\n", d.text());
  return all.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Looks at holdfast checkpoints. Exit status: 0 all is well; 1 damaged or different; 2 it could not be done.", "holdfast");
  app.require_subcommand(1);
  bool foreign = false;
  const auto add_foreign = [&](CLI::App* to) { to->add_flag("--foreign", foreign, "read any HDF5 file, through libhdf5 and unverified: only files of an origin you trust"); };
  std::vector<std::string> files;

  CLI::App* ls = app.add_subcommand("ls", "every path with its type, shape and bytes");
  ls->add_option("file", files)->required()->expected(1);
  add_foreign(ls);
  CLI::App* verifying = app.add_subcommand("verify", "compares every byte with the digests it was saved with");
  verifying->add_option("file", files)->required();
  CLI::App* diffing = app.add_subcommand("diff", "where two checkpoints differ: path, first element, distance in ULPs");
  diffing->add_option("file", files, "two files")->required()->expected(2);
  add_foreign(diffing);

  try {
    app.parse(argc, argv);
    const holdfast::trust trusted = foreign ? holdfast::trust::foreign : holdfast::trust::sealed_only;
    if (ls->parsed()) return list(files[0], trusted);
    if (verifying->parsed()) return verify(files);
    return diff(files[0], files[1], trusted);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
