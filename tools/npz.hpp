#pragma once
#include <string>
#include <vector>

#include "progress.hpp"
#include "rewrite.hpp"

namespace tool {

/// Writes tensors as one uncompressed .npz file, which appears under its name whole and durable. Content is compared with its digests.
/// Throws `holdfast::error` for what numpy has no type for.
void write_npz(const std::string& path, const std::vector<part>& parts, bool force, progress& bar);

}  // namespace tool
