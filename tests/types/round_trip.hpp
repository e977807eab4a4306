#pragma once
/// What the tests of types share: a value through a real file into another object.
#include <holdfast/separate.hpp>

#include "../support.hpp"

namespace round_trip {

/// A file of its own for one or more objects, each bound as "x".
class file {
 public:
  template <class T>
  file& save(T&& object) {
    holdfast::state s;
    s.bind("x", std::forward<T>(object));
    holdfast::save(path(), s);
    return *this;
  }
  template <class T>
  holdfast::restore_report restore(T&& object, const holdfast::restore_options& options = {}) const {
    holdfast::state s;
    s.bind("x", std::forward<T>(object));
    return holdfast::restore(path(), s, options);
  }
  /// The differences that a strict restore into `object` is refused for, without the first line.
  template <class T>
  std::string refusal(T&& object, const holdfast::restore_options& options = {}) const {
    const std::string message = support::message_of<holdfast::mismatch_error>([&] { restore(std::forward<T>(object), options); });
    return message.substr(std::min(message.find('\n'), message.size()));
  }
  std::string path() const { return folder_ / "a.h5"; }

 private:
  support::folder folder_;
};

/// A copy of `object`, made through a file, in `into`.
template <class T>
T copy(T& object, T into = T()) {
  file f;
  f.save(object).restore(into);
  return into;
}

}  // namespace round_trip
