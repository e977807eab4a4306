#include <dlib/matrix.h>
#include <dlib/rand.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <holdfast/holdfast.hpp>

#include "../support.hpp"

// The adapters and the access to a private member of docs/adapters.md; tests/adapters/docs.py holds them to it word for word.

template <class T, long Rows, long Columns, class Memory, class Layout>
struct holdfast::traits<dlib::matrix<T, Rows, Columns, Memory, Layout>> {
  using matrix = dlib::matrix<T, Rows, Columns, Memory, Layout>;

  static tensor_view view(matrix& m) {
    const bool row_major = std::is_same_v<Layout, dlib::row_major_layout>;
    return tensor_view(m.size() == 0 ? nullptr : &m(0, 0), {m.nr(), m.nc()},
                       row_major ? std::vector<std::int64_t>{m.nc(), 1} : std::vector<std::int64_t>{1, m.nr()});
  }
  static void resize(matrix& m, const shape& s)
    requires(Rows == 0 && Columns == 0)
  {
    m.set_size(s[0], s[1]);
  }
};

template <>
struct holdfast::traits<dlib::rand> {
  static void visit(dlib::rand& r, visitor& v) {
    v.value(
        [&r] {
          std::ostringstream out;
          serialize(r, out);
          std::string bytes = out.str();
          bytes.resize(8192);  // of one size, whatever has been drawn
          return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
        },
        [&r](const std::vector<std::uint8_t>& bytes) {
          std::istringstream in(std::string(bytes.begin(), bytes.end()));
          deserialize(r, in);
        },
        restore_order::random);
  }
};

class library_class {
 public:
  explicit library_class(double momentum) : momentum_(momentum) {}
  double momentum() const { return momentum_; }

 private:
  double momentum_;
};

template <auto Member>
struct momentum_of_library_class {
  friend constexpr auto private_momentum() { return Member; }
};
constexpr auto private_momentum();
template struct momentum_of_library_class<&library_class::momentum_>;

template <>
struct holdfast::traits<library_class> {
  static void visit(library_class& c, visitor& v) { v("momentum", c.*private_momentum()); }
};

BOOST_AUTO_TEST_SUITE(adapters_dlib)

using holdfast::restore, holdfast::save, holdfast::state;

BOOST_AUTO_TEST_CASE(matrices_of_either_order) {
  const support::folder folder;
  dlib::matrix<float> m(2, 3), m_restored;
  dlib::matrix<float, 0, 0, dlib::default_memory_manager, dlib::column_major_layout> c(2, 3), c_restored;
  dlib::matrix<double, 2, 1> fixed;
  fixed = 5, 6;
  for (long i = 0; i < 6; ++i) m(i / 3, i % 3) = c(i / 3, i % 3) = static_cast<float>(i);
  state s, t;
  s.bind("m", m).bind("c", c).bind("fixed", fixed);
  save(folder / "a.h5", s);
  fixed = 0, 0;
  t.bind("m", m_restored).bind("c", c_restored).bind("fixed", fixed);
  restore(folder / "a.h5", t);
  BOOST_TEST((m_restored == m));
  BOOST_TEST((c_restored == c));
  BOOST_TEST(fixed(1) == 6);
  const holdfast::checkpoint_file file(folder / "a.h5");
  for (const char* name : {"m", "c"}) {
    const auto in_file = file.map<float>(name);
    BOOST_TEST((std::vector<float>(in_file.begin(), in_file.end())) == (std::vector<float>{0, 1, 2, 3, 4, 5}), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(the_generator_goes_on_from_where_it_was_saved) {
  const support::folder folder;
  dlib::rand r(7), other(8);
  state s, t;
  s.bind("r", r), t.bind("r", other);
  (void)r.get_random_gaussian();  // has drawn one ahead
  save(folder / "a.h5", s);
  restore(folder / "a.h5", t);
  for (int i = 0; i < 10; ++i) BOOST_TEST(other.get_random_gaussian() == r.get_random_gaussian());
}

BOOST_AUTO_TEST_CASE(private_members_can_be_named) {
  const support::folder folder;
  library_class a(0.9), b(0.1);
  state s, t;
  s.bind("a", a), t.bind("a", b);
  save(folder / "a.h5", s);
  restore(folder / "a.h5", t);
  BOOST_TEST(b.momentum() == 0.9);
}

BOOST_AUTO_TEST_SUITE_END()
