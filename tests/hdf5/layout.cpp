#include <holdfast/hdf5/layout.hpp>

#include <cstring>
#include <ctime>
#include <map>
#include <optional>

#include <holdfast/separate.hpp>

#include "../support.hpp"

using namespace holdfast;
using hdf5::compile;
using hdf5::handle;
using holdfast::detail::manifest;

namespace {

/// Tensors of every dtype and of sizes around the limits that the layout knows.
struct zoo {
  std::vector<std::byte> memory = std::vector<std::byte>(1 << 20);
  std::vector<std::int64_t> zero;
  std::optional<float> absent, present = 1.f;
  std::vector<std::vector<float>> empty_group;
  state bound;

  zoo() {
    std::size_t at = 0;
    const auto bind = [&](const std::string& path, dtype type, shape extents) {
      const std::size_t bytes = static_cast<std::size_t>(extents.elements()) * size_of(type);
      if (bytes > 100000) at = 0;
      views.push_back(std::make_unique<tensor_view>(memory.data() + at, type, std::move(extents)));
      bound.bind(path, *views.back());
      at += 16;
    };
    for (std::size_t i = 1; i < detail::dtype_table.size(); ++i) {
      const auto type = static_cast<dtype>(i);
      const std::string group = "all/" + std::string(name(type));
      bind(group + "/odd", type, {3});
      bind(group + "/matrix", type, {5, 7});
      if (type != dtype::string) bind(group + "/scalar", type, {});
    }
    for (const std::int64_t n : {4095, 4096, 4097, 65535, 65536, 65537, 200001}) bind("sizes/" + std::to_string(n), dtype::uint8, {n});
    bind("a layer/naïve ☃", dtype::float64, {2});
    bound.bind("zero", zero).bind("absent", absent).bind("present", present).bind("empty", empty_group);
    bound.bind("tied", *views.front());
  }
  std::vector<std::unique_ptr<tensor_view>> views;
};

std::string bytes_of(const hdf5::layout& l) {
  std::string s(l.end, '\0');
  l.image.read(0, std::as_writable_bytes(std::span(s)));
  return s;
}

/// The laid out file as any HDF5 program opens it.
class opened {
 public:
  opened(const support::folder& dir, const hdf5::layout& l) {
    support::write_bytes(dir / "layout.h5", bytes_of(l));
    file_ = hdf5::checked(H5Fopen((dir / "layout.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose, "open");
  }
  handle dataset(const std::string& path) const { return hdf5::checked(H5Dopen2(file_.get(), path.c_str(), H5P_DEFAULT), &H5Dclose, path); }
  hid_t id() const { return file_.get(); }

 private:
  handle file_;
};

haddr_t address(hid_t file, const std::string& path) {
  H5O_info_t info;
#if H5_VERSION_GE(1, 12, 0)
  H5Oget_info_by_name3(file, path.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT);
  haddr_t a = 0;
  std::memcpy(&a, &info.token, sizeof a);
  return a;
#else
  H5Oget_info_by_name2(file, path.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT);
  return info.addr;
#endif
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

BOOST_AUTO_TEST_CASE(every_tensor_has_a_place_of_its_own_aligned_for_its_type) {
  zoo z;
  const auto l = compile(manifest(z.bound));
  std::map<std::uint64_t, std::uint64_t> used;
  for (const entry& e : l.entries) {
    if (e.kind != entry_kind::tensor || e.bytes == 0) {
      BOOST_TEST(e.offset == 0u, e.path);
      continue;
    }
    BOOST_TEST(e.offset != 0u, e.path);
    BOOST_TEST(e.offset % std::min<std::size_t>(size_of(e.dtype), 8) == 0u, e.path << " at " << e.offset);
    if (e.bytes >= 65536) BOOST_TEST(e.offset % 4096 == 0u, e.path << " at " << e.offset);
    BOOST_TEST(e.offset + e.bytes <= l.end, e.path);
    BOOST_TEST(used.emplace(e.offset, e.offset + e.bytes).second, e.path);
  }
  for (const std::uint64_t at : {l.step_offset, l.digests_offset}) BOOST_TEST(used.emplace(at, at + 8).second);
  for (auto a = used.begin(), b = std::next(a); b != used.end(); ++a, ++b) BOOST_TEST(a->second <= b->first);
  BOOST_TEST(l.digests_bytes == hdf5::digests_text(l.entries).size());
}

BOOST_AUTO_TEST_CASE(a_large_tensor_begins_on_a_page_however_few_small_ones_there_are) {
  std::vector<float> large(16384), larger(16385);
  for (int small = 0; small < 3; ++small) {
    std::vector<char> odd(7);
    state s;
    s.bind("large", large).bind("larger", larger);
    if (small > 0) s.bind("odd", odd);
    if (small > 1) s.bind("one", small);
    for (const entry& e : compile(manifest(s)).entries)
      if (e.bytes >= 65536) BOOST_TEST(e.offset % 4096 == 0u, e.path << " at " << e.offset);
  }
}

BOOST_AUTO_TEST_CASE(one_manifest_has_one_layout_byte_for_byte) {
  zoo z;
  const auto a = compile(manifest(z.bound)), b = compile(manifest(z.bound));
  BOOST_TEST(a.end == b.end);
  BOOST_TEST((bytes_of(a) == bytes_of(b)));
  BOOST_REQUIRE_EQUAL(a.entries.size(), b.entries.size());
  for (std::size_t i = 0; i < a.entries.size(); ++i) BOOST_TEST(a.entries[i].offset == b.entries[i].offset);
}

BOOST_AUTO_TEST_CASE(an_hdf5_program_finds_everything_where_the_layout_says) {
  const support::folder dir;
  zoo z;
  const auto l = compile(manifest(z.bound));
  const opened file(dir, l);
  for (const entry& e : l.entries) {
    BOOST_TEST_CONTEXT(e.path) {
      if (e.kind == entry_kind::group) {
        BOOST_TEST(handle(H5Gopen2(file.id(), e.path.c_str(), H5P_DEFAULT), &H5Gclose).get() >= 0);
        continue;
      }
      const handle set = file.dataset(e.path), space(H5Dget_space(set.get()), &H5Sclose), type(H5Dget_type(set.get()), &H5Tclose);
      if (e.kind == entry_kind::absent) BOOST_TEST(H5Sget_simple_extent_type(space.get()) == H5S_NULL);
      if (e.kind != entry_kind::tensor) continue;
      const haddr_t at = H5Dget_offset(set.get());
      BOOST_TEST((at == HADDR_UNDEF ? 0 : at) == e.offset);
      BOOST_TEST((hdf5::dtype_from(type.get()) == (hdf5::needs_attribute(e.dtype) ? dtype::uint8 : e.dtype)));
      BOOST_TEST((H5Aexists(set.get(), "dtype") > 0) == hdf5::needs_attribute(e.dtype));
      std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space.get())));
      H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
      std::vector<std::int64_t> extents(dims.begin(), dims.end());
      if (e.dtype == dtype::string) extents.push_back(static_cast<std::int64_t>(H5Tget_size(type.get())));
      BOOST_TEST((shape(extents) == e.shape));
    }
  }
  BOOST_TEST(H5Dget_offset(file.dataset("/holdfast/step").get()) == l.step_offset);
  BOOST_TEST(H5Dget_offset(file.dataset("/holdfast/digests").get()) == l.digests_offset);
  for (const char* a : {"writer", "format", "digest", "digest_block"})
    BOOST_TEST(H5Aexists_by_name(file.id(), "holdfast", a, H5P_DEFAULT) > 0, a);
}

BOOST_AUTO_TEST_CASE(the_end_of_allocation_is_the_length_of_the_hdf5_part) {
  const support::folder dir;
  zoo z;
  const auto l = compile(manifest(z.bound));
  hsize_t size = 0;
  BOOST_REQUIRE(H5Fget_filesize(opened(dir, l).id(), &size) >= 0);
  BOOST_TEST(size == l.end);
  H5Fclose(H5Fopen((dir / "layout.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  BOOST_TEST(std::filesystem::file_size(dir / "layout.h5") == l.end);
}

BOOST_AUTO_TEST_CASE(a_second_name_is_a_hard_link) {
  const support::folder dir;
  zoo z;
  const auto l = compile(manifest(z.bound));
  const opened file(dir, l);
  const auto tied = std::find_if(l.entries.begin(), l.entries.end(), [](const entry& e) { return e.kind == entry_kind::alias; });
  BOOST_REQUIRE((tied != l.entries.end()));
  BOOST_TEST(tied->path == "tied");
  BOOST_TEST(address(file.id(), "tied") == address(file.id(), tied->alias_of));
  BOOST_TEST(address(file.id(), "tied") != address(file.id(), "present"));
}

BOOST_AUTO_TEST_CASE(names_that_look_like_groups_do_not_mix) {
  const support::folder dir;
  float a = 0, b = 0, c = 0, d = 0;
  state s;
  s.bind("model/x", a).bind("model-ema/x", b).bind("model/x2/y", c).bind("mo/x", d);
  const opened file(dir, compile(manifest(s)));
  for (const char* path : {"model/x", "model-ema/x", "model/x2/y", "mo/x"}) BOOST_TEST(H5Lexists(file.id(), path, H5P_DEFAULT) > 0, path);
}

BOOST_AUTO_TEST_CASE(a_state_without_anything_has_a_layout) {
  const support::folder dir;
  const state nothing;
  const auto l = compile(manifest(nothing));
  BOOST_TEST(l.entries.empty());
  BOOST_TEST(l.digests_bytes == 0u);
  const opened file(dir, l);
  BOOST_TEST(H5Lexists(file.id(), "holdfast", H5P_DEFAULT) > 0);
}

BOOST_AUTO_TEST_CASE(a_layout_fits_the_same_manifest_with_other_values_only) {
  std::vector<float> x(3), y(3);
  std::vector<double> wide(3);
  std::optional<float> maybe = 1.f;
  const auto of = [](auto bind) {
    state s;
    bind(s);
    return manifest(s);
  };
  const auto l = compile(of([&](state& s) { s.bind("x", x).bind("y", y).bind("m", maybe); }));
  BOOST_TEST(l.fits(of([&](state& s) { s.bind("x", x).bind("y", y).bind("m", maybe); })));
  BOOST_TEST(l.fits(of([&](state& s) { s.bind("y", x).bind("x", y).bind("m", maybe); })));
  x[1] = 7;
  BOOST_TEST(l.fits(of([&](state& s) { s.bind("x", x).bind("y", y).bind("m", maybe); })));
  BOOST_TEST(!l.fits(of([&](state& s) { s.bind("x", x).bind("m", maybe); })));
  BOOST_TEST(!l.fits(of([&](state& s) { s.bind("x", x).bind("z", y).bind("m", maybe); })));
  BOOST_TEST(!l.fits(of([&](state& s) { s.bind("x", x).bind("y", wide).bind("m", maybe); })));
  BOOST_TEST(!l.fits(of([&](state& s) { s.bind("x", x).bind("y", x).bind("m", maybe); })));
  BOOST_TEST(!l.fits(of([&](state& s) { s.bind("x", x).bind("y", tensor(y.data(), {1, 3})).bind("m", maybe); })));
  maybe.reset();
  BOOST_TEST(!l.fits(of([&](state& s) { s.bind("x", x).bind("y", y).bind("m", maybe); })));
}

BOOST_AUTO_TEST_CASE(compiling_takes_microseconds_a_dataset) {
  constexpr int n = 20000;
  std::map<std::string, float> layers;
  for (int i = 0; i < n; ++i) layers["layer" + std::to_string(i / 100) + "." + std::to_string(i)] = 0;
  state s;
  s.bind("layers", layers);
  const manifest m(s);
  const std::clock_t start = std::clock();
  const auto l = compile(m);
  const double took = 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  BOOST_TEST(l.entries.size() == static_cast<std::size_t>(n) + 1);
  std::cout << "layout of " << n << " datasets: " << took / n << " us of processor time a dataset\n";
}

BOOST_AUTO_TEST_SUITE_END()
