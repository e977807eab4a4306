#include <holdfast/hdf5/foreign_limits.hpp>

#include "../support.hpp"

using holdfast::hdf5::handle;
using holdfast::hdf5::detail::bytes_in_file;
using holdfast::hdf5::detail::file_limits;
using holdfast::hdf5::detail::refused;
using holdfast::hdf5::detail::text_memory;

namespace {

/// A file of libhdf5's own, with one dataset of 100 numbers.
struct sample {
  support::folder dir;
  handle file{H5Fcreate((dir / "f.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), &H5Fclose};
  handle creation{H5Pcreate(H5P_DATASET_CREATE), &H5Pclose};
  handle made(hid_t type = H5T_STD_I32LE) const {
    const hsize_t n = 100;
    const handle space(H5Screate_simple(1, &n, nullptr), &H5Sclose);
    return {H5Dcreate2(file.get(), "x", type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), &H5Dclose};
  }
  std::string why(const handle& set, std::uint64_t size = 1 << 20) const { return refused(file.get(), set.get(), file_limits{size}, "x"); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(foreign_limits)

BOOST_AUTO_TEST_CASE(limits_grow_with_the_file_and_products_do_not_wrap) {
  const file_limits small{1000}, large{std::uint64_t{1} << 30};
  BOOST_TEST(small.most_links() < large.most_links());
  BOOST_TEST(small.most_name_bytes() < large.most_name_bytes());
  const std::uint64_t most = small.most_content();
  BOOST_TEST(small.holds({most}, 1));
  BOOST_TEST(!small.holds({most + 1}, 1));
  BOOST_TEST(!small.holds({most / 8 + 1}, 8));
  BOOST_TEST(large.holds({most + 1}, 1));
  BOOST_TEST(small.holds({}, 8));
  const hsize_t huge = hsize_t{1} << 32;
  BOOST_TEST(!small.holds({huge, huge}, 1));     // 2^64
  BOOST_TEST(!small.holds({huge, huge, 2}, 8));  // and beyond
  BOOST_TEST(small.holds({huge, 0, huge}, 8));   // none at all
  BOOST_TEST(!small.holds({0, ~hsize_t{0}}, 1));
}

BOOST_AUTO_TEST_CASE(a_dataset_is_refused_for_what_it_claims) {
  {
    const sample s;
    const handle set = s.made();
    BOOST_TEST(s.why(set) == "");  // nothing of it has been written yet
  }
  {
    const sample s;
    H5Pset_alloc_time(s.creation.get(), H5D_ALLOC_TIME_EARLY);
    const handle set = s.made();
    BOOST_TEST(s.why(set) == "");
    BOOST_TEST(s.why(set, 300) == "a dataset whose data lies outside the file");
  }
  {
    const sample s;
    H5Pset_external(s.creation.get(), "elsewhere", 0, H5F_UNLIMITED);
    BOOST_TEST(s.why(s.made()) == "a dataset in external storage");
  }
  {
    const sample s;
    const hsize_t chunk = 10;
    H5Pset_chunk(s.creation.get(), 1, &chunk);
    H5Pset_filter(s.creation.get(), 307, H5Z_FLAG_OPTIONAL, 0, nullptr);
    const handle set = s.made();
    if (set.get() >= 0) support::require_all(s.why(set), "filter 307");
  }
}

BOOST_AUTO_TEST_CASE(text_of_any_length_takes_one_size_in_a_file) {
  const sample s;
  const handle text(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(text.get(), 7);
  BOOST_TEST(bytes_in_file(s.file.get(), text.get()) == 7u);
  H5Tset_size(text.get(), H5T_VARIABLE);
  BOOST_TEST(bytes_in_file(s.file.get(), text.get()) == 16u);
  const handle list(H5Tvlen_create(H5T_STD_I32LE), &H5Tclose);
  BOOST_TEST(bytes_in_file(s.file.get(), list.get()) == 0u);
}

BOOST_AUTO_TEST_CASE(text_gets_no_more_memory_than_its_limit) {
  text_memory m{100};
  BOOST_TEST(text_memory::take(60, &m) != nullptr);
  BOOST_TEST(text_memory::take(41, &m) == nullptr);
  BOOST_TEST(text_memory::take(40, &m) != nullptr);
  BOOST_TEST(text_memory::take(1, &m) == nullptr);
  BOOST_TEST(m.strings.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
