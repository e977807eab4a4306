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

namespace holdfast::hdf5 {

/// A file open for reading: its entries, and the logical bytes of each, in C order and little-endian. Two kinds exist:
/// a sealed checkpoint, read by its own index, and any other HDF5 file, read through libhdf5. Used by one thread.
class reader {
 public:
  virtual ~reader() = default;

  const std::string& file() const noexcept { return file_; }
  bool sealed() const noexcept { return sealed_; }
  std::int64_t step() const noexcept { return step_; }
  double metric() const noexcept { return metric_; }
  /// What the content of a tensor is digested with, for `verify`.
  holdfast::detail::block_digest content_digest() const { return holdfast::detail::block_digest(digest_block_, key_); }
  /// Whether equal digests of both files are of equal content.
  bool comparable(const reader& other) const noexcept { return digest_block_ == other.digest_block_ && key_ == other.key_; }

  /// Sorted by path. Every name of shared data is there: an alias has the type, shape and place of what it names.
  const std::vector<entry>& entries() const noexcept { return entries_; }

  /// The entry of that path, null if there is none.
  const entry* find(std::string_view path) const {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), path, [](const entry& e, std::string_view p) { return e.path < p; });
    return at != entries_.end() && at->path == path ? &*at : nullptr;
  }

  /// Copies elements `first` to `first + count` of a tensor's content to `out`. Throws `io_error` or `format_error`.
  virtual void read(const entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) const = 0;

  /// Whether the file has a digest of this entry's content.
  virtual bool has_digest(const entry& e) const { return e.digest != digest{}; }

  /// Compares digests of blocks of content, as `block_digest` makes them, with the file's. Throws `integrity_error`.
  virtual void verify(const entry& e, std::span<const digest> blocks) const {
    if (!has_digest(e) || blocks.empty() || holdfast::detail::root_of(blocks, key_) == e.digest) return;
    damaged(e, "its content is not what was saved");
  }

  /// Verifies the bytes that belong to no tensor. Throws `integrity_error`.
  virtual void verify_metadata() const {}

  /// The bytes of an entry in place, where the file is contiguous and maps; null otherwise.
  virtual std::shared_ptr<const std::byte> map(const entry&) const { return nullptr; }

  /// What is known of an entry that holds something other than a tensor.
  virtual std::string unreadable(const entry&) const { return {}; }

 protected:
  reader(std::string file, bool sealed) : file_(std::move(file)), sealed_(sealed) {}

  [[noreturn]] void damaged(const entry& e, const std::string& what) const {
    throw integrity_error(file_ + ": /" + e.path + ": " + what + (sealed_ ? "; the file is damaged: take an older checkpoint"
                                                                         : "; it was changed since, or the file is damaged; .verify = holdfast::verify::off reads it as it is"));
  }

  /// Takes the entries of a file and gives every second name of shared data what it names, and, where that is a group,
  /// everything below it. `origin` tells for each resulting entry which of the given ones has its data.
  void set_entries(const std::vector<entry>& given) {
    origins all;
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i].kind == entry_kind::alias) add_second_name(given, given[i].path, given[i].alias_of, 0, all);
      else all.emplace_back(given[i], i);
    }
    holdfast::detail::sort(all, [](const auto& a, const auto& b) { return a.first.path < b.first.path; });
    entries_.clear();
    origin_.clear();
    for (auto& [e, from] : all) {
      entries_.push_back(std::move(e));
      origin_.push_back(from);
    }
  }

  std::size_t origin(const entry& e) const { return origin_[static_cast<std::size_t>(&e - entries_.data())]; }

  std::int64_t step_ = -1;
  double metric_ = std::numeric_limits<double>::quiet_NaN();
  std::uint64_t digest_block_ = holdfast::detail::digest_block;
  seal_key key_;

 private:
  using origins = std::vector<std::pair<entry, std::size_t>>;
  static constexpr std::size_t max_names = std::size_t{1} << 24, max_depth = 256;

  /// Links may lie in what a link leads to; what was saved never leads back to itself.
  void add_second_name(const std::vector<entry>& given, const std::string& path, const std::string& target, std::size_t depth, origins& all) const {
    if (depth > max_depth || all.size() > max_names) throw format_error(file_ + ": /" + path + ": links without end; the file is damaged or was not written by holdfast");
    const auto from = [&](const std::string& p) {
      return std::lower_bound(given.begin(), given.end(), p, [](const entry& x, const std::string& y) { return x.path < y; });
    };
    const auto add = [&](std::vector<entry>::const_iterator named, const std::string& as) {
      entry copy = *named;
      copy.path = as;
      if (copy.kind == entry_kind::tensor) copy.kind = entry_kind::alias;
      copy.alias_of = named->path;
      all.emplace_back(std::move(copy), static_cast<std::size_t>(named - given.begin()));
    };
    const auto exact = from(target);
    if (exact != given.end() && exact->path == target) add(exact, path);
    else all.emplace_back(entry{.path = path, .kind = entry_kind::group, .alias_of = target}, 0);
    for (auto at = from(target + "/"); at != given.end() && holdfast::detail::within(at->path, target); ++at) {
      const std::string name = path + at->path.substr(target.size());
      if (at->kind == entry_kind::alias) add_second_name(given, name, at->alias_of, depth + 1, all);
      else add(at, name);
    }
  }

  std::string file_;
  bool sealed_;
  std::vector<entry> entries_;
  std::vector<std::size_t> origin_;
};

}  // namespace holdfast::hdf5
