#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/save_async.hpp>
#include <holdfast/checkpoint/snapshot.hpp>
#include <holdfast/core/notice.hpp>
#include <holdfast/core/state.hpp>
#include <holdfast/hdf5/layout.hpp>
#include <holdfast/hdf5/sealed_reader.hpp>
#include <holdfast/hdf5/trailer.hpp>
#include <holdfast/io/durable_file.hpp>

namespace holdfast {

struct save_options {
  std::int64_t step = -1;                                    ///< of the training run, kept in the trailer and at /holdfast/step; -1: not given
  double metric = std::numeric_limits<double>::quiet_NaN();  ///< kept in the trailer; NaN: not given
  io::replace existing = io::replace::yes;                   ///< whether a file of that name may be replaced
  io::storage* storage = nullptr;                            ///< where to write; null: the operating system's files
  seal_key key{};                                            ///< seals the file against others who can write to it; null: against accidents
};

/// Saves one state again and again. The file's layout is compiled on the first save and replayed, without any HDF5
/// call, for as long as the state has the same names, types, shapes and links; the memory that `save_async` copies the
/// state to is kept too. Used by one thread.
template <class>
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
    const detail::manifest m(bound);
    prepare(m, options);
    write(path, m, options);
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
    auto m = std::make_shared<detail::manifest>(bound);
    prepare(*m, options);
    m->detach(staging_);
    try {
      running_ = std::make_shared<detail::background>([this, path, m, options, then = std::move(then)] {
        write(path, *m, options);
        if (then) then();
      });
    } catch (const std::system_error& e) {
      throw io_error(path + ": cannot start the thread that writes it", e.code());
    }
    return pending_save(running_);
  }

  /// Returns when nothing is in the background; rethrows the error of the last save there if nobody has seen it.
  void close() {
    if (const auto ended = std::exchange(running_, nullptr)) ended->wait();
  }

 private:
  static constexpr std::size_t piece_bytes = std::size_t{8} << 20;

  void write(const std::string& path, const detail::manifest& m, const save_options& options) {
    hdf5::layout& layout = *layout_;
    hdf5::trailer end{.end = layout.end, .index_offset = hdf5::detail::round_up(layout.end, 64), .step = options.step, .metric = options.metric, .keyed = options.key != nullptr};
    end.counts = hdf5::counts_of(layout.entries, end.digest_block);

    io::durable_file file(options.storage != nullptr ? *options.storage : io::posix(), path);
    file->preallocate(end.file_bytes());
    detail::snapshot snapshot(layout, m, options.key);
    std::vector<std::byte> piece(std::min<std::uint64_t>(piece_bytes, end.index_offset));
    for (std::uint64_t at = 0; at < end.index_offset; at += piece.size()) {
      const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), end.index_offset - at));
      snapshot.fill(part);
      file->write_at(at, part);
    }

    // What depends on the digests of everything else is patched into the metadata, then the metadata is digested.
    const hdf5::index& index = snapshot.finish();
    const auto patch = [&](std::uint64_t at, std::span<const std::byte> bytes) {
      layout.image.write(at, bytes);
      file->write_at(at, bytes);
    };
    patch(layout.step_offset, std::as_bytes(std::span(&options.step, 1)));
    const std::string digests = hdf5::digests_text(index.entries);
    patch(layout.digests_offset, std::as_bytes(std::span(digests)));
    detail::stream_digest metadata(options.key);
    hdf5::sealed_reader::for_each_gap(layout.entries, end.index_offset, [&](std::uint64_t from, std::uint64_t to) {
      while (from < to) {
        const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), to - from));
        layout.image.read(from, part);
        metadata.update(part);
        from += part.size();
      }
    });
    end.metadata_digest = metadata.finish();

    std::vector<std::byte> tail = hdf5::encode(index, end.counts);
    const std::vector<digest> blocks = hdf5::detail::index_digests(tail, options.key);
    end.index_digest = detail::root_of(blocks, options.key);
    if (end.keyed) end.mac = end.code(options.key);
    const auto append = [&](std::span<const std::byte> bytes) { tail.insert(tail.end(), bytes.begin(), bytes.end()); };
    append(std::as_bytes(std::span(blocks)));
    append(end.encode());
    file->write_at(end.index_offset, tail);
    file.commit(options.existing);
  }

  void prepare(const detail::manifest& m, const save_options& options) {
    for (const auto& i : m.items())
      if (i.view.space().kind != host.kind) throw error("/" + i.entry.path + ": lives in " + name(i.view.space()) + ", which this program was not built to read from");
    const bool keyed = options.key != nullptr;
    if (layout_ && layout_->fits(m, keyed)) return;
    layout_ = hdf5::compile(m, keyed);
    try {
      hdf5::detail::names(layout_->entries, "");  // what a reader would refuse is not written
    } catch (const format_error&) {
      layout_.reset();
      throw error("the parts of this state that are shared have too many names: groups of links to groups of links; save them once, under a name of their own");
    }
  }

  /// What the state should have and has not is said once, not with every checkpoint.
  void warn(const std::string& path, const state& bound) {
    if (std::exchange(warned_, true)) return;
    for (const expected_role& r : bound.unbound_roles())
      detail::notices::warnings().report(path + ": saved without " + std::string(r.text()) + ": nothing is bound at /" + r.path + ", so a restore will refuse it; bind it, or take its role out of state::expects");
  }

  bool warned_ = false;
  std::optional<hdf5::layout> layout_;
  std::vector<std::byte> staging_;
  std::shared_ptr<detail::background> running_;  // last: it uses the others until it ends
};
using saver = basic_saver<void>;

/// Saves everything bound as one HDF5 file at `path`, replacing a file of that name. The file is durable and visible
/// under its name when this returns, and not there at all otherwise. Needs about 16 MiB beside the state, whatever its
/// size. Throws `error` for a state that cannot be one file, `io_error` where the operating system refuses; a file that
/// was there before is then still what it was.
template <class = void>
void save(const std::string& path, const state& bound, const save_options& options = {}) { saver().save(path, bound, options); }

/// Copies everything bound and returns: the state may be changed while the copy is written in the background. Needs as
/// much memory as the state has bytes; a `saver` or `checkpoint_directory` keeps it for the next save, which this does not.
/// Keep what it returns: its destruction waits for the writing to end.
template <class = void>
[[nodiscard]] pending_save save_async(const std::string& path, const state& bound, const save_options& options = {}) {
  auto own = std::make_shared<saver>();
  return {own->save_async(path, bound, options), own};
}

}  // namespace holdfast
