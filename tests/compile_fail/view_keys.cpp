// Keys that come from a file must own their text.
#include <holdfast/holdfast.hpp>

// error: holdfast cannot save this type
void f(holdfast::state& state, std::map<std::string_view, float>& losses) { state.bind("losses", losses); }
