#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/checkpoint/device.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/checkpoint/save_async.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/manifest.hpp>
#include <holdfast/core/state.hpp>
#include <holdfast/hdf5/sealed_reader.hpp>
#include <holdfast/io/durable_file.hpp>
#include <holdfast/io/overlapped_writer.hpp>
#include <holdfast/mpi/blueprint.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi {

/// Whether a save compares what is bound whole on every rank, and written by one, between the ranks.
enum class replicas { compare,
                      trust };

/// The path for state of this rank alone: "ranks/3/rng" for "rng" on rank 3. What differs from rank to rank, as random
/// generators do, is bound under such a path; everything else is the same on all ranks or `sharded`.
template <class = void>
std::string rank_only(MPI_Comm comm, std::string_view path) {
  return std::string(detail::ranks_group) + "/" + std::to_string(detail::communicator(comm).rank()) + "/" + std::string(path);
}

namespace detail {

using holdfast::detail::basic_manifest;

/// What one rank does of one save: brings the blocks that it owns together, digests and writes them.
template <class X>
class basic_writing {
 public:
  /// `views` is where this rank's tensors are, in host memory, by item of its manifest.
  basic_writing(const basic_communicator<X>& comm, const basic_blueprint<X>& plan, const std::vector<tensor_view>& views, const save_options& options)
      : comm_(comm), plan_(plan), views_(views), options_(options), shards_of_(static_cast<std::size_t>(comm.size())) {
    for (const placed& p : plan_.large) {
      const std::uint64_t end = p.first_unit + blocks_in(p.bytes, digest_block);
      for (std::uint64_t u = p.first_unit; u < end; ++u) {
        const bool mine = plan_.owner(u) == static_cast<std::size_t>(comm.rank());
        if (plan_.exchanged(u)) shards_of_[plan_.owner(u)].push_back({&p, u, digests_.size()});
        else if (mine) alone_.push_back({&p, u, digests_.size()});
        if (mine) add(p, u);
      }
    }
    for (const placed& p : plan_.own_large)
      for (std::uint64_t u = 0; u < blocks_in(p.bytes, digest_block); ++u) {
        alone_.push_back({&p, u, digests_.size()});
        add(p, u);
      }
  }

  /// Bytes that this rank writes before the metadata.
  std::uint64_t bytes() const noexcept { return bytes_; }

  /// Writes this rank's blocks, durably if that is asked for. Null for a rank that has none. Collective: an error is returned, for the ranks to
  /// agree on, and ends the exchange on all of them.
  std::exception_ptr write(io::file* file, io::staging_buffer& pieces) {
    const auto ranks = static_cast<std::size_t>(comm_.size());
    const std::size_t window = std::clamp<std::size_t>(256 / ranks, 1, 8);
    std::exception_ptr met;
    std::optional<io::basic_overlapped_writer<X>> writer;
    const auto attempt = [&](auto&& work) {
      if (met) return;
      try {
        work();
      } catch (...) {
        met = std::current_exception();
      }
    };
    attempt([&] {
      if (file != nullptr) writer.emplace(*file, pieces, bytes_, window);
      for (std::size_t n = 0; n < alone_.size(); n += window) write_window(*writer, std::span(alone_).subspan(n, std::min(window, alone_.size() - n)), {});
    });
    if (plan_.exchanges && exchange(writer, window, attempt, met)) return met;
    attempt([&] {
      if (!writer) return;
      writer->finish();
      if (options_.durable) file->sync();
    });
    return met;
  }

  /// Of the blocks that this rank has written: those that all ranks share first, then its own.
  const std::vector<digest>& digests() const noexcept { return digests_; }

 private:
  using placed = typename basic_blueprint<X>::placed;
  struct unit {
    const placed* of;
    std::uint64_t number;
    std::size_t digest;
    std::uint64_t within() const { return (number - of->first_unit) * digest_block; }
  };
  /// What precedes bytes that go to the owner of a block.
  struct header {
    std::uint32_t slot;  ///< the block, in the owner's window
    std::uint32_t at, bytes;
  };

  void add(const placed& p, std::uint64_t u) {
    digests_.emplace_back();
    bytes_ += plan_.unit_bytes(p, u);
  }

  /// Calls `visit(bytes from the block's begin on, the tensor's elements from, how many)` for what this rank has of a block.
  template <class F>
  void for_each_held(const unit& u, F&& visit) const {
    const tensor_view& view = views_[u.of->item];
    const std::uint64_t width = size_of(view.dtype()), first = u.within() / width, n = plan_.unit_bytes(*u.of, u.number) / width;
    if (!u.of->sharded) return visit(std::uint64_t{0}, first, n);
    view.shard()->for_each(first, first + n, [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) { visit((at - first) * width, local, count); });
  }

  /// Windows of blocks in rounds: in each, every rank sends to every owner what it has of that owner's window. Returns whether it
  /// ended early, because some rank met an error.
  template <class Attempt>
  bool exchange(std::optional<io::basic_overlapped_writer<X>>& writer, std::size_t window, const Attempt& attempt, const std::exception_ptr& met) {
    const auto ranks = shards_of_.size(), me = static_cast<std::size_t>(comm_.rank());
    std::size_t most = 0;
    for (const auto& all : shards_of_) most = std::max(most, all.size());
    std::vector<std::byte> sent, received;
    std::vector<int> to(2 * ranks), from(2 * ranks), counts(ranks), places(ranks), in_counts(ranks), in_places(ranks);
    for (std::size_t n = 0; n < most; n += window) {
      const auto windowed = [&](std::size_t r) { return std::span<const unit>(shards_of_[r]).subspan(std::min(n, shards_of_[r].size()), std::min(window, shards_of_[r].size() - std::min(n, shards_of_[r].size()))); };
      sent.clear();
      std::fill(to.begin(), to.end(), 0);
      attempt([&] {
        for (std::size_t r = 0; r < ranks; ++r) {
          const std::size_t begin = sent.size();
          if (r != me) pack(windowed(r), sent);
          places[r] = static_cast<int>(begin);
          to[2 * r] = counts[r] = static_cast<int>(sent.size() - begin);
        }
      });
      for (std::size_t r = 0; r < ranks; ++r) to[2 * r + 1] = met != nullptr;
      check(MPI_Alltoall(to.data(), 2, MPI_INT, from.data(), 2, MPI_INT, comm_.get()), "MPI_Alltoall");
      int total = 0;
      bool failed = met != nullptr;
      for (std::size_t r = 0; r < ranks; ++r) {
        failed = failed || from[2 * r + 1] != 0;
        in_counts[r] = from[2 * r];
        in_places[r] = std::exchange(total, total + in_counts[r]);
      }
      if (failed) return true;
      received.resize(static_cast<std::size_t>(total));
      check(MPI_Alltoallv(sent.data(), counts.data(), places.data(), MPI_BYTE, received.data(), in_counts.data(), in_places.data(), MPI_BYTE, comm_.get()), "MPI_Alltoallv");
      attempt([&] {
        if (!windowed(me).empty()) write_window(*writer, windowed(me), received);
      });
    }
    return false;
  }

  void pack(std::span<const unit> window, std::vector<std::byte>& to) const {
    for (std::size_t slot = 0; slot < window.size(); ++slot) {
      const tensor_view& view = views_[window[slot].of->item];
      const std::size_t width = size_of(view.dtype());
      for_each_held(window[slot], [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) {
        const header h{static_cast<std::uint32_t>(slot), static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(count * width)};
        const std::size_t begin = to.size();
        to.resize(begin + sizeof h + h.bytes);
        std::memcpy(to.data() + begin, &h, sizeof h);
        gather(view, local, count, to.data() + begin + sizeof h);
      });
    }
  }

  /// Makes blocks of what this rank has of them and what others sent, digests and writes them.
  void write_window(io::basic_overlapped_writer<X>& writer, std::span<const unit> window, std::span<const std::byte> received) {
    struct stretch {
      std::uint64_t offset;
      std::span<std::byte> bytes;
    };
    std::vector<stretch> stretches;
    std::vector<std::span<std::byte>> blocks;
    for (const unit& u : window) {
      const std::uint64_t offset = u.of->offset + u.within(), n = plan_.unit_bytes(*u.of, u.number);
      const bool adjacent = !stretches.empty() && stretches.back().offset + stretches.back().bytes.size() == offset && stretches.back().bytes.size() + n <= writer.piece_bytes;
      if (!adjacent) stretches.push_back({offset, writer.piece().first(0)});
      auto& bytes = stretches.back().bytes;
      blocks.emplace_back(bytes.data() + bytes.size(), n);
      bytes = {bytes.data(), bytes.size() + n};
      for_each_held(u, [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) { gather(views_[u.of->item], local, count, blocks.back().data() + at); });
    }
    for (unpacker in(received); !in.empty();) {
      const auto h = in.get<header>();
      const auto bytes = in.take(h.bytes);
      std::copy(bytes.begin(), bytes.end(), blocks[h.slot].begin() + h.at);
    }
    for (std::size_t n = 0; n < window.size(); ++n) digests_[window[n].digest] = holdfast::detail::digest_of(blocks[n], options_.key);
    for (const stretch& s : stretches) writer.write(s.offset, s.bytes);
  }

  const basic_communicator<X>& comm_;
  const basic_blueprint<X>& plan_;
  const std::vector<tensor_view>& views_;
  const save_options& options_;
  std::vector<unit> alone_;                   // that need nothing of other ranks
  std::vector<std::vector<unit>> shards_of_;  // that are exchanged, by owner
  std::vector<digest> digests_;
  std::uint64_t bytes_ = 0;
};

/// The digest of a tensor's content, as the index has it.
template <class X>
digest content_digest(const tensor_view& view) {
  holdfast::detail::basic_block_digest<X> d;
  const std::uint64_t width = size_of(view.dtype()), all = view.bytes() / width, piece = (std::uint64_t{256} << 10) / width;
  std::vector<std::byte> copy(view.contiguous() ? 0 : piece * width);
  for (std::uint64_t at = 0; at < all; at += piece) {
    const std::uint64_t n = std::min(piece, all - at);
    if (!view.contiguous()) gather(view, at, n, copy.data());
    d.update(view.contiguous() ? std::span<const std::byte>(view.data() + at * width, n * width) : std::span<const std::byte>(copy).first(n * width));
  }
  return holdfast::detail::root_of(d.finish());
}

}  // namespace detail

/// Saves one state of all ranks of a communicator again and again, as `holdfast::saver` does for one process: what the ranks
/// agreed on is used again for as long as nothing changes on any of them. Every function is collective, and is called by
/// one thread of each rank. `state::version` is not looked at.
template <class X>
class basic_saver {
 public:
  /// Duplicates the communicator, so that the library's messages do not meet the program's. Its destruction, before
  /// MPI_Finalize, is collective too.
  explicit basic_saver(MPI_Comm comm) : calling_(comm), writing_(comm), world_(calling_.comm), background_(writing_.comm) {}
  basic_saver(const basic_saver&) = delete;
  ~basic_saver() {
    if (running_) running_->finish();
  }

  /// As `mpi::save`, after a save in the background has ended; its error, if it had one, is thrown instead.
  void save(const std::string& path, const state& bound, const save_options& options = {}, replicas whole = replicas::compare) {
    close();
    prepare(path, bound, options);
    meet([&] {
      compare(whole);
      write(world_, path, options);
    });
  }

  /// As `mpi::save_async`. Whether a save is still in the background, and what `busy` makes of that, is decided by all ranks.
  pending_save save_async(const std::string& path, const state& bound, const save_options& options = {}, replicas whole = replicas::compare, when_busy busy = when_busy::wait,
                          std::function<void()> then = {}) {
    int level = MPI_THREAD_SINGLE;
    detail::check(MPI_Query_thread(&level), "MPI_Query_thread");
    detail::together(world_, [&] {
      if (level < MPI_THREAD_MULTIPLE) throw error(path + ": mpi::save_async calls MPI from a thread of its own: start with MPI_Init_thread and MPI_THREAD_MULTIPLE");
    });
    if (world_.any(running_ && !running_->done())) {
      if (busy == when_busy::skip) return {};
      if (busy == when_busy::error) throw error(path + ": the save before this one is still being written");
    }
    close();
    prepare(path, bound, options);
    meet([&] {
      compare(whole);
      detail::together(world_, [&] { copy(); });
    });
    std::promise<bool> all_started;
    const std::shared_future<bool> go = all_started.get_future().share();
    try {
      detail::together(world_, [&] {
        try {
          running_ = std::make_shared<holdfast::detail::background>([this, go, path, options, then = std::move(then)] {
            if (!go.get()) return;
            try {
              meet([&] { write(background_, path, options); });
              if (then) then();
            } catch (...) {
              failure_ = std::current_exception();
              throw;
            }
          });
        } catch (const std::system_error& e) {
          throw io_error(path + ": cannot start the thread that writes it", e.code());
        }
      });
    } catch (...) {
      all_started.set_value(false);
      throw;
    }
    all_started.set_value(true);
    return pending_save(running_);
  }

  /// Returns when nothing is in the background on any rank; rethrows the error of the last save there if nobody has seen it. All
  /// ranks have the same.
  void close() {
    const auto ended = std::exchange(running_, nullptr);
    bool unseen = false;
    try {
      if (ended) ended->wait();
    } catch (...) {
      unseen = true;
    }
    const std::exception_ptr failed = std::exchange(failure_, nullptr);  // the ranks have agreed on it
    if (world_.any(unseen)) std::rethrow_exception(failed);
  }

 private:
  struct duplicate {
    MPI_Comm comm = MPI_COMM_NULL;
    explicit duplicate(MPI_Comm of) { detail::check(MPI_Comm_dup(of, &comm), "MPI_Comm_dup"); }
    duplicate(const duplicate&) = delete;
    ~duplicate() {
      int ended = 0;
      MPI_Finalized(&ended);
      if (!ended) MPI_Comm_free(&comm);
    }
  };

  /// After an error nothing that was agreed on is used again, on any rank.
  template <class F>
  void meet(F&& work) {
    try {
      work();
    } catch (...) {
      plan_.reset();
      manifest_.reset();
      throw;
    }
  }

  void prepare(const std::string& path, const state& bound, const save_options& options) {
    meet([&] {
      bool same = false;
      detail::packer call;
      call.put(path).put(options.step).put(options.key != nullptr).put(options.durable);
      std::vector<std::byte> of_root = call.bytes();
      world_.broadcast(of_root);
      detail::together(world_, [&] {
        if (of_root != call.bytes()) throw error(path + ": expected the path, step, key and durability that rank 0 saves with");
        bound.run_before_save();
        same = manifest_ && plan_ && keyed_ == (options.key != nullptr) && manifest_->refresh(bound);
        if (!same) manifest_.emplace(bound);
      });
      keyed_ = options.key != nullptr;
      if (!world_.all(same)) {
        plan_.reset();
        plan_.emplace(world_, *manifest_, keyed_);
      }
      detail::together(world_, [&] { look(); });
    });
  }

  /// Finds the content in host memory, to which that of devices is copied.
  void look() {
    views_.clear();
    fetched_.clear();
    holdfast::detail::basic_streams<X> streams;
    for (const auto& i : manifest_->items()) {
      if (const std::string why = holdfast::detail::misplaced(i.view); !why.empty()) throw error("/" + i.entry.path + ": bound as a tensor in " + name(i.view.space()) + ", but that is " + why);
      streams.add(i.view);
    }
    std::unique_ptr<holdfast::detail::device_staging> staging;
    if (!streams.empty()) {
      staging = holdfast::detail::registered_engine()->staging();
      streams.are_followed_by(*staging);
    }
    for (const auto& i : manifest_->items()) {
      if (holdfast::detail::on_device(i.view)) {
        fetched_.push_back(holdfast::detail::fetch<X>(*staging, i.view));
        views_.push_back(fetched_.back().view);
      } else {
        views_.push_back(i.view);
      }
    }
  }

  /// Copies what the program may change while it is written.
  void copy() {
    std::size_t bytes = 0;
    for (const tensor_view& v : views_) bytes += (v.bytes() + 63) / 64 * 64;
    const auto image = image_.reserve(bytes);
    std::size_t at = 0;
    for (tensor_view& v : views_) {
      if (v.bytes() == 0) continue;
      gather(v, 0, v.bytes() / size_of(v.dtype()), image.data() + at);
      v = v.in_host(image.data() + at);
      at += (v.bytes() + 63) / 64 * 64;
    }
  }

  /// Throws `error` on all ranks where a tensor that is bound whole is not the same on all.
  void compare(replicas whole) {
    if (whole == replicas::trust || world_.size() == 1) return;
    std::vector<const typename detail::basic_blueprint<X>::placed*> all;
    for (const auto& p : plan_->small_replicas) all.push_back(&p);
    for (const auto& p : plan_->large)
      if (!p.sharded) all.push_back(&p);
    detail::packer mine;
    for (const auto* p : all) mine.put(detail::content_digest<X>(views_[p->item]));
    std::vector<std::byte> of_root = mine.bytes();
    world_.broadcast(of_root);
    detail::together(world_, [&] {
      if (of_root == mine.bytes()) return;
      std::string text = "its replicas differ from those of rank 0:";
      detail::unpacker a(of_root), b(mine.bytes());
      for (const auto* p : all) {
        const auto theirs = a.get<digest>(), own = b.get<digest>();
        if (theirs != own) text += " /" + manifest_->items()[p->item].entry.path + " (digest " + own.text() + ", rank 0 has " + theirs.text() + ")";
      }
      throw error(text + "; bind what is each rank's own under holdfast::mpi::rank_only, or pass replicas::trust to save what one rank has");
    });
  }

  void write(const detail::basic_communicator<X>& comm, const std::string& path, const save_options& options) {
    io::storage& on = options.storage != nullptr ? *options.storage : io::posix();
    detail::basic_blueprint<X>& plan = *plan_;
    detail::basic_writing<X> writing(comm, plan, views_, options);
    std::optional<io::basic_durable_file<X>> durable;
    std::optional<hdf5::basic_trailer<X>> end;
    std::vector<std::byte> name;
    detail::packer small;
    detail::together(comm, [&] {
      pack_small(small);
      if (!comm.root()) return;
      end = holdfast::detail::trailer_for(*plan.layout, options);
      durable.emplace(on, path, options.recycle);
      (*durable)->preallocate(end->file_bytes());
      name = detail::packer().put(durable->temporary()).put(end->file_bytes()).bytes();
    });
    comm.broadcast(name);
    auto contents = comm.gather(small.bytes());
    std::unique_ptr<io::file> joined;
    io::file* file = nullptr;
    detail::together(comm, [&] {
      detail::unpacker in(name);
      const std::string temporary = in.text();
      if (writing.bytes() == 0) return;
      if (comm.root()) file = &**durable;
      else file = (joined = on.join(temporary, path)).get();
      holdfast::detail::choose_mode(*file, options, in.get<std::uint64_t>());
    });
    detail::agree(comm, writing.write(file, pieces_));
    joined.reset();
    const auto digests = comm.gather(std::as_bytes(std::span(writing.digests())));
    detail::together(comm, [&] {
      if (comm.root()) finish(*durable, *end, contents, digests, options);
    });
  }

  void pack_small(detail::packer& to) const {
    const auto put = [&](const auto& p) {
      const tensor_view& v = views_[p.item];
      std::vector<std::byte> bytes(v.bytes());
      gather(v, 0, v.bytes() / size_of(v.dtype()), bytes.data());
      to.append(bytes);
    };
    for (const auto& p : plan_->own_small) put(p);
    for (const auto& p : plan_->small_shards) put(p);
  }

  /// Rank 0: writes everything but large tensors, and gives the file its name.
  void finish(io::basic_durable_file<X>& file, hdf5::basic_trailer<X>& end, const std::vector<std::vector<std::byte>>& contents, const std::vector<std::vector<std::byte>>& digests, const save_options& options) {
    detail::basic_blueprint<X>& plan = *plan_;
    hdf5::basic_layout<X>& layout = *plan.layout;
    hdf5::index index{.entries = layout.entries, .first_block = std::vector<std::uint64_t>(layout.entries.size()), .blocks = {}};
    for (entry& e : index.entries)
      if (e.kind == entry_kind::tensor && e.bytes == 0) e.digest = holdfast::detail::root_of({}, options.key);

    std::vector<std::vector<std::byte>> small(layout.entries.size());
    std::vector<detail::unpacker> given(contents.begin(), contents.end());
    std::vector<detail::unpacker> found(digests.begin(), digests.end());
    std::vector<digest> blocks;
    const auto close_large = [&](std::size_t n) {
      index.entries[n].digest = holdfast::detail::root_of(blocks, options.key);
      index.first_block[n] = blocks.size() > 1 ? index.blocks.size() : 0;
      if (blocks.size() > 1) index.blocks.insert(index.blocks.end(), blocks.begin(), blocks.end());
      blocks.clear();
    };
    for (const auto& p : plan.large) {
      for (std::uint64_t u = 0; u < holdfast::detail::blocks_in(p.bytes, holdfast::detail::digest_block); ++u) blocks.push_back(found[plan.owner(p.first_unit + u)].template get<digest>());
      close_large(plan.entry_of[p.number]);
    }
    for (const auto& f : plan.of_ranks) {
      const entry& e = layout.entries[f.entry];
      const auto rank = static_cast<std::size_t>(f.rank);
      if (e.bytes < hdf5::detail::large_tensor) {
        const auto bytes = given[rank].take(e.bytes);
        small[f.entry].assign(bytes.begin(), bytes.end());
        continue;
      }
      for (std::uint64_t u = 0; u < holdfast::detail::blocks_in(e.bytes, holdfast::detail::digest_block); ++u) blocks.push_back(found[rank].template get<digest>());
      close_large(f.entry);
    }
    for (const auto& sharded : plan.small_parts) {
      const entry& e = layout.entries[sharded.first];
      auto& to = small[sharded.first];
      to.resize(e.bytes);
      const std::size_t width = size_of(e.dtype);
      for (std::size_t r = 0; r < given.size(); ++r) {
        const detail::shard& part = plan.parts[sharded.second][r];
        const auto bytes = given[r].take(part.elements() * width);
        part.for_each(0, e.bytes / width, [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) { std::memcpy(to.data() + at * width, bytes.data() + local * width, count * width); });
      }
    }
    for (const auto& p : plan.small_replicas) {
      auto& to = small[plan.entry_of[p.number]];
      to.resize(p.bytes);
      gather(views_[p.item], 0, p.bytes / size_of(views_[p.item].dtype()), to.data());
    }
    if (plan.count_entry) {
      const auto ranks = static_cast<std::int64_t>(contents.size());
      const auto bytes = std::as_bytes(std::span(&ranks, 1));
      small[*plan.count_entry].assign(bytes.begin(), bytes.end());
    }

    std::vector<std::pair<std::uint64_t, std::size_t>> in_order;  // small tensors by place
    std::vector<hdf5::byte_range> large;
    for (std::size_t n = 0; n < small.size(); ++n) {
      const entry& e = layout.entries[n];
      if (!small[n].empty()) {
        index.entries[n].digest = holdfast::detail::digest_of(small[n], options.key);
        in_order.emplace_back(e.offset, n);
      } else if (e.kind == entry_kind::tensor && e.bytes != 0) {
        large.push_back({e.offset, e.offset + e.bytes});
      }
    }
    holdfast::detail::sort(in_order);
    holdfast::detail::sort(large, [](const auto& a, const auto& b) { return a.begin < b.begin; });
    const std::vector<std::byte> tail = holdfast::detail::seal(layout, hdf5::basic_sealed_reader<X>::ranges_of(layout.entries), index, end, options.key);
    auto next = in_order.begin();
    hdf5::for_each_gap(large, end.index_offset, [&](std::uint64_t from, std::uint64_t to) {
      std::vector<std::byte> bytes(to - from);
      layout.image.read(from, bytes);
      for (; next != in_order.end() && next->first < to; ++next) std::copy(small[next->second].begin(), small[next->second].end(), bytes.begin() + static_cast<std::ptrdiff_t>(next->first - from));
      file->write_at(from, bytes);
    });
    file->write_at(end.index_offset, tail);
    file.commit(options.existing, options.durable);
  }

  duplicate calling_, writing_;
  detail::basic_communicator<X> world_, background_;
  std::optional<detail::basic_manifest<X>> manifest_;
  std::optional<detail::basic_blueprint<X>> plan_;  // of it
  bool keyed_ = false;
  std::vector<tensor_view> views_;  // of its items
  std::vector<holdfast::detail::basic_fetched<X>> fetched_;
  io::staging_buffer pieces_, image_;
  std::exception_ptr failure_;                             // of the last save in the background
  std::shared_ptr<holdfast::detail::background> running_;  // last: it uses the others until it ends
};
using saver = basic_saver<void>;

/// Saves what all ranks of `comm` have bound as one HDF5 file at `path`, which any number of processes restores, with MPI or
/// without. Every rank binds the same paths: a tensor that it holds a part of by `sharded`, everything else whole and
/// equal on all ranks, which is compared, and what is its own under `rank_only`. Collective; the file is durable and
/// visible under its name when this returns. Where any rank meets an error all throw it, with the rank's number, and a
/// file that was there before is still what it was. The path is one file for all ranks: a shared file system.
template <class X = void>
void save(MPI_Comm comm, const std::string& path, const state& bound, const save_options& options = {}, replicas whole = replicas::compare) {
  basic_saver<X>(comm).save(path, bound, options, whole);
}

}  // namespace holdfast::mpi
