#pragma once
/// safetensors, the format of pretrained weights (https://github.com/huggingface/safetensors), both ways. Needs
/// nlohmann/json 3 (headers only):
///
///   holdfast::import_safetensors("model.safetensors", state, {.rename = {{"**", "model/**"}}});
///   holdfast::export_safetensors(state, "model.safetensors", {.only = {"model/**"}, .rename = {{"model/**", "**"}}});
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <holdfast/checkpoint/file.hpp>
#include <holdfast/checkpoint/import.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/pattern.hpp>
#include <holdfast/io/durable_file.hpp>
#include <holdfast/io/overlapped_writer.hpp>
#include <holdfast/io/posix.hpp>

namespace holdfast {

/// What `export_safetensors` writes. Patterns are those of `restore_options`, and name paths as the state or checkpoint has
/// them; `rename` gives from there to the names in the file.
struct safetensors_options {
  std::vector<std::string> only{};                ///< patterns of what to write; empty: everything
  std::vector<std::string> except{};              ///< patterns of what to leave out
  std::vector<rename_rule> rename{};              ///< the first that matches counts
  std::map<std::string, std::string> metadata{};  ///< for the header's `__metadata__`, as {"format", "pt"}
  io::replace existing = io::replace::yes;        ///< whether a file of that name may be replaced
  io::storage* storage = nullptr;                 ///< where to write; null: the operating system's files
};

namespace detail {

namespace safetensors {

struct dtype_row {
  std::string_view name;
  unsigned bits;
  std::optional<holdfast::dtype> type;  ///< none: holdfast has no such type
};
// clang-format off
inline constexpr dtype_row dtypes[] = {
    {"BOOL", 8, dtype::boolean}, {"U8", 8, dtype::uint8}, {"I8", 8, dtype::int8}, {"U16", 16, dtype::uint16}, {"I16", 16, dtype::int16},
    {"U32", 32, dtype::uint32}, {"I32", 32, dtype::int32}, {"U64", 64, dtype::uint64}, {"I64", 64, dtype::int64}, {"F16", 16, dtype::float16},
    {"BF16", 16, dtype::bfloat16}, {"F32", 32, dtype::float32}, {"F64", 64, dtype::float64}, {"F8_E4M3", 8, dtype::float8_e4m3fn},
    {"F8_E5M2", 8, dtype::float8_e5m2}, {"C64", 64, dtype::complex64},
    {"F4", 4, {}}, {"F6_E2M3", 6, {}}, {"F6_E3M2", 6, {}}, {"F8_E8M0", 8, {}}, {"F8_E4M3FNUZ", 8, {}}, {"F8_E5M2FNUZ", 8, {}}};
// clang-format on

inline constexpr std::uint64_t most_header = 100'000'000;  // of the reference implementation
inline constexpr std::string_view metadata_key = "__metadata__";

/// The header as JSON. Throws `format_error` for what is no JSON object and for a key that stands twice.
template <class = void>
nlohmann::json parse_header(const std::string& text, const std::string& file) {
  using json = nlohmann::json;
  if (!text.starts_with('{')) throw format_error(file + ": expected a safetensors header that begins with '{', found another byte; it is no safetensors file, or is damaged");
  std::vector<std::set<std::string>> keys;
  const json::parser_callback_t check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if ((event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) && depth > 3) throw format_error(file + ": the safetensors header is nested deeper than any that describes tensors");
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw format_error(file + ": the safetensors header has the key " + parsed.dump() + " twice");
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception& e) {
    throw format_error(file + ": the safetensors header is no JSON: " + e.what());
  }
}

/// Bytes that lie behind the header, from one offset to another.
struct extent {
  std::uint64_t begin, end;
  std::string name;
};

/// A safetensors file, checked as a whole when it is opened.
template <class X>
class basic_reader final : public basic_named_tensors_reader<X> {
 public:
  explicit basic_reader(std::shared_ptr<io::file> opened) : basic_named_tensors_reader<X>(opened->path()), disk_(std::move(opened)) {
    const std::uint64_t size = disk_->size();
    std::uint64_t header = 0;
    if (size < sizeof header) fail("expected a safetensors file, found one of " + std::to_string(size) + " bytes");
    disk_->read_at(0, std::as_writable_bytes(std::span(&header, 1)));
    if (header > most_header) fail("a safetensors header of " + std::to_string(header) + " bytes, expected at most " + std::to_string(most_header) + "; it is no safetensors file, or is damaged");
    if (header > size - sizeof header) fail("a safetensors header of " + std::to_string(header) + " bytes in a file of " + std::to_string(size) + "; it was truncated, or is no safetensors file");
    start_ = sizeof header + header;
    std::string text(header, '\0');
    disk_->read_at(sizeof header, std::as_writable_bytes(std::span(text)));
    const nlohmann::json parsed = parse_header(text, this->file());
    std::vector<named_tensor> tensors;
    std::vector<extent> extents;
    for (const auto& [name, value] : parsed.items())
      if (name != metadata_key) tensors.push_back(tensor(name, value, extents));
    check(std::move(extents), size - start_);
    if (const auto metadata = parsed.find(metadata_key); metadata != parsed.end()) add_second_names(*metadata, parsed, tensors);
    this->set_tensors(std::move(tensors));
  }

  const io::file* contiguous() const noexcept override { return disk_.get(); }

  void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const override {
    disk_->read_at(e.offset + first * size_of(e.dtype), {out, count * size_of(e.dtype)});
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw format_error(this->file() + ": " + what); }

  named_tensor tensor(const std::string& name, const nlohmann::json& value, std::vector<extent>& extents) const {
    const std::string where = this->file() + ": tensor \"" + name + "\"";
    const auto broken = [&](const std::string& what) -> format_error { return format_error(where + ": " + what); };
    const auto member = [&](const char* key) -> const nlohmann::json& {
      if (!value.is_object() || !value.contains(key)) throw broken("expected an object with dtype, shape and data_offsets, found " + shown(value));
      return value.at(key);
    };
    const auto whole = [&](const nlohmann::json& n, const char* key) -> std::uint64_t {
      if (!n.is_number_unsigned()) throw broken(std::string(key) + ": expected integers from 0 to 2^64 - 1, found " + shown(n));
      return n.get<std::uint64_t>();
    };
    const nlohmann::json &type = member("dtype"), &shape = member("shape"), &offsets = member("data_offsets");
    const auto* const row = std::find_if(std::begin(dtypes), std::end(dtypes), [&](const dtype_row& r) { return type.is_string() && type.get_ref<const std::string&>() == r.name; });
    if (row == std::end(dtypes)) throw broken("expected a dtype of the safetensors format, found " + shown(type));
    if (!shape.is_array() || !offsets.is_array() || offsets.size() != 2) throw broken("expected a shape and two data_offsets, found " + shown(value));
    std::vector<std::int64_t> sizes;
    for (const nlohmann::json& n : shape) {
      if (whole(n, "shape") > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) throw broken("an extent of " + shown(n) + ", more than 2^63 - 1");
      sizes.push_back(n.get<std::int64_t>());
    }
    named_tensor t{.name = name, .dtype = row->type.value_or(holdfast::dtype::uint8), .shape = shape_in_file(sizes, row->bits, where)};  // bits: those fit then, too
    if (!row->type) t.unreadable = std::string(row->name) + t.shape.text() + ", a type that holdfast does not have";
    const std::uint64_t begin = whole(offsets[0], "data_offsets"), end = whole(offsets[1], "data_offsets");
    const std::uint64_t bits = static_cast<std::uint64_t>(t.shape.elements()) * row->bits;
    if (end < begin || bits % 8 != 0 || end - begin != bits / 8)
      throw broken(std::string(row->name) + t.shape.text() + " is " + std::to_string(bits / 8) + " bytes, found data_offsets " + shown(offsets));
    t.offset = start_ + begin;
    extents.push_back({begin, end, name});
    return t;
  }

  /// One tensor after the other, without gaps, up to the end.
  void check(std::vector<extent> extents, std::uint64_t bytes) const {
    sort(extents, [](const extent& a, const extent& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
    std::uint64_t at = 0;
    for (const extent& e : extents) {
      if (e.begin != at) fail("tensor \"" + e.name + "\" begins at byte " + std::to_string(e.begin) + " of the data, expected " + std::to_string(at) + ": tensors must not " + (e.begin < at ? "overlap" : "leave gaps"));
      at = e.end;
    }
    if (at != bytes) fail("the tensors are " + std::to_string(at) + " bytes, the file holds " + std::to_string(bytes) + (at > bytes ? "; it was truncated" : "; it has bytes that belong to no tensor"));
  }

  /// {second name: first name}, as `safetensors.torch.save_model` notes what shares its memory.
  void add_second_names(const nlohmann::json& metadata, const nlohmann::json& all, std::vector<named_tensor>& tensors) const {
    if (!metadata.is_object()) fail("__metadata__: expected an object of strings, found " + shown(metadata));
    for (const auto& [key, value] : metadata.items()) {
      if (!value.is_string()) fail("__metadata__: \"" + key + "\": expected a string, found " + shown(value));
      const auto& name = value.template get_ref<const std::string&>();
      if (name != metadata_key && key != metadata_key && all.contains(name) && !all.contains(key)) tensors.push_back({.name = key, .second_name_of = name});
    }
  }

  static std::string shown(const nlohmann::json& value) {
    std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return text.size() <= 200 ? text : text.substr(0, 200) + "…";
  }

  std::shared_ptr<io::file> disk_;
  std::uint64_t start_ = 0;
};

/// A tensor to be written: from memory, or from a checkpoint.
struct source {
  std::string name;
  const entry* from;
  const tensor_view* view;  ///< null: it is in the checkpoint
  std::string_view dtype;
};

/// Which of some entries are written, and under which names. Throws `error` with all that cannot be.
template <class X>
class basic_selection {
 public:
  std::vector<source> tensors;                      ///< in the order of the file
  std::map<std::string, std::string> second_names;  ///< to the names of those whose data they share

  /// `entries` are by path, with all names of shared data.
  basic_selection(const std::vector<entry>& entries, const safetensors_options& options) {
    const auto all = [](const std::vector<std::string>& texts) { return std::vector<pattern>(texts.begin(), texts.end()); };
    const auto only = all(options.only), except = all(options.except);
    std::vector<bool> only_used(only.size()), rename_used(options.rename.size());
    std::map<std::string_view, std::string> owners;  // by the path whose data it is
    std::set<std::string> names{std::string(metadata_key)};
    std::string refused;
    const auto refuse = [&](const entry& e, const std::string& why) { refused += "\n  /" + e.path + ": " + why; };
    std::vector<std::pair<pattern, pattern>> renames;
    for (const rename_rule& r : options.rename) {
      renames.emplace_back(pattern(r.from), pattern(r.to));
      if (renames.back().first.wildcards() != renames.back().second.wildcards())
        throw error("rename {\"" + r.from + "\", \"" + r.to + "\"}: expected the same wildcards on both sides");
    }
    // What has its data before its other names, whichever come first.
    for (const bool second : {false, true}) {
      for (const entry& e : entries) {
        if (e.alias_of.empty() == second || e.kind == entry_kind::group) continue;
        bool chosen = only.empty();
        for (std::size_t i = 0; i < only.size(); ++i)
          if (only[i].matches(e.path)) chosen = only_used[i] = true;
        if (!chosen || std::any_of(except.begin(), except.end(), [&](const pattern& p) { return p.matches(e.path); })) continue;
        source s{.name = e.path, .from = &e, .view = nullptr, .dtype = {}};
        for (std::size_t i = 0; i < renames.size(); ++i) {
          const auto captured = renames[i].first.captures(e.path);
          if (!captured) continue;
          s.name = renames[i].second.filled(*captured);
          rename_used[i] = true;
          break;
        }
        if (!names.insert(s.name).second) refuse(e, "would be the second tensor named \"" + s.name + "\"");
        for (const dtype_row& r : dtypes)
          if (r.type == e.dtype && e.dtype != dtype::complex64) s.dtype = r.name;
        if (e.kind == entry_kind::absent) refuse(e, "is absent (an empty optional or null pointer), which safetensors cannot say");
        else if (s.dtype.empty()) refuse(e, "safetensors has no type for " + describe(e.dtype, e.shape));
        const auto [owner, first] = owners.try_emplace(second ? e.alias_of : e.path, s.name);
        if (first) tensors.push_back(std::move(s));
        else second_names.emplace(s.name, owner->second);
      }
    }
    for (std::size_t i = 0; i < only.size(); ++i)
      if (!only_used[i]) throw error(".only pattern \"" + only[i].text() + "\" matches nothing that could be exported");
    for (std::size_t i = 0; i < renames.size(); ++i)
      if (!rename_used[i]) throw error("rename from \"" + options.rename[i].from + "\" matches nothing that is exported");
    if (!refused.empty()) throw error("cannot be a safetensors file; leave out with .except, or rename, what it cannot hold:" + refused);
    // The largest elements first, so that all lie at multiples of their size; else by name.
    sort(tensors, [](const source& a, const source& b) { return size_of(a.from->dtype) != size_of(b.from->dtype) ? size_of(a.from->dtype) > size_of(b.from->dtype) : a.name < b.name; });
  }
};

/// Length and header of a file with these tensors. The data begins at a multiple of 8.
template <class X>
std::string encode_header(const basic_selection<X>& chosen, const safetensors_options& options) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  auto metadata = nlohmann::ordered_json::object();
  for (const auto& [key, value] : options.metadata) metadata[key] = value;
  for (const auto& [name, first] : chosen.second_names) {
    if (metadata.contains(name)) throw error("metadata \"" + name + "\": is the name of a tensor that shares its memory, which stands there");
    metadata[name] = first;
  }
  if (!metadata.empty()) header[std::string(metadata_key)] = std::move(metadata);
  std::uint64_t at = 0;
  for (const source& s : chosen.tensors) {
    // push_back, since operator[] of an ordered object searches all keys.
    header.get_ref<nlohmann::ordered_json::object_t&>().push_back({s.name, {{"dtype", s.dtype}, {"shape", std::vector<std::int64_t>(s.from->shape.begin(), s.from->shape.end())}, {"data_offsets", {at, at + s.from->bytes}}}});
    at += s.from->bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& e) {
    throw error(std::string("a name or text of the metadata is not UTF-8, which safetensors needs: ") + e.what());
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > most_header) throw error("a safetensors header of " + std::to_string(text.size()) + " bytes, expected at most " + std::to_string(most_header) + ": too many tensors, export them in parts");
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

/// Writes bytes one after the other.
template <class X>
class basic_stream {
 public:
  basic_stream(io::file& to, std::uint64_t bytes) : writer_(to, memory_, bytes) {}

  /// Memory for up to `bytes` bytes, which are then in the file.
  std::span<std::byte> next(std::uint64_t bytes) {
    if (piece_.size() == used_) flush();
    if (piece_.empty()) piece_ = writer_.piece();
    const auto out = piece_.subspan(used_).first(std::min<std::uint64_t>(bytes, piece_.size() - used_));
    used_ += out.size();
    return out;
  }
  void finish() {
    flush();
    writer_.finish();
  }

 private:
  void flush() {
    if (used_ != 0) writer_.write(at_, piece_.first(used_));
    at_ += std::exchange(used_, 0);
    piece_ = {};
  }

  io::staging_buffer memory_;
  io::basic_overlapped_writer<X> writer_;
  std::span<std::byte> piece_;
  std::size_t used_ = 0;
  std::uint64_t at_ = 0;
};

/// `content(s, first, bytes)` copies from byte `first` of a tensor's content.
template <class X, class Content>
void write(const std::string& path, const basic_selection<X>& chosen, const safetensors_options& options, Content&& content) {
  const std::string header = encode_header(chosen, options);
  std::uint64_t bytes = header.size();
  for (const source& s : chosen.tensors) bytes += s.from->bytes;
  io::basic_durable_file<X> file(options.storage != nullptr ? *options.storage : io::posix(), path);
  file->preallocate(bytes);
  basic_stream<X> out(*file, bytes);
  for (std::size_t at = 0; at < header.size();) {
    const auto to = out.next(header.size() - at);
    std::memcpy(to.data(), header.data() + at, to.size());
    at += to.size();
  }
  for (const source& s : chosen.tensors)
    for (std::uint64_t at = 0; at < s.from->bytes;) {
      const auto to = out.next(s.from->bytes - at);
      content(s, at, to);
      at += to.size();
    }
  out.finish();
  file.commit(options.existing);
}

}  // namespace safetensors
}  // namespace detail

/// Restores everything bound from a safetensors file, exactly as `restore` does: the same options, the same checks before a
/// byte changes, the same errors. A tensor's name is its path, so {"**", "model/**"} puts all of them below /model and
/// {"*.*", "model/*/*"} makes a group of what stands before the last dot. Names that the file's `__metadata__` gives to a
/// tensor, as {"lm_head.weight": "embed.weight"}, are second names of it. The file has no digests, so that `verify` compares
/// none and the report says that it did not. Throws `format_error` for a file that breaks a rule of the format.
template <class X>
restore_report import_safetensors(const std::string& path, basic_state<X>& bound, const restore_options& options = {}) {
  return detail::import_from<X>(detail::safetensors::basic_reader<X>(io::posix().open(path)), bound, options);
}

/// Writes a state's tensors as one safetensors file, which is durable when this returns and not there at all otherwise, as
/// with `save`. Second names of shared memory go to `__metadata__`, as {second: first}. Throws `error` that lists all that
/// safetensors cannot hold (complex numbers, text, absent optionals), and `io_error`.
template <class X>
void export_safetensors(const basic_state<X>& bound, const std::string& path, const safetensors_options& options = {}) {
  const detail::basic_manifest<X> manifest(bound);
  std::vector<entry> given;
  for (const auto& i : manifest.items()) given.push_back(i.entry);
  const hdf5::detail::basic_names<X> names(given, path);
  detail::safetensors::basic_selection<X> chosen(names.entries, options);
  for (auto& s : chosen.tensors) {
    s.view = &manifest.items()[names.origin[static_cast<std::size_t>(s.from - names.entries.data())]].view;
    detail::require_whole(s.from->path, *s.view);
    if (s.view->space().kind != host.kind) throw error("/" + s.from->path + ": lives in " + name(s.view->space()) + "; save a checkpoint, and export that file");
  }
  detail::safetensors::write<X>(path, chosen, options, [&](const auto& s, std::uint64_t at, std::span<std::byte> to) {
    const std::size_t item = size_of(s.from->dtype);
    gather(*s.view, at / item, to.size() / item, to.data());
  });
}

/// The same from a checkpoint, whose content is verified on the way.
template <class X>
void export_safetensors(const basic_checkpoint_file<X>& from, const std::string& path, const safetensors_options& options = {}) {
  const hdf5::reader& reader = from.reader();
  const detail::safetensors::basic_selection<X> chosen(from.entries(), options);
  detail::basic_block_digest<X> digest = reader.content_digest();
  detail::safetensors::write<X>(path, chosen, options, [&](const auto& s, std::uint64_t at, std::span<std::byte> to) {
    const std::size_t item = size_of(s.from->dtype);
    reader.read(*s.from, at / item, to.size() / item, to.data());
    if (at == 0) digest.reset();
    digest.update(to);
    if (s.from->dtype == dtype::boolean && !detail::make_bools(to)) throw format_error(reader.file() + ": /" + s.from->path + ": expected bytes of 0 and 1, found others in a tensor of bool");
    if (at + to.size() == s.from->bytes) reader.verify(*s.from, digest.finish());
  });
}

}  // namespace holdfast
