#include <holdfast/hdf5/memory_driver.hpp>

#include <cstring>
#include <numeric>

#include <holdfast/hdf5/layout.hpp>

#include "../support.hpp"

using namespace holdfast::hdf5;

namespace {

std::vector<std::byte> counting(std::size_t n) {
  std::vector<std::byte> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<std::byte>(i * 7 + 1);
  return v;
}

std::string whole(const memory_image& image) {
  std::string s(image.end(), '\0');
  image.read(0, std::as_writable_bytes(std::span(s)));
  return s;
}

/// A file with one dataset of 5000 numbers.
void write_numbers(const handle& access) {
  const handle file = checked(H5Fcreate("memory", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), &H5Fclose, "create");
  const hsize_t n = 5000;
  const handle space(H5Screate_simple(1, &n, nullptr), &H5Sclose);
  const handle set(H5Dcreate2(file.get(), "x", H5T_STD_I32LE, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), &H5Dclose);
  std::vector<int> values(n);
  std::iota(values.begin(), values.end(), 0);
  checked(H5Dwrite(set.get(), H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "write");
}

std::vector<int> numbers(const handle& access, const char* path) {
  const handle file = checked(H5Fopen(path, H5F_ACC_RDONLY, access.get()), &H5Fclose, "open");
  const handle set(H5Dopen2(file.get(), "x", H5P_DEFAULT), &H5Dclose);
  std::vector<int> values(5000);
  checked(H5Dread(set.get(), H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "read");
  return values;
}

bool counted(const std::vector<int>& v) {
  for (std::size_t i = 0; i < v.size(); ++i)
    if (v[i] != static_cast<int>(i)) return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory_driver)

BOOST_AUTO_TEST_CASE(an_image_keeps_what_was_written_and_reads_zeros_elsewhere) {
  memory_image image;
  const auto bytes = counting(9000);
  image.write(4090, bytes);
  BOOST_TEST(image.end() == 13090u);
  BOOST_TEST(image.pages().size() == 4u);
  image.write(1000000, std::span(bytes).first(1));
  BOOST_TEST(image.pages().size() == 5u);
  std::vector<std::byte> out(9010, std::byte{0xff});
  image.read(4085, out);
  BOOST_TEST(std::memcmp(out.data() + 5, bytes.data(), bytes.size()) == 0);
  BOOST_TEST((out.front() == std::byte{0} && out.back() == std::byte{0}));
  image.read(500000, out);
  BOOST_TEST(std::all_of(out.begin(), out.end(), [](std::byte b) { return b == std::byte{0}; }));
  image.write(4091, std::span(bytes).first(2));
  image.read(4090, std::span(out).first(4));
  BOOST_TEST((out[0] == bytes[0] && out[1] == bytes[0] && out[2] == bytes[1] && out[3] == bytes[3]));
}

BOOST_AUTO_TEST_CASE(an_image_over_a_reader_passes_reads_on) {
  std::uint64_t asked = 0;
  const memory_image image(100, [&](std::uint64_t at, std::span<std::byte> out) {
    asked = at;
    std::fill(out.begin(), out.end(), std::byte{9});
  });
  BOOST_TEST(image.end() == 100u);
  std::vector<std::byte> out(3);
  image.read(40, out);
  BOOST_TEST(asked == 40u);
  BOOST_TEST((out.back() == std::byte{9}));
}

BOOST_AUTO_TEST_CASE(libhdf5_writes_the_same_file_into_memory_as_to_disk) {
  const support::folder dir;
  memory_image image;
  write_numbers(image_access(image));
  BOOST_TEST(image.allocated >= image.end());
  std::string bytes = whole(image);
  bytes.resize(image.allocated);
  support::write_bytes(dir / "f.h5", bytes);
  const handle plain(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
  BOOST_TEST(counted(numbers(plain, (dir / "f.h5").c_str())));
  BOOST_TEST(counted(numbers(image_access(image), "memory")));
}

BOOST_AUTO_TEST_CASE(libhdf5_reads_a_file_through_the_reader_below) {
  memory_image made;
  write_numbers(image_access(made));
  std::string bytes = whole(made);
  bytes.resize(made.allocated);
  memory_image image(bytes.size(), [&](std::uint64_t at, std::span<std::byte> out) { std::memcpy(out.data(), bytes.data() + at, out.size()); });
  BOOST_TEST(counted(numbers(image_access(image), "memory")));
}

BOOST_AUTO_TEST_CASE(a_reader_that_throws_makes_libhdf5_fail_and_nothing_worse) {
  const quiet_errors quiet;
  memory_image image(10000, [](std::uint64_t, std::span<std::byte>) { throw std::runtime_error("bad sector"); });
  const handle access = image_access(image);
  BOOST_TEST(H5Fopen("memory", H5F_ACC_RDONLY, access.get()) < 0);
  support::message_of<holdfast::format_error>([&] { numbers(access, "memory"); });
}

BOOST_AUTO_TEST_CASE(the_driver_survives_a_program_that_closes_libhdf5) {
  const quiet_errors quiet;
  memory_image before;
  write_numbers(image_access(before));
  H5close();
  // Another driver gets the identifiers that ours had.
  const handle others[] = {{H5Pcreate(H5P_FILE_ACCESS), &H5Pclose}, {H5Pcreate(H5P_FILE_ACCESS), &H5Pclose}};
  H5Pset_fapl_core(others[0].get(), 4096, false);
  H5Pset_fapl_stdio(others[1].get());
  memory_image after;
  write_numbers(image_access(after));
  BOOST_TEST(whole(after) == whole(before));
  BOOST_TEST(!whole(after).empty());
}

BOOST_AUTO_TEST_SUITE_END()
