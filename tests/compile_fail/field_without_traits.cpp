// The member of a struct is what cannot be saved.
#include <holdfast/holdfast.hpp>

struct net {
  float weight = 0;
  long double loss = 0;  // no dtype holds its bytes
};
template <>
struct holdfast::traits<net> : holdfast::fields<holdfast::field<&net::weight>, holdfast::field<&net::loss>> {};

// error: holdfast cannot save this type: specialise holdfast::traits<T>
// error: long double
void f(holdfast::state& state, net& object) { state.bind("object", object); }
