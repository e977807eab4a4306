#pragma once
/// What makes a harness a program. A harness includes this and defines what `fuzz` declares here. It is built
///   - with clang's -fsanitize=fuzzer and -DHOLDFAST_LIBFUZZER: libFuzzer's own command line;
///   - with AFL++'s afl-clang-fast: without arguments it takes inputs in AFL's loop;
///   - with any compiler, as a program of its own: see `usage`.
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../allocations.hpp"
#include "../seed.hpp"

namespace fuzz {

using bytes = std::vector<std::byte>;
struct seed_input {
  std::string name;
  bytes content;
};

extern const char* const name;
/// Whether an input may crash or hang a library that is not ours: then each has a process of its own, where the program's own
/// main runs, and that is counted and no failure.
extern const bool isolated;
/// Takes one input. What must never be ends the process: a failed `require`, a signal, a sanitizer, an exception.
void run(std::span<const std::byte> input);
/// The first inputs, from which tests/fuzz/corpus/NAME was written.
std::vector<seed_input> seeds();

/// What a process of an input of its own ends with where a `require` fails.
inline constexpr int ours = 97;

inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << name << ": " << what << std::endl;
#ifndef HOLDFAST_LIBFUZZER
  if (isolated) ::_exit(ours);
#endif
  std::abort();
}

/// Runs `work`, which may take `most` bytes of memory and no more, not even for a moment.
template <class F>
void within(std::size_t most, F&& work) {
  const std::size_t before = support::allocations::held();
  support::allocations::reset();
  support::allocations::limit(before + most);
  try {
    work();
  } catch (const std::bad_alloc&) {
    support::allocations::limit(~std::size_t{0});
    require(false, "wished for " + std::to_string(support::allocations::peak() - before) + " bytes, " + std::to_string(most) + " were expected to do");
  } catch (const std::length_error&) {
    support::allocations::limit(~std::size_t{0});
    require(false, "wished for more memory than there can be");
  } catch (...) {
    support::allocations::limit(~std::size_t{0});
    throw;
  }
  support::allocations::limit(~std::size_t{0});
}

/// A few changes of the kinds that fuzzers make.
inline void mutate(bytes& input, const std::vector<bytes>& corpus, std::mt19937_64& engine) {
  static constexpr std::int64_t striking[] = {0, 1, -1, 7, 8, 16, 31, 32, 33, 64, 96, 127, 128, 192, 255, 256, 4096, 65535, 65536, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff,
                                              std::int64_t{1} << 40, std::int64_t{1} << 48, std::int64_t{1} << 60, std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()};
  for (auto changes = 1 + engine() % 6; changes > 0; --changes) {
    const std::size_t size = input.size(), at = size == 0 ? 0 : engine() % size, width = std::size_t{1} << engine() % 4;
    const auto n = static_cast<std::ptrdiff_t>(std::min<std::size_t>(1 + engine() % 64, size - at));
    const auto here = input.begin() + static_cast<std::ptrdiff_t>(at);
    if (size == 0) return;
    switch (engine() % 8) {
      case 0: *here ^= std::byte{1} << engine() % 8; break;
      case 1: *here = static_cast<std::byte>(engine()); break;
      case 2:
      case 3:
        if (width <= size - at) std::memcpy(&*here, &striking[engine() % std::size(striking)], width);
        break;
      case 4: {
        std::uint64_t value = 0;
        if (width > size - at) break;
        std::memcpy(&value, &*here, width);
        value += engine() % 33 - 16;
        std::memcpy(&*here, &value, width);
        break;
      }
      case 5: std::copy_n(here, std::min<std::ptrdiff_t>(n, input.end() - here), input.begin() + static_cast<std::ptrdiff_t>(engine() % (size - static_cast<std::size_t>(n) + 1))); break;
      case 6:
        if (engine() % 2 == 0) input.erase(here, here + n);
        else input.insert(here, static_cast<std::size_t>(n), static_cast<std::byte>(engine()));
        break;
      case 7: {
        const bytes& other = corpus[engine() % corpus.size()];
        if (at < other.size()) input.resize(at), input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(at), other.end());
        break;
      }
    }
  }
}

#ifndef HOLDFAST_LIBFUZZER

inline std::span<const std::byte> current;

/// Leaves the input that ended the process in NAME.crash.
extern "C" inline void leave_input(int signal) {
  char file[256] = {};
  std::strncpy(file, name, 200);
  std::strcat(file, ".crash");
  const int fd = ::open(file, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  if (fd >= 0) (void)!::write(fd, current.data(), current.size());
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

/// How the processes of their own ended.
inline std::size_t crashed = 0, hung = 0;

/// Takes one input; false if what went wrong there is ours.
inline bool run_one(std::span<const std::byte> input) {
  current = input;
  if (!isolated) return run(input), true;
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(s, SIG_DFL);
    (void)!::freopen("/dev/null", "w", stdout);
    ::alarm(10);
    try {
      run(input);
    } catch (const std::exception& e) {
      require(false, std::string("an exception of another kind: ") + e.what());
    }
    ::_exit(0);
  }
  int status = 0;
  require(child > 0 && ::waitpid(child, &status, 0) == child, "cannot make a process");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  if (WIFEXITED(status) && WEXITSTATUS(status) == ours) return false;
  ++(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? hung : crashed);
  return true;
}

/// Leaves the input in NAME.crash and ends.
inline int failed(const bytes& input) {
  std::ofstream(std::string(name) + ".crash", std::ios::binary).write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  return 1;
}

inline bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

inline int usage() {
  std::cerr << "usage: " << name << " FILE...                  takes each file as an input\n"
            << "       " << name << " --mutations N FOLDER     N seeded mutations (HOLDFAST_TEST_SEED) of the files in it\n"
            << "       " << name << " --write-corpus FOLDER    writes the first inputs, from which tests/fuzz/corpus was made\n";
  return 2;
}

inline int main_of(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(s, leave_input);
  if (arguments.size() == 2 && arguments[0] == "--write-corpus") {
    std::filesystem::create_directories(arguments[1]);
    for (const seed_input& s : seeds())
      std::ofstream(std::filesystem::path(arguments[1]) / s.name, std::ios::binary).write(reinterpret_cast<const char*>(s.content.data()), static_cast<std::streamsize>(s.content.size()));
    return 0;
  }
  if (arguments.size() == 3 && arguments[0] == "--mutations") {
    std::vector<bytes> corpus;
    for (const auto& file : std::filesystem::directory_iterator(arguments[2])) corpus.push_back(read_file(file.path()));
    if (corpus.empty()) return usage();
    std::sort(corpus.begin(), corpus.end());  // the folder has no order, and a seed shall give the same inputs everywhere
    for (const bytes& input : corpus)
      if (!run_one(input)) return failed(input);
    std::mt19937_64 engine = support::random_engine();
    const std::size_t n = support::effort(std::stoull(arguments[1]));
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < n; ++i) {
      bytes input = corpus[engine() % corpus.size()];
      mutate(input, corpus, engine);
      if (!run_one(input)) return failed(input);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::cout << name << ": " << n << " mutations of " << corpus.size() << " inputs in " << took.count() << " s";
    if (isolated) std::cout << "; of these " << crashed << " crashed and " << hung << " hung in libraries that are not ours";
    std::cout << std::endl;
    return 0;
  }
  if (arguments.empty() || arguments[0].starts_with("-")) return usage();
  for (const std::string& file : arguments) {
    const bytes input = read_file(file);
    if (!run_one(input)) return 1;
  }
  if (crashed + hung != 0) std::cout << name << ": " << crashed << " crashed and " << hung << " hung in libraries that are not ours" << std::endl;
  return 0;
}

#endif

}  // namespace fuzz

#ifdef HOLDFAST_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::run(std::as_bytes(std::span(data, size)));
  return 0;
}
#else
#ifdef __AFL_FUZZ_TESTCASE_LEN
__AFL_FUZZ_INIT();
#endif
int main(int argc, char** argv) {
#ifdef __AFL_FUZZ_TESTCASE_LEN
  if (argc == 1) {
    __AFL_INIT();
    const unsigned char* const data = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(100000)) fuzz::run(std::as_bytes(std::span(data, static_cast<std::size_t>(__AFL_FUZZ_TESTCASE_LEN))));
    return 0;
  }
#endif
  return fuzz::main_of(argc, argv);
}
#endif
