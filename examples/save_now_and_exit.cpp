// How does a run leave a machine that is taken away, losing nothing? Slurm and its like send a signal, wait for a time of
// grace, then kill: so the loop looks at a flag between two steps, saves when it is set, and ends with a status that makes
// the job run again. A job script around it:
//
//   #SBATCH --signal=USR1@120 --requeue
//   srun examples/save_now_and_exit || [ $? -ne 75 ] || scontrol requeue $SLURM_JOB_ID
//
// One step and one save must fit into the time of grace; the program prints what the save took.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include <holdfast/holdfast.hpp>

/// EX_TEMPFAIL of sysexits.h: not done, try again.
constexpr int run_me_again = 75;

/// Fits a plane through noisy points by SGD with momentum.
struct regression {
  std::vector<double> weight = std::vector<double>(8), momentum = std::vector<double>(8);
  std::mt19937_64 engine{1};
  std::normal_distribution<double> noise{0.0, 0.1};

  double step() {
    std::uniform_real_distribution<double> draw(-1, 1);
    std::vector<double> x(weight.size());
    double error = noise(engine);
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = draw(engine);
      error += (weight[i] - static_cast<double>(i)) * x[i];
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      momentum[i] = 0.9 * momentum[i] + error * x[i];
      weight[i] -= 0.01 * momentum[i];
    }
    return error * error;
  }
};

int train(const std::string& folder, std::int64_t steps) {
  regression run;
  std::int64_t step = 0;
  holdfast::state state;
  state.bind("model/weight", run.weight)
      .bind("optimizer/momentum", run.momentum)
      .bind("rng/engine", run.engine)
      .bind("rng/noise", run.noise)
      .bind("progress/step", step)
      .expects({holdfast::role::model, holdfast::role::optimizer, holdfast::role::rng, holdfast::role::progress});

  holdfast::checkpoint_directory checkpoints(folder, {.keep_last = 2});
  if (const auto found = checkpoints.restore_latest(state)) std::cout << "resumed at step " << found->step << std::endl;
  if (step >= steps) {
    std::cout << "nothing left to do" << std::endl;
    return 0;
  }

  const holdfast::preemption_signal preempted;
  double loss = 0;
  while (step < steps && !preempted) {
    loss = run.step();
    if (++step % 1'000'000 == 0) {
      checkpoints.save(step, state, {.metric = loss});
      std::cout << "step " << step << " loss " << loss << std::endl;
    }
  }
  if (preempted) {
    checkpoints.save(step, state, {.metric = loss});
    const std::chrono::duration<double> grace_used = preempted.elapsed();
    std::cout << "signal " << preempted.number() << ": saved at step " << step << ", " << grace_used.count() << " s of the time of grace" << std::endl;
    return run_me_again;
  }
  checkpoints.save(steps, state, {.metric = loss});
  std::cout << "finished at step " << step << std::endl;
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 3) {
    std::cerr << "usage: save_now_and_exit [FOLDER [STEPS]]\n";
    return 2;
  }
  try {
    return train(argc > 1 ? argv[1] : "runs/save_now_and_exit", argc > 2 ? std::atoll(argv[2]) : 100'000'000);
  } catch (const holdfast::error& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
