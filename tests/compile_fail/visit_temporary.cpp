// A part that a traits::visit names must live on after it; state behind functions is visited with visitor::value.
#include <holdfast/holdfast.hpp>

class counter {
 public:
  int steps() const { return steps_; }

 private:
  int steps_ = 0;
};
template <>
struct holdfast::traits<counter> {
  // error: no match for call|no matching function for call to object of type '(holdfast::)?visitor'
  static void visit(counter& c, visitor& v) { v("steps", c.steps()); }
};
