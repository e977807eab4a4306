// A type that nobody taught holdfast: the message names both forms of traits.
#include <holdfast/holdfast.hpp>

struct opaque {
  int* pointer = nullptr;
};

// error: specialise holdfast::traits<T> with `static tensor_view view\(T&\)`.*`static void visit\(T&, holdfast::visitor&\)`
void f(holdfast::state& state, opaque& object) { state.bind("object", object); }
