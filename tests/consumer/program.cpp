// A program of another project: saves, restores, and prints the version it was compiled with.
#include <holdfast/holdfast.hpp>

#include <iostream>
#include <vector>

int main(int, char** argv) {
  const std::vector<float> trained{1.5F, -2.0F, 0.25F};
  std::vector<float> weight = trained;
  holdfast::state state;
  state.bind("model/weight", weight);
  holdfast::save(argv[1], state);
  weight.assign(trained.size(), 0);
  holdfast::restore(argv[1], state);
  if (weight != trained) return 1;
  std::cout << HOLDFAST_VERSION << '\n';
}
