#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/device.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/parallel.hpp>
#include <holdfast/core/stream_copy.hpp>
#include <holdfast/hdf5/index.hpp>
#include <holdfast/hdf5/layout.hpp>

namespace holdfast::detail {

/// The bytes of a checkpoint's HDF5 part in file order: a layout's metadata with the state's tensors in their places. What
/// is digested is the copy that goes to the file, so that digest and file agree whatever happens to the program's memory
/// meanwhile. It is used for one save after the other, and refers to the manifest.
template <class X>
class basic_snapshot {
 public:
  /// A tensor with bytes: where in the file they lie, and where they are now.
  struct part {
    std::uint64_t begin, end;
    std::size_t item;  ///< of the manifest and the layout
    const tensor_view* view;
    bool known = false;  ///< its content is that of the index given to `know`
  };

  basic_snapshot(const hdf5::basic_layout<X>& layout, const basic_manifest<X>& m, const seal_key& key = {}) : layout_(layout), key_(key), digest_(digest_block, key) {
    result_.entries = layout.entries;
    result_.first_block.resize(layout.entries.size());
    for (std::size_t i = 0; i < layout.entries.size(); ++i) {
      const entry& e = layout.entries[i];
      if (e.kind != entry_kind::tensor) continue;
      if (e.bytes == 0) result_.entries[i].digest = root_of({}, key);
      else parts_.push_back({e.offset, e.offset + e.bytes, i, &m.items()[i].view});
    }
    sort(parts_, [](const part& a, const part& b) { return a.begin < b.begin; });
  }

  const std::vector<part>& parts() const noexcept { return parts_; }
  const seal_key& key() const noexcept { return key_; }

  /// Begins the next save: no digest is known.
  void restart() {
    result_.blocks.clear();
    for (part& p : parts_) p.known = false;
    digest_.reset();
    forget_strided();
  }

  /// Takes the digests of items from an earlier index of the same layout.
  void know(const hdf5::index& before, const std::vector<bool>& items) {
    for (part& p : parts_) {
      if (!items[p.item]) continue;
      p.known = true;
      const std::uint64_t n = blocks_in(p.end - p.begin, digest_block);
      record(p, before.entries[p.item].digest, std::span(before.blocks).subspan(n > 1 ? before.first_block[p.item] : 0, n > 1 ? n : 0));
    }
  }

  /// Adds the copies from devices that bring tensors to the file's bytes from `at` on, but for items that are `held` there.
  /// Strided ones are not among them.
  void from_devices(std::uint64_t at, std::span<std::byte> out, const std::vector<bool>& held, std::vector<device_copy>& copies) const {
    for_each_stretch(at, out.size(), [&](const part* p, std::uint64_t from, std::size_t done, std::size_t n) {
      if (p != nullptr && on_device(*p->view) && p->view->contiguous() && !held[p->item])
        copies.push_back({p->view->data() + (from - p->begin), out.data() + done, n, p->view->space()});
    });
  }

  /// Copies the strided tensors of devices to their places in an image of the file, one after the other.
  void stage_strided(std::span<std::byte> image, const std::vector<bool>& held, device_staging& staging) const {
    for (const part& p : parts_)
      if (on_device(*p.view) && !p.view->contiguous() && !held[p.item])
        copy_part(fetch<X>(staging, *p.view).view, 0, image.subspan(p.begin, p.end - p.begin), &plain_copy);
  }

  /// Copies the tensors of the host to their places in an image of the file, but for the items that are `held` there already. The
  /// threads of the machine copy; the image is not read soon.
  void stage(std::span<std::byte> image, const std::vector<bool>& held) const {
    constexpr std::size_t piece = std::size_t{2} << 20;
    parallel(blocks_in(image.size(), piece), memory_threads(), [&](std::size_t i) {
      for_each_stretch(i * piece, std::min(piece, image.size() - i * piece), [&](const part* p, std::uint64_t from, std::size_t, std::size_t n) {
        if (p != nullptr && !on_device(*p->view) && !held[p->item]) copy_part(*p->view, from - p->begin, image.subspan(from, n), &stream_copy);
      });
    });
  }

  /// Makes the file's bytes from `at` on, and digests them while they are in the processor's cache; with `staged` tensors
  /// are there already, and in any case those that `from_devices` brought. Every byte of a tensor that is not known comes
  /// once, in order. `staging` is needed where there are devices.
  void fill(std::uint64_t at, std::span<std::byte> out, bool staged = false, device_staging* staging = nullptr) {
    constexpr std::size_t cached = std::size_t{256} << 10;
    for (std::size_t done = 0; done < out.size(); done += cached) fill_cached(at + done, out.subspan(done, std::min(cached, out.size() - done)), staged, staging);
  }

  /// The index with all digests, when everything was filled.
  const hdf5::index& finish() const { return result_; }

 private:
  void fill_cached(std::uint64_t at, std::span<std::byte> out, bool staged, device_staging* staging) {
    for_each_stretch(at, out.size(), [&](const part* p, std::uint64_t from, std::size_t done, std::size_t n) {
      const auto piece = out.subspan(done, n);
      if (p == nullptr) return layout_.image.read(from, piece);
      if (!staged) bring(*p, from, piece, staging);
      if (p->known) return;
      if (n == p->end - p->begin && n <= digest_block) return record(*p, digest_of(piece, key_), {});
      digest_.update(piece);
      if (from + n != p->end) return;
      const std::vector<digest>& blocks = digest_.finish();
      record(*p, root_of(blocks, key_), blocks.size() > 1 ? std::span(blocks) : std::span<const digest>());
      digest_.reset();
    });
  }

  void bring(const part& p, std::uint64_t from, std::span<std::byte> piece, device_staging* staging) {
    if (!on_device(*p.view)) return copy_part(*p.view, from - p.begin, piece, &plain_copy);
    if (p.view->contiguous()) return;
    if (strided_ != &p) strided_content_.emplace(fetch<X>(*staging, *p.view));
    strided_ = &p;
    copy_part(strided_content_->view, from - p.begin, piece, &plain_copy);
    if (from + piece.size() == p.end) forget_strided();
  }
  void forget_strided() {
    strided_ = nullptr;
    strided_content_.reset();
  }

  static void plain_copy(std::byte* to, const std::byte* from, std::size_t n) { std::memcpy(to, from, n); }

  /// Calls `visit(part or null, at, done, n)` for the stretches of a range that belong to one tensor or to none.
  template <class F>
  void for_each_stretch(std::uint64_t at, std::size_t bytes, F&& visit) const {
    auto next = std::lower_bound(parts_.begin(), parts_.end(), at, [](const part& p, std::uint64_t x) { return p.end <= x; });
    for (std::size_t done = 0; done < bytes;) {
      const std::uint64_t from = at + done;
      const bool inside = next != parts_.end() && next->begin <= from;
      const std::uint64_t until = next == parts_.end() ? at + bytes : inside ? next->end
                                                                             : next->begin;
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes - done, until - from));
      visit(inside ? &*next : nullptr, from, done, n);
      done += n;
      if (inside && from + n == until) ++next;
    }
  }

  /// Pieces end anywhere, also inside an element.
  static void copy_part(const tensor_view& view, std::uint64_t from, std::span<std::byte> out, void (*copy)(std::byte*, const std::byte*, std::size_t)) {
    if (view.contiguous()) return copy(out.data(), view.data() + from, out.size());
    const std::uint64_t item = size_of(view.dtype());
    std::byte element[16];
    std::uint64_t first = from / item;
    for (std::uint64_t skip = from % item; !out.empty(); skip = 0) {
      const std::uint64_t whole = skip == 0 ? out.size() / item : 0;
      if (whole != 0) {
        gather(view, first, whole, out.data());
        out = out.subspan(whole * item);
        first += whole;
      } else {
        gather(view, first++, 1, element);
        const std::size_t n = std::min<std::size_t>(item - skip, out.size());
        std::copy_n(element + skip, n, out.data());
        out = out.subspan(n);
      }
    }
  }

  void record(const part& p, const digest& root, std::span<const digest> blocks) {
    result_.entries[p.item].digest = root;
    if (blocks.empty()) return;
    result_.first_block[p.item] = result_.blocks.size();
    result_.blocks.insert(result_.blocks.end(), blocks.begin(), blocks.end());
  }

  const hdf5::basic_layout<X>& layout_;
  hdf5::index result_;
  std::vector<part> parts_;
  seal_key key_;
  basic_block_digest<X> digest_;
  const part* strided_ = nullptr;  ///< the strided tensor of a device that was fetched last
  std::optional<basic_fetched<X>> strided_content_;
};
using snapshot = basic_snapshot<void>;

}  // namespace holdfast::detail
