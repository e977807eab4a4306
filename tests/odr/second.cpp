#include "odr.hpp"

void odr::restore(const std::string& file, program& p) {
  holdfast::state state;
  state.bind("program", p);
  holdfast::restore(file, state);
}
