#include <array>
#include <atomic>
#include <exception>
#include <thread>

#include <xxhash.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "contenders.hpp"
#include "disk.hpp"

namespace compare {

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

/// Runs `work(which)` on so many threads; rethrows what one of them throws.
template <class F>
void on_threads(std::size_t n, F work) {
  std::vector<std::exception_ptr> errors(n);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < n; ++i) {
      threads.emplace_back([&, i] {
        try {
          work(i);
        } catch (...) {
          errors[i] = std::current_exception();
        }
      });
    }
  }
  for (const auto& e : errors)
    if (e) std::rethrow_exception(e);
}

/// fallocate, then every thread copies a piece to its page-aligned memory and writes it past the page cache; fsync.
double write_pieces(const workload& tensors, const std::string& path, std::uint64_t piece_bytes) {
  constexpr std::size_t in_flight = 4;
  static std::array<page_buffer, in_flight> pieces;
  for (page_buffer& p : pieces) p.at_least(piece_bytes);
  return seconds([&] {
    const concatenation all(tensors);
    const std::uint64_t size = page_buffer::round_up(all.size());
    disk_file file(path, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT);
    file.reserve(size);
    std::atomic<std::uint64_t> next{0};
    on_threads(in_flight, [&](std::size_t mine) {
      for (std::uint64_t at; (at = next.fetch_add(piece_bytes)) < size;) {
        const auto piece = pieces[mine].all().first(std::min(piece_bytes, size - at));
        all.read(at, piece);
        file.write(at, piece);
      }
    });
    file.sync();
  });
}

/// All tensors gathered in one buffer, and that written by one call.
double write_gathered(const workload& tensors, const std::string& path, bool direct) {
  static page_buffer memory;
  memory.at_least(tensors.bytes());
  return seconds([&] {
    const concatenation all(tensors);
    all.read(0, memory.all().first(all.size()));
    disk_file file(path, O_WRONLY | O_CREAT | O_EXCL | (direct ? O_DIRECT : 0));
    file.reserve(page_buffer::round_up(all.size()));
    file.write(0, memory.all().first(direct ? page_buffer::round_up(all.size()) : all.size()));
    file.sync();
  });
}

void read_each(const workload& tensors, const std::string& path) {
  const concatenation all(tensors);
  const disk_file file(path, O_RDONLY);
  all.for_each_part(0, all.size(), [&](std::span<std::byte> out, std::uint64_t at) { file.read(at, out); });
}

void read_gathered(const workload& tensors, const std::string& path) {
  static page_buffer memory;
  const concatenation all(tensors);
  memory.at_least(all.size());
  disk_file(path, O_RDONLY).read(0, memory.all().first(all.size()));
  all.for_each_part(0, all.size(), [&](std::span<std::byte> out, std::uint64_t at) { std::memcpy(out.data(), memory.data() + at, out.size()); });
}

void read_ahead_on_two_threads(const workload& tensors, const std::string& path) {
  const concatenation all(tensors);
  disk_file file(path, O_RDONLY);
  file.will_need_all();
  constexpr std::uint64_t piece_bytes = 8 * mib;
  std::atomic<std::uint64_t> next{0};
  on_threads(2, [&](std::size_t) {
    for (std::uint64_t from; (from = next.fetch_add(piece_bytes)) < all.size();)
      all.for_each_part(from, from + piece_bytes, [&](std::span<std::byte> out, std::uint64_t at) { file.read(at, out); });
  });
}

/// Copies past the caches. `to` is a multiple of 16.
void stream(std::byte* to, std::span<const std::byte> from) {
#if defined(__SSE2__)
  std::size_t i = 0;
  for (; i + 64 <= from.size(); i += 64) {
    const auto* in = reinterpret_cast<const __m128i*>(from.data() + i);
    auto* out = reinterpret_cast<__m128i*>(to + i);
    const __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1), c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
    _mm_stream_si128(out, a), _mm_stream_si128(out + 1, b), _mm_stream_si128(out + 2, c), _mm_stream_si128(out + 3, d);
  }
  std::memcpy(to + i, from.data() + i, from.size() - i);
  _mm_sfence();
#else
  std::memcpy(to, from.data(), from.size());
#endif
}

double copy_on_two_threads(const workload& tensors, const std::string&) {
  static page_buffer memory;
  const concatenation all(tensors, 64);
  memory.at_least(all.size());
  return seconds([&] {
    const std::uint64_t half = all.size() / 2 / 64 * 64;
    on_threads(2, [&](std::size_t which) {
      all.for_each_part(which == 0 ? 0 : half, which == 0 ? half : all.size(), [&](std::span<std::byte> bytes, std::uint64_t at) { stream(memory.data() + at, bytes); });
    });
  });
}

double digest_state(const workload& tensors, const std::string&) {
  constexpr std::size_t block = mib;
  volatile std::uint64_t seen = 0;
  return seconds([&] {
    for (const tensor& t : tensors.tensors())
      for (std::size_t at = 0; at < t.bytes; at += block) seen = seen ^ XXH3_128bits(t.memory.get() + at, std::min<std::size_t>(block, t.bytes - at)).low64;
  });
}

}  // namespace

void add_limits(worker& to) {
  to.add("limit write", [](workload& w, const std::string& path) { return write_pieces(w, path, 8 * mib); });
  to.add("limit write, 4 MiB", [](workload& w, const std::string& path) { return write_pieces(w, path, 4 * mib); });
  to.add("gathered write", [](workload& w, const std::string& path) { return write_gathered(w, path, false); });
  to.add("gathered write, direct", [](workload& w, const std::string& path) { return write_gathered(w, path, true); });
  to.add_load("pread", read_each);
  to.add_load("gathered pread", read_gathered);
  to.add_load("WILLNEED + two-thread pread", read_ahead_on_two_threads);
  to.add("streaming copy, two threads", copy_on_two_threads);
  to.add("XXH3 of the state", digest_state);
  to.add("pass over the state", [](workload& w, const std::string&) { return seconds([&] { w.step(); }); });
}

}  // namespace compare
