#pragma once
/// libtorch (1.13 and 2.x), on the CPU. docs/guides/libtorch.md says what the file then holds.
///
///   state.bind("model", *net)                                    // any torch::nn::Module, ModuleHolder or shared_ptr to one
///        .bind("optimizer", holdfast::optimizer(adam, *net))     // SGD, Adam, AdamW, RMSprop, Adagrad, LBFGS
///        .bind("scheduler", step_lr)                             // StepLR, ReduceLROnPlateauScheduler
///        .bind("rng/torch", holdfast::default_generator())       // or any torch::Generator
///        .bind("hidden", hidden);                                // a torch::Tensor
///
/// Tensors are looked up at each save and restore, not when they are bound. A restore writes into their memory: parameters
/// stay the objects that they are, at their addresses, and graphs that hold their old values refuse to go backward.
#include <holdfast/adapters/torch/optimizer.hpp>
#include <holdfast/adapters/torch/scheduler.hpp>
#include <holdfast/adapters/torch/tensor.hpp>
