#include "npz.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>

#include <unistd.h>
#include <zip.h>

#include <fmt/format.h>

#include <holdfast/io/posix.hpp>

#include "tool.hpp"

namespace tool {
namespace {

using holdfast::dtype;

/// numpy's code of a type; empty for one that it does not have.
std::string descr_of(const holdfast::entry& e) {
  switch (e.dtype) {
    case dtype::boolean: return "|b1";
    case dtype::int8: return "|i1";
    case dtype::uint8: return "|u1";
    case dtype::int16: return "<i2";
    case dtype::int32: return "<i4";
    case dtype::int64: return "<i8";
    case dtype::uint16: return "<u2";
    case dtype::uint32: return "<u4";
    case dtype::uint64: return "<u8";
    case dtype::float16: return "<f2";
    case dtype::float32: return "<f4";
    case dtype::float64: return "<f8";
    case dtype::complex64: return "<c8";
    case dtype::complex128: return "<c16";
    case dtype::string: return e.shape.back() == 0 ? "" : fmt::format("|S{}", e.shape.back());  // numpy makes S0 to S1
    default: return "";
  }
}

/// What stands before the content of an array (numpy.lib.format, version 1.0).
std::string header_of(const holdfast::entry& e) {
  std::string shape;
  for (std::size_t axis = 0; axis + (e.dtype == dtype::string) < e.shape.rank(); ++axis) shape += fmt::format("{}, ", e.shape[axis]);
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr_of(e), shape);
  text.append(63 - (10 + text.size()) % 64, ' ').append("\n");
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

/// One member of the archive, which libzip reads through `call`.
struct member {
  part from;
  std::string header = header_of(*from.entry);
  std::exception_ptr* failed;
  holdfast::detail::block_digest digest = from.from->content_digest();
  std::vector<std::byte> piece{};
  std::size_t used = 0;    // of the piece
  std::uint64_t read = 0;  // bytes of content
  zip_error_t error{};

  std::uint64_t size() const { return header.size() + from.entry->bytes; }

  void open() {
    const auto* const begin = reinterpret_cast<const std::byte*>(header.data());
    piece.assign(begin, begin + header.size());
    used = read = 0;
    digest.reset();
  }

  std::size_t take(std::byte* out, std::size_t most) {
    const holdfast::entry& e = *from.entry;
    if (used == piece.size() && read < e.bytes) {
      const std::size_t item = size_of(e.dtype);
      piece.resize(std::min<std::uint64_t>(e.bytes - read, std::uint64_t{1} << 20));
      from.from->read(e, read / item, piece.size() / item, piece.data());
      digest.update(piece);
      read += piece.size();
      used = 0;
      if (read == e.bytes) from.from->verify(e, digest.finish());
    }
    const std::size_t n = std::min(most, piece.size() - used);
    std::memcpy(out, piece.data() + used, n);
    used += n;
    return n;
  }

  static zip_int64_t call(void* self, void* data, zip_uint64_t length, zip_source_cmd_t what) {
    auto& m = *static_cast<member*>(self);
    try {
      switch (what) {
        case ZIP_SOURCE_OPEN: return m.open(), 0;
        case ZIP_SOURCE_READ: return static_cast<zip_int64_t>(m.take(static_cast<std::byte*>(data), length));
        case ZIP_SOURCE_CLOSE: return 0;
        case ZIP_SOURCE_STAT: {
          auto& s = *static_cast<zip_stat_t*>(data);
          zip_stat_init(&s);
          s.size = m.size();
          s.valid = ZIP_STAT_SIZE;
          return sizeof s;
        }
        case ZIP_SOURCE_ERROR: return zip_error_to_data(&m.error, data, length);
        case ZIP_SOURCE_SUPPORTS: return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
        case ZIP_SOURCE_FREE: return 0;
        default: break;
      }
    } catch (...) {
      if (!*m.failed) *m.failed = std::current_exception();
    }
    zip_error_set(&m.error, ZIP_ER_READ, 0);
    return -1;
  }
};

/// Deletes a file that is still there.
struct temporary {
  std::string path;
  ~temporary() { ::unlink(path.c_str()); }
};

struct discards {
  void operator()(zip_t* z) const { zip_discard(z); }
};

}  // namespace

void write_npz(const std::string& path, const std::vector<part>& parts, bool force, progress& bar) {
  std::exception_ptr failed;
  std::vector<std::unique_ptr<member>> members;
  for (const part& p : parts) {
    const holdfast::entry& e = *p.entry;
    if (e.kind == holdfast::entry_kind::group) continue;
    const std::string what = e.kind == holdfast::entry_kind::absent ? "nothing (an empty optional or null pointer)" : p.from->unreadable(e).empty() ? holdfast::describe(e.dtype, e.shape)
                                                                                                                                                    : p.from->unreadable(e);
    if (e.kind == holdfast::entry_kind::absent || !p.from->unreadable(e).empty() || descr_of(e).empty())
      throw holdfast::error(p.from->file() + ": /" + e.path + ": holds " + what + ", for which numpy has no type; leave it out with --except, or export safetensors");
    members.push_back(std::make_unique<member>(member{.from = p, .failed = &failed}));
    bar.expect(e.bytes);
  }
  const std::string folder = holdfast::io::detail::parent_of(path);
  const temporary made{fmt::format("{}/.holdfast-{}-npz.tmp", folder, ::getpid())};
  int code = 0;
  std::unique_ptr<zip_t, discards> archive(zip_open(made.path.c_str(), ZIP_CREATE | ZIP_EXCL, &code));
  if (!archive) throw holdfast::io_error(path + ": cannot create a file in " + folder, std::error_code(errno, std::generic_category()));
  const auto check = [&](bool done) {
    if (done) return;
    if (failed) std::rethrow_exception(failed);
    zip_error_t* const why = zip_get_error(archive.get());
    if (zip_error_system_type(why) == ZIP_ET_SYS) throw holdfast::io_error(path + ": cannot write", std::error_code(zip_error_code_system(why), std::generic_category()));
    throw holdfast::error(path + ": cannot write: " + zip_error_strerror(why) + "; try again, or export safetensors");
  };
  for (const auto& m : members) {
    zip_source_t* const source = zip_source_function(archive.get(), &member::call, m.get());
    check(source != nullptr);
    const zip_int64_t index = zip_file_add(archive.get(), (m->from.path + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) zip_source_free(source);
    check(index >= 0);
    check(zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) == 0);
    check(zip_file_set_dostime(archive.get(), static_cast<zip_uint64_t>(index), 0, 1 << 5 | 1, 0) == 0);  // 1980-01-01, as numpy's: equal arrays are equal files
  }
  check(zip_close(archive.get()) == 0);
  (void)archive.release();
  holdfast::io::storage& disk = holdfast::io::posix();
  if (members.empty()) throw holdfast::error(path + ": nothing to write; name what to export with --only");
  disk.open(made.path)->sync();
  disk.rename(made.path, path, force ? holdfast::io::replace::yes : holdfast::io::replace::no);
  disk.sync_folder(folder);
}

}  // namespace tool
