#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast::hdf5 {

namespace detail {

/// Every name of a file's entries: a second name of shared data gets what it names and, where that is a group, everything
/// below it, links in it included. That multiplies: groups of links to groups of links have more names than memory holds,
/// so there is a limit, in proportion to the file, which a save keeps too.
template <class>
struct basic_names {
  std::vector<entry> entries;       ///< by path
  std::vector<std::size_t> origin;  ///< which of the given entries has the data of each

  /// `given` is sorted by path. Throws `format_error` beginning with `file`.
  basic_names(const std::vector<entry>& given, const std::string& file) : given_(given), file_(file) {
    for (const entry& e : given) bytes_ += e.path.size();
    most_bytes_ = (std::uint64_t{1} << 26) + 256 * bytes_;
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i].kind == entry_kind::alias) add_second_name(given[i].path, given[i].alias_of, 0);
      else all_.emplace_back(given[i], i);
    }
    holdfast::detail::sort(all_, [](const auto& a, const auto& b) { return a.first.path < b.first.path; });
    entries.reserve(all_.size());
    origin.reserve(all_.size());
    for (auto& [e, from] : all_) {
      entries.push_back(std::move(e));
      origin.push_back(from);
    }
    all_ = {};
    check(entries, file);
  }

  /// Throws `format_error` where two of them, which are sorted, have one name.
  static void check(const std::vector<entry>& sorted, const std::string& file) {
    for (std::size_t i = 1; i < sorted.size(); ++i)
      if (sorted[i - 1].path == sorted[i].path) throw format_error(file + ": /" + sorted[i].path + ": two objects of one name" + of_no_save);
  }

 private:
  static constexpr std::size_t max_depth = 256;
  static constexpr const char* of_no_save = "; the file is damaged or was not written by holdfast";
  /// Of names, for that many of the file itself. 600 links to one group of 600 are within it.
  static constexpr std::uint64_t most_names(std::uint64_t given) { return (std::uint64_t{1} << 16) + 256 * given; }

  /// Links may lie in what a link leads to; what was saved never leads back to itself.
  void add_second_name(const std::string& path, const std::string& target, std::size_t depth) {
    if (depth > max_depth) without_end(path);
    const auto from = [&](const std::string& p) {
      return std::lower_bound(given_.begin(), given_.end(), p, [](const entry& x, const std::string& y) { return x.path < y; });
    };
    const auto exact = from(target);
    if (exact != given_.end() && exact->path == target) add(exact, path);
    else add({.path = path, .kind = entry_kind::group, .alias_of = target}, 0);
    for (auto at = from(target + "/"); at != given_.end() && holdfast::detail::within(at->path, target); ++at) {
      const std::string name = path + at->path.substr(target.size());
      if (at->kind == entry_kind::alias) add_second_name(name, at->alias_of, depth + 1);
      else add(at, name);
    }
  }

  void add(std::vector<entry>::const_iterator named, const std::string& as) {
    entry copy = *named;
    copy.path = as;
    if (copy.kind == entry_kind::tensor) copy.kind = entry_kind::alias;
    copy.alias_of = named->path;
    add(std::move(copy), static_cast<std::size_t>(named - given_.begin()));
  }

  void add(entry e, std::size_t from) {
    bytes_ += e.path.size() + e.alias_of.size();
    if (all_.size() >= most_names(given_.size()) || bytes_ > most_bytes_) without_end(e.path);
    all_.emplace_back(std::move(e), from);
  }

  [[noreturn]] void without_end(const std::string& path) const { throw format_error(file_ + ": /" + path + ": links without end" + of_no_save); }

  const std::vector<entry>& given_;
  const std::string& file_;
  std::vector<std::pair<entry, std::size_t>> all_;
  std::uint64_t bytes_ = 0, most_bytes_ = 0;
};
using names = basic_names<void>;

}  // namespace detail

/// A file open for reading: its entries, and the logical bytes of each, in C order and little-endian. Two kinds exist:
/// a sealed checkpoint, read by its own index, and any other HDF5 file, read through libhdf5. Used by one thread, but for
/// what `contiguous` gives and `verify`.
template <class>
class basic_reader {
 public:
  virtual ~basic_reader() = default;

  const std::string& file() const noexcept { return file_; }
  bool sealed() const noexcept { return sealed_; }
  std::int64_t step() const noexcept { return step_; }
  double metric() const noexcept { return metric_; }
  std::uint64_t digest_block() const noexcept { return digest_block_; }
  const seal_key& key() const noexcept { return key_; }
  /// What the content of a tensor is digested with, for `verify`.
  holdfast::detail::block_digest content_digest() const { return holdfast::detail::block_digest(digest_block_, key_); }
  /// Whether equal digests of both files are of equal content.
  bool comparable(const basic_reader& other) const noexcept { return digest_block_ == other.digest_block_ && key_ == other.key_; }

  /// Sorted by path. Every name of shared data is there: an alias has the type, shape and place of what it names.
  const std::vector<entry>& entries() const {
    load();
    return entries_;
  }

  /// The entry of that path, null if there is none.
  const entry* find(std::string_view path) const {
    const entry* const alone = find_alone(path);
    return alone != nullptr ? alone : find_listed(path);
  }

  /// The same where it can be had without all entries, and null otherwise: it may be there nevertheless.
  virtual const entry* find_alone(std::string_view) const { return nullptr; }

  /// The file in which every tensor's bytes lie in one piece at its offset, to be read by any number of threads at once;
  /// null where that is not so, and `read` alone finds them.
  virtual const io::file* contiguous() const noexcept { return nullptr; }

  /// Copies elements `first` to `first + count` of a tensor's content to `out`. Throws `io_error` or `format_error`.
  virtual void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const = 0;

  /// Whether the file has a digest of this entry's content.
  virtual bool has_digest(const entry& e) const { return e.digest != digest{}; }

  /// Compares digests of blocks of content, as `block_digest` makes them, with the file's. Throws `integrity_error`.
  virtual void verify(const entry& e, std::span<const digest> blocks) const {
    if (!has_digest(e) || blocks.empty() || holdfast::detail::root_of(blocks, key_) == e.digest) return;
    damaged(e, "its content is not what was saved");
  }

  /// Whether blocks of an entry's content can be verified apart.
  virtual bool verifies_blocks() const { return false; }
  /// Compares the digest of one of them. Throws `integrity_error`.
  virtual void verify_block(const entry&, std::uint64_t /*number*/, const digest&) const {}

  /// Verifies the bytes that belong to no tensor. Throws `integrity_error`.
  virtual void verify_metadata() const {}

  /// The bytes of an entry in place, where the file is contiguous and maps; null otherwise.
  virtual std::shared_ptr<const std::byte> map(const entry&) const { return nullptr; }

  /// What is known of an entry that holds something other than a tensor.
  virtual std::string unreadable(const entry&) const { return {}; }

 protected:
  basic_reader(std::string file, bool sealed) : file_(std::move(file)), sealed_(sealed) {}

  /// Has the entries ready; for a file that is read as it is asked for. Any thread may call it.
  virtual void load() const {}

  /// The same as `find`, among all entries.
  const entry* find_listed(std::string_view path) const {
    const std::vector<entry>& all = entries();
    const auto at = std::lower_bound(all.begin(), all.end(), path, [](const entry& e, std::string_view p) { return std::string_view(e.path) < p; });
    return at != all.end() && at->path == path ? &*at : nullptr;
  }

  [[noreturn]] void damaged(const entry& e, const std::string& what) const {
    const char* const advice = sealed_ ? "; the file is damaged: take an older checkpoint" : "; it was changed since, or the file is damaged; .verify = holdfast::verify::off reads it as it is";
    throw integrity_error(file_ + ": /" + e.path + ": " + what + advice);
  }

  /// Takes the entries of a file, by path, with all names of shared data. Throws `format_error` for names without end
  /// and for two of one name. `origin` tells for each resulting entry which of the given ones has its data.
  void set_entries(std::vector<entry> given) const {
    origin_.clear();
    if (std::none_of(given.begin(), given.end(), [](const entry& e) { return e.kind == entry_kind::alias; })) {
      detail::names::check(given, file_);
      entries_ = std::move(given);
      return;
    }
    detail::names all(given, file_);
    entries_ = std::move(all.entries);
    origin_ = std::move(all.origin);
  }

  std::size_t origin(const entry& e) const {
    const auto i = static_cast<std::size_t>(&e - entries_.data());
    return origin_.empty() ? i : origin_[i];
  }

  std::int64_t step_ = -1;
  double metric_ = std::numeric_limits<double>::quiet_NaN();
  std::uint64_t digest_block_ = holdfast::detail::digest_block;
  seal_key key_;

 private:
  std::string file_;
  bool sealed_;
  mutable std::vector<entry> entries_;
  mutable std::vector<std::size_t> origin_;  // none where no data has a second name
};
using reader = basic_reader<void>;

}  // namespace holdfast::hdf5
