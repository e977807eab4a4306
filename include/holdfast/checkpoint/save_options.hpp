#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include <holdfast/core/digest.hpp>
#include <holdfast/io/storage.hpp>

namespace holdfast {

/// How `save_async` copies what it saves: whole, and the program goes on while the copy is written; or through a few pieces of memory, as `save`
/// does, and the program goes on when the last piece is copied, while it is written and made durable. The second is for states larger
/// than the memory that is left.
enum class staging { snapshot,
                     stream_through };

/// How a checkpoint is saved, and what is noted in it.
struct save_options {
  std::int64_t step = -1;                                    ///< of the training run, kept in the trailer and at /holdfast/step; -1: not given
  double metric = std::numeric_limits<double>::quiet_NaN();  ///< kept in the trailer; NaN: not given
  io::replace existing = io::replace::yes;                   ///< whether a file of that name may be replaced
  io::storage* storage = nullptr;                            ///< where to write; null: the operating system's files
  seal_key key{};                                            ///< seals the file against others who can write to it; null: against accidents
  io::mode io = io::mode::automatic;                         ///< how the bytes get to the file; `direct` throws where that is refused
  bool durable = true;                                       ///< false: not synced, so that a power failure may take or damage the file; a crash of the program cannot
  std::string recycle{};                                     ///< a file in the same folder that is no longer needed and may be overwritten to become this one; empty: none
  std::size_t staging_bytes = std::size_t{16} << 20;         ///< page-locked memory that `save` brings the content of GPUs through; a snapshot takes as much as the file
  holdfast::staging staging = holdfast::staging::snapshot;   ///< how `save_async` copies
};

}  // namespace holdfast
