#include <holdfast/io/posix.hpp>

#include <array>
#include <cstring>
#include <filesystem>
#include <random>

#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <thread>

#include "../support.hpp"

namespace io = holdfast::io;
using holdfast::io_error;
using support::message_of;
using support::require_all;

namespace {

std::vector<std::byte> bytes(std::string_view text) {
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

std::errc code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const io_error& e) {
    return static_cast<std::errc>(e.code().value());
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(posix)

BOOST_AUTO_TEST_CASE(bytes_are_written_and_read_at_offsets_in_any_order) {
  const support::folder dir;
  const auto file = io::posix().create(dir / "f", dir / "f");
  file->write_at(3, bytes("def"));
  file->write_at(0, bytes("abc"));
  BOOST_TEST(file->size() == 6u);
  std::vector<std::byte> out(4);
  file->read_at(1, out);
  BOOST_TEST((out == bytes("bcde")));
  BOOST_TEST(support::bytes_of(dir / "f") == "abcdef");
  file->write_at(6, {});
  file->read_at(100, {});
}

BOOST_AUTO_TEST_CASE(reading_past_the_end_says_where_the_file_ends) {
  const support::folder dir;
  support::write_bytes(dir / "f", "abc");
  const auto file = io::posix().open(dir / "f");
  std::vector<std::byte> out(5);
  require_all(message_of<holdfast::format_error>([&] { file->read_at(1, out); }), dir / "f", "ends at byte 3", "3 bytes before",
              "truncated");
}

BOOST_AUTO_TEST_CASE(create_takes_no_name_that_exists_and_errors_show_the_name_asked_for) {
  const support::folder dir;
  support::write_bytes(dir / "f", "old");
  BOOST_TEST((code_of([&] { io::posix().create(dir / "f", "shown"); }) == std::errc::file_exists));
  BOOST_TEST(support::bytes_of(dir / "f") == "old");
  const auto file = io::posix().create(dir / "g", "shown");
  BOOST_TEST(file->path() == "shown");
}

BOOST_AUTO_TEST_CASE(what_is_no_regular_file_is_refused_without_waiting) {
  const support::folder dir;
  const auto refused = [&](const std::string& path) { return message_of<io_error>([&] { io::posix().open(path); }); };
  require_all(refused(dir / "none"), dir / "none", "cannot open", "No such file");
  require_all(refused(dir.path().string()), dir.path().string(), "checkpoint_directory", "Is a directory");
  BOOST_REQUIRE_EQUAL(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  require_all(refused(dir / "fifo"), dir / "fifo", "not a regular file");
  const int s = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (dir / "socket").c_str(), sizeof address.sun_path - 1);
  BOOST_REQUIRE_EQUAL(::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  require_all(refused(dir / "socket"), dir / "socket", "cannot open");
  ::close(s);
  require_all(refused("/dev/null"), "/dev/null", "not a regular file");
}

BOOST_AUTO_TEST_CASE(errors_of_a_file_name_it) {
  const support::folder dir;
  support::write_bytes(dir / "f", "abc");
  const auto file = io::posix().open(dir / "f");  // for reading
  require_all(message_of<io_error>([&] { file->write_at(0, bytes("x")); }), dir / "f", "cannot write");
  require_all(message_of<io_error>([&] { file->preallocate(10); }), dir / "f", "cannot reserve 10 bytes");
  BOOST_TEST(support::bytes_of(dir / "f") == "abc");
}

BOOST_AUTO_TEST_CASE(a_full_disk_comes_with_advice) {
  for (const int code : {ENOSPC, EDQUOT})
    require_all(message_of<io_error>([&] { io::detail::fail("p", "cannot write", code); }), "p: cannot write", "free some space",
                "existing files are unchanged");
  const auto other = message_of<io_error>([] { io::detail::fail("p", "cannot write", EIO); });
  BOOST_TEST(other == "p: cannot write: Input/output error");
}

BOOST_AUTO_TEST_CASE(preallocation_gives_the_file_its_length) {
  const support::folder dir;
  const auto file = io::posix().create(dir / "f", dir / "f");
  file->preallocate(0);
  BOOST_TEST(file->size() == 0u);
  file->preallocate(10000);
  BOOST_TEST(file->size() == 10000u);
  BOOST_TEST(support::bytes_of(dir / "f") == std::string(10000, '\0'));
}

BOOST_AUTO_TEST_CASE(a_rename_replaces_only_when_told) {
  const support::folder dir;
  support::write_bytes(dir / "new", "new");
  support::write_bytes(dir / "old", "old");
  const auto code = code_of([&] { io::posix().rename(dir / "new", dir / "old", io::replace::no); });
  BOOST_TEST((code == std::errc::file_exists));
  BOOST_TEST(support::bytes_of(dir / "old") == "old");
  BOOST_TEST(support::bytes_of(dir / "new") == "new");
  io::posix().rename(dir / "new", dir / "free", io::replace::no);
  io::posix().rename(dir / "free", dir / "old", io::replace::yes);
  BOOST_TEST(support::bytes_of(dir / "old") == "new");
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
  require_all(message_of<io_error>([&] { io::posix().rename(dir / "none", dir / "x", io::replace::yes); }), dir / "x",
              "cannot take its name");
}

BOOST_AUTO_TEST_CASE(folders_are_made_listed_and_emptied) {
  const support::folder dir;
  io::posix().make_folder(dir / "a/b/c");
  io::posix().make_folder(dir / "a/b/c");
  BOOST_TEST(std::filesystem::is_directory(dir / "a/b/c"));
  support::write_bytes(dir / "a/f", "");
  auto names = io::posix().list(dir / "a");
  std::sort(names.begin(), names.end());
  BOOST_TEST(names == (std::vector<std::string>{"b", "f"}), boost::test_tools::per_element());
  require_all(message_of<io_error>([&] { io::posix().make_folder(dir / "a/f"); }), dir / "a/f", "cannot be a folder");
  require_all(message_of<io_error>([&] { io::posix().make_folder(dir / "a/f/g"); }), dir / "a/f/g", "Not a directory");
  io::posix().remove(dir / "a/f");
  require_all(message_of<io_error>([&] { io::posix().remove(dir / "a/f"); }), dir / "a/f", "cannot delete");
  require_all(message_of<io_error>([&] { io::posix().list(dir / "z"); }), dir / "z", "cannot list");
  require_all(message_of<io_error>([&] { io::posix().sync_folder(dir / "z"); }), dir / "z", "cannot open the folder");
}

BOOST_AUTO_TEST_CASE(a_folder_that_a_killed_process_made_is_made_durable_too) {
  struct watched : io::posix_storage {
    std::vector<std::string> synced{};
    void sync_folder(const std::string& path) override {
      synced.push_back(path);
      io::posix_storage::sync_folder(path);
    }
  };
  const support::folder dir;
  const std::string root = dir.path().string();
  watched first, second;
  first.make_folder(root + "/a/b");
  BOOST_TEST(first.synced == (std::vector<std::string>{dir.path().parent_path().string(), root, root + "/a"}), boost::test_tools::per_element());
  second.make_folder(root + "/a/b");  // it cannot know whether the first one came to its last fsync
  BOOST_TEST(second.synced == std::vector<std::string>{root + "/a"}, boost::test_tools::per_element());
  std::filesystem::permissions(root, std::filesystem::perms::owner_exec | std::filesystem::perms::others_exec);
  BOOST_TEST(support::told_by_nobody([&] {
               io::posix().make_folder(root + "/a");
               return std::string("a folder in a folder that cannot be read");
             }) == "a folder in a folder that cannot be read");
  std::filesystem::permissions(root, std::filesystem::perms::owner_all);
}

BOOST_AUTO_TEST_CASE(a_lease_is_exclusive_until_it_is_given_back) {
  const support::folder dir;
  auto first = io::posix().lease(dir / "lock", "me");
  BOOST_TEST(first != nullptr);
  BOOST_TEST(io::posix().lease(dir / "lock", "me") == nullptr);
  BOOST_TEST(io::posix().lease(dir / "other", "me") != nullptr);
  first.reset();
  BOOST_TEST(io::posix().lease(dir / "lock", "me") != nullptr);
  require_all(message_of<io_error>([&] { io::posix().lease(dir / "z/lock", "me"); }), dir / "z/lock", "cannot open the lock file");
}

BOOST_AUTO_TEST_CASE(a_lease_ends_with_its_process_even_if_that_is_killed) {
  const support::folder dir;
  const int status = support::in_child([&] {
    const auto held = io::posix().lease(dir / "lock", "me");
    if (held == nullptr) return 1;
    ::raise(SIGKILL);
    return 2;
  });
  BOOST_TEST(status == 128 + SIGKILL);
  BOOST_TEST(io::posix().lease(dir / "lock", "me") != nullptr);
}

BOOST_AUTO_TEST_CASE(a_lease_says_whose_it_is) {
  const support::folder dir;
  support::write_bytes(dir / "lock", "somebody with a longer name");
  const auto held = io::posix().lease(dir / "lock", "me");
  BOOST_TEST(support::bytes_of(dir / "lock") == "me");
  BOOST_TEST(io::posix().lease(dir / "lock", "you") == nullptr);
  BOOST_TEST(support::bytes_of(dir / "lock") == "me");
}

BOOST_AUTO_TEST_CASE(a_file_is_abandoned_when_its_writer_is_gone) {
  const support::folder dir;
  auto here = io::posix().create(dir / "here", "shown");
  BOOST_TEST(!io::posix().remove_abandoned(dir / "here"));
  BOOST_TEST(support::in_child([&] { return io::posix().remove_abandoned(dir / "here") ? 1 : 0; }) == 0);
  here.reset();
  BOOST_TEST(io::posix().remove_abandoned(dir / "here"));
  BOOST_TEST(support::in_child([&] {
               const auto file = io::posix().create(dir / "killed", "shown");
               ::raise(SIGKILL);
               return 0;
             }) == 128 + SIGKILL);
  BOOST_TEST(io::posix().remove_abandoned(dir / "killed"));
  BOOST_TEST(!io::posix().remove_abandoned(dir / "none"));
  std::filesystem::create_symlink(dir / "elsewhere", dir / "link");
  support::write_bytes(dir / "elsewhere", "precious");
  BOOST_TEST(!io::posix().remove_abandoned(dir / "link"));
  BOOST_TEST((support::names_in(dir.path()) == std::vector<std::string>{"elsewhere", "link"}));
}

BOOST_AUTO_TEST_CASE(a_file_created_where_another_is_being_swept_is_there) {
  const support::folder dir;
  for (int i = 0; i < 200; ++i) {
    std::atomic<bool> done{false};
    std::thread sweeper([&] {
      while (!done) io::posix().remove_abandoned(dir / "f");
    });
    const auto file = io::posix().create(dir / "f", "shown");
    done = true;
    sweeper.join();
    BOOST_REQUIRE(std::filesystem::exists(dir / "f"));
    std::filesystem::remove(dir / "f");
  }
}

BOOST_AUTO_TEST_CASE(a_file_knows_when_it_was_written) {
  const support::folder dir;
  support::write_bytes(dir / "f", "x");
  const auto at = std::chrono::system_clock::now();
  const auto modified = io::posix().open(dir / "f")->modified();
  BOOST_TEST((modified <= at + std::chrono::seconds(2) && modified >= at - std::chrono::minutes(1)));
}

BOOST_AUTO_TEST_CASE(a_map_shows_the_file_and_outlives_it) {
  const support::folder dir;
  support::write_bytes(dir / "empty", "");
  BOOST_TEST(io::posix().open(dir / "empty")->map() == nullptr);
  support::write_bytes(dir / "f", "abc");
  std::shared_ptr<const std::byte> map = io::posix().open(dir / "f")->map();
  std::filesystem::remove(dir / "f");
  BOOST_TEST(std::memcmp(map.get(), "abc", 3) == 0);
}

BOOST_AUTO_TEST_CASE(writes_past_the_cache_and_through_it_make_one_file) {
  const support::folder dir;
  const auto f = io::posix().create(dir / "f", "f");
  const std::size_t size = 20 * io::page_bytes + 333;
  f->preallocate(size);
  BOOST_TEST(f->writes_at_once() == 1u);
  const bool direct = f->write_past_cache();
  BOOST_TEST(f->writes_at_once() == (direct ? 4u : 1u));
  io::staging_buffer memory;
  std::vector<std::byte> expected(size);
  std::mt19937_64 engine = support::random_engine();
  for (int i = 0; i < 200; ++i) {
    const std::size_t unit = i % 2 == 0 ? io::page_bytes : 1;
    const std::size_t at = engine() % (size / unit) * unit, n = 1 + engine() % (size - at);
    const auto piece = memory.reserve(size + 1).subspan(i % 3 == 0 ? 1 : 0, n);
    for (auto& b : piece) b = static_cast<std::byte>(engine());
    std::copy(piece.begin(), piece.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
    f->write_at(at, piece);
    if (i % 50 == 0) f->begin_write_back(at, n);
  }
  std::vector<std::byte> found(size);
  f->sync();
  f->read_at(0, found);
  BOOST_TEST((found == expected));
  BOOST_TEST(f->size() == size);
}

BOOST_AUTO_TEST_CASE(a_file_is_recycled_only_if_nobody_else_has_it) {
  const support::folder dir;
  const auto make = [&](const std::string& name, std::size_t n) {
    io::posix().create(dir / name, name)->write_at(0, std::vector<std::byte>(n, std::byte{7}));
    return dir / name;
  };
  const auto recycled = [&](const std::string& name) { return io::posix().recycle(dir / name, dir / "new", "new"); };
  BOOST_TEST(recycled("none") == nullptr);
  make("f", 10000);
  if (auto taken = recycled("f")) {
    BOOST_TEST((support::names_in(dir.path()) == std::vector<std::string>{"new"}));
    taken->preallocate(5000);
    BOOST_TEST(taken->size() == 5000u);
    BOOST_TEST(!io::posix().remove_abandoned(dir / "new"));  // it has a writer
  } else {
    BOOST_TEST_MESSAGE("this file system grants no leases");
    return;
  }
  BOOST_TEST(io::posix().remove_abandoned(dir / "new"));

  make("open", 10);
  {
    const auto reader = io::posix().open(dir / "open");
    BOOST_TEST(recycled("open") == nullptr);
  }
  std::shared_ptr<const std::byte> map = io::posix().open(dir / "open")->map();
  BOOST_TEST(recycled("open") == nullptr);
  map.reset();
  std::filesystem::create_hard_link(dir / "open", dir / "link");
  BOOST_TEST(recycled("open") == nullptr);
  std::filesystem::remove(dir / "link");
  BOOST_TEST(recycled("open") != nullptr);
}

BOOST_AUTO_TEST_CASE(blocks_are_shared_where_the_file_system_can) {
  const support::folder dir;
  const auto from = io::posix().create(dir / "from", "from"), to = io::posix().create(dir / "to", "to");
  from->write_at(0, std::vector<std::byte>(4 * io::page_bytes, std::byte{5}));
  to->preallocate(4 * io::page_bytes);
  if (!to->share(*from, io::page_bytes, 2 * io::page_bytes)) {
    BOOST_TEST_MESSAGE("this file system has no reflinks");
    return;
  }
  std::vector<std::byte> found(4 * io::page_bytes), expected(4 * io::page_bytes);
  std::fill_n(expected.begin() + io::page_bytes, 2 * io::page_bytes, std::byte{5});
  to->read_at(0, found);
  BOOST_TEST((found == expected));
}

BOOST_AUTO_TEST_SUITE_END()
