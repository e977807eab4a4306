#include <holdfast/io/storage.hpp>

#include <array>

#include "../support.hpp"
#include "faulty_storage.hpp"

namespace io = holdfast::io;
using support::faulty_storage;

BOOST_AUTO_TEST_SUITE(storage)

BOOST_AUTO_TEST_CASE(another_storage_can_stand_in_for_the_operating_system) {
  const support::folder dir;
  faulty_storage disk;
  io::storage& s = disk;
  const std::array<std::byte, 4> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  s.make_folder(dir / "a/b");
  {
    const auto file = s.create(dir / "a/b/t", dir / "a/b/final");
    file->preallocate(6);
    file->write_at(2, bytes);
    file->sync();
    BOOST_TEST(file->path() == dir / "a/b/final");
    BOOST_TEST(file->size() == 6u);
  }
  s.rename(dir / "a/b/t", dir / "a/b/final", io::replace::no);
  s.sync_folder(dir / "a/b");
  BOOST_TEST(s.list(dir / "a/b").size() == 1u);
  std::array<std::byte, 4> read{};
  s.open(dir / "a/b/final")->read_at(2, read);
  BOOST_TEST((read == bytes));
  BOOST_TEST(s.lease(dir / "a/lock", "me") != nullptr);
  s.remove(dir / "a/b/final");
  BOOST_TEST(disk.order() == "make_folder create preallocate write sync rename sync_folder lease remove");
  BOOST_TEST(disk.calls()[3].offset == 2u);
  BOOST_TEST(disk.calls()[3].bytes == 4u);
}

BOOST_AUTO_TEST_CASE(any_one_call_can_be_made_to_fail) {
  const support::folder dir;
  faulty_storage disk;
  const std::array<std::byte, 4> bytes{};
  disk.fail(1, ENOSPC);
  const auto file = disk.create(dir / "t", dir / "final");
  const auto text = support::message_of<holdfast::io_error>([&] { file->write_at(0, bytes); });
  support::require_all(text, dir / "final", "No space left on device", "free some space");
  BOOST_TEST(file->size() == 2u);
  file->write_at(0, bytes);
  BOOST_TEST(file->size() == 4u);
}

BOOST_AUTO_TEST_SUITE_END()
