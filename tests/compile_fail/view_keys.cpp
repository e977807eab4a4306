// Keys that come from a file must own their text.
#include <holdfast/holdfast.hpp>

#include <map>

// error: holdfast cannot save this type
void f(holdfast::state& state, std::map<std::string_view, float>& losses) { state.bind("losses", losses); }
