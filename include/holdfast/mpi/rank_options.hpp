#pragma once
#include <mpi.h>

namespace holdfast::mpi {

/// Whether a save compares what is bound whole on every rank, and written by one, between the ranks.
enum class replicas { compare,
                      trust };

/// How tensors of 64 KiB and more get to the file; it has the same bytes. `positional`: each rank writes its blocks by itself, several at
/// once, past the page cache where that pays. `collective`: all ranks together by `MPI_File_write_at_all`, so that MPI-IO may have a few of
/// them write for all; for file systems that want few large writers, and only on the operating system's own files.
enum class writes { positional,
                    collective };

/// What a save by many ranks is told beside `save_options`; the same on all ranks.
struct rank_options {
  mpi::replicas replicas = mpi::replicas::compare;  ///< whether what every rank has is compared between them
  mpi::writes writes = mpi::writes::positional;     ///< how tensors of 64 KiB and more get to the file
  MPI_Info hints = MPI_INFO_NULL;                   ///< for MPI-IO where writes are collective (cb_nodes, striping_factor); the program's own, and valid until the save has ended
};

}  // namespace holdfast::mpi
