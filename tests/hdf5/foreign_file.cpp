#include <holdfast/hdf5/foreign_file.hpp>

#include <string>

#include <holdfast/io/posix.hpp>

#include "../support.hpp"

using namespace holdfast;
using hdf5::handle;
using hdf5::detail::address_of;
using hdf5::detail::opened_file;
using hdf5::detail::plugins_off;

namespace {

/// A file with a group of two names and another one.
std::string made(const support::folder& dir) {
  const std::string path = dir / "f.h5";
  const handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), &H5Fclose);
  for (const char* name : {"one", "other"}) const handle group(H5Gcreate2(file.get(), name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), &H5Gclose);
  BOOST_REQUIRE(H5Lcreate_hard(file.get(), "one", file.get(), "again", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  return path;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(foreign_file)

BOOST_AUTO_TEST_CASE(plugins_are_off_for_a_while_and_then_as_they_were) {
  const auto state = [] {
    unsigned s = 0;
    BOOST_REQUIRE(H5PLget_loading_state(&s) >= 0);
    return s;
  };
  const unsigned before = state();
  H5PLset_loading_state(H5PL_FILTER_PLUGIN);
  {
    const plugins_off none;
    BOOST_TEST(state() == 0u);
  }
  BOOST_TEST(state() == static_cast<unsigned>(H5PL_FILTER_PLUGIN));
  H5PLset_loading_state(before);
}

BOOST_AUTO_TEST_CASE(an_object_has_one_address_under_all_its_names) {
  const support::folder dir;
  const handle file(H5Fopen(made(dir).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose);
  const auto address = [&](const char* name) { return address_of(handle(H5Oopen(file.get(), name, H5P_DEFAULT), &H5Oclose).get()); };
  BOOST_TEST((address("one") == address("again")));
  BOOST_TEST((address("one") != address("other")));
}

BOOST_AUTO_TEST_CASE(libhdf5_sees_the_file_and_zeros_behind_it_and_no_disk) {
  const support::folder dir;
  const std::string path = made(dir);
  std::shared_ptr<io::file> disk = io::posix().open(path);
  const std::uint64_t size = disk->size();
  opened_file opened(disk, size);
  std::vector<std::byte> end(20, std::byte{7});
  opened.image->read(size - 4, end);
  BOOST_TEST(std::all_of(end.begin() + 4, end.end(), [](std::byte b) { return b == std::byte{0}; }));
  opened.file = handle(H5Fopen("any name", H5F_ACC_RDONLY, opened.access.get()), &H5Fclose);
  BOOST_REQUIRE(opened.file.get() >= 0);
  BOOST_TEST(H5Lexists(opened.file.get(), "again", H5P_DEFAULT) > 0);
}

BOOST_AUTO_TEST_SUITE_END()
