#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <holdfast/hdf5/reader.hpp>

namespace tool {

/// Calls `take(bytes, elements)` for the content of a tensor, 1 MiB at a time, and returns the digests of its blocks.
template <class F>
std::vector<holdfast::digest> for_each_piece(const holdfast::hdf5::reader& in, const holdfast::entry& e, F&& take) {
  const std::size_t item = size_of(e.dtype);
  const std::uint64_t elements = e.bytes / item, piece = (std::uint64_t{1} << 20) / item;
  std::vector<std::byte> memory(std::min(elements, piece) * item);
  auto digest = in.content_digest();
  for (std::uint64_t at = 0; at < elements; at += piece) {
    const std::uint64_t n = std::min(piece, elements - at);
    in.read(e, at, n, memory.data());
    digest.update(std::span(memory).first(n * item));
    take(memory.data(), n);
  }
  return digest.finish();
}

}  // namespace tool
