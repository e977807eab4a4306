#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/checkpoint/save.hpp>
#include <holdfast/checkpoint/save_options.hpp>
#include <holdfast/core/digest.hpp>
#include <holdfast/core/tensor_view.hpp>
#include <holdfast/io/overlapped_writer.hpp>
#include <holdfast/io/staging_buffer.hpp>
#include <holdfast/mpi/blueprint.hpp>
#include <holdfast/mpi/collective_writer.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi::detail {

/// What one rank does of one save: brings the blocks that it owns together, digests and writes them.
template <class X>
class basic_writing {
 public:
  /// `views` is where this rank's tensors are, in host memory, by item of its manifest. Those that are `known` have, on all ranks, the
  /// content that they had when `last`, the digests of a save of the same plan, was made. With `compared`, what is bound whole on every
  /// rank is digested on every rank.
  basic_writing(const basic_communicator<X>& comm, const basic_blueprint<X>& plan, const std::vector<const tensor_view*>& views, const save_options& options, const std::vector<bool>& known, const std::vector<digest>& last, bool compared)
      : comm_(comm), plan_(plan), views_(views), options_(options), known_(known), shards_of_(static_cast<std::size_t>(comm.size())), window_(std::clamp<std::size_t>(256 / shards_of_.size(), 1, 8)) {
    for (const placed& p : plan_.large) {
      const std::uint64_t end = p.first_unit + blocks_in(p.bytes, digest_block);
      for (std::uint64_t u = p.first_unit; u < end; ++u) {
        const bool mine = plan_.owner(u) == static_cast<std::size_t>(comm.rank());
        if (plan_.exchanged(u)) shards_of_[plan_.owner(u)].push_back({&p, u, digests_.size()});
        else if (mine) alone_.push_back({&p, u, digests_.size()});
        // A digest with a key is dear, and is not needed to compare.
        if (compared && !p.sharded && !known_[p.item]) (mine && options_.key == nullptr ? written_ : replicas_).push_back({&p, u, mine && options_.key == nullptr ? digests_.size() : replicas_.size()});
        if (mine) add(p, u);
      }
    }
    for (const placed& p : plan_.own_large)
      for (std::uint64_t u = 0; u < blocks_in(p.bytes, digest_block); ++u) {
        alone_.push_back({&p, u, digests_.size()});
        add(p, u);
      }
    if (last.size() == digests_.size()) digests_ = last;
    found_.resize(replicas_.size());
  }

  /// Bytes that this rank writes before the metadata.
  std::uint64_t bytes() const noexcept { return bytes_; }

  /// Writes this rank's blocks, durably if that is asked for. Null for a rank that has none. Collective: an error is returned, for the ranks to
  /// agree on, and ends the exchange on all of them.
  std::exception_ptr write(io::file* file, io::staging_buffer& pieces) {
    std::optional<io::basic_overlapped_writer<X>> writer;
    attempt([&] {
      if (file != nullptr) writer.emplace(*file, pieces, bytes_, window_);
    });
    if (write_windows(writer, rounds(alone_))) return met_;
    attempt([&] {
      if (!writer) return;
      writer->finish();
      if (options_.durable) file->sync();
    });
    return met_;
  }

  /// The same by MPI-IO, to a file that every rank has open and that has this name now. Throws on all ranks where MPI-IO cannot
  /// open it.
  std::exception_ptr write_collectively(io::file& file, const std::string& name, MPI_Info hints, io::staging_buffer& pieces) {
    std::optional<basic_collective_writer<X>> writer;
    writer.emplace(comm_, name, file.path(), hints, pieces, window_);
    const auto most = static_cast<std::size_t>(-comm_.least(-static_cast<std::int64_t>(rounds(alone_))));
    const bool ended = write_windows(writer, most);
    note([&] { writer->close(options_.durable && !ended); });
    // Nothing says which rank has written what at last: each makes durable what may be its own.
    attempt([&] {
      if (options_.durable && !ended) file.sync();
    });
    return met_;
  }

  /// Of the blocks that this rank has written: those that all ranks share first, then its own.
  const std::vector<digest>& digests() const noexcept { return digests_; }

  /// Calls `visit(tensor, digest)` for the large tensors that are to be compared, with the digest of what this rank has of them, once they are
  /// written.
  template <class F>
  void for_each_replica(F&& visit) const {
    auto own = written_.begin(), other = replicas_.begin();
    std::vector<digest> blocks;
    for (const placed& p : plan_.large) {
      blocks.clear();
      for (std::uint64_t u = p.first_unit, end = u + blocks_in(p.bytes, digest_block); u < end; ++u) {
        if (own != written_.end() && own->number == u) blocks.push_back(digests_[own++->digest]);
        else if (other != replicas_.end() && other->number == u) blocks.push_back(found_[other++->digest]);
      }
      if (!blocks.empty()) visit(p, holdfast::detail::root_of(blocks));
    }
  }

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
    const tensor_view& view = *views_[u.of->item];
    const std::uint64_t width = size_of(view.dtype()), first = u.within() / width, n = plan_.unit_bytes(*u.of, u.number) / width;
    if (!u.of->sharded) return visit(std::uint64_t{0}, first, n);
    view.shard()->for_each(first, first + n, [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) { visit((at - first) * width, local, count); });
  }

  /// Keeps the first error that this rank meets.
  template <class F>
  void note(F&& work) {
    try {
      work();
    } catch (...) {
      if (!met_) met_ = std::current_exception();
    }
  }
  template <class F>
  void attempt(F&& work) {
    if (!met_) note(work);
  }

  std::size_t rounds(const std::vector<unit>& all) const { return (all.size() + window_ - 1) / window_; }
  std::span<const unit> window(const std::vector<unit>& all, std::size_t round) const {
    const std::size_t from = std::min(round * window_, all.size());
    return std::span(all).subspan(from, std::min(window_, all.size() - from));
  }

  /// Returns whether it ended early, because some rank met an error.
  template <class Writer>
  bool write_windows(std::optional<Writer>& writer, std::size_t alone) {
    for (std::size_t n = 0; n < alone; ++n) {
      put(writer, window(alone_, n), {});
      look_at_replicas(replicas_.size() * (n + 1) / (alone + 1));
    }
    look_at_replicas(replicas_.size());
    return plan_.exchanges && exchange(writer);
  }

  template <class Writer>
  void put(std::optional<Writer>& writer, std::span<const unit> blocks, std::span<const std::byte> received) {
    attempt([&] {
      if (!blocks.empty()) write_window(*writer, blocks, received);
    });
    if constexpr (std::is_same_v<Writer, basic_collective_writer<X>>) note([&] { writer->write_all(); });
  }

  /// Digests the first of the replicas' blocks up to `end`, while what was given to the writer is on its way.
  void look_at_replicas(std::size_t end) {
    attempt([&] {
      for (; looked_at_ < end; ++looked_at_) {
        const unit& u = replicas_[looked_at_];
        const tensor_view& view = *views_[u.of->item];
        const std::uint64_t n = plan_.unit_bytes(*u.of, u.number), width = size_of(view.dtype());
        if (view.contiguous()) {
          found_[looked_at_] = holdfast::detail::digest_of({view.data() + u.within(), n});
        } else {
          std::vector<std::byte> copy(n);
          gather(view, u.within() / width, n / width, copy.data());
          found_[looked_at_] = holdfast::detail::digest_of(copy);
        }
      }
    });
  }

  /// Windows of blocks in rounds: in each, every rank sends to every owner what it has of that owner's window. Returns whether it
  /// ended early.
  template <class Writer>
  bool exchange(std::optional<Writer>& writer) {
    const auto ranks = shards_of_.size(), me = static_cast<std::size_t>(comm_.rank());
    std::size_t most = 0;
    for (const auto& all : shards_of_) most = std::max(most, rounds(all));
    std::vector<std::byte> sent, received;
    std::vector<int> to(2 * ranks), from(2 * ranks), counts(ranks), places(ranks), in_counts(ranks), in_places(ranks);
    for (std::size_t n = 0; n < most; ++n) {
      sent.clear();
      std::fill(to.begin(), to.end(), 0);
      attempt([&] {
        for (std::size_t r = 0; r < ranks; ++r) {
          const std::size_t begin = sent.size();
          if (r != me) pack(window(shards_of_[r], n), sent);
          places[r] = static_cast<int>(begin);
          to[2 * r] = counts[r] = static_cast<int>(sent.size() - begin);
        }
      });
      for (std::size_t r = 0; r < ranks; ++r) to[2 * r + 1] = met_ != nullptr;
      finish("MPI_Ialltoall", [&](MPI_Request* r) { return MPI_Ialltoall(to.data(), 2, MPI_INT, from.data(), 2, MPI_INT, comm_.get(), r); });
      int total = 0;
      bool failed = met_ != nullptr;
      for (std::size_t r = 0; r < ranks; ++r) {
        failed = failed || from[2 * r + 1] != 0;
        in_counts[r] = from[2 * r];
        in_places[r] = std::exchange(total, total + in_counts[r]);
      }
      if (failed) return true;
      received.resize(static_cast<std::size_t>(total));
      finish("MPI_Ialltoallv", [&](MPI_Request* r) { return MPI_Ialltoallv(sent.data(), counts.data(), places.data(), MPI_BYTE, received.data(), in_counts.data(), in_places.data(), MPI_BYTE, comm_.get(), r); });
      put(writer, window(shards_of_[me], n), received);
    }
    return false;
  }

  void pack(std::span<const unit> blocks, std::vector<std::byte>& to) const {
    for (std::size_t slot = 0; slot < blocks.size(); ++slot) {
      const tensor_view& view = *views_[blocks[slot].of->item];
      const std::size_t width = size_of(view.dtype());
      for_each_held(blocks[slot], [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) {
        const header h{static_cast<std::uint32_t>(slot), static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(count * width)};
        const std::size_t begin = to.size();
        to.resize(begin + sizeof h + h.bytes);
        std::memcpy(to.data() + begin, &h, sizeof h);
        gather(view, local, count, to.data() + begin + sizeof h);
      });
    }
  }

  /// Makes blocks of what this rank has of them and what others sent, digests and writes them.
  template <class Writer>
  void write_window(Writer& writer, std::span<const unit> units, std::span<const std::byte> received) {
    struct stretch {
      std::uint64_t offset;
      std::span<std::byte> bytes;
    };
    std::vector<stretch> stretches;
    std::vector<std::span<std::byte>> blocks;
    for (const unit& u : units) {
      const std::uint64_t offset = u.of->offset + u.within(), n = plan_.unit_bytes(*u.of, u.number);
      const bool adjacent = !stretches.empty() && stretches.back().offset + stretches.back().bytes.size() == offset && stretches.back().bytes.size() + n <= Writer::piece_bytes;
      if (!adjacent) stretches.push_back({offset, writer.piece().first(0)});
      auto& bytes = stretches.back().bytes;
      blocks.emplace_back(bytes.data() + bytes.size(), n);
      bytes = {bytes.data(), bytes.size() + n};
      for_each_held(u, [&](std::uint64_t at, std::uint64_t local, std::uint64_t count) { gather(*views_[u.of->item], local, count, blocks.back().data() + at); });
    }
    for (unpacker in(received); !in.empty();) {
      const auto h = in.get<header>();
      const auto bytes = in.take(h.bytes);
      std::copy(bytes.begin(), bytes.end(), blocks[h.slot].begin() + h.at);
    }
    for (std::size_t n = 0; n < units.size(); ++n)
      if (!known_[units[n].of->item]) digests_[units[n].digest] = holdfast::detail::digest_of(blocks[n], options_.key);
    for (const stretch& s : stretches) writer.write(s.offset, s.bytes);
  }

  const basic_communicator<X>& comm_;
  const basic_blueprint<X>& plan_;
  const std::vector<const tensor_view*>& views_;
  const save_options& options_;
  const std::vector<bool>& known_;            // by item
  std::vector<unit> alone_;                   // that need nothing of other ranks
  std::vector<std::vector<unit>> shards_of_;  // that are exchanged, by owner
  std::size_t window_;
  std::vector<digest> digests_;
  std::uint64_t bytes_ = 0;
  std::vector<unit> written_, replicas_;  // blocks to be compared: whose digest is that of `digests_`, and the others
  std::vector<digest> found_;             // of the others
  std::size_t looked_at_ = 0;             // of the others
  std::exception_ptr met_;                // first of this rank
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

}  // namespace holdfast::mpi::detail
