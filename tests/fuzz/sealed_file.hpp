#pragma once
/// Sealed files of a few hundred bytes, and the digests of one made right again, so that a change gets past the seal: what somebody
/// can do who may write the file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <holdfast/checkpoint/save.hpp>

#include "../io/memory_files.hpp"

namespace support {

inline constexpr char hdf5_signature[] = "\x89HDF\r\n\x1a\n";

/// The numbers of the trailer at the end of `file`, as they stand there; `index_digest` and the like are not looked at.
inline holdfast::hdf5::trailer trailer_as_it_stands(std::span<const std::byte> file) {
  const auto end = file.last(holdfast::hdf5::trailer::bytes);
  holdfast::hdf5::trailer t;
  std::uint64_t* const numbers[] = {&t.end, &t.index_offset, &t.digest_block, &t.counts.entries, &t.counts.extents, &t.counts.blocks, &t.counts.names};
  for (std::size_t i = 0; i < std::size(numbers); ++i) *numbers[i] = holdfast::hdf5::detail::get<std::uint64_t>(end, 16 + 8 * i);
  t.step = holdfast::hdf5::detail::get<std::int64_t>(end, 72);
  t.metric = holdfast::hdf5::detail::get<double>(end, 80);
  return t;
}

/// Makes signature, sizes and digests of a changed file right where that is possible: the table of names takes the bytes that
/// the other tables leave, and every digest becomes that of what is there.
inline void reseal(std::vector<std::byte>& file) {
  using namespace holdfast;
  using hdf5::trailer;
  namespace encoding = hdf5::detail;
  if (file.size() < 8 + trailer::bytes) return;
  std::memcpy(file.data(), hdf5_signature, 8);
  trailer t = trailer_as_it_stands(file);
  const std::uint64_t tail_at = file.size() - trailer::bytes;
  t.index_offset = std::min(t.index_offset, tail_at);
  t.end = std::min(t.end, t.index_offset);
  t.digest_block = std::max<std::uint64_t>(t.digest_block, encoding::index_block);
  const std::uint64_t room = tail_at - t.index_offset;
  std::uint64_t index_bytes = room;
  while (index_bytes + 16 * holdfast::detail::blocks_in(index_bytes, encoding::index_block) > room) --index_bytes;
  t.counts.names = 0;
  const auto tables = hdf5::encoded_bytes(t.counts);
  if (!tables || *tables > index_bytes) return;
  t.counts.names = index_bytes - *tables;
  if (t.file_bytes() != file.size()) {  // a byte of room that the digests cannot fill: it goes
    file.erase(file.begin() + static_cast<std::ptrdiff_t>(t.index_offset + index_bytes),
               file.begin() + static_cast<std::ptrdiff_t>(t.index_offset + index_bytes + (file.size() - t.file_bytes())));
  }

  const std::span<std::byte> all(file), index = all.subspan(t.index_offset, index_bytes);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> used;
  for (std::uint64_t i = 0; i < t.counts.entries; ++i) {
    const auto record = index.subspan(i * encoding::record_bytes, encoding::record_bytes);
    const auto at = encoding::get<std::uint64_t>(record, 16), n = encoding::get<std::uint64_t>(record, 24), first = encoding::get<std::uint64_t>(record, 56);
    if (static_cast<unsigned>(record[12]) != 0 || at > t.end || n > t.end - at) continue;
    if (n != 0) used.emplace_back(at, at + n);
    holdfast::detail::block_digest d(t.digest_block);
    d.update(all.subspan(at, n));
    const std::vector<digest>& blocks = d.finish();
    const digest root = holdfast::detail::root_of(blocks);
    std::memcpy(record.data() + 32, &root, 16);
    if (blocks.size() > 1 && first <= t.counts.blocks && blocks.size() <= t.counts.blocks - first)
      std::memcpy(index.data() + t.counts.entries * encoding::record_bytes + t.counts.extents * 8 + first * 16, blocks.data(), blocks.size() * 16);
  }
  std::sort(used.begin(), used.end());
  holdfast::detail::stream_digest metadata;
  std::uint64_t at = 0;
  for (const auto& [from, to] : used) {
    if (at < from) metadata.update(all.subspan(at, from - at));
    at = to;
  }
  if (at < t.index_offset) metadata.update(all.subspan(at, t.index_offset - at));
  t.metadata_digest = metadata.finish();
  const std::vector<digest> digests = encoding::index_digests(index);
  t.index_digest = holdfast::detail::root_of(digests);
  if (!digests.empty()) std::memcpy(all.data() + t.index_offset + index_bytes, digests.data(), digests.size() * 16);
  const std::vector<std::byte> end = t.encode();
  // Reserved bytes, which readers do not look at, stay as they are: a harness keeps its options there.
  std::copy_n(end.begin(), 120, file.end() - trailer::bytes);
  const digest checksum = holdfast::detail::digest_of(all.last(trailer::bytes).first(trailer::bytes - 16));
  std::memcpy(all.data() + all.size() - 16, &checksum, 16);
}

/// A saved state without its HDF5 part: signature, tensors, index, trailer.
inline std::vector<std::byte> tiny_sealed_file(const holdfast::state& bound, std::int64_t step = 7) {
  using namespace holdfast;
  memory_files memory;
  save("f.h5", bound, {.step = step, .metric = 0.5, .storage = &memory});
  const std::vector<std::byte>& whole = memory["f.h5"];
  hdf5::trailer t = trailer_as_it_stands(whole);
  hdf5::index x = hdf5::decode(std::span(whole).subspan(t.index_offset, t.index_bytes()), t.counts, t.end, t.digest_block, "f.h5");
  std::vector<std::byte> tiny(8);
  for (entry& e : x.entries) {
    if (e.kind != entry_kind::tensor || e.bytes == 0) continue;
    const std::uint64_t at = hdf5::detail::round_up(tiny.size(), size_of(e.dtype));
    tiny.resize(at + e.bytes);
    std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(e.offset), e.bytes, tiny.begin() + static_cast<std::ptrdiff_t>(at));
    e.offset = at;
  }
  t.end = t.index_offset = tiny.size();
  const std::vector<std::byte> index = hdf5::encode(x, t.counts), end = t.encode();
  tiny.insert(tiny.end(), index.begin(), index.end());
  tiny.resize(tiny.size() + t.index_digests_bytes());
  tiny.insert(tiny.end(), end.begin(), end.end());
  reseal(tiny);
  return tiny;
}

}  // namespace support
