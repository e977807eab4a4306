#include "tool.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <new>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <holdfast/adapters/openssl.hpp>
#include <holdfast/checkpoint/directory.hpp>
#include <holdfast/checkpoint/open.hpp>
#include <holdfast/checkpoint/transfer.hpp>

namespace tool {

std::vector<holdfast::checkpoint_info> checkpoints_in(const std::string& folder) {
  // It would make a folder that is not there.
  std::error_code why;
  const auto status = std::filesystem::status(folder, why);
  if (!std::filesystem::exists(status)) throw holdfast::io_error(folder + ": cannot open", why);
  if (!std::filesystem::is_directory(status)) throw holdfast::error(folder + ": expected a folder of checkpoints, found a file; holdfast ls shows what is in one");
  return holdfast::checkpoint_directory(folder).list();
}

std::string checkpoint_at(const std::string& path) {
  std::error_code unknown;  // then opening it says why
  if (!std::filesystem::is_directory(path, unknown)) return path;
  const auto all = checkpoints_in(path);
  if (all.empty()) throw holdfast::error(path + ": expected a folder with checkpoints (step-….h5), found none; name a file, or the folder of a run");
  const auto whole = std::find_if(all.rbegin(), all.rend(), [](const auto& c) { return c.damage.empty(); });
  if (whole == all.rend()) throw holdfast::integrity_error(path + ": none of its " + counted(all.size(), "checkpoint") + " is whole; holdfast history says why");
  return whole->path;
}

seal_kind seal_of(const std::string& path) {
  const auto trailer = holdfast::hdf5::sealed_reader::trailer_of(*holdfast::io::posix().open(path));
  if (!trailer) return seal_kind::none;
  return trailer->keyed ? seal_kind::keyed : seal_kind::plain;
}

holdfast::seal_key key_in(const std::string& file) {
  constexpr std::size_t shortest = 16, longest = 4096;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(std::fopen(file.c_str(), "rb"), &std::fclose);  // it may be a pipe
  std::string key(longest + 1, '\0');
  if (opened) key.resize(std::fread(key.data(), 1, key.size(), opened.get()));
  if (!opened || std::ferror(opened.get()) != 0) throw holdfast::io_error(file + ": cannot read the key", std::error_code(errno, std::generic_category()));
  if (key.size() < shortest) throw holdfast::error(fmt::format("{}: expected a key of at least {} bytes, found {}; make one with head -c 32 /dev/urandom", file, shortest, key.size()));
  if (key.size() > longest) throw holdfast::error(fmt::format("{}: expected a key, found more than {} bytes; name the file that holds the key alone", file, longest));
  return holdfast::hmac_sha256(key);
}

std::unique_ptr<holdfast::hdf5::reader> open(const std::string& path, const holdfast::seal_key& key, holdfast::trust trusted, holdfast::io::storage* storage) {
  const std::string file = checkpoint_at(path);
  if (!key && seal_of(file) == seal_kind::keyed) throw holdfast::error(file + ": was sealed with a key, which alone can verify it; name the file that holds it with --key-file");
  return holdfast::detail::open_reader(file, trusted, storage, key);
}

std::unique_ptr<holdfast::hdf5::reader> open_as_hdf5(const std::string& path, const holdfast::seal_key& key, holdfast::io::storage* storage) {
  return std::make_unique<holdfast::hdf5::foreign_reader>((storage != nullptr ? *storage : holdfast::io::posix()).open(path), key);
}

std::map<std::string_view, std::string_view> first_names(const holdfast::hdf5::reader& in) {
  std::map<std::string_view, std::string_view> first, of;
  for (const holdfast::entry& e : in.entries())
    if (e.kind == holdfast::entry_kind::tensor || e.kind == holdfast::entry_kind::alias) of[e.path] = first.try_emplace(e.alias_of.empty() ? e.path : e.alias_of, e.path).first->second;
  return of;
}

void verify_content(const holdfast::hdf5::reader& from, const std::vector<const holdfast::entry*>& entries) {
  std::vector<holdfast::detail::transfer> all;
  for (const holdfast::entry* e : entries)
    if (e->kind == holdfast::entry_kind::tensor && size_of(e->dtype) != 0) all.push_back({e, nullptr});
  holdfast::detail::transfers(from, std::move(all), true).run();
}

void verify_all(const holdfast::hdf5::reader& from) {
  from.verify_metadata();
  std::vector<const holdfast::entry*> all;
  for (const holdfast::entry& e : from.entries()) all.push_back(&e);
  verify_content(from, all);
}

std::uint64_t content_bytes(const holdfast::hdf5::reader& from) {
  std::uint64_t bytes = 0;
  for (const holdfast::entry& e : from.entries())
    if (e.kind == holdfast::entry_kind::tensor) bytes += e.bytes;
  return bytes;
}

std::string readable(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string counted(std::uint64_t n, std::string_view noun) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return fmt::format("{} {}{}", text, noun, n == 1 ? "" : "s");
}

std::string number(double value) { return fmt::format("{}", value); }

std::string shown(std::string_view text) {
  std::string s;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) s += fmt::format("%{:02X}", byte);
    else s += c;
  }
  return s;
}

std::string kind_text(const holdfast::hdf5::reader& in, const holdfast::entry& e) {
  if (const std::string why = in.unreadable(e); !why.empty()) return "? " + why;
  if (!e.alias_of.empty()) return "= /" + shown(e.alias_of);
  switch (e.kind) {
    case holdfast::entry_kind::group: return "group";
    case holdfast::entry_kind::absent: return "absent";
    default: return holdfast::describe(e.dtype, e.shape);
  }
}

nlohmann::ordered_json kind_json(const holdfast::hdf5::reader& in, const holdfast::entry& e) {
  nlohmann::ordered_json j{{"path", "/" + e.path}};
  const bool group = e.kind == holdfast::entry_kind::group, absent = e.kind == holdfast::entry_kind::absent;
  j["kind"] = group ? "group" : absent ? "absent"
                                       : "tensor";
  if (!e.alias_of.empty()) j["same_as"] = "/" + e.alias_of;
  if (const std::string why = in.unreadable(e); !why.empty()) {
    j["unreadable"] = why;
  } else if (!group && !absent) {
    j["dtype"] = name(e.dtype);
    j["shape"] = std::vector<std::int64_t>(e.shape.begin(), e.shape.end());
    j["bytes"] = e.bytes;
    if (e.place != holdfast::host) j["saved_from"] = holdfast::name(e.place);
  }
  return j;
}

namespace {

/// Columns that UTF-8 text takes: its code points.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string aligned(const std::vector<std::vector<std::string>>& rows, std::string_view columns) {
  std::vector<std::size_t> widths(columns.size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string text;
  for (const auto& row : rows) {
    const std::size_t line = text.size();
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width(row[i]), ' ');
      if (i != 0) text += "  ";
      text += columns[i] == '>' ? padding + row[i] : row[i] + padding;
    }
    text.erase(std::max(text.find_last_not_of(' ') + 1, line));
    text += '\n';
  }
  return text;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw holdfast::io_error("standard output: cannot write", std::error_code(errno, std::generic_category()));
}

void finish_output() {
  if (std::fflush(stdout) != 0) throw holdfast::io_error("standard output: cannot write", std::error_code(errno, std::generic_category()));
}

void print_json(const nlohmann::ordered_json& value) { print(value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"); }

namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

/// What to do about what the operating system refuses.
std::string_view advice(const std::error_code& code) {
  if (code == std::errc::no_such_file_or_directory) return "; check the path";
  if (code == std::errc::permission_denied || code == std::errc::operation_not_permitted || code == std::errc::read_only_file_system) return "; check the permissions of the file and its folder";
  if (code == std::errc::no_space_on_device) return "; make room, or write elsewhere";
  if (code == std::errc::file_exists) return "; pass --force to replace it";
  if (code == std::errc::is_a_directory || code == std::errc::not_a_directory) return "; name a file";
  return "; try again, or look at the disk";
}

}  // namespace

std::string one_line(const std::exception& e) {
  std::string text = dynamic_cast<const std::bad_alloc*>(&e) != nullptr ? "not enough memory; free some, or take a part with --only" : e.what();
  if (const auto* const refused = dynamic_cast<const holdfast::io_error*>(&e)) text += advice(refused->code());
  if (const std::size_t first = text.find("\n  "); first != std::string::npos) text.replace(first, 3, text[first - 1] == ':' ? " " : ": ");
  replace_all(text, "\n  ", "; ");
  // The library speaks to programs.
  replace_all(text, "pass .trust = holdfast::trust::foreign to read it unverified", "pass --trust foreign to read it unverified, or seal it with holdfast seal");
  replace_all(text, ".verify = holdfast::verify::off reads it as it is", "holdfast seal seals it as it is");
  replace_all(text, "leave .key out", "leave --key-file out");
  replace_all(text, "with .except", "with --except");
  replace_all(text, ".only pattern", "--only pattern");
  replace_all(text, "expected a checkpoint, found a file that is not HDF5 (it does not begin with HDF5's signature)", "expected a checkpoint, found a file that is not HDF5; holdfast import reads safetensors and npz");
  return shown(text);
}

void complain(const std::exception& e) {
  const palette& c = err_colours();
  (void)std::fflush(stdout);
  const std::string line = fmt::format("{}holdfast:{} {}\n", c.red, c.plain, one_line(e));
  (void)std::fwrite(line.data(), 1, line.size(), stderr);
}

namespace {

palette colours_of(int stream) {
  const char *no_colour = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  const bool wanted = ::isatty(stream) == 1 && (no_colour == nullptr || *no_colour == '\0') && (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
  return wanted ? palette{"\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"} : palette{};
}

}  // namespace

const palette& out_colours() {
  static const palette all = colours_of(STDOUT_FILENO);
  return all;
}
const palette& err_colours() {
  static const palette all = colours_of(STDERR_FILENO);
  return all;
}

}  // namespace tool
