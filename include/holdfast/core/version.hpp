#pragma once
#include <cstdint>

/// The library's version, by the rules of docs/versioning.md: for `#if`, and as text.
#define HOLDFAST_VERSION_MAJOR 0
#define HOLDFAST_VERSION_MINOR 1
#define HOLDFAST_VERSION_PATCH 0
#define HOLDFAST_VERSION "0.1.0"

namespace holdfast {

/// The newest file format that this library reads; it reads every older one too. Version 2 is written for files that are sealed
/// with a key; all others are of version 1, which every release reads.
inline constexpr std::uint32_t format_version = 2;

}  // namespace holdfast
