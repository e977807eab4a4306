#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <holdfast/hdf5/reader.hpp>
#include <holdfast/io/storage.hpp>

namespace tool {

/// Elements of a tensor; where the reader's file is contiguous, by any thread.
inline void read_elements(const holdfast::hdf5::reader& in, const holdfast::entry& e, std::uint64_t first, std::uint64_t count, std::byte* out) {
  const std::size_t item = size_of(e.dtype);
  if (const auto* const raw = in.contiguous()) raw->read_at(e.offset + first * item, {out, count * item});
  else in.read(e, first, count, out);
}

/// Calls `take(bytes, elements)` for the content of a tensor, 1 MiB at a time, and returns the digests of its blocks. As `read_elements`
/// by any thread.
template <class F>
std::vector<holdfast::digest> for_each_piece(const holdfast::hdf5::reader& in, const holdfast::entry& e, F&& take) {
  const std::size_t item = size_of(e.dtype);
  const std::uint64_t elements = e.bytes / item, piece = (std::uint64_t{1} << 20) / item;
  std::vector<std::byte> memory(std::min(elements, piece) * item);
  auto digest = in.content_digest();
  for (std::uint64_t at = 0; at < elements; at += piece) {
    const std::uint64_t n = std::min(piece, elements - at);
    read_elements(in, e, at, n, memory.data());
    digest.update(std::span(memory).first(n * item));
    take(memory.data(), n);
  }
  return digest.finish();
}

}  // namespace tool
