#pragma once
#include "worker.hpp"

namespace compare {

/// What the machine can do: the bare best ways of moving the same bytes.
void add_limits(worker& to);
void add_holdfast(worker& to);
/// Plain libhdf5: a dataset a tensor, defaults.
void add_hdf5(worker& to);
/// The file layout of safetensors by C++ streams.
void add_safetensors_layout(worker& to);
void add_cereal(worker& to);
void add_highfive(worker& to);
void add_libtorch(worker& to);

}  // namespace compare
