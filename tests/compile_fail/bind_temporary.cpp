// A temporary would be gone before it is saved.
#include <holdfast/holdfast.hpp>

#include <vector>

// error: bind takes lvalues
void f(holdfast::state& state) { state.bind("weight", std::vector<float>(3)); }
