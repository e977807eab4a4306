#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/device.hpp>
#include <holdfast/core/convert.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/core/parallel.hpp>
#include <holdfast/hdf5/reader.hpp>

namespace holdfast::detail {

/// A tensor whose content is to be read, and where to; null: nowhere, to verify it only. Of one that the target is a part of
/// no more is read than the blocks that have some of it, where these can be verified apart.
struct transfer {
  const entry* source;
  const tensor_view* target;
  const shard* part = nullptr;
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
template <class X>
class basic_transfers {
 public:
  /// `slots` is what contiguous tensors of devices are sent through; null where there are none.
  basic_transfers(const hdf5::reader& from, std::vector<transfer> all, bool verified, basic_device_slots<X>* slots = nullptr)
      : from_(from), raw_(from.contiguous()), verified_(verified), block_(from.digest_block()), slots_(slots), items_(std::make_unique<item[]>(all.size())) {
    sort(all, [](const transfer& a, const transfer& b) { return a.source->offset < b.source->offset; });
    std::uint64_t begin = 0, end = 0, most = 0;
    bool grows = false;  // whether the last job is a run that may take more
    for (std::size_t n = 0; n < all.size(); ++n) {
      const entry& e = *all[n].source;
      items_[n].of = all[n];
      if (e.bytes > block_) {
        items_[n].blocks.resize(blocks_in(e.bytes, block_));
        items_[n].apart = all[n].part != nullptr && (from.verifies_blocks() || !verified);
        const std::size_t before = jobs_.size();
        const std::uint64_t range = range_bytes(block_, to_device(all[n]));
        for (std::uint64_t at = 0; at < e.bytes; at += range)
          if (touches(items_[n], at, range)) jobs_.push_back({n, n + 1, at, std::min(range, e.bytes - at)});
        items_[n].left = jobs_.size() - before;
        if (jobs_.size() == before) ++done_;
        grows = false;
      } else if (grows && e.offset >= end && e.offset - end <= most_gap && e.offset + e.bytes - begin <= most) {
        jobs_.back().end = n + 1;
        jobs_.back().bytes = e.offset + e.bytes - begin;
      } else {
        jobs_.push_back({n, n + 1, 0, e.bytes});
        begin = e.offset;
        grows = raw_ != nullptr && e.bytes != 0;
        most = to_device(all[n]) ? most_run_to_device : most_run;
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

  /// What slots are needed by tensors that go to devices.
  struct slot_needs {
    std::uint64_t bytes = most_run_to_device;  ///< of each: the most that one job reads
    std::size_t jobs = 0;                      ///< no more of them are at work at once
    void add(const entry& e, std::uint64_t block) {
      const std::uint64_t range = range_bytes(block, true);
      bytes = std::max(bytes, (std::min(range, e.bytes) + io::page_bytes - 1) / io::page_bytes * io::page_bytes);
      jobs += blocks_in(e.bytes, range);
    }
  };

  /// Tensors that were read whole, and verified if they were to be.
  std::size_t done() const noexcept { return done_; }

 private:
  // A GPU's link is as fast with smaller ranges, and page-locking slots for them is a good part of a restore.
  static constexpr std::uint64_t most_range = std::uint64_t{4} << 20, most_range_to_device = std::uint64_t{2} << 20;
  static constexpr std::uint64_t most_run = std::uint64_t{256} << 10, most_run_to_device = std::uint64_t{1} << 20, most_gap = std::uint64_t{16} << 10;
  static constexpr std::size_t ahead = 4;

  static std::uint64_t range_bytes(std::uint64_t block, bool for_device) { return std::max((for_device ? most_range_to_device : most_range) / block, std::uint64_t{1}) * block; }

  struct item {
    transfer of{};
    std::vector<digest> blocks{};        ///< of a tensor of several
    bool apart = false;                  ///< whether only the blocks that its part touches are read
    std::atomic<std::uint64_t> left{1};  ///< jobs
    std::atomic<bool> sound{true};
  };

  /// Items `first` to `end`, from byte `at` of the first on.
  struct job {
    std::size_t first, end;
    std::uint64_t at, bytes;
  };

  void hint(const job& j) const { raw_->will_read(items_[j.first].of.source->offset + j.at, j.bytes); }

  static bool direct(const transfer& t) { return in_host(t) && t.target->contiguous() && t.target->dtype() == t.source->dtype && t.part == nullptr; }

  static bool touches(const item& i, std::uint64_t at, std::uint64_t bytes) {
    const std::uint64_t width = size_of(i.of.source->dtype);
    return !i.apart || i.of.part->count(at / width, std::min(at + bytes, i.of.source->bytes) / width) != 0;
  }

  /// Where bytes of a part belong, if that is one stretch of the host's memory; null otherwise.
  static std::byte* home(const transfer& t, std::uint64_t at, std::uint64_t bytes) {
    if (t.part == nullptr || !in_host(t) || !t.target->contiguous() || t.target->dtype() != t.source->dtype) return nullptr;
    const std::uint64_t width = size_of(t.source->dtype), first = at / width, n = t.part->run_at(first);
    if (n == t.part->runs()) return nullptr;
    const std::uint64_t begin = t.part->run(n);
    if (first < begin || (at + bytes) / width > begin + t.part->run_elements()) return nullptr;
    return t.target->data() + (n * t.part->run_elements() + first - begin) * width;
  }
  static bool in_host(const transfer& t) { return t.target != nullptr && !on_device(*t.target); }
  static bool to_device(const transfer& t) { return t.target != nullptr && on_device(*t.target); }

  /// Memory for what a job reads and does not read straight to where it belongs: a slot where some of it goes to a device, to which
  /// `send` gives it.
  struct scratch {
    std::unique_ptr<std::byte[]> memory{};
    std::byte* slot = nullptr;
    std::vector<device_copy> copies{};
    const tensor_view* last = nullptr;  ///< to which the last of them goes

    std::byte* begin() const { return slot != nullptr ? slot : memory.get(); }
  };
  scratch make_scratch(bool for_device, std::uint64_t bytes) const {
    if (for_device) return {.slot = slots_->take().data()};
    return {.memory = std::make_unique_for_overwrite<std::byte[]>(bytes)};
  }
  void send(scratch& s) const {
    if (s.slot != nullptr) slots_->send(s.slot, s.copies);
  }

  void read(const entry& e, std::uint64_t at, std::span<std::byte> out) const {
    if (raw_ != nullptr) raw_->read_at(e.offset + at, out);
    else from_.read(e, at / size_of(e.dtype), out.size() / size_of(e.dtype), out.data());
  }

  /// Part of one large tensor: block by block, but in one go where reading has a cost of its own (libhdf5's chunks, a copy to a
  /// device).
  void read_range(const job& j) {
    item& i = items_[j.first];
    const std::uint64_t unit = raw_ != nullptr && !to_device(i.of) ? block_ : j.bytes;
    scratch s = direct(i.of) ? scratch() : make_scratch(to_device(i.of), std::min(unit, j.bytes));
    for (std::uint64_t at = j.at, end = j.at + j.bytes; at < end;) {
      const std::uint64_t n = std::min(unit, end - at);
      if (!touches(i, at, n)) {
        at += n;
        continue;
      }
      std::byte* const home_now = direct(i.of) ? i.of.target->data() + at : home(i.of, at, n);
      const std::span<std::byte> read_now(home_now != nullptr ? home_now : s.begin(), n);
      read(*i.of.source, at, read_now);
      for (std::uint64_t done = 0; done < read_now.size(); done += block_, at += block_)
        take(i, at, read_now.subspan(done, std::min<std::uint64_t>(block_, read_now.size() - done)), i.blocks[at / block_], s);
    }
    send(s);
    if (--i.left == 0) close(i, i.apart ? std::span<const digest>() : i.blocks);
  }

  void read_run(const job& j) {
    const item& first = items_[j.first];
    const bool alone = j.end == j.first + 1;
    const bool device = std::any_of(&items_[j.first], &items_[j.end], [](const item& i) { return to_device(i.of); });
    scratch s = alone && direct(first.of) ? scratch() : make_scratch(device, j.bytes);
    const std::span<std::byte> all(s.begin() != nullptr ? s.begin() : first.of.target->data(), j.bytes);
    if (!all.empty()) read(*first.of.source, 0, all);
    for (std::size_t n = j.first; n < j.end; ++n) {
      item& i = items_[n];
      const entry& e = *i.of.source;
      const auto bytes = alone ? all : all.subspan(e.offset - first.of.source->offset, e.bytes);
      digest d;
      take(i, 0, bytes, d, s);
      close(i, e.bytes != 0 ? std::span(&d, 1) : std::span<const digest>());
    }
    send(s);
  }

  /// Digests bytes of a tensor from byte `at` on and brings them to where they belong, if they are not there.
  void take(item& i, std::uint64_t at, std::span<std::byte> bytes, digest& d, scratch& s) {
    const entry& e = *i.of.source;
    if (verified_) d = digest_of(bytes, from_.key());
    if (verified_ && i.apart && touches(i, at, bytes.size())) from_.verify_block(e, at / block_, d);
    if (e.dtype == dtype::boolean && !make_bools(bytes)) i.sound = false;
    if (i.of.target == nullptr || bytes.empty()) return;
    const std::uint64_t width = size_of(e.dtype), first = at / width, n = bytes.size() / width;
    if (i.of.part == nullptr) return put(i.of, bytes.data(), first, n, s);
    if (bytes.data() == home(i.of, at, bytes.size())) return;
    i.of.part->for_each(first, first + n, [&](std::uint64_t from, std::uint64_t local, std::uint64_t count) { put(i.of, bytes.data() + (from - first) * width, local, count, s); });
  }

  /// Brings elements to where those from `first` on belong.
  void put(const transfer& t, std::byte* bytes, std::uint64_t first, std::uint64_t n, scratch& s) {
    const entry& e = *t.source;
    const tensor_view& to = *t.target;
    const std::size_t width = size_of(e.dtype);
    if (in_host(t) && to.contiguous() && to.dtype() == e.dtype) {
      if (bytes != to.data() + first * width) std::memcpy(to.data() + first * width, bytes, n * width);
      return;
    }
    if (to_device(t)) return to.dtype() == e.dtype ? add({to.data() + first * width, bytes, n * width, to.space()}, to, s) : send_converted(bytes, e, to, first, n);
    if (to.dtype() == e.dtype) return scatter(bytes, to, first, n);
    const auto converted = std::make_unique_for_overwrite<std::byte[]>(n * size_of(to.dtype()));
    convert(bytes, e.dtype, converted.get(), to.dtype(), n);
    scatter(converted.get(), to, first, n);
  }

  /// No copy goes to two tensors, whose memory may touch and yet not be of one allocation.
  static void add(const device_copy& next, const tensor_view& to, scratch& s) {
    if (s.last == &to && s.copies.back().device + s.copies.back().bytes == next.device && s.copies.back().host + s.copies.back().bytes == next.host) s.copies.back().bytes += next.bytes;
    else s.copies.push_back(next);
    s.last = &to;
  }

  void send_converted(const std::byte* bytes, const entry& e, const tensor_view& to, std::uint64_t first, std::uint64_t n) const {
    const std::size_t from_item = size_of(e.dtype), to_item = size_of(to.dtype());
    for (std::uint64_t done = 0; done < n;) {
      const std::span<std::byte> slot = slots_->take();
      const std::uint64_t now = std::min<std::uint64_t>(n - done, slot.size() / to_item);
      convert(bytes + done * from_item, e.dtype, slot.data(), to.dtype(), now);
      const device_copy copy{to.data() + (first + done) * to_item, slot.data(), now * to_item, to.space()};
      slots_->send(slot.data(), {&copy, 1});
      done += now;
    }
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
  basic_device_slots<X>* slots_;
  std::unique_ptr<item[]> items_;
  std::vector<job> jobs_;
  std::atomic<std::size_t> done_{0};
};
using transfers = basic_transfers<void>;

/// What a restore needs beside the reads where tensors are in the memory of devices: streams that wait for each other, slots
/// that the content goes through, and host memory in place of strided tensors while they are read.
template <class X>
class basic_device_targets {
 public:
  basic_device_targets() = default;
  basic_device_targets(const basic_device_targets&) = delete;

  /// Puts stand-ins in place of strided targets. What is copied comes after all that the program's streams were given.
  void meet(std::vector<transfer>& all, std::uint64_t block) {
    std::size_t strided = 0;
    typename basic_transfers<X>::slot_needs needs;
    for (const transfer& t : all) {
      if (t.target == nullptr || !on_device(*t.target)) continue;
      streams_.add(*t.target);
      if (t.target->contiguous()) needs.add(*t.source, block);
      else ++strided;
    }
    if (streams_.empty()) return;
    staging_ = registered_engine()->staging();
    streams_.are_followed_by(*staging_);
    stand_ins_.reserve(strided);
    for (transfer& t : all) {
      if (t.target == nullptr || !on_device(*t.target) || t.target->contiguous()) continue;
      stand_ins_.push_back(fetch<X>(*staging_, *t.target));
      t.target = &stand_ins_.back().view;
    }
    slots_.emplace(*staging_, memory_, needs.bytes, 2 * std::min<std::size_t>(memory_threads(), needs.jobs) + 2);
  }

  basic_device_slots<X>* slots() { return slots_ ? &*slots_ : nullptr; }

  /// Returns when everything has arrived.
  void finish() {
    if (staging_ == nullptr) return;
    for (const auto& s : stand_ins_) staging_->wait(staging_->to_device({&s.copy, 1}));
    staging_->wait_for_all();
  }

  /// Compares what arrived with the digests of the file. Throws `integrity_error`.
  void read_back(const hdf5::reader& from, const std::vector<transfer>& all) {
    std::vector<digest> blocks;
    for (const transfer& t : all) {
      if (t.target == nullptr || t.part != nullptr || !on_device(*t.target) || !t.target->contiguous() || t.target->dtype() != t.source->dtype) continue;
      const std::span<std::byte> slot = slots_->take();
      blocks.clear();
      for (std::uint64_t at = 0; at < t.source->bytes; at += from.digest_block()) {
        const device_copy copy{t.target->data() + at, slot.data(), static_cast<std::size_t>(std::min(t.source->bytes - at, from.digest_block())), t.target->space()};
        staging_->wait(staging_->to_host({&copy, 1}));
        blocks.push_back(digest_of(slot.first(copy.bytes), from.key()));
      }
      slots_->send(slot.data(), {});
      try {
        from.verify(*t.source, blocks);
      } catch (const integrity_error& e) {
        throw integrity_error(std::string(e.what()) + " (read back from " + name(t.target->space()) + ", after the file's bytes were found to be right: suspect the device's memory or its link)");
      }
    }
  }

 private:
  basic_streams<X> streams_;
  io::staging_buffer memory_;
  std::vector<basic_fetched<X>> stand_ins_;
  std::unique_ptr<device_staging> staging_;  // after the memory that it copies from
  std::optional<basic_device_slots<X>> slots_;
};

}  // namespace holdfast::detail
