#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/restore.hpp>

namespace holdfast {

/// A checkpoint open for reading, without live objects. What it returns stays valid while it lives. Used by one thread.
template <class X>
class basic_checkpoint_file {
 public:
  /// Throws `io_error`, `format_error` or `integrity_error` for a file that is not a whole checkpoint. Reading one path
  /// reads and verifies what tells of it; damage to other parts of the index is found by what asks for all entries.
  explicit basic_checkpoint_file(const std::string& path, trust trusted = trust::sealed_only, const seal_key& key = {}) : reader_(detail::open_reader(path, trusted, nullptr, key, true)) {}
  /// Over a reader that is open.
  explicit basic_checkpoint_file(std::unique_ptr<hdf5::reader> opened) : reader_(std::move(opened)) {}

  /// All paths, sorted; every name of shared data is there.
  const std::vector<entry>& entries() const& { return reader_->entries(); }
  /// A copy, where the file is a temporary.
  std::vector<entry> entries() && { return reader_->entries(); }
  /// Whether there is a tensor, or a group, of that path.
  bool contains(std::string_view path) const {
    path = relative(path);
    if (reader_->find(path) != nullptr) return true;
    const auto& all = entries();
    const auto at = std::lower_bound(all.begin(), all.end(), std::string(path) + "/", [](const entry& e, const std::string& p) { return e.path < p; });
    return at != all.end() && detail::within(at->path, path);
  }
  /// The step that it was saved with; -1 if none.
  std::int64_t step() const noexcept { return reader_->step(); }
  /// The metric that it was saved with; NaN if none.
  double metric() const noexcept { return reader_->metric(); }
  /// Whether it is as holdfast wrote it, and read by its own index.
  bool sealed() const noexcept { return reader_->sealed(); }
  /// What it reads with: for what else the library makes of a checkpoint.
  const hdf5::reader& reader() const noexcept { return *reader_; }

  /// The elements of a tensor in the file itself: nothing is copied and no digest compared (`verify` does). Throws
  /// `mismatch_error` for another element type, `format_error` where the file is compressed, chunked or unaligned.
  template <element T>
  std::span<const T> map(std::string_view path) const {
    const entry& e = at(path);
    if (e.dtype != dtype_of<T>::value)
      throw mismatch_error(reader_->file(), {{difference::kind::dtype, e.path, std::string(name(dtype_of<T>::value)), describe(e.dtype, e.shape), "map it as that type"}});
    if (e.bytes == 0) return {};
    const auto bytes = reader_->map(e);
    if (bytes == nullptr) throw format_error(reader_->file() + ": /" + e.path + ": cannot be mapped: the file is not sealed; read() copies it");
    if (reinterpret_cast<std::uintptr_t>(bytes.get()) % alignof(T) != 0) throw format_error(reader_->file() + ": /" + e.path + ": is not aligned in the file; read() copies it");
    if (std::is_same_v<T, bool> && std::any_of(bytes.get(), bytes.get() + e.bytes, [](std::byte b) { return b > std::byte{1}; }))
      throw format_error(reader_->file() + ": /" + e.path + ": expected bytes of 0 and 1, found others in a tensor of bool");
    return {reinterpret_cast<const T*>(bytes.get()), e.bytes / sizeof(T)};
  }

  /// A copy of what is at `path`, verified: a scalar, a std::vector, a std::string, or any other default-constructible
  /// checkpointable type. Throws as `restore` does.
  template <class T>
  T read(std::string_view path) const {
    T value{};
    path = relative(path);
    if (!contains(path)) unknown(path);
    basic_state<X> into;
    into.bind(path, value);
    detail::restore_from(*reader_, detail::basic_selection<X>(*reader_, path), into, {});
    return value;
  }

  /// Compares every digest with the content, the metadata included. Throws `integrity_error` for the first that differs.
  void verify() const {
    reader_->verify_metadata();
    std::vector<detail::transfer> all;
    for (const entry& e : entries())
      if (e.kind == entry_kind::tensor && size_of(e.dtype) != 0) all.push_back({&e, nullptr});
    detail::basic_transfers<X>(*reader_, std::move(all), true).run();
  }

 private:
  static std::string_view relative(std::string_view path) { return path.starts_with('/') ? path.substr(1) : path; }

  [[noreturn]] void unknown(std::string_view path) const {
    throw mismatch_error(reader_->file(), {{difference::kind::missing, std::string(path), "a dataset", "", "entries() lists what is there"}});
  }

  const entry& at(std::string_view path) const {
    const entry* e = reader_->find(relative(path));
    if (e == nullptr) unknown(relative(path));
    if (e->kind == entry_kind::group || e->kind == entry_kind::absent)
      throw mismatch_error(reader_->file(), {{difference::kind::structure, e->path, "a dataset", e->kind == entry_kind::group ? "a group" : "nothing (an empty optional or null pointer was saved)", ""}});
    return *e;
  }

  std::unique_ptr<hdf5::reader> reader_;
};
/// A checkpoint open for reading.
using checkpoint_file = basic_checkpoint_file<void>;

}  // namespace holdfast
