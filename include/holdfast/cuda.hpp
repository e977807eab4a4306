#pragma once
/// CUDA tensors in a checkpoint: `state.bind("w", holdfast::cuda::tensor(pointer, {rows, cols}, stream))`. Compiles with any C++
/// compiler; link with the CUDA runtime (12.0 or newer).
#include <holdfast/cuda/buffer.hpp>
#include <holdfast/cuda/error.hpp>
#include <holdfast/cuda/staging.hpp>
#include <holdfast/cuda/tensor.hpp>
