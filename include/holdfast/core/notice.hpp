#pragma once
#include <cstdio>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

namespace holdfast {

/// Gets the text of something that is no exception; called from any thread, one at a time.
using notice_hook = std::function<void(const std::string&)>;

namespace detail {

/// Where messages go that no caller waits for: a hook or, without one, stderr.
class notices {
 public:
  static notices& warnings() {
    static notices all("warning: ");
    return all;
  }
  static notices& unobserved_errors() {
    static notices all("a save in the background failed, and nobody asked: ");
    return all;
  }

  void set(notice_hook h) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(h);
  }

  void report(const std::string& message) noexcept {
    try {
      const std::lock_guard lock(mutex_);
      if (hook_) hook_(message);
      else std::fprintf(stderr, "holdfast: %s%s\n", prefix_, message.c_str());
    } catch (...) {  // destructors call this: a hook that throws must not end the program
    }
  }

 private:
  explicit notices(const char* prefix) : prefix_(prefix) {}
  const char* prefix_;
  std::mutex mutex_;
  notice_hook hook_;
};

}  // namespace detail

/// Sets the function that gets the text of errors of background saves that nobody waited for. It may be called from any
/// thread that destroys a saver. An empty function restores the default, which prints to stderr.
inline void on_unobserved_error(notice_hook hook) { detail::notices::unobserved_errors().set(std::move(hook)); }

/// Sets the function that gets the text of warnings, such as that a save lacks what `state::expects` declares. An empty
/// function restores the default, which prints to stderr.
inline void on_warning(notice_hook hook) { detail::notices::warnings().set(std::move(hook)); }

}  // namespace holdfast
