// The index of a sealed file, without the digests over it: what a hostile writer can put there.
// An input is the counts of entries, extents and block digests (2 bytes each; the rest is names), then the encoded index.
#include <holdfast/hdf5/index.hpp>

#include <holdfast/hdf5/reader.hpp>

#include "driver.hpp"

namespace {

using namespace holdfast;

constexpr std::uint64_t end_of_data = 1 << 22, block = hdf5::detail::index_block;
constexpr std::size_t header = 6;

/// What a reader makes of an index: all names of shared data.
class listing final : public hdf5::reader {
 public:
  explicit listing(const hdf5::index& x) : hdf5::reader("f.h5", true) { set_entries(x.entries); }
  void read(const entry&, std::uint64_t, std::uint64_t, std::byte*) const override {}
};

void check(const hdf5::index& x, const hdf5::index_counts& counts) {
  fuzz::require(x.entries.size() == counts.entries && x.first_block.size() == counts.entries && x.blocks.size() == counts.blocks, "other counts than were asked for");
  std::vector<std::pair<std::uint64_t, std::uint64_t>> used;
  for (std::size_t i = 0; i < x.entries.size(); ++i) {
    const entry& e = x.entries[i];
    fuzz::require(!e.path.empty() && (i == 0 || x.entries[i - 1].path < e.path), "names out of order");
    if (e.kind != entry_kind::tensor) continue;
    fuzz::require(e.bytes == static_cast<std::uint64_t>(e.shape.elements()) * size_of(e.dtype), "bytes that type and shape do not give");
    fuzz::require(e.offset <= end_of_data && e.bytes <= end_of_data - e.offset, "bytes outside the file");
    std::uint64_t rows = 1;
    if (e.dtype == dtype::string && e.shape.back() == 0)
      for (std::size_t d = 0; d + 1 < e.shape.rank(); ++d) rows *= static_cast<std::uint64_t>(e.shape[d]);
    fuzz::require(rows <= end_of_data, "more empty strings than the file has bytes");
    if (e.bytes != 0) used.emplace_back(e.offset, e.bytes);
    const std::uint64_t blocks = holdfast::detail::blocks_in(e.bytes, block);
    fuzz::require(blocks <= 1 || (x.first_block[i] <= counts.blocks && blocks <= counts.blocks - x.first_block[i]), "digests outside their table");
  }
  std::sort(used.begin(), used.end());
  for (std::size_t i = 1; i < used.size(); ++i) fuzz::require(used[i - 1].first + used[i - 1].second <= used[i].first, "tensors that overlap");
}

hdf5::index_counts counts_in(std::span<const std::byte> input) {
  hdf5::index_counts counts{.entries = hdf5::detail::get<std::uint16_t>(input, 0), .extents = hdf5::detail::get<std::uint16_t>(input, 2), .blocks = hdf5::detail::get<std::uint16_t>(input, 4)};
  const std::uint64_t tables = *hdf5::encoded_bytes(counts), size = input.size() - header;
  counts.names = tables <= size ? size - tables : 0;
  return counts;
}

}  // namespace

namespace fuzz {

const char* const name = "fuzz_index";
const bool isolated = false;

void run(std::span<const std::byte> input) {
  if (input.size() < header) return;
  const hdf5::index_counts counts = counts_in(input);
  try {
    hdf5::index decoded;
    within(16 * input.size() + 4096, [&] { decoded = hdf5::decode(input.subspan(header), counts, end_of_data, block, "f.h5"); });
    check(decoded, counts);
    // What was accepted can be written again and is the same then; names and extents that shared their bytes no longer do.
    const hdf5::index_counts own = hdf5::counts_of(decoded.entries, block);
    if (own.blocks <= counts.blocks) {
      hdf5::index again = decoded;
      again.blocks.resize(own.blocks);
      again.first_block.assign(again.first_block.size(), 0);
      const bytes encoded = hdf5::encode(again, own);
      fuzz::require(hdf5::decode(encoded, own, end_of_data, block, "f.h5").entries.size() == decoded.entries.size(), "another number of entries when written again");
    }
    within((std::size_t{64} << 20) + 4096 * input.size(), [&] {
      const listing all(decoded);
      for (std::size_t i = 0; i < all.entries().size(); ++i) {
        const hdf5::reader& r = all;
        require(r.find(all.entries()[i].path) == &all.entries()[i], "a name twice");
      }
    });
  } catch (const format_error& e) {
    require(std::strncmp(e.what(), "f.h5: ", 6) == 0, std::string("an error that does not name its file: ") + e.what());
  }
}

std::vector<seed_input> seeds() {
  digest d;
  d.bytes.fill(0x5a);
  const auto encoded = [](std::vector<entry> entries) {
    hdf5::index x{.entries = std::move(entries), .first_block = {}, .blocks = {}};
    const hdf5::index_counts counts = hdf5::counts_of(x.entries, block);
    x.first_block.assign(x.entries.size(), 0);
    x.blocks.resize(counts.blocks);
    bytes out(header);
    hdf5::detail::put(out, 0, static_cast<std::uint16_t>(counts.entries));
    hdf5::detail::put(out, 2, static_cast<std::uint16_t>(counts.extents));
    hdf5::detail::put(out, 4, static_cast<std::uint16_t>(counts.blocks));
    const bytes index = hdf5::encode(x, counts);
    out.insert(out.end(), index.begin(), index.end());
    return out;
  };
  const auto byte = [](const char* path, std::uint64_t at) { return entry{.path = path, .dtype = dtype::uint8, .shape = {}, .bytes = 1, .offset = at}; };
  const auto link = [](const char* path, const char* to) { return entry{.path = path, .kind = entry_kind::alias, .alias_of = to}; };
  return {
      {"empty", encoded({})},
      {"kinds", encoded({link("a", "m/w"),
                         {.path = "big", .dtype = dtype::float64, .shape = {3, 10000}, .bytes = 240000, .offset = 8192, .digest = d, .place = gpu(2)},
                         {.path = "empty", .dtype = dtype::int16, .shape = {4, 0}, .bytes = 0, .offset = 0},
                         {.path = "m", .kind = entry_kind::group},
                         {.path = "m/w", .dtype = dtype::complex128, .shape = {2}, .bytes = 32, .offset = 4096, .digest = d},
                         {.path = "none", .kind = entry_kind::absent},
                         {.path = "text", .dtype = dtype::string, .shape = {2, 5}, .bytes = 10, .offset = 4132}})},
      {"links", encoded({byte("d", 100), link("l", "m"), byte("m-ema/w", 101), link("m/a", "d"), byte("m/w", 102), link("n", "m/w")})},
      {"nested", encoded({link("a/x", "b"), link("a/y", "b"), link("b/x", "c"), link("b/y", "c"), byte("c/v", 8), byte("c/w", 9), link("d", "a")})},
      {"text", encoded({{.path = "e", .dtype = dtype::string, .shape = {7, 0}, .bytes = 0, .offset = 0}, {.path = "s", .dtype = dtype::string, .shape = {3}, .bytes = 3, .offset = 50}})},
  };
}

}  // namespace fuzz
