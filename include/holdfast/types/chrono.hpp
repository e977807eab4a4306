#pragma once
#include <chrono>
#include <string>

#include <holdfast/core/visitor.hpp>

namespace holdfast {
namespace detail {

/// A count of some unit, as a group of both, so that a restore into another unit is refused.
template <class Rep, class Period>
struct ticks {
  Rep count;
};

}  // namespace detail

template <class Rep, class Period>
struct traits<detail::ticks<Rep, Period>> {
  static void visit(detail::ticks<Rep, Period>& t, visitor& v) {
    v.identity("unit", std::to_string(Period::num) + "/" + std::to_string(Period::den) + " s");
    v("count", t.count);
  }
};

/// A group of `count` and `unit` ("1/1000 s"); a restore requires the same unit.
template <class Rep, class Period>
struct traits<std::chrono::duration<Rep, Period>> {
  using duration = std::chrono::duration<Rep, Period>;
  static void visit(duration& d, visitor& v) {
    using ticks = detail::ticks<Rep, Period>;
    v.value([&d] { return ticks{d.count()}; }, [&d](ticks t) { d = duration(t.count); });
  }
};

/// As its time since the clock's epoch, which means something to another process only for clocks such as system_clock.
template <class Clock, class Duration>
struct traits<std::chrono::time_point<Clock, Duration>> {
  using time_point = std::chrono::time_point<Clock, Duration>;
  static void visit(time_point& t, visitor& v) {
    v.value([&t] { return t.time_since_epoch(); }, [&t](Duration d) { t = time_point(d); });
  }
};

}  // namespace holdfast
