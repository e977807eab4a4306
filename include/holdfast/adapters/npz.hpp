#pragma once
/// numpy's .npz and .npy files. Needs libzip:
///
///   holdfast::import_npz("weights.npz", state, {.rename = {{"**", "model/**"}}});
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zip.h>

#include <holdfast/checkpoint/import.hpp>
#include <holdfast/io/posix.hpp>

namespace holdfast {
namespace detail {

namespace npz {

inline constexpr std::string_view signature = "\x93NUMPY";
inline constexpr std::uint64_t most_header = 1 << 20;  // numpy itself writes a few hundred bytes, and reads 10,000

/// What the header of an array says (numpy.lib.format).
struct array_header {
  holdfast::dtype dtype = dtype::uint8;
  holdfast::shape shape{0};
  bool fortran_order = false;
  bool swapped = false;      ///< its numbers are big-endian
  std::string unreadable{};  ///< the type, where holdfast has none for it
};

/// Reads a header's dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. Every function throws
/// `format_error`.
class dictionary {
 public:
  dictionary(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  array_header read() {
    bool type = false, order = false, extents = false;
    expect('{');
    while (!take('}')) {
      const std::string_view key = text();
      expect(':');
      if (key == "descr") once(type), read_type();
      else if (key == "fortran_order") once(order), header_.fortran_order = truth();
      else if (key == "shape") once(extents), read_shape();
      else broken("descr, fortran_order and shape");
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (!text_.empty() || !type || !order || !extents) broken("descr, fortran_order and shape, and nothing more");
    if (header_.unreadable.empty()) {
      if (sizes_.size() < 2) header_.fortran_order = false;  // both orders are one
      if (header_.dtype == dtype::string) {
        if (header_.fortran_order) header_.unreadable = "text in Fortran's order, which holdfast does not read";
        sizes_.push_back(width_);
      }
      header_.shape = shape_in_file(sizes_, size_of(header_.dtype), where_);
    }
    return std::move(header_);
  }

 private:
  [[noreturn]] void broken(const std::string& expected) const {
    throw format_error(where_ + ": the .npy header is damaged: expected " + expected + " at \"" + std::string(text_.substr(0, 40)) + "\"");
  }
  void once(bool& seen) const {
    if (std::exchange(seen, true)) broken("every key once");
  }
  void skip() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n\t"), text_.size())); }
  bool take(char c) {
    skip();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) broken(std::string("'") + c + "'");
  }
  std::string_view text() {
    skip();
    if (!text_.starts_with('\'') && !text_.starts_with('"')) broken("a text in quotes");
    const std::size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) broken("a text in quotes");
    const std::string_view found = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return found;
  }
  bool truth() {
    skip();
    for (const auto& [word, value] : {std::pair("True", true), std::pair("False", false)}) {
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(std::strlen(word));
      return value;
    }
    broken("True or False");
  }
  std::int64_t number() {
    skip();
    if (text_.empty() || text_.front() < '0' || text_.front() > '9') broken("a number");
    std::int64_t n = 0;
    for (; !text_.empty() && text_.front() >= '0' && text_.front() <= '9'; text_.remove_prefix(1)) {
      if (n > (std::numeric_limits<std::int64_t>::max() - 9) / 10) broken("a number less than 2^63");
      n = 10 * n + (text_.front() - '0');
    }
    if (text_.starts_with('L')) text_.remove_prefix(1);  // of Python 2
    return n;
  }
  void read_shape() {
    expect('(');
    while (!take(')')) {
      sizes_.push_back(number());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
  }
  void read_type() {
    skip();
    if (text_.starts_with('[') || text_.starts_with('(')) {  // fields with names, which may have fields
      int depth = 0;
      const std::string_view all = text_;
      do {
        if (text_.empty()) broken("']'");
        if (text_.front() == '\'' || text_.front() == '"') {
          (void)text();
          continue;
        }
        depth += text_.front() == '[' || text_.front() == '(' ? 1 : text_.front() == ']' || text_.front() == ')' ? -1
                                                                                                                 : 0;
        text_.remove_prefix(1);
      } while (depth != 0);
      header_.unreadable = "a type with fields, " + std::string(all.substr(0, std::min<std::size_t>(all.size() - text_.size(), 80)));
      return;
    }
    const std::string_view type = text();
    const std::string_view what = type.substr(std::min<std::size_t>(1, type.size()));
    struct row {
      std::string_view code;
      holdfast::dtype type;
    };
    static constexpr row rows[] = {{"b1", dtype::boolean}, {"i1", dtype::int8}, {"i2", dtype::int16}, {"i4", dtype::int32}, {"i8", dtype::int64}, {"u1", dtype::uint8}, {"u2", dtype::uint16}, {"u4", dtype::uint32}, {"u8", dtype::uint64}, {"f2", dtype::float16}, {"f4", dtype::float32}, {"f8", dtype::float64}, {"c8", dtype::complex64}, {"c16", dtype::complex128}};
    const auto* const known = std::find_if(std::begin(rows), std::end(rows), [&](const row& r) { return r.code == what; });
    const char order = type.empty() ? ' ' : type.front();
    if (known != std::end(rows) && (order == '<' || order == '>' || (order == '|' && size_of(known->type) == 1))) {
      header_.dtype = known->type;
      header_.swapped = order == '>';
    } else if (type.starts_with("|S") && what.size() > 1 && what.size() < 12 && what.find_first_not_of("0123456789", 1) == std::string_view::npos) {
      header_.dtype = dtype::string;
      for (const char c : what.substr(1)) width_ = 10 * width_ + (c - '0');
    } else {
      header_.unreadable = "numpy's type '" + std::string(type.substr(0, 80)) + "'";
      if (what.starts_with('V')) header_.unreadable += ", as which numpy writes bfloat16, float8 and other types that are not its own: save them as array.view(numpy.uint16), or as float32";
      if (what.starts_with('O')) header_.unreadable += ", pickled Python objects";
      if (what.starts_with('U')) header_.unreadable += ": save text as bytes (dtype 'S')";
    }
  }

  std::string_view text_;
  std::string where_;
  array_header header_;
  std::vector<std::int64_t> sizes_;
  std::int64_t width_ = 0;
};

/// Reads the header of an array from `next(out)`, which gives the bytes in order; `start` becomes where its content begins.
template <class Next>
array_header read_header(const std::string& where, std::uint64_t size, std::uint64_t& start, Next&& next) {
  const auto take = [&](std::span<std::byte> out) {
    if (out.size() > size - start) throw format_error(where + ": expected an array in numpy's format, found its end after " + std::to_string(size) + " bytes");
    next(out);
    start += out.size();
  };
  start = 0;
  char begin[8];
  take(std::as_writable_bytes(std::span(begin)));
  if (std::string_view(begin, 6) != signature) throw format_error(where + ": expected an array in numpy's format, found something that does not begin with its signature");
  const int version = begin[6];
  if (version < 1 || version > 3 || begin[7] != 0) throw format_error(where + ": expected an array of numpy's format 1.0 to 3.0, found " + std::to_string(version) + "." + std::to_string(begin[7]));
  std::uint32_t length = 0;
  take(std::as_writable_bytes(std::span(&length, 1)).first(version == 1 ? 2 : 4));
  if (length > most_header) throw format_error(where + ": an .npy header of " + std::to_string(length) + " bytes, expected at most " + std::to_string(most_header));
  std::string text(std::min<std::uint64_t>(length, size - start + 1), '\0');  // one too many is refused
  take(std::as_writable_bytes(std::span(text)));
  array_header h = dictionary(text, where).read();
  const std::uint64_t bytes = static_cast<std::uint64_t>(h.shape.elements()) * size_of(h.dtype);
  if (h.unreadable.empty() && bytes != size - start)
    throw format_error(where + ": " + describe(h.dtype, h.shape) + " is " + std::to_string(bytes) + " bytes, found " + std::to_string(size - start) + "; it was truncated, or is damaged");
  return h;
}

/// An .npz archive, or one array in an .npy file.
template <class X>
class basic_reader final : public basic_named_tensors_reader<X> {
 public:
  explicit basic_reader(std::shared_ptr<io::file> opened) : basic_named_tensors_reader<X>(opened->path()), disk_(std::move(opened)) {
    const std::uint64_t size = disk_->size();
    char start[signature.size()]{};
    if (size >= sizeof start) disk_->read_at(0, std::as_writable_bytes(std::span(start)));
    if (std::string_view(start, sizeof start) == signature) open_array(size);
    else open_archive(size);
  }

  const io::file* contiguous() const noexcept override { return in_place_ ? disk_.get() : nullptr; }

  void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const override {
    const std::size_t number = this->number_of(e), item = size_of(e.dtype);
    const array& a = arrays_[number];
    const std::span to(out, count * item);
    if (a.header.fortran_order) {
      gather(whole(number, e), first, count, out);
    } else {
      bytes(number, first * item, to);
    }
    if (a.header.swapped) swap(to, item / (e.dtype == dtype::complex64 || e.dtype == dtype::complex128 ? 2 : 1));
  }

 private:
  struct array {
    array_header header{};
    std::string where{};
    std::uint64_t start = 0, size = 0;  ///< of its content: behind the header
    zip_uint64_t member = 0;
  };

  [[noreturn]] void fail(const std::string& what) const { throw format_error(this->file() + ": " + what); }

  void open_array(std::uint64_t size) {
    array a{.where = this->file(), .size = size};
    a.header = read_header(a.where, size, a.start, [&](std::span<std::byte> out) { disk_->read_at(a.start, out); });
    in_place_ = !a.header.swapped && !a.header.fortran_order;
    const std::string& path = this->file();
    const std::size_t slash = path.rfind('/');
    arrays_.push_back(std::move(a));
    std::vector<named_tensor> only;
    only.push_back(named(0, path.substr(slash == std::string::npos ? 0 : slash + 1)));
    this->set_tensors(std::move(only));
  }

  void open_archive(std::uint64_t size) {
    int code = 0;
    archive_.reset(zip_open(this->file().c_str(), ZIP_RDONLY, &code));
    if (!archive_) {
      zip_error_t why;
      zip_error_init_with_code(&why, code);
      const std::string text = zip_error_strerror(&why);
      zip_error_fini(&why);
      fail("expected an .npz or .npy file of numpy: " + text);
    }
    std::vector<named_tensor> all;
    std::uint64_t unpacked = 0;
    const auto members = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t i = 0; i < members; ++i) {
      const auto member = static_cast<zip_uint64_t>(i);
      zip_stat_t s;
      if (zip_stat_index(archive_.get(), member, 0, &s) != 0 || (s.valid & ZIP_STAT_NAME) == 0 || (s.valid & ZIP_STAT_SIZE) == 0) fail("member " + std::to_string(i) + " of the archive: cannot be described: " + why());
      std::string name = s.name;
      if (name.ends_with('/')) continue;  // a folder
      // Deflate packs 1032 to 1; more is a bomb.
      unpacked = s.size > std::numeric_limits<std::uint64_t>::max() - unpacked ? std::numeric_limits<std::uint64_t>::max() : unpacked + s.size;
      if (unpacked > (std::uint64_t{64} << 20) + std::min(size, std::numeric_limits<std::uint64_t>::max() / 2080) * 1040) fail("its members would be " + std::to_string(unpacked) + " bytes, more than an archive of " + std::to_string(size) + " bytes holds");
      array a{.where = this->file() + ": " + name, .size = s.size, .member = member};
      arrays_.push_back(std::move(a));
      array& made = arrays_.back();
      if (name.ends_with(".npy")) {
        const std::size_t number = arrays_.size() - 1;
        made.header = read_header(made.where, made.size, made.start, [&](std::span<std::byte> out) { stream(number, made.start, out); });
      } else {
        made.header.unreadable = "a member of the archive that is not an array (.npy)";
      }
      all.push_back(named(arrays_.size() - 1, std::move(name)));
    }
    this->set_tensors(std::move(all));
  }

  named_tensor named(std::size_t number, std::string name) const {
    const array_header& h = arrays_[number].header;
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    return {.name = std::move(name), .dtype = h.dtype, .shape = h.shape, .offset = in_place_ ? arrays_[number].start : 0, .number = number, .unreadable = h.unreadable, .second_name_of = {}};
  }

  /// An array in Fortran's order, as numpy wrote it; the last one is kept, since it is asked for in pieces.
  tensor_view whole(std::size_t number, const entry& e) const {
    if (kept_ != number) {
      kept_.reset();
      memory_ = std::make_unique_for_overwrite<std::byte[]>(e.bytes);
      bytes(number, 0, {memory_.get(), e.bytes});
      kept_ = number;
    }
    std::vector<std::int64_t> strides;
    std::int64_t step = 1;
    for (const std::int64_t n : e.shape) {
      strides.push_back(step);
      step *= n;
    }
    return {memory_.get(), e.dtype, e.shape, std::move(strides)};
  }

  void bytes(std::size_t number, std::uint64_t from, std::span<std::byte> out) const {
    const array& a = arrays_[number];
    if (archive_) stream(number, a.start + from, out);
    else disk_->read_at(a.start + from, out);
  }

  /// Bytes of a member of the archive, from byte `from` of it on. It can only be unpacked from its beginning on, and goes on
  /// where it was.
  void stream(std::size_t number, std::uint64_t from, std::span<std::byte> out) const {
    const array& a = arrays_[number];
    const auto cannot = [&](const std::string& why) -> format_error { return format_error(a.where + ": cannot be unpacked: " + why); };
    if (!open_ || open_number_ != number || open_at_ > from) {
      open_.reset(zip_fopen_index(archive_.get(), a.member, 0));
      if (!open_) throw cannot(why());
      open_number_ = number;
      open_at_ = 0;
    }
    const auto take = [&](std::span<std::byte> to) {
      while (!to.empty()) {
        const auto n = zip_fread(open_.get(), to.data(), to.size());
        if (n <= 0) throw cannot(n == 0 ? "it ends early" : zip_file_strerror(open_.get()));
        open_at_ += static_cast<std::uint64_t>(n);
        to = to.subspan(static_cast<std::size_t>(n));
      }
    };
    std::vector<std::byte> skipped(static_cast<std::size_t>(std::min<std::uint64_t>(from - open_at_, 1 << 16)));
    while (open_at_ < from) take(std::span(skipped).first(static_cast<std::size_t>(std::min<std::uint64_t>(skipped.size(), from - open_at_))));
    take(out);
    // The checksum of a member is compared where it ends.
    char beyond;
    if (open_at_ == a.size && zip_fread(open_.get(), &beyond, 1) != 0) throw cannot(zip_file_strerror(open_.get()));
  }

  std::string why() const { return zip_strerror(archive_.get()); }

  static void swap(std::span<std::byte> bytes, std::size_t width) {
    for (std::size_t i = 0; i + width <= bytes.size(); i += width) std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i), bytes.begin() + static_cast<std::ptrdiff_t>(i + width));
  }

  struct closes {
    void operator()(zip_t* z) const { zip_discard(z); }
    void operator()(zip_file_t* f) const { (void)zip_fclose(f); }
  };

  std::shared_ptr<io::file> disk_;
  bool in_place_ = false;
  std::vector<array> arrays_;
  std::unique_ptr<zip_t, closes> archive_;
  mutable std::unique_ptr<zip_file_t, closes> open_;  // of one member, and where it stands
  mutable std::size_t open_number_ = 0;
  mutable std::uint64_t open_at_ = 0;
  mutable std::unique_ptr<std::byte[]> memory_;
  mutable std::optional<std::size_t> kept_;  // which array is in memory_
};

}  // namespace npz
}  // namespace detail

/// Restores everything bound from numpy's .npz file, exactly as `restore` does: the same options, the same checks before a
/// byte changes, the same errors. An array's name is its path; that of a single .npy file is the file's name without .npy.
/// Arrays in Fortran's order and big-endian ones come as what they mean. `S` arrays are text; what has no dtype here
/// (`U` text, objects, bfloat16, which numpy writes as `V2`) is named and refused where it is bound, and otherwise unexpected.
/// Checksums of the archive are compared while it is read. Throws `format_error` for a file that is not numpy's.
template <class X>
restore_report import_npz(const std::string& path, basic_state<X>& bound, const restore_options& options = {}) {
  return detail::import_from<X>(detail::npz::basic_reader<X>(io::posix().open(path)), bound, options);
}

}  // namespace holdfast
