#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/core/convert.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/parallel.hpp>
#include <holdfast/hdf5/reader.hpp>

namespace holdfast::detail {

/// A tensor whose content is to be read, and where to; null: nowhere, to verify it only.
struct transfer {
  const entry* source;
  const tensor_view* target;
};

/// Makes bytes that are neither 0 nor 1 into 1, since a program that reads such a bool has no defined behaviour; whether
/// there were none.
template <class = void>
bool make_bools(std::span<std::byte> bytes) {
  bool sound = true;
  for (std::byte& b : bytes) {
    if (b <= std::byte{1}) continue;
    b = std::byte{1};
    sound = false;
  }
  return sound;
}

/// Reads the content of tensors to where it belongs, on the machine's threads where the file's bytes can be read by
/// several. It is digested in the same pass, while it is in the processor's cache. The work is cut into jobs in the order
/// of the file: a range of a large tensor, or a run of small ones that lie close together and are read at once.
template <class>
class basic_transfers {
 public:
  basic_transfers(const hdf5::reader& from, std::vector<transfer> all, bool verified)
      : from_(from), raw_(from.contiguous()), verified_(verified), block_(from.digest_block()), items_(std::make_unique<item[]>(all.size())) {
    sort(all, [](const transfer& a, const transfer& b) { return a.source->offset < b.source->offset; });
    const std::uint64_t range = std::max(most_range / block_, std::uint64_t{1}) * block_;
    std::uint64_t begin = 0, end = 0;
    bool grows = false;  // whether the last job is a run that may take more
    for (std::size_t n = 0; n < all.size(); ++n) {
      const entry& e = *all[n].source;
      items_[n].of = all[n];
      if (e.bytes > block_) {
        items_[n].blocks.resize(blocks_in(e.bytes, block_));
        items_[n].left = blocks_in(e.bytes, range);
        for (std::uint64_t at = 0; at < e.bytes; at += range) jobs_.push_back({n, n + 1, at, std::min(range, e.bytes - at)});
        grows = false;
      } else if (grows && e.offset >= end && e.offset - end <= most_gap && e.offset + e.bytes - begin <= most_run) {
        jobs_.back().end = n + 1;
        jobs_.back().bytes = e.offset + e.bytes - begin;
      } else {
        jobs_.push_back({n, n + 1, 0, e.bytes});
        begin = e.offset;
        grows = raw_ != nullptr && e.bytes != 0;
      }
      end = e.offset + e.bytes;
    }
  }

  /// Throws what reading throws, `integrity_error` for content that is not what was saved, and `format_error` for bools
  /// that are none. Targets are then changed in part.
  void run() {
    for (std::size_t i = 0; raw_ != nullptr && i < std::min(ahead, jobs_.size()); ++i) hint(jobs_[i]);
    parallel(jobs_.size(), raw_ != nullptr ? memory_threads() : 1, [this](std::size_t i) {
      const job& j = jobs_[i];
      if (raw_ != nullptr && i + ahead < jobs_.size()) hint(jobs_[i + ahead]);
      if (items_[j.first].blocks.empty()) read_run(j);
      else read_range(j);
    });
  }

  /// Tensors that were read whole, and verified if they were to be.
  std::size_t done() const noexcept { return done_; }

 private:
  static constexpr std::uint64_t most_range = std::uint64_t{4} << 20, most_run = std::uint64_t{256} << 10, most_gap = std::uint64_t{16} << 10;
  static constexpr std::size_t ahead = 4;

  struct item {
    transfer of{};
    std::vector<digest> blocks{};        ///< of a tensor of several
    std::atomic<std::uint64_t> left{1};  ///< jobs
    std::atomic<bool> sound{true};
  };

  /// Items `first` to `end`, from byte `at` of the first on.
  struct job {
    std::size_t first, end;
    std::uint64_t at, bytes;
  };

  void hint(const job& j) const { raw_->will_read(items_[j.first].of.source->offset + j.at, j.bytes); }

  static bool direct(const transfer& t) { return t.target != nullptr && t.target->contiguous() && t.target->dtype() == t.source->dtype; }

  void read(const entry& e, std::uint64_t at, std::span<std::byte> out) const {
    if (raw_ != nullptr) raw_->read_at(e.offset + at, out);
    else from_.read(e, at / size_of(e.dtype), out.size() / size_of(e.dtype), out.data());
  }

  /// Part of one large tensor: block by block, but in one go where reading has a cost of its own (libhdf5's chunks).
  void read_range(const job& j) {
    item& i = items_[j.first];
    const std::uint64_t unit = raw_ != nullptr ? block_ : j.bytes;
    const auto memory = direct(i.of) ? nullptr : std::make_unique_for_overwrite<std::byte[]>(std::min(unit, j.bytes));
    for (std::uint64_t at = j.at, end = j.at + j.bytes; at < end;) {
      const std::span<std::byte> read_now(direct(i.of) ? i.of.target->data() + at : memory.get(), std::min(unit, end - at));
      read(*i.of.source, at, read_now);
      for (std::uint64_t done = 0; done < read_now.size(); done += block_, at += block_)
        take(i, at, read_now.subspan(done, std::min<std::uint64_t>(block_, read_now.size() - done)), i.blocks[at / block_]);
    }
    if (--i.left == 0) close(i, i.blocks);
  }

  void read_run(const job& j) {
    const item& first = items_[j.first];
    const bool alone = j.end == j.first + 1;
    const auto memory = alone && direct(first.of) ? nullptr : std::make_unique_for_overwrite<std::byte[]>(j.bytes);
    const std::span<std::byte> all(memory ? memory.get() : first.of.target->data(), j.bytes);
    if (!all.empty()) read(*first.of.source, 0, all);
    for (std::size_t n = j.first; n < j.end; ++n) {
      item& i = items_[n];
      const entry& e = *i.of.source;
      const auto bytes = alone ? all : all.subspan(e.offset - first.of.source->offset, e.bytes);
      digest d;
      take(i, 0, bytes, d);
      close(i, e.bytes != 0 ? std::span(&d, 1) : std::span<const digest>());
    }
  }

  /// Digests bytes of a tensor from byte `at` on and brings them to where they belong, if they are not there.
  void take(item& i, std::uint64_t at, std::span<std::byte> bytes, digest& d) {
    const entry& e = *i.of.source;
    if (verified_) d = digest_of(bytes, from_.key());
    if (e.dtype == dtype::boolean && !make_bools(bytes)) i.sound = false;
    if (i.of.target == nullptr || bytes.empty()) return;
    const tensor_view& to = *i.of.target;
    if (direct(i.of)) {
      if (bytes.data() != to.data() + at) std::memcpy(to.data() + at, bytes.data(), bytes.size());
      return;
    }
    const std::uint64_t first = at / size_of(e.dtype), n = bytes.size() / size_of(e.dtype);
    if (to.dtype() == e.dtype) return scatter(bytes.data(), to, first, n);
    const auto converted = std::make_unique_for_overwrite<std::byte[]>(n * size_of(to.dtype()));
    convert(bytes.data(), e.dtype, converted.get(), to.dtype(), n);
    scatter(converted.get(), to, first, n);
  }

  void close(const item& i, std::span<const digest> blocks) {
    const entry& e = *i.of.source;
    if (verified_) from_.verify(e, blocks);
    if (!i.sound) throw format_error(from_.file() + ": /" + e.path + ": expected bytes of 0 and 1, found others in a tensor of bool; it was not written by holdfast");
    ++done_;
  }

  const hdf5::reader& from_;
  const io::file* raw_;
  bool verified_;
  std::uint64_t block_;
  std::unique_ptr<item[]> items_;
  std::vector<job> jobs_;
  std::atomic<std::size_t> done_{0};
};
using transfers = basic_transfers<void>;

}  // namespace holdfast::detail
