#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <holdfast/core/visitor.hpp>
#include <holdfast/types/array.hpp>

namespace holdfast {

/// The generator of C's `rand()` and POSIX's `random()`, whose state glibc keeps where nobody can read it: an object of this
/// class seeds it (`initstate`) with a state of its own, which can be saved and is put back with the random generators, last.
/// It is the process's one generator: make one object, before the first draw, and let no other thread draw while a state is
/// saved or restored. `srand` goes on working. When the object ends, the generator has the state that it had before it.
class c_random {
 public:
  static constexpr std::size_t words = 32;  ///< glibc's default generator, which `srand` seeds too: the same numbers

  /// As `srand(seed)`.
  explicit c_random(unsigned seed) : before_(::initstate(seed, reinterpret_cast<char*>(words_.data()), sizeof words_)) {}
  c_random(const c_random&) = delete;
  c_random& operator=(const c_random&) = delete;
  ~c_random() { ::setstate(before_); }

  /// glibc's 32 words: the position and kind, then the state.
  std::array<std::int32_t, words> state() const {
    ::setstate(const_cast<char*>(reinterpret_cast<const char*>(words_.data())));  // which writes the position into the first word
    return words_;
  }
  /// Throws `error` for what is no such state, for the C library would not look.
  void state(const std::array<std::int32_t, words>& from) {
    constexpr std::int32_t kinds = 5, additive_31 = 3;
    if (from[0] < 0 || from[0] % kinds != additive_31 || from[0] / kinds >= static_cast<std::int32_t>(words) - 1)
      throw error("the saved state of C's rand() is none that it can be in; it was saved by another C library, or is damaged");
    char other[sizeof words_];
    ::initstate(1, other, sizeof other);  // so that words_ is not in use while it is written
    words_ = from;
    ::setstate(reinterpret_cast<char*>(words_.data()));
  }

 private:
  alignas(8) std::array<std::int32_t, words> words_{};
  char* before_;
};

template <>
struct traits<c_random> {
  static void visit(c_random& r, visitor& v) {
    v.value([&r] { return r.state(); }, [&r](const std::array<std::int32_t, c_random::words>& s) { r.state(s); }, restore_order::random);
  }
};

}  // namespace holdfast
