/// The model of a crash, on traces small enough to list by hand what they may leave.
#include "crash_model.hpp"

#include <set>
#include <span>
#include <string>

#include "../support.hpp"
#include "crash_scenarios.hpp"

namespace io = holdfast::io;
using support::disk_image;
using support::memory_storage;
using support::recording_storage;
using texts = std::set<std::string>;

namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

/// A file's content with runs of one character as the character and how many: "a512b512"; zeros are '0'.
std::string described(const std::vector<std::byte>& content) {
  std::string text;
  for (std::size_t i = 0, n = 0; i < content.size(); i += n) {
    for (n = 1; i + n < content.size() && content[i + n] == content[i]; ++n) {
    }
    const char c = static_cast<char>(content[i]);
    text += (c == 0 ? '0' : c == '\xA5' ? '?'
                                        : c) +
            std::to_string(n);
  }
  return text;
}

/// Everything that a crash now may leave: "name=content name=content", and "/" behind the names of empty folders.
texts left_by(const recording_storage& disk, std::size_t unit = 0, std::size_t most = 100'000) {
  support::crash_model model(disk.start());
  for (const auto& call : disk.calls()) model.apply(call);
  std::mt19937_64 engine(1);
  texts all;
  std::set<std::uint64_t> hashes;
  model.for_each_state(unit, most, engine, [&](const disk_image& image, std::uint64_t hash) {
    std::string text;
    for (const auto& [path, inode] : image.files)
      text += (text.empty() ? "" : " ") + path.substr(path.rfind('/') + 1) + "=" + described(inode->bytes);
    for (const std::string& folder : image.folders)
      if (folder.size() > 5) text += (text.empty() ? "" : " ") + folder.substr(6) + "/";
    all.insert(text);
    hashes.insert(hash);
    return true;
  });
  BOOST_TEST(hashes.size() == all.size());
  return all;
}

/// A disk with one durable file "f" of 'x's.
disk_image file_of(std::size_t size) {
  disk_image image = support::recorded_run::empty_disk();
  image.files["/disk/f"] = std::make_shared<support::memory_inode>(support::memory_inode{.bytes = std::vector<std::byte>(size, std::byte{'x'})});
  return image;
}

std::unique_ptr<io::file> made(io::storage& disk, const std::string& name, const std::string& content, bool synced) {
  auto file = disk.create("/disk/" + name, name);
  if (!content.empty()) file->write_at(0, bytes(content));
  if (synced) file->sync();
  return file;
}

#define LEAVES(disk, ...) BOOST_TEST(left_by(disk) == (texts{__VA_ARGS__}), boost::test_tools::per_element())

}  // namespace

BOOST_AUTO_TEST_SUITE(crash_model)

BOOST_AUTO_TEST_CASE(choices_are_all_tried_where_they_are_few_and_the_telling_ones_where_they_are_many) {
  std::mt19937_64 engine(1);
  std::set<std::vector<unsigned>> seen;
  const auto note = [&](const std::vector<unsigned>& c) {
    seen.insert(c);
    return true;
  };
  BOOST_TEST(support::for_each_choice({2, 3, 2}, 1, 12, engine, note));
  BOOST_TEST(seen.size() == 12u);
  seen.clear();
  BOOST_TEST(support::for_each_choice({}, 0, 1, engine, note));
  BOOST_TEST(seen.size() == 1u);
  seen.clear();
  support::for_each_choice(std::vector<unsigned>(40, 2), 3, 400, engine, note);
  BOOST_TEST(seen.size() > 300u);
  for (std::size_t i = 0; i < 40; ++i) {
    std::vector<unsigned> dropped(40, 1), kept(40, 0), prefix(40, 0), suffix(40, 0), names{1, 1, 1};
    dropped[i] = 0, kept[i] = 1, names.resize(40, 0), names[i] = 1;
    std::fill_n(prefix.begin(), i, 1u);
    std::fill(suffix.begin() + static_cast<std::ptrdiff_t>(i), suffix.end(), 1u);
    for (const auto& choice : {dropped, kept, prefix, suffix, names}) BOOST_TEST(seen.contains(choice));
  }
  std::size_t tried = 0;
  BOOST_TEST(!support::for_each_choice({2, 2}, 0, 9, engine, [&](const auto&) { return ++tried < 2; }));
  BOOST_TEST(tried == 2u);
}

BOOST_AUTO_TEST_CASE(a_node_syncs_what_it_has_written_itself) {
  using kind = support::disk_call::kind;
  recording_storage disk(file_of(0));
  const auto write = [&](std::uint64_t at, const std::string& text, std::size_t node) {
    const auto of = bytes(text);
    disk.append({.what = kind::write, .offset = at, .bytes = of.size(), .content = {of.begin(), of.end()}, .node = node});
  };
  write(0, "ab", 0);
  write(2, "cd", 1);
  disk.append({.what = kind::sync, .node = 2});
  disk.append({.what = kind::sync, .node = 1});
  LEAVES(disk, "f=02c1d1", "f=a1b1c1d1");
  disk.append({.what = kind::sync, .node = 0});
  LEAVES(disk, "f=a1b1c1d1");
}

BOOST_AUTO_TEST_CASE(what_was_synced_stays_and_a_name_needs_its_folder_synced) {
  recording_storage disk(support::recorded_run::empty_disk());
  const auto file = made(disk, "g", "ab", true);
  LEAVES(disk, "", "g=a1b1");
  disk.sync_folder("/disk");
  LEAVES(disk, "g=a1b1");
}

BOOST_AUTO_TEST_CASE(a_synced_name_promises_no_content) {
  recording_storage disk(support::recorded_run::empty_disk());
  const auto file = made(disk, "g", "ab", false);
  disk.sync_folder("/disk");
  LEAVES(disk, "g=", "g=02", "g=?2", "g=a1b1");
  file->preallocate(3);
  LEAVES(disk, "g=", "g=02", "g=?2", "g=a1b1", "g=03", "g=?3", "g=a1b101", "g=a1b1?1");
  file->sync();
  LEAVES(disk, "g=a1b101");
}

BOOST_AUTO_TEST_CASE(what_a_crash_left_can_be_where_a_recording_begins) {
  disk_image image = file_of(2);
  image.files["/disk/e"] = std::make_shared<support::memory_inode>(support::memory_inode{.bytes = {std::byte{'e'}}});
  recording_storage disk(image);
  LEAVES(disk, "e=e1 f=x2");
  disk.remove("/disk/e");
  LEAVES(disk, "e=e1 f=x2", "f=x2");
}

BOOST_AUTO_TEST_CASE(writes_are_kept_in_any_subset_and_torn_at_sectors) {
  recording_storage disk(file_of(0));
  const auto file = made(disk, "g", std::string(1024, 'x'), true);
  disk.remove("/disk/f");
  disk.sync_folder("/disk");
  file->write_at(0, bytes(std::string(600, 'a')));
  file->write_at(512, bytes(std::string(512, 'b')));
  LEAVES(disk, "g=x1024", "g=a600x424", "g=x512b512", "g=a512b512");
  const texts torn = left_by(disk, 512);
  BOOST_TEST(torn == (texts{"g=x1024", "g=a512x512", "g=x512a88x424", "g=a600x424", "g=x512b512", "g=a512b512"}), boost::test_tools::per_element());
  BOOST_TEST(left_by(disk, 4096) == left_by(disk), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_rename_happens_or_not_and_never_loses_the_file) {
  recording_storage disk(file_of(2));
  const auto file = made(disk, "t", "ab", true);
  disk.sync_folder("/disk");
  disk.rename("/disk/t", "/disk/f", io::replace::yes);
  LEAVES(disk, "f=x2 t=a1b1", "f=a1b1", "f=a1b1 t=a1b1");
  disk.sync_folder("/disk");
  LEAVES(disk, "f=a1b1");
}

BOOST_AUTO_TEST_CASE(folder_operations_are_kept_in_any_order) {
  recording_storage disk(file_of(1));
  const auto file = made(disk, "g", "", true);
  disk.remove("/disk/f");
  LEAVES(disk, "", "f=x1", "g=", "f=x1 g=");
}

BOOST_AUTO_TEST_CASE(a_folder_takes_with_it_what_it_holds) {
  recording_storage disk(support::recorded_run::empty_disk());
  disk.kill_at(2);  // after mkdir, before its folder is synced
  BOOST_CHECK_THROW(disk.make_folder("/disk/runs"), recording_storage::killed);
  disk.revive();
  const auto file = made(disk, "runs/g", "a", true);
  disk.sync_folder("/disk/runs");
  LEAVES(disk, "", "g=a1 runs/");
  disk.make_folder("/disk/runs");
  LEAVES(disk, "g=a1 runs/");
}

BOOST_AUTO_TEST_CASE(blocks_that_were_not_written_hold_zeros_or_what_a_lost_file_held) {
  recording_storage disk(file_of(3));
  disk.remove("/disk/f");
  disk.sync_folder("/disk");
  const auto file = disk.create("/disk/g", "g");
  disk.sync_folder("/disk");
  file->preallocate(4);
  LEAVES(disk, "g=", "g=04", "g=x3?1");
}

BOOST_AUTO_TEST_CASE(the_memory_storage_answers_as_the_operating_system_does) {
  const support::folder dir;
  const auto told_by = [&](io::storage& disk) {
    std::string told;
    const auto run = [&](auto call) {
      try {
        call();
        told += "done\n";
      } catch (const holdfast::error& e) {
        told += std::string(e.what()) + "\n";
      }
    };
    disk.make_folder(dir / "a/b");
    std::unique_ptr<io::file> file;
    for (int i = 0; i < 2; ++i) run([&] { file = disk.create(dir / "a/t", dir / "a/f"); });
    file = disk.create(dir / "a/u", dir / "a/u");
    run([&] { file->preallocate(10); });
    run([&] { file->preallocate(5); });
    run([&] { file->write_at(8, bytes("abcd")); });
    run([&] { file->sync(); });
    told += file->path() + " " + std::to_string(file->size()) + "\n";
    run([&] { disk.create(dir / "none/f", "f"); });
    run([&] { disk.open(dir / "a/none"); });
    run([&] { disk.open(dir / "a/u")->write_at(0, bytes("x")); });
    for (const auto existing : {io::replace::no, io::replace::yes}) run([&] { disk.rename(dir / "a/t", dir / "a/u", existing); });
    run([&] { disk.rename(dir / "a/t", dir / "a/v", io::replace::yes); });
    run([&] { disk.remove(dir / "a/t"); });
    run([&] { disk.remove(dir / "a/u"); });
    run([&] { disk.sync_folder(dir / "a"); });
    run([&] { disk.sync_folder(dir / "none"); });
    run([&] { disk.list(dir / "none"); });
    file = disk.create(dir / "a/w", dir / "a/w");
    const auto abandoned = [&](const char* name) { told += disk.remove_abandoned(dir / name) ? "removed\n" : "kept\n"; };
    for (const char* name : {"a/w", "a/none"}) abandoned(name);
    file.reset();
    abandoned("a/w");
    const auto taken = disk.lease(dir / "a/lock", "me");
    told += taken != nullptr && disk.lease(dir / "a/lock", "you") == nullptr ? "leased once\n" : "leased twice\n";
    told += std::to_string(disk.open(dir / "a/lock")->size()) + "\n";
    for (const std::string& name : disk.list(dir / "a")) told += name == "b" ? "" : name + "\n";
    return told;
  };
  disk_image image;
  for (auto path = dir.path(); image.folders.insert(path.string()).second; path = path.parent_path()) {
  }
  recording_storage memory(image);
  const std::string told = told_by(memory);
  BOOST_TEST(told == told_by(io::posix()));
  support::require_all(told, "File exists", "No such file or directory", "Bad file descriptor", "kept\nkept\nremoved", "leased once\n2");
}

BOOST_AUTO_TEST_CASE(a_recording_has_the_calls_of_a_save_in_their_order) {
  BOOST_TEST(support::first_save().disk->order() ==
             "sync_folder make_folder sync_folder make_folder sync_folder "
             "began create lease create preallocate write sync rename sync_folder reported");
  const support::recording run = support::retention_of_the_newest();
  const auto& calls = run.disk->calls();
  BOOST_TEST((calls.back().what == support::disk_call::kind::reported));
  BOOST_TEST((calls[calls.size() - 2].what == support::disk_call::kind::remove));
}

BOOST_AUTO_TEST_SUITE_END()
