// An object bound as const gets the same answer as any other.
#include <holdfast/holdfast.hpp>

struct opaque {
  int* pointer = nullptr;
};

// error: holdfast cannot save this type|holdfast::traits is not specialised for this type
void f(holdfast::state& state, const opaque& object) { state.bind("object", object); }
