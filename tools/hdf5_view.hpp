#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tool {

/// What libhdf5 finds in a file and no reader gives. Only for files that one trusts.
struct hdf5_view {
  std::map<std::string, std::uint64_t> offsets{};  ///< where the bytes of contiguous datasets begin, by each of their names
  std::vector<std::string> attributes{};           ///< of others than holdfast, "/path (name)"
  std::vector<std::string> links{};                ///< soft, external or user-defined: their paths
  std::string digests{};                           ///< the text of /holdfast/digests
  bool keyed = false;                              ///< whether those digests were made with a key

  /// Throws `holdfast::format_error` for what libhdf5 cannot read.
  explicit hdf5_view(const std::string& path);
};

}  // namespace tool
