// Which files are opened, and what is said of those that are not.
#include <holdfast/checkpoint/open.hpp>

#include <hdf5.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <holdfast/separate.hpp>

#include "../hdf5/damage.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

/// A state and the message with which a file is refused to it. The state must be as it was afterwards, and so must the
/// file and its folder.
struct attempt {
  support::folder dir;
  std::string path = dir / "f.h5";

  template <class Error>
  std::string refused(const std::string& file, const restore_options& options = {}) {
    trainer to(4);
    const std::string before = to.contents();
    const auto names = support::names_in(dir.path());
    const std::string bytes = std::filesystem::is_regular_file(file) ? support::bytes_of(file) : "";
    const std::string text = message_of<Error>([&] { restore(file, to.bound, options); });
    BOOST_TEST((to.contents() == before));
    BOOST_TEST((!std::filesystem::is_regular_file(file) || support::bytes_of(file) == bytes));
    BOOST_TEST((support::names_in(dir.path()) == names));
    require_all(text, file);
    return text;
  }
  /// The bytes of a sound file at `path`.
  std::string sound() {
    save(path, trainer(3).bound);
    return support::bytes_of(path);
  }
};

int run(const std::string& command) { return WEXITSTATUS(std::system((command + " >/dev/null 2>&1").c_str())); }

}  // namespace

BOOST_AUTO_TEST_SUITE(open_)

BOOST_AUTO_TEST_CASE(a_file_that_is_not_there) {
  attempt a;
  require_all(a.refused<io_error>(a.path), "cannot open", "No such file or directory");
  require_all(a.refused<io_error>(a.dir / "none/f.h5"), "No such file or directory");
  require_all(a.refused<io_error>(""), "No such file or directory");
}

BOOST_AUTO_TEST_CASE(what_is_no_file) {
  attempt a;
  require_all(a.refused<io_error>(a.dir.path().string()), "Is a directory", "checkpoint_directory");
  BOOST_REQUIRE_EQUAL(::mkfifo((a.dir / "fifo").c_str(), 0600), 0);
  require_all(a.refused<io_error>(a.dir / "fifo"), "not a regular file");
  const int s = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (a.dir / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
  BOOST_REQUIRE_EQUAL(::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  require_all(a.refused<io_error>(a.dir / "socket"), "cannot open");
  ::close(s);
}

BOOST_AUTO_TEST_CASE(a_file_that_may_not_be_read) {
  attempt a;
  a.sound();
  std::filesystem::permissions(a.dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(a.path, std::filesystem::perms(0000));
  const auto text = support::told_by_nobody([&] { return message_of<io_error>([&] { checkpoint_file f(a.path); }); });
  require_all(text, a.path, "cannot open", "Permission denied");
}

BOOST_AUTO_TEST_CASE(files_that_are_no_checkpoint) {
  attempt a;
  support::write_bytes(a.path, "");
  require_all(a.refused<format_error>(a.path), "expected a checkpoint, found an empty file");
  for (const std::string& text : {std::string("x"), std::string("PK\3\4 a zip"), std::string(100000, '\0')}) {
    support::write_bytes(a.path, text);
    require_all(a.refused<format_error>(a.path), "expected a checkpoint, found a file that is not HDF5");
    a.refused<format_error>(a.path, {.trust = trust::foreign});
  }
}

BOOST_AUTO_TEST_CASE(a_truncated_checkpoint) {
  attempt a;
  const std::string whole = a.sound();
  for (const std::size_t n : {whole.size() - 1, whole.size() - 192, whole.size() / 2, std::size_t{1000}, std::size_t{8}}) {
    support::write_bytes(a.path, whole.substr(0, n));
    require_all(a.refused<format_error>(a.path), "expected a sealed checkpoint", "truncated", "written to by another program", "trust::foreign");
  }
  support::write_bytes(a.path, whole.substr(0, 2000));
  require_all(a.refused<format_error>(a.path, {.trust = trust::foreign}), "truncated file");
  support::write_bytes(a.path, whole.substr(0, 5000) + whole.substr(5001));
  require_all(a.refused<format_error>(a.path), "expected the length its trailer says", "truncated or spliced");
}

BOOST_AUTO_TEST_CASE(a_newer_format) {
  attempt a;
  a.sound();
  std::vector<std::byte> trailer(hdf5::trailer::bytes);
  {
    const auto file = io::posix().open(a.path);
    file->read_at(file->size() - trailer.size(), trailer);
  }
  hdf5::detail::put(trailer, 8, std::uint32_t{3});
  hdf5::detail::put(trailer, trailer.size() - 16, holdfast::detail::digest_of(std::span(trailer).first(trailer.size() - 16)));
  const std::string whole = support::bytes_of(a.path);
  support::write_bytes(a.path, whole.substr(0, whole.size() - trailer.size()) + std::string(reinterpret_cast<const char*>(trailer.data()), trailer.size()));
  require_all(a.refused<format_error>(a.path), "format version 3, expected at most 2", "written by a newer holdfast", "update");
  a.refused<format_error>(a.path, {.trust = trust::foreign});
}

BOOST_AUTO_TEST_CASE(damage_to_any_byte_is_found_or_changes_nothing) {
  attempt a;
  const std::string whole = a.sound();
  const trainer from(3);
  std::mt19937_64 engine = support::random_engine();
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole;
    const std::size_t at = engine() % whole.size();
    damaged[at] = static_cast<char>(damaged[at] ^ 1 << engine() % 8);
    support::write_bytes(a.path, damaged);
    trainer to(4);
    const std::string before = to.contents();
    BOOST_TEST_CONTEXT("byte " << at) {
      try {
        restore(a.path, to.bound, {.verify = verify::before});
        BOOST_ERROR("was not found");
      } catch (const integrity_error& e) {
        require_all(e.what(), a.path, "damaged");
      } catch (const format_error& e) {
        require_all(e.what(), a.path);
      }
      BOOST_TEST((to.contents() == before));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_file_of_another_program_is_read_when_it_is_trusted) {
  attempt a;
  {
    const hdf5::handle file(H5Fcreate(a.path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), &H5Fclose);
    const hsize_t n = 3;
    const hdf5::handle space(H5Screate_simple(1, &n, nullptr), &H5Sclose);
    const hdf5::handle x(H5Dcreate2(file.get(), "x", H5T_IEEE_F64BE, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), &H5Dclose);
    const hdf5::handle record(H5Tcreate(H5T_COMPOUND, 4), &H5Tclose);
    H5Tinsert(record.get(), "a", 0, H5T_STD_I32LE);
    const hdf5::handle y(H5Dcreate2(file.get(), "record", record.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), &H5Dclose);
    const double values[] = {1, 2, 3};
    H5Dwrite(x.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  }
  require_all(a.refused<format_error>(a.path), "expected a sealed checkpoint, found an HDF5 file without holdfast's trailer", "pass .trust = holdfast::trust::foreign");
  std::vector<double> x(3), record(3);
  state s;
  s.bind("x", x);
  const auto r = restore(a.path, s, {.unexpected = on_unexpected::ignore, .trust = trust::foreign});
  BOOST_TEST((x == std::vector<double>{1, 2, 3}));
  BOOST_TEST((!r.sealed && !r.verified));
  s.bind("record", record);
  require_all(message_of<mismatch_error>([&] { restore(a.path, s, {.trust = trust::foreign}); }), "/record: expected float64[3], found HDF5 data of a class that has no dtype");
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_another_program_opened_for_writing_is_unsealed) {
  attempt a;
  const std::size_t size = a.sound().size();
  H5Fclose(H5Fopen(a.path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  BOOST_TEST(checkpoint_file(a.path).sealed());
  H5Fclose(H5Fopen(a.path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  BOOST_TEST(std::filesystem::file_size(a.path) < size);
  require_all(a.refused<format_error>(a.path), "expected a sealed checkpoint", "written to by another program since it was saved");
  trainer to(4);
  const auto r = restore(a.path, to.bound, {.trust = trust::foreign});
  BOOST_TEST((to.contents() == trainer(3).contents()));
  BOOST_TEST((!r.sealed && r.verified));  // the digests of the tensors are still there and right
}

BOOST_AUTO_TEST_CASE(a_repacked_checkpoint_restores_and_its_digests_are_compared) {
  if (run("h5repack --version") != 0) {
    BOOST_TEST_MESSAGE("skipped: no h5repack");
    return;
  }
  attempt a;
  a.sound();
  const std::string packed = a.dir / "packed.h5";
  BOOST_REQUIRE_EQUAL(run("h5repack -f SHUF -f GZIP=6 " + a.path + " " + packed), 0);
  a.refused<format_error>(packed);
  trainer to(4);
  const auto r = restore(packed, to.bound, {.trust = trust::foreign});
  BOOST_TEST((to.contents() == trainer(3).contents()));
  BOOST_TEST((!r.sealed && r.verified && r.untied.empty()));
  {
    const hdf5::handle file(H5Fopen(packed.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), &H5Fclose), set(H5Dopen2(file.get(), "/model/bias", H5P_DEFAULT), &H5Dclose);
    const float changed[] = {1, 2, 3, 4, 5};
    BOOST_REQUIRE(H5Dwrite(set.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, changed) >= 0);
  }
  require_all(a.refused<integrity_error>(packed, {.verify = verify::before, .trust = trust::foreign}), "/model/bias", "its content is not what was saved", "it was changed since",
              "verify::off reads it as it is");
  restore(packed, to.bound, {.verify = verify::off, .trust = trust::foreign});
  BOOST_TEST((to.bias == std::vector<float>{1, 2, 3, 4, 5}));
}

BOOST_AUTO_TEST_CASE(a_sealed_file_is_read_by_its_index_also_when_foreign_ones_are_trusted) {
  attempt a;
  a.sound();
  BOOST_TEST(detail::open_reader(a.path, trust::foreign)->sealed());
}

BOOST_AUTO_TEST_SUITE_END()
