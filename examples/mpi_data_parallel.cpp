// How do many processes that train one model share a checkpoint? Each has all of the model and sees its own samples; the parameters and
// the optimizer are the same on every rank, so one copy is written, and compared between the ranks. What differs is each
// rank's random generator, for the augmentation: it lies below /ranks/<n>.
//
//   mpiexec -n 4 examples/mpi_data_parallel
//   mpiexec -n 3 examples/mpi_data_parallel --resume
//
// On the same number of ranks the resumed run is bit for bit the one that was never killed. On another number the model, the optimizer
// and the position in the data are what was saved, and the generators are made anew.
#include <cstdint>
#include <iostream>
#include <map>
#include <random>
#include <string>

#include "common/distributed_digits.hpp"

namespace {

int train(const example::options& options) {
  const example::ranks world;
  const example::digits data = example::load_digits(options.data);
  example::mlp model = example::initial_model(), gradient;
  std::map<std::string, example::tensor> momentum;
  std::int64_t step = 0, samples = 0;
  const auto generator = [&] { return std::mt19937_64(static_cast<std::uint64_t>(step) * 1'000'003 + static_cast<std::uint64_t>(world.rank)); };
  std::mt19937_64 augmentation = generator();

  holdfast::state state;
  for (const auto& [name, p] : model.parameters()) {
    momentum[name] = example::zeros_like(*p);
    state.bind("model/" + name, *p).bind("optimizer/state/" + name + "/momentum_buffer", momentum[name]);
  }
  state.bind("progress/step", step).bind("data/samples", samples).bind(holdfast::mpi::rank_only(world.comm, "rng/augmentation"), augmentation);

  holdfast::mpi::checkpoint_directory checkpoints(world.comm, options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state, {}, [&](std::int64_t saved) {
          augmentation = generator();
          if (world.rank == 0) std::cout << "saved by " << saved << " ranks: the generators begin anew" << std::endl;
        }))
      if (world.rank == 0) std::cout << "resumed at step " << found->step << std::endl;

  const holdfast::preemption_signal signal;
  bool preempted = false;
  while (step < options.steps && !preempted) {
    example::digit_set own = example::own_samples(world, data.train, samples);
    for (float& pixel : own.images.data) pixel *= 0.9f + 0.2f * static_cast<float>(augmentation() >> 40) / static_cast<float>(1 << 24);
    const float loss = example::mean_gradient(world, model, own, gradient);
    const auto slopes = gradient.parameters();
    for (std::size_t n = 0; const auto& [name, p] : model.parameters()) {
      const example::tensor& slope = *slopes[n++].second;
      example::tensor& buffer = momentum[name];
      for (std::size_t i = 0; i < p->data.size(); ++i) p->data[i] -= 0.05f * (buffer.data[i] = 0.9f * buffer.data[i] + slope.data[i]);
    }
    ++step;
    samples += example::batch_size;
    preempted = holdfast::mpi::preempted(world.comm, signal);
    if (step % options.checkpoint_every != 0 && !preempted) continue;
    checkpoints.save(step, state, {.metric = loss});
    if (world.rank == 0) std::cout << "step " << step << " loss " << loss << std::endl;
  }

  if (!options.final_file.empty()) holdfast::mpi::save(world.comm, options.final_file, state);
  if (world.rank == 0)
    std::cout << "test accuracy " << example::accuracy(example::predict(model, data.test.images), data.test.labels) << " after " << step << " steps on " << world.size << " ranks" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return example::run_ranks(argc, argv, "Handwritten digits on many ranks, each with its own samples and generator",
                            {.steps = 2000, .checkpoint_every = 100, .checkpoint_dir = "runs/mpi_data_parallel", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"}, train);
}
