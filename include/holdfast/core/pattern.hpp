#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <holdfast/core/error.hpp>

namespace holdfast::detail {

/// A glob over paths: `*` is any run of characters inside one component, `**` any run of them and of slashes, `?` one
/// character. It matches a path as a whole, or a group above it: "model" selects everything below /model.
template <class>
class basic_pattern {
 public:
  explicit basic_pattern(std::string_view text) : text_(text.starts_with('/') ? text.substr(1) : text) {
    if (text_.empty()) throw error("empty pattern: name a path, or \"**\" for all");
  }

  const std::string& text() const noexcept { return text_; }

  bool matches(std::string_view path) const { return static_cast<bool>(captures(path)); }

  /// What each wildcard stood for and, last, what followed the matched group ("" or "/rest").
  std::optional<std::vector<std::string_view>> captures(std::string_view path) const {
    std::vector<std::string_view> found;
    if (match(text_, path, found)) return found;
    return std::nullopt;
  }

  std::size_t wildcards() const {
    std::size_t n = 0;
    for (std::string_view rest = text_; !rest.empty(); rest.remove_prefix(token(rest))) n += wild(rest);
    return n;
  }

  /// `text_` with its wildcards replaced in order and the remainder appended.
  std::string filled(const std::vector<std::string_view>& captured) const {
    std::string s;
    std::size_t i = 0;
    for (std::string_view rest = text_; !rest.empty(); rest.remove_prefix(token(rest)))
      s += wild(rest) ? captured[i++] : rest.substr(0, 1);
    return s += captured.back();
  }

 private:
  static bool wild(std::string_view t) { return t.front() == '*' || t.front() == '?'; }
  static std::size_t token(std::string_view t) { return t.starts_with("**") ? 2 : 1; }

  static bool match(std::string_view p, std::string_view s, std::vector<std::string_view>& found) {
    while (!p.empty() && !wild(p)) {
      if (s.empty() || s.front() != p.front()) return false;
      p.remove_prefix(1);
      s.remove_prefix(1);
    }
    if (p.empty()) {
      if (!s.empty() && s.front() != '/') return false;
      found.push_back(s);
      return true;
    }
    const bool deep = p.starts_with("**"), one = p.front() == '?';
    const std::string_view rest = p.substr(token(p));
    std::size_t longest = one ? std::size_t{1} : deep ? s.size()
                                                      : std::min(s.find('/'), s.size());
    if (one && (s.empty() || s.front() == '/')) return false;
    const std::size_t shortest = one ? 1 : 0;
    for (std::size_t n = longest + 1; n-- > shortest;) {
      found.push_back(s.substr(0, n));
      const std::size_t kept = found.size();
      if (match(rest, s.substr(n), found)) return true;
      found.resize(kept - 1);
    }
    return false;
  }

  std::string text_;
};
using pattern = basic_pattern<void>;

}  // namespace holdfast::detail
