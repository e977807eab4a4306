#pragma once
#include <string>
#include <vector>

namespace tool {

/// How a path that is being typed may go on, up to the next group, in the first of the words that names a file.
std::vector<std::string> paths_in(const std::vector<std::string>& words, const std::string& typed);

}  // namespace tool
