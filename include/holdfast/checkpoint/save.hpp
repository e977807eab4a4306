#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/device.hpp>
#include <holdfast/checkpoint/save_async.hpp>
#include <holdfast/checkpoint/save_options.hpp>
#include <holdfast/checkpoint/snapshot.hpp>
#include <holdfast/core/notice.hpp>
#include <holdfast/core/state.hpp>
#include <holdfast/hdf5/layout.hpp>
#include <holdfast/hdf5/sealed_reader.hpp>
#include <holdfast/hdf5/trailer.hpp>
#include <holdfast/io/durable_file.hpp>
#include <holdfast/io/overlapped_writer.hpp>

namespace holdfast {

namespace detail {

/// Where the index begins in a file of this layout.
template <class X>
std::uint64_t index_offset(const hdf5::basic_layout<X>& l) { return hdf5::detail::round_up(l.end, 64); }

/// A layout of entries, sorted by path, that every reader takes. Throws `error` where there can be none.
template <class X>
hdf5::basic_layout<X> lay_out(std::vector<entry> entries, bool keyed) {
  auto layout = hdf5::compile<X>(std::move(entries), keyed);
  try {
    hdf5::detail::basic_names<X>(layout.entries, "");  // what a reader would refuse is not written
  } catch (const format_error&) {
    throw error("the parts of this state that are shared have too many names: groups of links to groups of links; save them once, under a name of their own");
  }
  return layout;
}

/// Lets writes go past the cache where that was asked for, and where it pays: to make much durable.
template <class = void>
void choose_mode(io::file& file, const save_options& options, std::uint64_t bytes) {
  const bool pays = options.durable && bytes >= io::overlapped_writer::piece_bytes;
  if (options.io == io::mode::buffered || (options.io == io::mode::automatic && !pays)) return;
  if (!file.write_past_cache() && options.io == io::mode::direct) throw io_error(file.path() + ": cannot be written past the page cache on this file system; leave .io at automatic", std::make_error_code(std::errc::operation_not_supported));
}

/// The trailer of a file of this layout, but for its digests.
template <class X>
hdf5::basic_trailer<X> trailer_for(const hdf5::basic_layout<X>& layout, const save_options& options) {
  hdf5::basic_trailer<X> end{.end = layout.end, .index_offset = index_offset(layout), .step = options.step, .metric = options.metric, .keyed = options.key != nullptr};
  end.counts = hdf5::counts_of(layout.entries, end.digest_block);
  return end;
}

/// What follows the HDF5 part when every digest is known: index, its digests, trailer. What depends on the digests is put into the
/// layout's metadata, which is then digested; `tensors` is where the others' bytes lie, in order.
template <class X, class Ranges>
std::vector<std::byte> seal(hdf5::basic_layout<X>& layout, const Ranges& tensors, const hdf5::index& index, hdf5::basic_trailer<X>& end, const seal_key& key) {
  const std::string text = hdf5::digests_text(index.entries);
  layout.image.write(layout.step_offset, std::as_bytes(std::span(&end.step, 1)));
  layout.image.write(layout.digests_offset, std::as_bytes(std::span(text)));
  end.metadata_digest = hdf5::metadata_digest(tensors, end.index_offset, key, [&](std::uint64_t at, std::span<std::byte> out) { layout.image.read(at, out); });
  std::vector<std::byte> tail = hdf5::encode(index, end.counts);
  const std::vector<digest> blocks = hdf5::detail::index_digests(tail, key);
  end.index_digest = root_of(blocks, key);
  if (end.keyed) end.mac = end.code(key);
  const auto append = [&](std::span<const std::byte> bytes) { tail.insert(tail.end(), bytes.begin(), bytes.end()); };
  append(std::as_bytes(std::span(blocks)));
  append(end.encode());
  return tail;
}

}  // namespace detail

/// Saves one state again and again. The file's layout is compiled on the first save and replayed, without any HDF5
/// call, for as long as the state has the same names, types, shapes and links; the memory that bytes are staged in is kept
/// too, and what `state::version` says has not changed is not copied and digested again. Used by one thread.
template <class X>
class basic_saver {
 public:
  basic_saver() = default;
  basic_saver(const basic_saver&) = delete;
  ~basic_saver() {
    if (running_) running_->finish();  // it works with this object, also while a pending_save keeps it
  }

  /// As `holdfast::save`, after a save in the background has ended; its error, if it had one, is thrown instead.
  void save(const std::string& path, const state& bound, const save_options& options = {}) {
    close();
    warn(path, bound);
    prepare(bound, options);
    drained([&] {
      meet_devices();
      write(path, versions_of(*manifest_), options, {});
    });
  }

  /// As `holdfast::save_async`. At most one save is in the background: `busy` says what to do if one still is. `then`
  /// runs in the background when the file is durable.
  pending_save save_async(const std::string& path, const state& bound, const save_options& options = {}, when_busy busy = when_busy::wait,
                          std::function<void()> then = {}) {
    if (running_ && !running_->done()) {
      if (busy == when_busy::skip) return {};
      if (busy == when_busy::error) throw error(path + ": the save before this one is still being written");
    }
    close();
    warn(path, bound);
    prepare(bound, options);
    const versions now = versions_of(*manifest_);
    const bool whole = options.staging == staging::snapshot;
    const auto copied = std::make_shared<std::atomic<bool>>(whole);
    const auto tell = [copied] {
      *copied = true;
      copied->notify_all();
    };
    drained([&] {
      meet_devices();
      const auto image = whole ? stage(now) : std::span<std::byte>();
      try {
        running_ = std::make_shared<detail::background>([this, path, now, options, image, tell, then = std::move(then)] {
          try {
            drained([&] { write(path, now, options, image, tell); });
          } catch (...) {
            tell();
            throw;
          }
          if (then) then();
        });
      } catch (const std::system_error& e) {
        throw io_error(path + ": cannot start the thread that writes it", e.code());
      }
    });
    copied->wait(false);
    return pending_save(running_);
  }

  /// Returns when nothing is in the background; rethrows the error of the last save there if nobody has seen it.
  void close() {
    if (const auto ended = std::exchange(running_, nullptr)) ended->wait();
  }

 private:
  using versions = std::vector<std::optional<std::uint64_t>>;

  /// What the newest file of this layout holds.
  struct last_file {
    std::string path{};
    io::storage* storage = nullptr;
    hdf5::index index{};
    versions of{};
    std::vector<std::byte> trailer{};
    seal_key key{};
  };

  /// None where no item has one.
  static versions versions_of(const detail::basic_manifest<X>& m) {
    versions all;
    if (std::none_of(m.items().begin(), m.items().end(), [](const auto& i) { return i.version.has_value(); })) return all;
    for (const auto& i : m.items()) all.push_back(i.version);
    return all;
  }

  /// Which items have a version that is also the one in `before`.
  std::vector<bool> unchanged(const versions& now, const versions& before) const {
    std::vector<bool> same(layout_->entries.size());
    for (std::size_t i = 0; i < std::min(now.size(), before.size()); ++i) same[i] = now[i].has_value() && now[i] == before[i];
    return same;
  }

  /// Copies the tensors to an image of the file that is kept from one save to the next.
  std::span<std::byte> stage(const versions& now) {
    const std::size_t bytes = detail::index_offset(*layout_);
    if (bytes > image_.memory().size()) staged_.clear();
    const auto image = image_.reserve(bytes);
    const auto held = unchanged(now, std::exchange(staged_, {}));
    arrivals_.clear();
    if (!streams_.empty()) bring(image, held);
    snapshot_->stage(image, held);
    staged_ = now;
    return image;
  }

  /// Enqueues the copies from devices to the image. What the program's streams are given later comes after them.
  void bring(std::span<std::byte> image, const std::vector<bool>& held) {
    detail::page_lock(*staging_, image_);
    for (std::uint64_t at = 0; at < image.size(); at += io::basic_overlapped_writer<X>::piece_bytes) {
      copies_.clear();
      snapshot_->from_devices(at, image.subspan(at, std::min<std::uint64_t>(io::basic_overlapped_writer<X>::piece_bytes, image.size() - at)), held, copies_);
      if (!copies_.empty()) arrivals_.push_back({.at = at, .number = staging_->to_host(copies_)});
    }
    streams_.wait_for(*staging_);
    snapshot_->stage_strided(image, held, *staging_);
  }

  /// Which streams the program's devices work on, and the staging that reads from them: what they hold now.
  void meet_devices() {
    streams_.clear();
    for (const auto& i : manifest_->items()) streams_.add(i.view);
    if (streams_.empty()) return;
    if (staging_ == nullptr) staging_ = detail::registered_engine()->staging();
    streams_.are_followed_by(*staging_);
  }

  /// After an error in a save no copy from a device is on its way any more when it is thrown on, to memory that is used again.
  template <class F>
  void drained(F&& save) {
    try {
      save();
    } catch (...) {
      if (std::exchange(staging_, nullptr)) staged_.clear();
      arrivals_.clear();
      throw;
    }
  }

  /// Shares with the last file, where the file system can, the pages of what has not changed since; returns which. Comes before
  /// blocks are reserved, of which it needs none.
  std::vector<hdf5::byte_range> share(io::file& to, io::storage& on, const detail::basic_snapshot<X>& snapshot) const {
    std::vector<hdf5::byte_range> shared;
    std::unique_ptr<io::file> from;
    for (const auto& p : snapshot.parts()) {
      if (!p.known || p.begin % io::page_bytes != 0 || p.end - p.begin < hdf5::detail::large_tensor) continue;
      if (!from && !(from = last_whole(on))) break;
      const std::uint64_t n = (p.end - p.begin) / io::page_bytes * io::page_bytes;
      if (!to.share(*from, p.begin, n)) break;
      shared.push_back({p.begin, p.begin + n});
    }
    return shared;
  }

  /// The last file if it still is what was saved.
  std::unique_ptr<io::file> last_whole(io::storage& on) const {
    if (last_.storage != &on) return nullptr;
    try {
      auto file = on.open(last_.path);
      std::vector<std::byte> trailer(last_.trailer.size());
      const std::uint64_t size = file->size();
      if (size < trailer.size()) return nullptr;
      file->read_at(size - trailer.size(), trailer);
      return trailer == last_.trailer ? std::move(file) : nullptr;
    } catch (const error&) {
      return nullptr;
    }
  }

  /// Bytes of the file that wait to be written, and the number of the copies from devices that they wait for.
  struct coming {
    std::uint64_t at;
    std::span<std::byte> bytes{};
    std::uint64_t number = 0;
  };

  /// Returns when the copies from devices to the image's first bytes, up to `end`, are done.
  void await(std::uint64_t end) {
    std::size_t n = 0;
    for (; n < arrivals_.size() && arrivals_[n].at < end; ++n) staging_->wait(arrivals_[n].number);
    arrivals_.erase(arrivals_.begin(), arrivals_.begin() + static_cast<std::ptrdiff_t>(n));
  }

  /// Writes a state that is where it lives, or staged in an image of the file; calls `copied` when the state may change.
  void write(const std::string& path, const versions& now, const save_options& options, std::span<std::byte> image, const std::function<void()>& copied = {}) {
    hdf5::basic_layout<X>& layout = *layout_;
    detail::basic_snapshot<X>& snapshot = *snapshot_;
    hdf5::basic_trailer<X> end = detail::trailer_for(layout, options);

    io::storage& on = options.storage != nullptr ? *options.storage : io::posix();
    io::basic_durable_file<X> file(on, path, options.recycle);
    snapshot.restart();
    if (last_.storage != nullptr && last_.key == options.key) snapshot.know(last_.index, unchanged(now, last_.of));
    std::vector<hdf5::byte_range> there = share(*file, on, snapshot);
    there.push_back({end.index_offset, end.index_offset});
    file->preallocate(end.file_bytes());
    detail::choose_mode(*file, options, end.file_bytes());
    const std::size_t ahead = image.empty() && !streams_.empty() ? std::max<std::size_t>(options.staging_bytes / io::basic_overlapped_writer<X>::piece_bytes, 1) : 0;
    io::basic_overlapped_writer<X> writer(*file, pieces_, end.index_offset, ahead);
    if (ahead != 0) detail::page_lock(*staging_, pieces_);
    const std::vector<bool> none(ahead != 0 ? layout.entries.size() : 0);
    std::vector<coming> pieces;  // that devices still copy to
    const auto write_first = [&] {
      const coming c = pieces.front();
      pieces.erase(pieces.begin());
      if (c.number != 0) staging_->wait(c.number);
      await(c.at + c.bytes.size());
      snapshot.fill(c.at, c.bytes, !image.empty(), staging_.get());
      writer.write(c.at, c.bytes);
    };
    std::uint64_t from = 0;
    for (const hdf5::byte_range& r : there) {
      while (from < r.begin) {
        const std::uint64_t n = std::min<std::uint64_t>(io::basic_overlapped_writer<X>::piece_bytes, r.begin - from);
        coming next{from, image.empty() ? writer.piece().first(n) : image.subspan(from, n)};
        if (ahead != 0) {
          copies_.clear();
          snapshot.from_devices(from, next.bytes, none, copies_);
          next.number = staging_->to_host(copies_);
        }
        pieces.push_back(next);
        if (pieces.size() > ahead) write_first();
        from += n;
      }
      from = r.end;
    }
    if (ahead != 0) streams_.wait_for(*staging_);
    while (!pieces.empty()) write_first();
    await(end.index_offset);
    if (copied) copied();

    // What depends on the digests of everything else is patched into the metadata, then the metadata is digested; all
    // while the last pieces are being written.
    const hdf5::index& index = snapshot.finish();
    const std::vector<std::byte> tail = detail::seal(layout, snapshot.parts(), index, end, options.key);
    std::vector<std::byte> text(layout.digests_bytes);
    layout.image.read(layout.digests_offset, text);
    writer.finish();
    file->write_at(layout.step_offset, std::as_bytes(std::span(&options.step, 1)));
    file->write_at(layout.digests_offset, text);
    file->write_at(end.index_offset, tail);
    file.commit(options.existing, options.durable);
    last_ = !now.empty() ? last_file{path, &on, index, now, end.encode(), options.key} : last_file{};
  }

  /// Takes the state's names, types, shapes and places, and lays it out where that is not done.
  void prepare(const state& bound, const save_options& options) {
    bound.run_before_save();
    try {
      if (!manifest_ || !manifest_->refresh(bound)) {
        snapshot_.reset();
        manifest_.emplace(bound);
      }
      if (snapshot_ && snapshot_->key() == options.key) return;
      snapshot_.reset();
      last_ = {};  // versions count the content of the objects that they were given for, in this layout
      staged_.clear();
      for (const auto& i : manifest_->items()) {
        detail::require_whole(i.entry.path, i.view);
        detail::require_in_place(i.entry.path, i.view);
      }
      lay_out(options.key != nullptr);
      snapshot_.emplace(*layout_, *manifest_, options.key);
    } catch (...) {
      snapshot_.reset();
      manifest_.reset();
      throw;
    }
  }

  void lay_out(bool keyed) {
    if (layout_ && layout_->fits(*manifest_, keyed)) return;
    layout_.reset();
    layout_ = detail::lay_out<X>(manifest_->entries(), keyed);
  }

  /// What the state should have and has not is said once, not with every checkpoint.
  void warn(const std::string& path, const state& bound) {
    if (std::exchange(warned_, true)) return;
    for (const expected_role& r : bound.unbound_roles())
      detail::notices::warnings().report(path + ": saved without " + std::string(r.text()) + ": nothing is bound at /" + r.path + ", so a restore will refuse it; bind it, or take its role out of state::expects");
  }

  bool warned_ = false;
  std::optional<detail::basic_manifest<X>> manifest_;
  std::optional<hdf5::basic_layout<X>> layout_;
  std::optional<detail::basic_snapshot<X>> snapshot_;  // of these two
  last_file last_;
  io::staging_buffer pieces_, image_;
  versions staged_;               // what is in image_
  std::vector<coming> arrivals_;  // copies to image_ that nobody has waited for
  detail::basic_streams<X> streams_;
  std::vector<detail::device_copy> copies_;
  std::unique_ptr<detail::device_staging> staging_;  // after the memory that it copies to
  std::shared_ptr<detail::background> running_;      // last: it uses the others until it ends
};
/// What saves one state again and again.
using saver = basic_saver<void>;

/// Saves everything bound as one HDF5 file at `path`, replacing a file of that name. The file is durable and visible
/// under its name when this returns, and not there at all otherwise. Needs about 24 MiB beside the state, whatever its
/// size. Throws `error` for a state that cannot be one file, `io_error` where the operating system refuses; a file that
/// was there before is then still what it was.
template <class X = void>
void save(const std::string& path, const state& bound, const save_options& options = {}) { basic_saver<X>().save(path, bound, options); }

/// Copies everything bound and returns: the state may be changed while the copy is written in the background. Needs as
/// much memory as the state has bytes, unless `save_options::staging` says otherwise; a `saver` or `checkpoint_directory` keeps it for the next save, which this does not.
/// Keep what it returns: its destruction waits for the writing to end.
template <class X = void>
[[nodiscard]] pending_save save_async(const std::string& path, const state& bound, const save_options& options = {}) {
  auto own = std::make_shared<basic_saver<X>>();
  return {own->save_async(path, bound, options), own};
}

}  // namespace holdfast
