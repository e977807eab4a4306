#include "contenders.hpp"

int main() {
  compare::worker all;
  compare::add_limits(all);
  compare::add_holdfast(all);
  compare::add_hdf5(all);
  compare::add_safetensors_layout(all);
#ifdef HAVE_CEREAL
  compare::add_cereal(all);
#endif
#ifdef HAVE_HIGHFIVE
  compare::add_highfive(all);
#endif
  return all.serve();
}
