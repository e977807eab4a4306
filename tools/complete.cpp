#include "complete.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "tool.hpp"

namespace tool {

std::vector<std::string> paths_in(const std::vector<std::string>& words, const std::string& typed) {
  std::error_code none;
  const auto named = std::find(words.begin(), words.end(), "--key-file");
  const auto key_file = named == words.end() ? words.end() : named + 1;
  const auto file = std::find_if(words.begin(), words.end(), [&](const std::string& w) { return !w.starts_with('-') && (key_file == words.end() || &w != &*key_file) && std::filesystem::exists(w, none); });
  if (file == words.end()) return {};
  const char* const usual = std::getenv(key_variable);
  const std::string key = key_file != words.end() ? *key_file : usual != nullptr ? usual
                                                                                 : "";
  const auto in = open(*file, key.empty() ? nullptr : key_in(key), std::find(words.begin(), words.end(), "foreign") != words.end() ? holdfast::trust::foreign : holdfast::trust::sealed_only);
  const bool slash = typed.starts_with('/');
  std::vector<std::string> found;
  for (const holdfast::entry& e : in->entries()) {
    const std::string path = (slash ? "/" : "") + e.path;
    if (!path.starts_with(typed)) continue;
    const std::size_t end = path.find('/', typed.size());
    found.push_back(end == std::string::npos ? path : path.substr(0, end + 1));
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::string> once;  // a container is there, and what is in it
  std::copy_if(found.begin(), found.end(), std::back_inserter(once), [&](const std::string& f) { return !std::binary_search(found.begin(), found.end(), f + "/"); });
  return once;
}

}  // namespace tool
