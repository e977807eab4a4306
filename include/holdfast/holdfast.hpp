#pragma once
/// All of holdfast that needs no library beyond HDF5 and xxHash. Adapters, CUDA, MPI and testing headers are included
/// one by one where they are wanted.
#include <holdfast/checkpoint/compare.hpp>
#include <holdfast/checkpoint/directory.hpp>
#include <holdfast/checkpoint/file.hpp>
#include <holdfast/checkpoint/preemption_signal.hpp>
#include <holdfast/checkpoint/restore.hpp>
#include <holdfast/checkpoint/save.hpp>
#include <holdfast/core/state.hpp>
#include <holdfast/core/version.hpp>
#include <holdfast/core/views.hpp>
#include <holdfast/types/array.hpp>
#include <holdfast/types/atomic.hpp>
#include <holdfast/types/c_random.hpp>
#include <holdfast/types/chrono.hpp>
#include <holdfast/types/map.hpp>
#include <holdfast/types/optional.hpp>
#include <holdfast/types/random.hpp>
#include <holdfast/types/sequence.hpp>
#include <holdfast/types/string.hpp>
#include <holdfast/types/tuple.hpp>
#include <holdfast/types/vector.hpp>
