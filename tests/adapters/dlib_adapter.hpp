// my_program/dlib_adapter.hpp: with this, dlib::matrix and dlib::rand bind like any other type.
#pragma once
#include <dlib/matrix.h>
#include <dlib/rand.h>
#include <holdfast/holdfast.hpp>
#include <sstream>

// Elements that lie in memory: say where, of which extents, in which order. NR or NC of 0 means that it is decided at run time.
template <holdfast::element T, long NR, long NC, class Memory, class Layout>
struct holdfast::traits<dlib::matrix<T, NR, NC, Memory, Layout>> {
  using matrix = dlib::matrix<T, NR, NC, Memory, Layout>;
  static tensor_view view(matrix& m) {
    const shape s{m.nr(), m.nc()};
    return tensor_view(m.begin(), s, std::is_same_v<Layout, dlib::row_major_layout> ? std::vector<std::int64_t>() : column_major(s));
  }
  static bool accepts(const matrix&, const shape& s) { return s.rank() == 2 && (NR == 0 || NR == s[0]) && (NC == 0 || NC == s[1]); }
  static void resize(matrix& m, const shape& s) { m.set_size(s[0], s[1]); }
};

// State that is only reached through functions: how to get it as something that binds, and how to put it back.
template <>
struct holdfast::traits<dlib::rand> {
  static void visit(dlib::rand& generator, visitor& v) {
    const auto get = [&generator] {
      std::ostringstream out;
      dlib::serialize(generator, out);
      return out.str();
    };
    const auto set = [&generator](const std::string& text) {
      std::istringstream in(text);
      dlib::deserialize(generator, in);
    };
    v.value(get, set, holdfast::restore_order::random);  // after everything else
  }
};
