#include <holdfast/checkpoint/save.hpp>

#include <complex>
#include <cstring>
#include <filesystem>

#include <sched.h>
#include <sys/mount.h>

#include <holdfast/separate.hpp>

#include "../io/faulty_storage.hpp"
#include "../io/memory_files.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using support::contents;
using support::faulty_storage;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

/// Saves `from`, restores into `to`, and requires the same content.
void round_trip(const state& from, state& to) {
  const support::folder dir;
  save(dir / "f.h5", from);
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
  restore(dir / "f.h5", to);
  BOOST_TEST((contents(from) == contents(to)));
}

/// A part that holds two others, which may be one.
struct branching {
  std::shared_ptr<branching> left, right;
  int value = 0;
};

}  // namespace

template <>
struct holdfast::traits<branching> : holdfast::fields<holdfast::field<&branching::left>, holdfast::field<&branching::right>, holdfast::field<&branching::value>> {};

BOOST_AUTO_TEST_SUITE(save_)

BOOST_AUTO_TEST_CASE(a_whole_training_state_comes_back) {
  const trainer from(3);
  trainer to(4);
  BOOST_TEST(from.contents() != to.contents());
  round_trip(from.bound, to.bound);
  BOOST_TEST((to.engine == from.engine));
  BOOST_TEST((to.momentum == from.momentum));
}

BOOST_AUTO_TEST_CASE(strided_column_major_and_reversed_views_keep_their_order) {
  std::vector<float> a(24), b(24);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i);
  const auto bind = [](state& s, std::vector<float>& v) {
    s.bind("column_major", tensor(v.data(), {2, 3}, {1, 2}))
        .bind("cube", tensor(v.data(), {2, 3, 4}, {1, 2, 6}))
        .bind("reversed", tensor(v.data() + 23, {4, 6}, {-6, -1}))
        .bind("mixed", tensor(v.data() + 5, {3, 3}, {6, -2}))
        .bind("one", tensor(v.data() + 7, {1, 1}, {99, -3}))
        .bind("none", tensor(v.data(), {3, 0, 2}, {5, 1, 7}));
  };
  state from, to;
  bind(from, a);
  bind(to, b);
  round_trip(from, to);
  BOOST_TEST((a == b));
}

BOOST_AUTO_TEST_CASE(a_file_holds_tensors_in_the_order_of_their_indices) {
  const support::folder dir;
  std::vector<int> m{1, 2, 3, 4, 5, 6};
  state s;
  s.bind("m", tensor(m.data(), {2, 3}, {1, 2}));
  save(dir / "f.h5", s);
  const checkpoint_file file(dir / "f.h5");
  BOOST_TEST(file.map<int>("m") == (std::vector<int>{1, 3, 5, 2, 4, 6}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tensors_across_the_pieces_that_are_written_come_back) {
  // 3 x 8 MiB of floats, contiguous and column-major, and small strided tensors until an element lies across a piece.
  constexpr std::int64_t n = 6 << 20, count = 200, length = 3750;
  std::vector<float> plain(n), columns(n), plain_back(n), columns_back(n);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    plain[i] = static_cast<float>(i);
    columns[i] = -static_cast<float>(i);
  }
  using complex = std::complex<double>;
  std::vector<complex> small(2 * count * length), small_back(small.size());
  for (std::size_t i = 0; i < small.size(); ++i) small[i] = {static_cast<double>(i), -static_cast<double>(i)};
  const auto bind = [&](state& s, std::vector<float>& a, std::vector<float>& b, std::vector<complex>& c) {
    s.bind("plain", a).bind("columns", tensor(b.data(), {n / 512, 512}, {1, n / 512}));
    for (std::int64_t i = 0; i < count; ++i) s.bind("small/" + std::to_string(i), tensor(c.data() + i * 2 * length, {length}, {2}));
  };
  state from, to;
  bind(from, plain, columns, small);
  bind(to, plain_back, columns_back, small_back);
  const support::folder dir;
  save(dir / "f.h5", from);
  restore(dir / "f.h5", to);
  BOOST_TEST((plain == plain_back));
  BOOST_TEST((columns == columns_back));
  BOOST_TEST((contents(from) == contents(to)));
  std::size_t across = 0;
  const checkpoint_file file(dir / "f.h5");
  for (const entry& e : file.entries())
    if (e.dtype == dtype::complex128 && e.offset / (8 << 20) != (e.offset + e.bytes) / (8 << 20)) across += e.offset % 16 != 0;
  BOOST_TEST(across > 0u, "no element lies across two pieces: change the sizes above");
}

BOOST_AUTO_TEST_CASE(nothing_of_any_size_comes_back) {
  std::vector<double> none, none_back;
  float scalar = 3, scalar_back = 0;
  std::string empty, empty_back;
  std::optional<float> absent, absent_back;
  const auto bind = [](state& s, auto& v, float& x, std::string& t, std::optional<float>& o) {
    s.bind("none", v).bind("scalar", x).bind("empty", t).bind("absent", o).bind("flat", tensor(v.data(), {5, 0}));
  };
  state from, to;
  bind(from, none, scalar, empty, absent);
  bind(to, none_back, scalar_back, empty_back, absent_back);
  round_trip(from, to);
  BOOST_TEST(scalar_back == 3);
  state nothing, nothing_back;
  round_trip(nothing, nothing_back);
}

BOOST_AUTO_TEST_CASE(nans_keep_every_bit) {
  const std::uint64_t doubles[] = {0x7ff0000000000001, 0xfff0000000000001, 0x7ff8dead0000beef, 0xffffffffffffffff, 0x8000000000000000};
  const std::uint64_t floats[] = {0x7f800001, 0xff812345, 0x7fc00000, 0x80000000, 0x7f800000};
  std::vector<double> d(5), d_back(5);
  std::vector<float> f(5), f_back(5);
  std::vector<float16> h(65536), h_back(65536);
  std::vector<bfloat16> b(65536), b_back(65536);
  std::vector<float8_e4m3fn> e(256), e_back(256);
  for (std::size_t i = 0; i < 5; ++i) {
    std::memcpy(&d[i], &doubles[i], 8);
    std::memcpy(&f[i], &floats[i], 4);
  }
  for (std::size_t i = 0; i < 65536; ++i) h[i].bits = b[i].bits = static_cast<std::uint16_t>(i);
  for (std::size_t i = 0; i < 256; ++i) e[i].bits = static_cast<std::uint8_t>(i);
  state from, to;
  from.bind("d", d).bind("f", f).bind("h", h).bind("b", b).bind("e", e);
  to.bind("d", d_back).bind("f", f_back).bind("h", h_back).bind("b", b_back).bind("e", e_back);
  round_trip(from, to);
  BOOST_TEST(std::memcmp(d.data(), d_back.data(), 40) == 0);
  BOOST_TEST(std::memcmp(f.data(), f_back.data(), 20) == 0);
}

BOOST_AUTO_TEST_CASE(step_and_metric_are_kept) {
  const support::folder dir;
  const trainer t;
  save(dir / "f.h5", t.bound, {.step = 1234567, .metric = 0.125});
  const checkpoint_file file(dir / "f.h5");
  BOOST_TEST(file.step() == 1234567);
  BOOST_TEST(file.metric() == 0.125);
  BOOST_TEST(file.sealed());
  save(dir / "g.h5", t.bound);
  const checkpoint_file plain(dir / "g.h5");
  BOOST_TEST(plain.step() == -1);
  BOOST_TEST(std::isnan(plain.metric()));
}

BOOST_AUTO_TEST_CASE(one_state_is_one_file_byte_for_byte) {
  const support::folder dir;
  const trainer t;
  saver replayed;
  save(dir / "a.h5", t.bound, {.step = 5});
  replayed.save(dir / "b.h5", trainer(2).bound);
  replayed.save(dir / "b.h5", t.bound, {.step = 5});
  BOOST_TEST((support::bytes_of(dir / "a.h5") == support::bytes_of(dir / "b.h5")));
}

BOOST_AUTO_TEST_CASE(a_replayed_save_holds_the_values_of_now_and_another_shape_is_laid_out_anew) {
  const support::folder dir;
  std::vector<float> x(10, 1.f), back;
  state s, to;
  s.bind("x", x);
  to.bind("x", resizable(back));
  saver save_again;
  for (const std::size_t n : {10u, 10u, 20u, 5u}) {
    x.assign(n, static_cast<float>(n) + x[0]);
    save_again.save(dir / "f.h5", s);
    restore(dir / "f.h5", to);
    BOOST_TEST((back == x));
  }
}

BOOST_AUTO_TEST_CASE(a_save_makes_content_durable_then_takes_its_name_and_touches_nothing_after) {
  const support::folder dir;
  faulty_storage disk;
  const trainer t;
  save(dir / "f.h5", t.bound, {.storage = &disk});
  BOOST_REQUIRE_EQUAL(disk.order(), "create preallocate write sync rename sync_folder");
  const auto& calls = disk.calls();
  BOOST_TEST(calls[1].bytes == std::filesystem::file_size(dir / "f.h5"));
  BOOST_TEST(calls[calls.size() - 2].to == dir / "f.h5");
  BOOST_TEST(calls.back().path == dir.path().string());
  for (const auto& c : calls)
    if (c.what == support::storage_call::kind::write) BOOST_TEST(c.offset + c.bytes <= calls[1].bytes);
}

BOOST_AUTO_TEST_CASE(whatever_fails_the_old_file_stays_and_the_next_save_works) {
  const support::folder dir;
  const trainer t(2);
  save(dir / "f.h5", trainer(1).bound);
  const std::string before = support::bytes_of(dir / "f.h5");
  faulty_storage disk;
  saver again;
  again.save(dir / "probe.h5", t.bound, {.storage = &disk});
  std::filesystem::remove(dir / "probe.h5");
  const std::size_t calls = disk.calls().size();
  BOOST_TEST(calls >= 8u);
  for (const int code : {EIO, ENOSPC, EDQUOT})
    for (std::size_t k = 0; k + 1 < calls; ++k) {
      disk.forget();
      disk.fail(k, code);
      const auto text = message_of<io_error>([&] { again.save(dir / "f.h5", t.bound, {.storage = &disk}); });
      BOOST_TEST_CONTEXT("call " << k << " of " << calls << ": " << disk.order()) {
        require_all(text, dir / "f.h5", std::generic_category().message(code));
        if (code != EIO && k != 0) require_all(text, "free some space");
        BOOST_TEST((support::bytes_of(dir / "f.h5") == before));
        BOOST_TEST(support::names_in(dir.path()).size() == 1u);
        BOOST_TEST(disk.order().ends_with(k == 0 ? "create" : "remove"));
      }
    }
  disk.forget();
  again.save(dir / "f.h5", t.bound, {.storage = &disk});
  trainer back;
  restore(dir / "f.h5", back.bound);
  BOOST_TEST((back.contents() == t.contents()));
}

BOOST_AUTO_TEST_CASE(a_file_of_that_name_is_kept_when_it_may_not_be_replaced) {
  const support::folder dir;
  const trainer t(2);
  support::write_bytes(dir / "f.h5", "precious");
  require_all(message_of<io_error>([&] { save(dir / "f.h5", t.bound, {.existing = io::replace::no}); }), dir / "f.h5", "File exists");
  BOOST_TEST(support::bytes_of(dir / "f.h5") == "precious");
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
  save(dir / "g.h5", t.bound, {.existing = io::replace::no});
}

BOOST_AUTO_TEST_CASE(paths_that_cannot_be_a_file_are_refused) {
  const support::folder dir;
  const trainer t;
  const auto refused = [&](const std::string& path) { return message_of<io_error>([&] { save(path, t.bound); }); };
  require_all(refused(dir / "none/f.h5"), dir / "none/f.h5", "cannot create a file in " + (dir / "none"), "No such file or directory");
  require_all(refused(dir.path().string()), dir.path().string(), "Is a directory");
  require_all(refused(dir / ""), "the path names a folder");
  require_all(refused(""), "the path names a folder");
  support::write_bytes(dir / "file", "precious");
  require_all(refused(dir / "file/f.h5"), dir / "file/f.h5", "Not a directory");
  BOOST_TEST(support::bytes_of(dir / "file") == "precious");
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_folder_without_permission_to_write_is_named) {
  const support::folder dir;
  const trainer t(2);
  save(dir / "f.h5", trainer(1).bound);
  const std::string before = support::bytes_of(dir / "f.h5");
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0555));
  const auto text = support::told_by_nobody([&] { return message_of<io_error>([&] { save(dir / "f.h5", t.bound); }); });
  require_all(text, dir / "f.h5", "cannot create a file in " + dir.path().string(), "Permission denied");
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  BOOST_TEST((support::bytes_of(dir / "f.h5") == before));
  BOOST_TEST(support::names_in(dir.path()).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_full_or_read_only_file_system_keeps_the_old_file) {
  // A file system of its own, that this test may fill and that goes with the child process.
  const support::folder dir;
  const std::string mount = dir.path().string();
  const trainer small(1);
  const auto told = support::told_by_child([&]() -> std::string {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=1m") != 0)
      return "not permitted";
    save(dir / "f.h5", small.bound);
    const std::string old = support::bytes_of(dir / "f.h5");
    std::string text;
    const auto fails = [&](const state& s) {
      text += message_of<io_error>([&] { save(dir / "f.h5", s); }) + "\n";
      if (support::bytes_of(dir / "f.h5") != old) text += "the old file was changed\n";
      if (support::names_in(dir.path()).size() != 1) text += "a temporary file was left\n";
    };
    std::vector<float> large(1 << 20, 1.f);
    state s;
    s.bind("large", large);
    fails(s);
    save(dir / "f.h5", small.bound);
    if (::mount(nullptr, mount.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) return "cannot remount";
    fails(small.bound);
    return text;
  });
  if (told == "not permitted") {
    BOOST_TEST_MESSAGE("skipped: this process may not mount a file system");
    return;
  }
  require_all(told, (dir / "f.h5") + ": cannot reserve", "(free some space, or save elsewhere; existing files are unchanged): No space left on device",
              (dir / "f.h5") + ": cannot create a file in " + mount + ": Read-only file system");
  BOOST_TEST(told.find("was ") == std::string::npos, told);
}

BOOST_AUTO_TEST_CASE(names_that_cannot_be_one_file_are_refused_before_anything_is_written) {
  const support::folder dir;
  float a = 1, b = 2;
  std::vector<std::vector<float>> list(2);
  const auto refused = [&](const state& s) {
    faulty_storage disk;
    const auto text = message_of<error>([&] { save(dir / "f.h5", s, {.storage = &disk}); });
    BOOST_TEST(disk.calls().empty());
    return text;
  };
  state twice;
  twice.bind("x", a);
  require_all(message_of<error>([&] { twice.bind("/x", b); }), "/x is bound twice", "a name of its own");
  state inside;
  inside.bind("x", a).bind("x/y", b).bind("x-y", b);
  require_all(refused(inside), "/x/y lies inside /x, which is a tensor", "rename one of them");
  state in_container;
  in_container.bind("list", list).bind("list/extra", b);
  require_all(refused(in_container), "/list/extra lies inside /list, a container", "bind it beside");
  state nul;
  require_all(message_of<error>([&] { nul.bind(std::string_view("a\0b", 3), a); }), "\"a%00b\"", "NUL in the name", "encode_component");
  for (const char* path : {"", "/", "a//b", "a/", ".", "a/../b", "holdfast", "/holdfast/step", "tab\there"})
    BOOST_TEST(message_of<error>([&] { nul.bind(path, a); }).find("cannot name a part of a checkpoint") != std::string::npos, path);
  BOOST_TEST(support::names_in(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(shared_parts_with_more_names_than_a_restore_takes_are_refused_before_anything_is_written) {
  // Each holds the next twice: 2^30 names of one number.
  const support::folder dir;
  auto top = std::make_shared<branching>();
  for (int i = 0; i < 30; ++i) top = std::make_shared<branching>(branching{top, top, i});
  state s;
  s.bind("links", top);
  require_all(message_of<error>([&] { save(dir / "f.h5", s); }), "too many names");
  BOOST_TEST(support::names_in(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(a_tensor_on_a_gpu_is_refused_by_a_program_without_one) {
  const support::folder dir;
  float x = 1;
  state s;
  s.bind("x", tensor_view(&x, {}, {}, gpu(0)));
  require_all(message_of<error>([&] { save(dir / "f.h5", s); }), "/x", "gpu(0)");
  BOOST_TEST(support::names_in(dir.path()).empty());
}

BOOST_AUTO_TEST_CASE(a_save_warns_once_of_what_is_expected_and_not_bound_and_a_restore_refuses) {
  const support::folder dir;
  std::vector<std::string> warnings;
  on_warning([&](const std::string& text) { warnings.push_back(text); });
  float x = 1;
  state s;
  s.bind("model", x).expects({role::model, role::scheduler, {role::data_order, "loader"}});
  saver again;
  again.save(dir / "f.h5", s);
  again.save(dir / "f.h5", s);
  again.save_async(dir / "f.h5", s).wait();
  on_warning({});
  BOOST_REQUIRE_EQUAL(warnings.size(), 2u);
  require_all(warnings[0], dir / "f.h5", "saved without the learning-rate scheduler's counters", "nothing is bound at /scheduler", "bind it");
  require_all(warnings[1], "the order of the data and the position in it", "/loader");
  x = 2;
  require_all(message_of<mismatch_error>([&] { restore(dir / "f.h5", s); }), dir / "f.h5", "2 differences",
              "/scheduler: expected the learning-rate scheduler's counters, found nothing bound by the program; bind it");
  BOOST_TEST(x == 2);
  restore(dir / "f.h5", s, {.only = {"model"}});
  BOOST_TEST(x == 1);
}

BOOST_AUTO_TEST_CASE(what_has_the_version_it_had_is_neither_copied_nor_digested_again) {
  for (const bool background : {false, true}) {
    const support::folder dir;
    std::vector<float> frozen(500000, 1.f), trained(1000, 2.f), to_frozen(500000), to_trained(1000);
    std::uint64_t version = 7;
    state s, to;
    s.bind("trunk/w", frozen).bind("head/w", trained).version("trunk", version);
    to.bind("trunk/w", to_frozen).bind("head/w", to_trained);
    saver saver;
    const auto save_now = [&](const std::string& path) {
      if (background) saver.save_async(path, s).wait();
      else saver.save(path, s);
    };
    save_now(dir / "1.h5");
    trained.assign(1000, 3.f);
    save_now(dir / "2.h5");
    restore(dir / "2.h5", to);
    BOOST_TEST((to_frozen == frozen && to_trained == trained));

    // A broken promise shows that it was relied on: the copy of before, or a digest that is no longer right.
    const std::vector<float> before = frozen;
    frozen.assign(500000, 9.f);
    save_now(dir / "3.h5");
    if (background) {
      restore(dir / "3.h5", to);
      BOOST_TEST((to_frozen == before));
    } else {
      BOOST_CHECK_THROW(restore(dir / "3.h5", to), integrity_error);
    }
    ++version;
    save_now(dir / "4.h5");
    restore(dir / "4.h5", to);
    BOOST_TEST((to_frozen == frozen));
    save_now(dir / "5.h5");
    restore(dir / "5.h5", to);
    BOOST_TEST((to_frozen == frozen));

    frozen.assign(600000, 10.f);  // another layout
    to_frozen.resize(600000);
    save_now(dir / "6.h5");
    restore(dir / "6.h5", to);
    BOOST_TEST((to_frozen == frozen));
  }
}

BOOST_AUTO_TEST_CASE(equal_versions_of_two_states_are_not_one_content) {
  for (const bool background : {false, true}) {
    const support::folder dir;
    std::vector<float> one(100000, 1.f), two(100000, 2.f), back(100000);
    std::uint64_t version_one = 1, version_two = 1;
    state a, b, to;
    a.bind("w", one).version("w", version_one);
    b.bind("w", two).version("w", version_two);
    to.bind("w", back);
    saver saver;
    for (int i = 0; i < 4; ++i) {
      const state& s = i % 2 == 0 ? a : b;
      if (background) saver.save_async(dir / "f.h5", s).wait();
      else saver.save(dir / "f.h5", s);
      restore(dir / "f.h5", to);
      BOOST_TEST((back == (i % 2 == 0 ? one : two)));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_has_not_changed_is_shared_with_the_last_file_where_that_can_be) {
  support::memory_files disk;
  std::vector<float> frozen(500000, 1.f), small(10, 1.f), trained(100000, 2.f), to_frozen(500000), to_small(10), to_trained(100000);
  std::uint64_t version = 0;
  state s, to;
  s.bind("a", trained).bind("frozen", frozen).bind("small", small).version("frozen", version).version("small", version);
  to.bind("a", to_trained).bind("frozen", to_frozen).bind("small", to_small);
  saver saver;
  const std::uint64_t pages = 500000 * sizeof(float) / 4096 * 4096;
  const auto save_now = [&](const std::string& path) {
    disk.written = disk.shared = 0;
    saver.save(path, s, {.storage = &disk});
    return disk.shared;
  };
  const auto comes_back = [&](const std::string& path) {
    const auto from = detail::open_to_restore(path, {}, &disk);
    detail::restore_from(*from, detail::selection(*from, restore_options{}), to, {});
    return to_frozen == frozen && to_small == small && to_trained == trained;
  };
  BOOST_TEST(save_now("1.h5") == 0u);
  const std::uint64_t whole = disk.written;
  BOOST_TEST(save_now("2.h5") == 0u);  // this disk cannot
  BOOST_TEST(disk.written == whole);

  disk.reflinks = true;
  trained.assign(trained.size(), 5.f);
  BOOST_TEST(save_now("3.h5") == pages);
  BOOST_TEST(disk.written == whole - pages);
  BOOST_TEST(comes_back("3.h5"));
  BOOST_TEST(save_now("3.h5") == pages);  // onto itself
  BOOST_TEST(comes_back("3.h5"));

  // The last file was changed, cut short, or is gone: nothing can be taken from it.
  disk["3.h5"][disk["3.h5"].size() - 100] ^= std::byte{1};
  BOOST_TEST(save_now("4.h5") == 0u);
  disk["4.h5"].resize(100);
  BOOST_TEST(save_now("5.h5") == 0u);
  disk.remove("5.h5");
  BOOST_TEST(save_now("6.h5") == 0u);
  BOOST_TEST(save_now("7.h5") == pages);
  ++version;
  frozen.assign(frozen.size(), 6.f);
  BOOST_TEST(save_now("8.h5") == 0u);
  BOOST_TEST(comes_back("8.h5"));
  frozen.resize(400000);
  to_frozen.resize(400000);
  BOOST_TEST(save_now("9.h5") == 0u);
  BOOST_TEST(comes_back("9.h5"));
}

BOOST_AUTO_TEST_CASE(bytes_get_to_the_file_as_they_are_told_to) {
  const std::string memory = "/dev/shm/holdfast-test-" + std::to_string(::getpid()) + ".h5";
  const support::folder dir;
  std::vector<float> large(3 << 20), back(3 << 20);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<float>(i);
  state s, to;
  s.bind("large", large).bind("at_the_end", tensor(large.data(), {77}));
  std::vector<float> end(77);
  to.bind("large", back).bind("at_the_end", end);
  const bool direct = io::posix().create(dir / "probe", "probe")->write_past_cache();
  for (const io::mode how : {io::mode::automatic, io::mode::buffered, io::mode::direct}) {
    if (how == io::mode::direct && !direct) continue;
    back.assign(back.size(), 0.f);
    save(dir / "f.h5", s, {.io = how});
    restore(dir / "f.h5", to);
    BOOST_TEST((back == large));
  }
  // A file system in memory has a cache and nothing past it: what is not asked for by name goes without.
  if (!std::filesystem::exists("/dev/shm") || io::posix().create(memory, memory)->write_past_cache()) {
    std::filesystem::remove(memory);
    return;
  }
  std::filesystem::remove(memory);
  save(memory, s);
  back.assign(back.size(), 0.f);
  restore(memory, to);
  BOOST_TEST((back == large));
  std::filesystem::remove(memory);
  require_all(message_of<io_error>([&] { save(memory, s, {.io = io::mode::direct}); }), memory, "past the page cache", "automatic");
  BOOST_TEST(!std::filesystem::exists(memory));
}

BOOST_AUTO_TEST_CASE(a_save_that_need_not_be_durable_syncs_nothing) {
  faulty_storage disk;
  const support::folder dir;
  trainer from(1), to(2);
  save(dir / "f.h5", from.bound, {.storage = &disk, .durable = false});
  BOOST_TEST(disk.order() == "create preallocate write rename");
  restore(dir / "f.h5", to.bound);
  BOOST_TEST((to.contents() == from.contents()));
}

BOOST_AUTO_TEST_CASE(a_part_is_not_saved_as_the_whole) {
  const support::folder folder;
  std::vector<float> own(6, 2);
  holdfast::state part, all;
  part.bind("w", holdfast::sharded(holdfast::tensor(own.data(), {2, 3}), {6, 3}, {4, 0}));
  support::require_all(support::message_of<holdfast::error>([&] { holdfast::save(folder / "a.h5", part); }), "/w", "[4:6, 0:3] of [6, 3]", "mpi::save");
  BOOST_TEST(support::names_in(folder.path()).empty());
  all.bind("w", holdfast::sharded(own, {2, 3}, {0}));
  holdfast::save(folder / "a.h5", all);
  const holdfast::checkpoint_file file(folder / "a.h5");
  BOOST_TEST((file.entries().front().shape == holdfast::shape{2, 3}));
  BOOST_TEST(file.map<float>("w")[5] == 2);
}

BOOST_AUTO_TEST_SUITE_END()
