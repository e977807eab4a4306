#include <holdfast/io/durable_file.hpp>

#include <set>

#include "../support.hpp"
#include "faulty_storage.hpp"

namespace io = holdfast::io;
using holdfast::io_error;
using support::faulty_storage;
using support::message_of;
using support::require_all;

namespace {

void put(io::storage& disk, const std::string& path, std::string_view text, io::replace existing = io::replace::yes) {
  io::durable_file file(disk, path);
  file->preallocate(text.size());
  file->write_at(0, std::as_bytes(std::span(text)));
  file.commit(existing);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(durable_file)

BOOST_AUTO_TEST_CASE(nothing_remains_without_a_commit) {
  const support::folder dir;
  {
    io::durable_file file(io::posix(), dir / "f");
    file->write_at(0, std::as_bytes(std::span("abc")));
    BOOST_TEST(!std::filesystem::exists(dir / "f"));
    const auto names = support::names_in(dir.path());
    BOOST_REQUIRE_EQUAL(names.size(), 1u);
    BOOST_TEST(names.front().starts_with(io::durable_file::temporary_prefix));
    BOOST_TEST(names.front().ends_with(".tmp"));
  }
  BOOST_TEST(support::names_in(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(a_commit_makes_the_content_durable_then_its_name_then_the_folder) {
  const support::folder dir;
  faulty_storage disk;
  put(disk, dir / "f", "abc");
  BOOST_TEST(support::bytes_of(dir / "f") == "abc");
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
  BOOST_REQUIRE_EQUAL(disk.order(), "create preallocate write sync rename sync_folder");
  BOOST_TEST(disk.calls()[4].to == dir / "f");
  BOOST_TEST(disk.calls()[4].path == disk.calls()[0].path);
  BOOST_TEST(disk.calls()[5].path == dir.path().string());
}

BOOST_AUTO_TEST_CASE(a_name_that_exists_is_replaced_only_when_told) {
  const support::folder dir;
  put(io::posix(), dir / "f", "old");
  const auto text = message_of<io_error>([&] { put(io::posix(), dir / "f", "new", io::replace::no); });
  require_all(text, dir / "f", "cannot take its name", "File exists");
  BOOST_TEST(support::bytes_of(dir / "f") == "old");
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
  put(io::posix(), dir / "f", "new");
  BOOST_TEST(support::bytes_of(dir / "f") == "new");
}

BOOST_AUTO_TEST_CASE(a_failure_of_any_call_names_file_and_cause_and_leaves_the_old_file_alone) {
  const support::folder dir;
  for (const int code : {EIO, ENOSPC}) {
    for (std::size_t k = 0; k < 5; ++k) {
      put(io::posix(), dir / "f", "old");
      faulty_storage disk;
      disk.fail(k, code);
      const auto text = message_of<io_error>([&] { put(disk, dir / "f", "new"); });
      BOOST_TEST_CONTEXT("call " << k << ", " << disk.order()) {
        require_all(text, dir / "f", code == EIO ? "Input/output error" : "No space left on device");
        BOOST_TEST(support::bytes_of(dir / "f") == "old");
        BOOST_TEST(support::names_in(dir.path()).size() == 1u);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_failed_sync_is_never_tried_again) {
  const support::folder dir;
  faulty_storage disk;
  disk.fail(3, EIO);
  message_of<io_error>([&] { put(disk, dir / "f", "new"); });
  BOOST_TEST(disk.order() == "create preallocate write sync remove");
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_made_durable_leaves_the_new_file_whole_and_says_so) {
  const support::folder dir;
  put(io::posix(), dir / "f", "old");
  faulty_storage disk;
  disk.fail(5, EIO);
  const auto text = message_of<io_error>([&] { put(disk, dir / "f", "new"); });
  require_all(text, dir / "f", "may not survive a power failure", "Input/output error");
  BOOST_TEST(support::bytes_of(dir / "f") == "new");
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_failure_to_clean_up_does_not_hide_the_first_error) {
  const support::folder dir;
  faulty_storage disk;
  const auto text = message_of<io_error>([&] {
    io::durable_file file(disk, dir / "f");
    disk.fail(0, EACCES);
    try {
      file->sync();
    } catch (...) {
      disk.fail(0, EPERM);  // of the removal
      throw;
    }
  });
  require_all(text, dir / "f", "Permission denied");
}

BOOST_AUTO_TEST_CASE(a_path_that_names_a_folder_is_refused) {
  const support::folder dir;
  for (const std::string& path : {std::string(), std::string("."), dir / "..", dir / "a/"})
    require_all(message_of<io_error>([&] { io::durable_file file(io::posix(), path); }), path, "the path names a folder");
  require_all(message_of<io_error>([&] { put(io::posix(), dir.path().string(), "x"); }), dir.path().string(), "Is a directory");
  BOOST_TEST(support::names_in(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(a_missing_folder_is_named) {
  const support::folder dir;
  const auto text = message_of<io_error>([&] { put(io::posix(), dir / "none/f", "x"); });
  require_all(text, dir / "none/f", "cannot create a file in " + (dir / "none"), "No such file or directory");
  BOOST_TEST(text.find(".tmp") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_path_without_a_folder_is_in_the_working_directory) {
  const support::folder dir;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  put(io::posix(), "f", "abc");
  std::filesystem::current_path(before);
  BOOST_TEST(support::bytes_of(dir / "f") == "abc");
}

BOOST_AUTO_TEST_CASE(files_being_written_at_once_have_names_of_their_own) {
  const support::folder dir;
  io::durable_file a(io::posix(), dir / "f"), b(io::posix(), dir / "f");
  a->write_at(0, std::as_bytes(std::span("aaa")));
  b->write_at(0, std::as_bytes(std::span("bb")));
  BOOST_TEST(support::names_in(dir.path()).size() == 2u);
  a.commit(io::replace::yes);
  b.commit(io::replace::yes);
  BOOST_TEST(support::bytes_of(dir / "f") == std::string("bb\0", 3));
}

BOOST_AUTO_TEST_SUITE_END()
