// Nor may a temporary struct be bound, whatever its traits say.
#include <holdfast/holdfast.hpp>

struct net {
  float weight = 0;
};
template <>
struct holdfast::traits<net> : holdfast::fields<holdfast::field<&net::weight>> {};

// error: bind takes lvalues: a temporary would be gone before it is saved \(only views may be bound as rvalues\)
void f(holdfast::state& state) { state.bind("model", net()); }
