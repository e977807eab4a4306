// The elements of a tensor are numbers: a struct has no dtype.
#include <holdfast/holdfast.hpp>

struct point {
  float x, y;
};

// error: no matching function for call to .*tensor
// error: element
auto f(point* points) { return holdfast::tensor(points, {3}); }
