#pragma once
/// Checkpoints of many processes: `holdfast::mpi::save(MPI_COMM_WORLD, "run.h5", state)`. Compile and link with an MPI of version 3
/// or newer.
#include <holdfast/mpi/directory.hpp>
#include <holdfast/mpi/restore.hpp>
#include <holdfast/mpi/save.hpp>
