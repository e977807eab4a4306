#pragma once
/// What several tests need: a folder of their own, the message of an expected error, damage to a file, a child process.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "seed.hpp"

/// gcov's, in programs that scripts/coverage builds; null in others.
extern "C" [[gnu::weak]] void __gcov_dump();

namespace support {

/// A fresh folder that is deleted with the object.
class folder {
 public:
  folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-test-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  folder(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A fresh folder that is the current one while this lives, for what pages show: their files have relative names.
class current_folder {
 public:
  current_folder() { std::filesystem::current_path(own_.path()); }
  current_folder(const current_folder&) = delete;
  ~current_folder() {
    std::error_code ignored;
    std::filesystem::current_path(before_, ignored);
  }

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
  folder own_;
};

/// Runs `f`, which must throw exactly an `Error` (not one derived from it), and returns its message.
template <class Error, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    BOOST_TEST((typeid(e) == typeid(Error)), "threw a " << typeid(e).name() << ": " << e.what());
    return e.what();
  } catch (const std::exception& e) {
    BOOST_ERROR("threw another error: " << e.what());
    return {};
  }
  BOOST_ERROR("did not throw");
  return {};
}

/// Requires every piece in the text.
template <class... Pieces>
void require_all(const std::string& text, const Pieces&... pieces) {
  for (const std::string_view piece : {std::string_view(pieces)...})
    BOOST_TEST((text.find(piece) != std::string::npos), "expected \"" << piece << "\" in: " << text);
}

/// A number from `least` to `most`, both included.
template <class Int>
Int pick(std::mt19937_64& engine, Int least, Int most) {
  return std::uniform_int_distribution<Int>(least, most)(engine);
}

inline std::string bytes_of(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(bytes).str();
}

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The names in a folder, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& e : std::filesystem::directory_iterator(folder)) names.push_back(e.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Changes one bit of a file in place.
inline void flip_bit(const std::string& path, std::uint64_t byte, unsigned bit = 0) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(byte));
  const int c = file.get();
  BOOST_REQUIRE(c >= 0);
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(static_cast<char>(static_cast<unsigned>(c) ^ 1u << bit));
}

/// Runs `work` in a child process and returns what it returns: 1 if it throws, and 128 + its number if a signal ends
/// it, as a shell does. Boost.Test's checks count nothing there.
template <class F>
int in_child(F&& work) {
  std::signal(SIGCHLD, SIG_DFL);  // Boost.Test takes a child that fails for an error
  std::cout.flush();
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    for (const int s : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) std::signal(s, SIG_DFL);
    int status = 1;
    try {
      status = work();
    } catch (const std::exception& e) {
      std::cerr << "in the child: " << e.what() << std::endl;
    }
    if (__gcov_dump != nullptr) __gcov_dump();  // which an exit like this would lose
    ::_exit(status);                            // neither destructors nor libhdf5's own exit belong to the child
  }
  int status = 0;
  BOOST_REQUIRE_EQUAL(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// The same for work that returns text (of less than a pipe's 64 KiB): what it returned, empty if it did not get there.
template <class F>
std::string told_by_child(F&& work) {
  int ends[2];
  BOOST_REQUIRE_EQUAL(::pipe(ends), 0);
  in_child([&] {
    const std::string text = work();
    return ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1;
  });
  ::close(ends[1]);
  std::string text(65536, '\0');
  const ssize_t n = ::read(ends[0], text.data(), text.size());
  ::close(ends[0]);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return text;
}

/// The same in a process of the user nobody, who owns nothing; here, where this process may not become that.
template <class F>
std::string told_by_nobody(F&& work) {
  if (::geteuid() != 0) return work();
  return told_by_child([&]() -> std::string {
    if (::setegid(65534) != 0 || ::seteuid(65534) != 0) return "cannot become nobody";
    const std::string text = work();
    return ::seteuid(0) == 0 ? text : "cannot become root again";
  });
}

}  // namespace support
