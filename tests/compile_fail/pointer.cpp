// A raw pointer says neither how much there is nor who owns it: bind holdfast::tensor(pointer, {extents}).
#include <holdfast/holdfast.hpp>

// error: holdfast cannot save this type
void f(holdfast::state& state, float* weights) { state.bind("weights", weights); }
