// The last 192 bytes of a file. An input is a byte of flags, the file's size (8 bytes), and what the file ends with. Flags: 1 the
// magic is put there, 2 the checksum is made right, 4 the size is the one that the trailer gives.
#include <holdfast/hdf5/trailer.hpp>

#include "driver.hpp"

namespace {

using namespace holdfast;
using hdf5::trailer;

constexpr std::size_t header = 9, checksum_at = trailer::bytes - 16;

template <class T>
T number(const fuzz::bytes& of, std::size_t at) {
  return hdf5::detail::get<T>(of, at);
}

}  // namespace

namespace fuzz {

const char* const name = "fuzz_trailer";
const bool isolated = false;

void run(std::span<const std::byte> input) {
  if (input.size() < header) return;
  const auto flags = static_cast<unsigned>(input[0]);
  auto size = hdf5::detail::get<std::uint64_t>(input, 1);
  bytes end(input.begin() + header, input.end());
  if (end.size() == trailer::bytes) {
    if ((flags & 1) != 0) hdf5::detail::put(end, 0, trailer::magic);
    if ((flags & 2) != 0) hdf5::detail::put(end, checksum_at, holdfast::detail::digest_of(std::span(end).first(checksum_at)));
    if ((flags & 4) != 0) {
      trailer t{.index_offset = number<std::uint64_t>(end, 24)};
      t.counts = {number<std::uint64_t>(end, 40), number<std::uint64_t>(end, 48), number<std::uint64_t>(end, 56), number<std::uint64_t>(end, 64)};
      size = t.file_bytes();
    }
  }
  try {
    std::optional<trailer> found;
    within(4096, [&] { found = trailer::decode(end, size, "f.h5"); });
    if (!found) return;
    const auto sum = [](std::uint64_t a, std::uint64_t b) {
      require(a + b >= a, "sizes that overflow");
      return a + b;
    };
    const trailer& t = *found;
    const std::optional<std::uint64_t> index = hdf5::encoded_bytes(t.counts);
    require(index.has_value() && *index <= size, "an index larger than the file");
    require(t.end <= t.index_offset && t.index_offset <= size && t.digest_block >= 65536, "an index that begins before HDF5 ends");
    require(sum(sum(sum(t.index_offset, *index), t.index_digests_bytes()), trailer::bytes) == size, "parts that do not make up the file");
    const std::optional<trailer> again = trailer::decode(t.encode(), size, "f.h5");
    require(again && again->end == t.end && again->step == t.step && again->counts.names == t.counts.names && again->index_digest == t.index_digest, "another trailer when written again");
  } catch (const format_error& e) {
    require(std::strncmp(e.what(), "f.h5: ", 6) == 0, std::string("an error that does not name its file: ") + e.what());
  } catch (const integrity_error& e) {
    require((flags & 2) == 0, "a right checksum that was called wrong");
    require(std::strncmp(e.what(), "f.h5: ", 6) == 0, std::string("an error that does not name its file: ") + e.what());
  }
}

std::vector<seed_input> seeds() {
  trailer t{.end = 5000, .index_offset = 5056, .counts = {.entries = 3, .extents = 4, .blocks = 2, .names = 17}, .step = 42, .metric = 0.25};
  const auto input = [](unsigned flags, const trailer& of) {
    bytes out(header);
    hdf5::detail::put(out, 0, static_cast<std::uint8_t>(flags));
    hdf5::detail::put(out, 1, of.file_bytes());
    const bytes encoded = of.encode();
    out.insert(out.end(), encoded.begin(), encoded.end());
    return out;
  };
  return {{"sound", input(0, t)}, {"resealed", input(3, t)}, {"fitting", input(7, t)}, {"empty", input(7, trailer{.end = 8, .index_offset = 64})}};
}

}  // namespace fuzz
