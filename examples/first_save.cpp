#include <iostream>
#include <random>
#include <vector>

#include <holdfast/holdfast.hpp>

struct model {
  std::vector<float> weight = std::vector<float>(1000), bias = std::vector<float>(10);
};
template <>
struct holdfast::traits<model> : holdfast::fields<holdfast::field<&model::weight>, holdfast::field<&model::bias>> {};

int main() {
  model net;
  std::mt19937_64 engine;
  holdfast::state state;
  state.bind("model", net).bind("rng", engine);

  holdfast::save("first_save.h5", state);
  const auto next = engine();
  holdfast::restore("first_save.h5", state);
  std::cout << (engine() == next ? "the engine goes on where it was saved\n" : "this cannot happen\n");
}
