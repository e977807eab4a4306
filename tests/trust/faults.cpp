// Every system call and every allocation of a save fails once, one after the other. After each: an exception that names the
// file and the cause, or success; no descriptor and no temporary file left; a whole checkpoint to go back to; and the next save
// works. Likewise for restores, which in addition change nothing or say so.
#include <array>
#include <filesystem>
#include <iostream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <sys/resource.h>

#include <holdfast/holdfast.hpp>

#include "../checkpoint/sample.hpp"
#include "../support.hpp"
#include "interposed.hpp"

using namespace holdfast;
using support::trainer;
namespace fault = support::fault;

namespace {

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator()));
}

std::size_t temporaries(const std::filesystem::path& folder) {
  std::size_t n = 0;
  for (const std::string& name : support::names_in(folder)) n += name.ends_with(".tmp") && name.find("spare") == std::string::npos;
  return n;
}

/// What went wrong in one attempt; nothing if it went as it should.
using complaint = std::optional<std::string>;

struct sweep {
  std::size_t faults = 0, survived = 0;
};

/// A directory with a checkpoint of step 1, and the state that is to be saved as step 2.
/// With `large`, several pieces are written past the page cache by several threads, to recycled blocks where replayed.
struct scene {
  support::folder dir;
  trainer first{1}, second{2}, back{3};
  std::vector<float> big;
  std::optional<checkpoint_directory> runs;
  bool background;

  scene(bool replayed, bool in_background, bool large = false) : background(in_background) {
    retention keep{.keep_last = 1};
    if (large) {
      big.assign(std::size_t{3} << 20, 2.5f);
      for (trainer* t : {&first, &second, &back}) t->bound.bind("big", big);
      keep.recycle = true;
    }
    runs.emplace(dir / "runs", keep);
    if (large) runs->save(0, first.bound);
    runs->save(1, first.bound);
    if (!replayed) {  // without lease and layout
      runs.reset();
      runs.emplace(dir / "runs", keep);
    }
  }

  void save(std::int64_t step, const state& s) {
    if (!background) return runs->save(step, s);
    runs->save_async(step, s).wait();
  }

  /// Saves step 2 with the k-th call failing; `fired` tells whether there were that many calls.
  complaint attempt(long k, int code, fault::way how, bool allocations, bool& fired) {
    const std::size_t descriptors = open_descriptors();
    std::string what;
    bool threw = false, out_of_memory = false;
    fired = fault::at(k, code, how, allocations, [&] {
      try {
        save(2, second.bound);
      } catch (const std::bad_alloc&) {
        threw = out_of_memory = true;
      } catch (const error& e) {
        threw = true;
        what = e.what();
      }
    });
    const std::string call = fault::current.call;
    const bool transparent = how == fault::way::cut_short || (code == EINTR && call != "fsync" && call != "fstat64" && call != "pthread_create" && !call.starts_with("rename") && call != "unlink");
    if (threw && !fired) return "threw without a fault: " + what;
    if (threw && transparent) return call + " was not tried again: " + what;
    if (threw && !allocations && what.find(dir / "runs") == std::string::npos) return "names no file: " + what;
    if (threw && !allocations && what.find(std::generic_category().message(code)) == std::string::npos) return "names no cause: " + what;
    const bool lease = runs.has_value() && std::filesystem::exists(dir / "runs/.holdfast-lock");
    if (open_descriptors() > descriptors + lease) return "left a descriptor open after " + call;
    if (call != "unlink" && temporaries(dir / "runs") != 0) return "left a temporary file after " + call;

    checkpoint_directory reader(dir / "runs");
    const auto found = reader.restore_latest(back.bound);
    if (!found) return "nothing is left after " + call;
    if (!found->rejected.empty()) return "damaged after " + call + ": " + found->rejected.front().reason;
    if (!threw && found->step != 2) return "reported success, and step " + std::to_string(found->step) + " is the newest";
    if (back.contents() != (found->step == 1 ? first : second).contents()) return "not the state that was saved, after " + call;

    save(3, second.bound);
    if (reader.restore_latest(back.bound)->step != 3) return "the next save is not the newest, after " + call;
    return {};
  }
};

bool direct_io(const std::string& path) { return io::posix().create(path, path)->write_past_cache(); }

/// Lets each call fail in turn, each in a directory of its own, until there are no more.
sweep every_call(bool replayed, bool background, int code, fault::way how, bool allocations, long stride = 1, bool large = false) {
  sweep done;
  for (long k = 0;; k += stride) {
    scene s(replayed, background, large);
    bool fired = false;
    const complaint wrong = s.attempt(k, code, how, allocations, fired);
    BOOST_TEST(!wrong, "call " << k << " (" << fault::current.call << "), " << std::generic_category().message(code) << ": " << wrong.value_or(""));
    if (!fired) return done;
    ++done.faults;
    done.survived += !wrong;
  }
}

void print(const char* what, const sweep& s) {
  std::cout << what << ": " << s.faults << " faults injected, " << s.survived << " survived" << std::endl;
  BOOST_TEST(s.faults > 0u);
}

/// Some of the faults leave an old checkpoint behind, which the library warns of.
struct silence {
  silence() {
    on_warning([](const std::string&) {});
  }
  ~silence() { on_warning({}); }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(silence);

BOOST_AUTO_TEST_SUITE(faults)

BOOST_AUTO_TEST_CASE(a_fault_is_where_it_was_asked_for) {
  const support::folder dir;
  const trainer t;
  const auto fires = [&](long k) {
    return fault::at(k, EIO, fault::way::fail, false, [&] {
      try {
        save(dir / "f.h5", t.bound);
      } catch (const io_error&) {
      }
    });
  };
  BOOST_TEST(fires(0));
  BOOST_TEST(std::string(fault::current.call) == "open");
  BOOST_TEST(!std::filesystem::exists(dir / "f.h5"));
  BOOST_TEST(!fires(1000));
  BOOST_TEST(std::filesystem::exists(dir / "f.h5"));
}

BOOST_AUTO_TEST_CASE(every_system_call_of_a_save_fails_once) {
  sweep all;
  for (const bool replayed : {false, true})
    for (const bool background : {false, true})
      for (const int code : {EIO, ENOSPC, EDQUOT, EINTR, EMFILE, EACCES}) {
        const sweep s = every_call(replayed, background, code, fault::way::fail, false);
        all.faults += s.faults;
        all.survived += s.survived;
      }
  print("failed system calls", all);
}

BOOST_AUTO_TEST_CASE(a_file_system_that_cannot_reserve_or_rename_only_to_a_free_name_will_do) {
  const support::folder dir;
  trainer t, back(3);
  std::set<std::string> needless;
  for (const int code : {EOPNOTSUPP, ENOSYS, EINVAL})
    for (long k = 0;; ++k) {
      const std::string path = dir / std::to_string(code) + "-" + std::to_string(k);
      std::string what;
      const bool fired = fault::at(k, code, fault::way::fail, false, [&] {
        try {
          save(path, t.bound, {.existing = io::replace::no});
        } catch (const io_error& e) {
          what = e.what();
        }
      });
      if (!fired) break;
      if (!what.empty()) continue;
      needless.insert(fault::current.call);
      restore(path, back.bound);
      BOOST_TEST((back.contents() == t.contents()));
    }
  for (const char* call : {"fallocate64", "renameat2"}) BOOST_TEST(needless.contains(call), call);
  BOOST_TEST(!needless.contains("pwrite64"));
}

BOOST_AUTO_TEST_CASE(every_call_of_a_large_save_on_several_threads_fails_once) {
  const support::folder probe;
  if (!direct_io(probe / "f")) {
    std::cout << "this file system refuses direct I/O: not tried" << std::endl;
    return;
  }
  sweep all;
  const auto add = [&](const sweep& s) {
    all.faults += s.faults;
    all.survived += s.survived;
  };
  for (const bool replayed : {false, true})
    for (const bool background : {false, true}) {
      add(every_call(replayed, background, replayed ? EIO : ENOSPC, fault::way::fail, false, 1, true));
      add(every_call(replayed, background, 0, fault::way::cut_short, false, 2, true));
    }
  print("faults in large saves", all);
}

BOOST_AUTO_TEST_CASE(every_transfer_of_a_save_is_cut_short_once) {
  print("short transfers", every_call(false, false, 0, fault::way::cut_short, false));
}

BOOST_AUTO_TEST_CASE(every_allocation_of_a_save_fails_once) {
  sweep all;
  for (const bool replayed : {false, true})
    for (const bool background : {false, true}) {
      const sweep s = every_call(replayed, background, 0, fault::way::fail, true, replayed ? 1 : 3);
      all.faults += s.faults;
      all.survived += s.survived;
    }
  print("failed allocations", all);
}

BOOST_AUTO_TEST_CASE(every_call_and_allocation_of_a_restore_fails_once) {
  sweep all;
  scene s(true, false);
  s.runs->save(2, s.second.bound);
  for (const bool allocations : {false, true})
    for (const verify when : {verify::before, verify::during})
      for (long k = 0;; ++k) {
        trainer to(3);
        const std::string before = to.contents(), after = s.second.contents();
        std::string what;
        bool threw = false;
        const std::size_t descriptors = open_descriptors();
        const bool fired = fault::at(k, EIO, fault::way::fail, allocations, [&] {
          try {
            restore(s.dir / "runs/step-000000000002.h5", to.bound, {.verify = when});
          } catch (const std::bad_alloc&) {
            threw = true;
          } catch (const error& e) {
            threw = true;
            what = e.what();
          }
        });
        BOOST_TEST_CONTEXT((allocations ? "allocation " : "call ") << k << " (" << fault::current.call << "): " << what) {
          BOOST_TEST(open_descriptors() == descriptors);
          if (!threw) BOOST_TEST((to.contents() == after));
          else if (what.find("partly restored") == std::string::npos) BOOST_TEST((to.contents() == before));
          if (threw && !allocations) support::require_all(what, s.dir / "runs/step-000000000002.h5", "Input/output error");
        }
        if (!fired) break;
        ++all.faults;
        ++all.survived;
      }
  print("restores with a fault", all);
}

BOOST_AUTO_TEST_CASE(a_process_without_descriptors_says_so) {
  const support::folder dir;
  trainer t;
  checkpoint_directory runs(dir / "runs");
  runs.save(1, t.bound);
  const auto told = support::told_by_child([&]() -> std::string {
    const rlimit none{3, 3};  // those that are open stay open
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return "cannot set the limit";
    return support::message_of<io_error>([&] { runs.save(2, t.bound); }) + "\n" + support::message_of<io_error>([&] { runs.restore_latest(t.bound); });
  });
  support::require_all(told, dir / "runs", "Too many open files");
  BOOST_TEST(runs.restore_latest(t.bound)->step == 1);
}

BOOST_AUTO_TEST_SUITE_END()
