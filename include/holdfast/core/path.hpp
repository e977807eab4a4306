#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <holdfast/core/error.hpp>

namespace holdfast {

/// Makes any text one component of a path. HDF5 link names hold neither '/' nor NUL, and "." means the group itself,
/// so these, '%' and control characters are written %XX; an empty text becomes "%". UTF-8 stays as it is.
inline std::string encode_component(std::string_view text) {
  if (text.empty()) return "%";
  std::string s;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool lone_dot = c == '.' && (text == "." || text == "..");
    if (c < 0x20 || c == 0x7f || c == '/' || c == '%' || lone_dot) {
      s += '%';
      s += "0123456789ABCDEF"[c >> 4];
      s += "0123456789ABCDEF"[c & 15];
    } else {
      s += static_cast<char>(c);
    }
  }
  return s;
}

/// The inverse of `encode_component`; text that was not made by it comes back as it is.
inline std::string decode_component(std::string_view component) {
  if (component == "%") return {};
  const auto hex = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                                                             : -1; };
  std::string s;
  for (std::size_t i = 0; i < component.size(); ++i) {
    if (component[i] == '%' && i + 2 < component.size() && hex(component[i + 1]) >= 0 && hex(component[i + 2]) >= 0) {
      s += static_cast<char>(hex(component[i + 1]) * 16 + hex(component[i + 2]));
      i += 2;
    } else {
      s += component[i];
    }
  }
  return s;
}

namespace detail {

/// Whether `path` is `group` or lies below it.
inline bool within(std::string_view path, std::string_view group) {
  return path.starts_with(group) && (path.size() == group.size() || path[group.size()] == '/');
}

/// `path` without a leading slash. Throws `error` for what HDF5 cannot hold as a path or reads as another one.
inline std::string_view checked_path(std::string_view path) {
  const auto refuse = [&](const char* why) {
    std::string shown;
    for (char c : path) shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? encode_component({&c, 1}) : std::string(1, c);
    throw error("\"" + shown + "\" cannot name a part of a checkpoint: " + why + "; holdfast::encode_component makes any text one component");
  };
  const std::string_view result = path.starts_with('/') ? path.substr(1) : path;
  std::string_view rest = result;
  if (rest.empty()) refuse("empty name");
  for (bool last = false; !last;) {
    const std::size_t slash = rest.find('/');
    last = slash == std::string_view::npos;
    const std::string_view part = rest.substr(0, slash);
    if (part.empty()) refuse("empty component");
    if (part == "." || part == "..") refuse("\".\" and \"..\" are not names");
    for (char c : part)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) refuse("control character or NUL in the name");
    if (!last) rest.remove_prefix(slash + 1);
  }
  if (within(result, "holdfast")) refuse("/holdfast is the library's own group");
  return result;
}

}  // namespace detail
}  // namespace holdfast
