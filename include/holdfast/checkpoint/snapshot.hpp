#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/core/digest.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/hdf5/index.hpp>
#include <holdfast/hdf5/layout.hpp>

namespace holdfast::detail {

/// The bytes of a checkpoint's HDF5 part in file order: a layout's metadata with the state's tensors in their places.
/// Each tensor is copied once and digested from that copy, so that digest and file agree whatever happens to the
/// program's memory meanwhile.
template <class>
class basic_snapshot {
 public:
  basic_snapshot(hdf5::layout& layout, const manifest& m, const seal_key& key = {}) : layout_(layout), key_(key), digest_(digest_block, key) {
    result_.entries = layout.entries;
    result_.first_block.resize(layout.entries.size());
    for (std::size_t i = 0; i < layout.entries.size(); ++i) {
      const entry& e = layout.entries[i];
      const tensor_view& view = m.items()[i].view;
      if (e.kind != entry_kind::tensor) continue;
      if (e.bytes == 0) result_.entries[i].digest = root_of({}, key);
      else parts_.push_back({e.offset, e.offset + e.bytes, i, view});
    }
    sort(parts_, [](const part& a, const part& b) { return a.begin < b.begin; });
  }

  /// Fills `out` with the file's bytes from where the last call ended.
  void fill(std::span<std::byte> out) {
    while (!out.empty()) {
      const bool inside = next_ < parts_.size() && parts_[next_].begin <= at_;
      const std::uint64_t until = next_ == parts_.size() ? at_ + out.size() : inside ? parts_[next_].end
                                                                                     : parts_[next_].begin;
      const auto piece = out.first(std::min<std::uint64_t>(out.size(), until - at_));
      if (inside) stage(parts_[next_], piece);
      else layout_.image.read(at_, piece);
      at_ += piece.size();
      out = out.subspan(piece.size());
      if (inside && at_ == until) close(parts_[next_++]);
    }
  }

  /// The index with the digests of everything that was filled; call it when all of it was.
  const hdf5::index& finish() const { return result_; }

 private:
  struct part {
    std::uint64_t begin, end;
    std::size_t entry;
    tensor_view view;
  };

  /// Pieces end anywhere, also inside an element.
  void stage(const part& p, std::span<std::byte> out) {
    const std::uint64_t item = size_of(p.view.dtype()), from = at_ - p.begin;
    if (p.view.contiguous()) {
      std::copy_n(p.view.data() + from, out.size(), out.data());
    } else {
      std::byte element[16];
      auto rest = out;
      std::uint64_t first = from / item;
      for (std::uint64_t skip = from % item; !rest.empty(); skip = 0) {
        const std::uint64_t whole = skip == 0 ? rest.size() / item : 0;
        if (whole != 0) {
          gather(p.view, first, whole, rest.data());
          rest = rest.subspan(whole * item);
          first += whole;
        } else {
          gather(p.view, first++, 1, element);
          const std::size_t n = std::min<std::size_t>(item - skip, rest.size());
          std::copy_n(element + skip, n, rest.data());
          rest = rest.subspan(n);
        }
      }
    }
    digest_.update(out);
  }

  void close(const part& p) {
    const std::vector<digest>& blocks = digest_.finish();
    result_.entries[p.entry].digest = root_of(blocks, key_);
    if (blocks.size() > 1) {
      result_.first_block[p.entry] = result_.blocks.size();
      result_.blocks.insert(result_.blocks.end(), blocks.begin(), blocks.end());
    }
    digest_.reset();
  }

  hdf5::layout& layout_;
  hdf5::index result_;
  std::vector<part> parts_;
  std::size_t next_ = 0;
  std::uint64_t at_ = 0;
  seal_key key_;
  block_digest digest_;
};
using snapshot = basic_snapshot<void>;

}  // namespace holdfast::detail
