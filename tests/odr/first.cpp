#include "odr.hpp"

void odr::save(const std::string& file, program& p) {
  holdfast::state state;
  state.bind("program", p);
  holdfast::save(file, state);
}
