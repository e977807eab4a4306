// How is an optimizer saved whose state is spread over the ranks? As in ZeRO-1 each rank keeps the moments of a stretch of every
// parameter's elements, updates that stretch, and the ranks tell each other the new values. In the file a moment is one dataset of the
// parameter's shape, whatever the number of ranks, so that any other number, or one process, takes it up.
//
//   mpiexec -n 4 examples/mpi_sharded_adam
//   mpiexec -n 3 examples/mpi_sharded_adam --resume
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "common/distributed_digits.hpp"

namespace {

/// A rank's stretch of a parameter's elements, and its moments.
struct stretch {
  std::string name;
  example::tensor* parameter;
  std::vector<int> counts, places;  // of all ranks
  std::size_t first;
  std::vector<float> exp_avg, exp_avg_sq;

  stretch(const example::ranks& world, std::string of, example::tensor& p) : name(std::move(of)), parameter(&p) {
    const auto elements = static_cast<int>(p.data.size());
    for (int r = 0; r < world.size; ++r) {
      places.push_back(elements * r / world.size);
      counts.push_back(elements * (r + 1) / world.size - places.back());
    }
    const auto own = static_cast<std::size_t>(world.rank);
    first = static_cast<std::size_t>(places[own]);
    exp_avg.resize(static_cast<std::size_t>(counts[own]));
    exp_avg_sq.resize(exp_avg.size());
  }

  void step(const example::ranks& world, const example::tensor& gradient, std::int64_t number) {
    const auto t = static_cast<float>(number);
    const float rate = 0.002f * std::sqrt(1 - std::pow(0.999f, t)) / (1 - std::pow(0.9f, t));
    std::vector<float> updated(exp_avg.size());
    for (std::size_t i = 0; i < updated.size(); ++i) {
      const float slope = gradient.data[first + i];
      exp_avg[i] = 0.9f * exp_avg[i] + 0.1f * slope;
      exp_avg_sq[i] = 0.999f * exp_avg_sq[i] + 0.001f * slope * slope;
      updated[i] = parameter->data[first + i] - rate * exp_avg[i] / (std::sqrt(exp_avg_sq[i]) + 1e-8f);
    }
    MPI_Allgatherv(updated.data(), static_cast<int>(updated.size()), MPI_FLOAT, parameter->data.data(), counts.data(), places.data(), MPI_FLOAT, world.comm);
  }
};

int train(const example::options& options) {
  const example::ranks world;
  const example::digits data = example::load_digits(options.data);
  example::mlp model = example::initial_model(), gradient;
  std::vector<stretch> optimizer;
  for (const auto& [name, p] : model.parameters()) optimizer.emplace_back(world, name, *p);
  std::int64_t step = 0, samples = 0;

  holdfast::state state;
  for (stretch& s : optimizer) {
    const holdfast::shape whole(s.parameter->shape);
    const std::vector<std::int64_t> first{static_cast<std::int64_t>(s.first)};
    state.bind("model/" + s.name, *s.parameter)
        .bind("optimizer/state/" + s.name + "/exp_avg", holdfast::sharded(s.exp_avg, whole, first))
        .bind("optimizer/state/" + s.name + "/exp_avg_sq", holdfast::sharded(s.exp_avg_sq, whole, first));
  }
  state.bind("progress/step", step).bind("data/samples", samples);

  holdfast::mpi::checkpoint_directory checkpoints(world.comm, options.checkpoint_dir, {.keep_last = 3});
  if (options.resume)
    if (const auto found = checkpoints.restore_latest(state))
      if (world.rank == 0) std::cout << "resumed at step " << found->step << std::endl;

  while (step < options.steps) {
    const float loss = example::mean_gradient(world, model, example::own_samples(world, data.train, samples), gradient);
    ++step;
    samples += example::batch_size;
    const auto slopes = gradient.parameters();
    for (std::size_t n = 0; n < optimizer.size(); ++n) optimizer[n].step(world, *slopes[n].second, step);
    if (step % options.checkpoint_every != 0) continue;
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
  return example::run_ranks(argc, argv, "Handwritten digits on many ranks, Adam's moments spread over them (ZeRO-1)",
                            {.steps = 2000, .checkpoint_every = 100, .checkpoint_dir = "runs/mpi_sharded_adam", .data = HOLDFAST_EXAMPLE_DATA_DIR "/digits.csv"}, train);
}
