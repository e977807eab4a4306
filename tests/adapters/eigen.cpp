#include <holdfast/adapters/eigen.hpp>

#include <complex>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <holdfast/separate.hpp>
#include <holdfast/testing/resume_equivalence.hpp>

#include "../types/round_trip.hpp"
#include "bits.hpp"
#include "h5py.hpp"

namespace {

using Eigen::Dynamic;
using round_trip::copy;
using round_trip::file;
using support::require_all;

template <class X>
bool same_bits(const X& a, const X& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && bits::equal(a.data(), b.data(), static_cast<std::size_t>(a.size()));
}

template <class X>
X random_bits(Eigen::Index rows, Eigen::Index cols) {
  X x;
  x.resize(rows, cols);
  bits::fill(x.data(), static_cast<std::size_t>(x.size()));
  return x;
}

/// Into an empty one where it has open extents, and into one of the size.
template <class X>
void check(Eigen::Index rows, Eigen::Index cols) {
  X x = random_bits<X>(rows, cols);
  BOOST_TEST(same_bits(copy(x), x));
  X sized = X::Zero(rows, cols);
  BOOST_TEST(same_bits(copy(x, sized), x));
}

/// Linear regression by gradient descent with momentum.
struct regression {
  Eigen::MatrixXf samples;
  Eigen::VectorXf targets, weight, momentum_buffer;
  bool forgetful;

  explicit regression(bool forgets = false) : samples(Eigen::MatrixXf::NullaryExpr(20, 3, [](Eigen::Index i, Eigen::Index j) { return static_cast<float>((i * 7 + j * 5) % 11) / 11; })),
                                              targets(samples * Eigen::Vector3f(1, -2, 3)),
                                              weight(Eigen::Vector3f::Zero()),
                                              momentum_buffer(Eigen::Vector3f::Zero()),
                                              forgetful(forgets) {}
  void step() {
    momentum_buffer = 0.9f * momentum_buffer + samples.transpose() * (samples * weight - targets) / 20;
    weight -= 0.1f * momentum_buffer;
  }
  void bind(holdfast::state& s) {
    s.bind("weight", weight);
    if (!forgetful) s.bind("momentum_buffer", momentum_buffer);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(eigen)

BOOST_AUTO_TEST_CASE(matrices_and_arrays_of_any_kind_come_back_bit_for_bit) {
  check<Eigen::MatrixXf>(3, 5);
  check<Eigen::Matrix<double, Dynamic, Dynamic, Eigen::RowMajor>>(3, 5);
  check<Eigen::Matrix3d>(3, 3);
  check<Eigen::Matrix<std::int16_t, 2, 5, Eigen::RowMajor>>(2, 5);
  check<Eigen::Matrix<float, Dynamic, 3>>(4, 3);
  check<Eigen::Matrix<float, 3, Dynamic>>(3, 4);
  check<Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 4, 6>>(3, 5);
  check<Eigen::ArrayXXd>(4, 2);
  check<Eigen::Array<float, 2, 3, Eigen::RowMajor>>(2, 3);
  check<Eigen::VectorXf>(7, 1);
  check<Eigen::RowVectorXd>(1, 7);
  check<Eigen::Vector3f>(3, 1);
  check<Eigen::ArrayXf>(5, 1);
  check<Eigen::Matrix<float, 1, 1>>(1, 1);
  check<Eigen::MatrixXf>(0, 5);
  check<Eigen::MatrixXf>(1, 5);
  check<Eigen::MatrixXcf>(2, 3);
  check<Eigen::MatrixXcd>(3, 2);
  check<Eigen::Matrix<Eigen::half, Dynamic, Dynamic>>(2, 3);
  check<Eigen::Matrix<Eigen::bfloat16, Dynamic, Dynamic, Eigen::RowMajor>>(2, 3);
  check<Eigen::Matrix<std::uint8_t, Dynamic, Dynamic>>(2, 3);
  check<Eigen::Matrix<std::int64_t, Dynamic, 1>>(4, 1);
  Eigen::Matrix<bool, Dynamic, Dynamic> mask(2, 2);
  mask << true, false, false, false;
  BOOST_TEST(same_bits(copy(mask), mask));
}

BOOST_AUTO_TEST_CASE(h5py_reads_the_same_indices) {
  const support::folder dir;
  Eigen::MatrixXf by_columns(2, 3);
  by_columns << 0, 1, 2, 10, 11, 12;
  Eigen::Matrix<double, 2, 3, Eigen::RowMajor> by_rows = by_columns.cast<double>();
  Eigen::VectorXf column(2);
  column << 5, 6;
  Eigen::RowVectorXf row(2);
  row << 7, 8;
  Eigen::Matrix<Eigen::half, 1, 2> half(Eigen::half(1.5f), Eigen::half(-2.f));
  Eigen::Matrix<Eigen::bfloat16, 1, 2> brain(Eigen::bfloat16(1.5f), Eigen::bfloat16(-2.f));
  Eigen::MatrixXcf complex = by_columns.cast<std::complex<float>>() * std::complex<float>(0, 1);
  holdfast::state s;
  s.bind("by_columns", by_columns).bind("by_rows", by_rows).bind("column", column).bind("row", row).bind("half", half).bind("brain", brain).bind("complex", complex);
  s.bind("block", by_columns.rightCols(2)).bind("rows/0", by_columns.row(1));
  holdfast::save(dir / "f.h5", s);
  BOOST_TEST(true_in_h5py(dir / "f.h5",
                          "all(np.array_equal(f[n], [[0, 1, 2], [10, 11, 12]]) for n in ('by_columns', 'by_rows')) and f['by_columns'].dtype == 'float32' "
                          "and f['by_rows'].dtype == 'float64' and f['column'][()].tolist() == [5, 6] and f['row'][()].tolist() == [7, 8] "
                          "and f['half'].dtype == 'float16' and f['half'][()].tolist() == [1.5, -2] and f['brain'][()].tolist() == [1.5, -2] "
                          "and f['complex'].dtype == 'complex64' and f['complex'][1, 2] == 12j "
                          "and f['block'][()].tolist() == [[1, 2], [11, 12]] and f['rows/0'][()].tolist() == [10, 11, 12]"));
}

BOOST_AUTO_TEST_CASE(the_two_storage_orders_are_one_in_the_file) {
  Eigen::MatrixXf by_columns = Eigen::MatrixXf::Random(4, 3);
  Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor> by_rows;
  file f;
  f.save(by_columns).restore(by_rows);
  BOOST_TEST((by_rows == by_columns));
}

BOOST_AUTO_TEST_CASE(a_shape_that_does_not_fit_is_refused_and_nothing_is_touched) {
  file f;
  Eigen::MatrixXf saved = Eigen::MatrixXf::Random(5, 4);
  f.save(saved);
  const auto refused = [&](auto x, const char* expected, const char* advice = "") {
    const auto before = x;
    require_all(f.refusal(x), std::string("/x: expected ") + expected + ", found float32[5, 4]" + advice);
    BOOST_TEST(same_bits(x, before));
    BOOST_TEST((x.data() == nullptr) == (before.data() == nullptr));
  };
  refused(Eigen::MatrixXf(Eigen::MatrixXf::Ones(4, 5)), "float32[4, 5]", "; give the program's object the file's size, or bind it empty");
  refused(Eigen::MatrixXd(), "float64[0, 0]", "; pass .cast");
  refused(Eigen::Matrix<float, 4, 4>(Eigen::Matrix4f::Ones()), "float32[4, 4]", "; the program's type cannot take that shape");
  refused(Eigen::Matrix<float, Dynamic, 3>(), "float32[0, 3]", "; the program's type cannot take that shape");
  refused(Eigen::Matrix<float, 4, Dynamic>(), "float32[4, 0]", "; the program's type cannot take that shape");
  refused(Eigen::Matrix<float, Dynamic, Dynamic, Eigen::ColMajor, 4, 4>(), "float32[0, 0]", "; the program's type cannot take that shape");
  refused(Eigen::VectorXf(), "float32[0]", "; the program's type cannot take that shape");
  Eigen::Matrix<float, Dynamic, 3> three = Eigen::Matrix<float, Dynamic, 3>::Ones(2, 3);
  require_all(f.refusal(holdfast::resizable(three)), "/x: expected float32[2, 3], found float32[5, 4]; the program's type cannot take that shape");
  Eigen::Matrix<float, Dynamic, 4> four = Eigen::Matrix<float, Dynamic, 4>::Ones(2, 4);
  require_all(f.refusal(four), "/x: expected float32[2, 4], found float32[5, 4]; give the program's object the file's size");
  f.restore(holdfast::resizable(four));
  BOOST_TEST((four == saved));
  Eigen::VectorXf vector = Eigen::VectorXf::Ones(4);
  Eigen::Vector4f fixed;
  Eigen::MatrixXf matrix;
  f.save(vector).restore(fixed);
  BOOST_TEST((fixed == vector));
  require_all(f.refusal(matrix), "/x: expected float32[0, 0], found float32[4]; the program's type cannot take that shape");
}

BOOST_AUTO_TEST_CASE(views_write_where_they_refer_to) {
  std::vector<float> buffer(20), expected(20, -1);
  Eigen::MatrixXf saved = Eigen::MatrixXf::Random(2, 3);
  file f;
  f.save(saved);
  // Every second element of every row of ten.
  using strided = Eigen::Map<Eigen::MatrixXf, Eigen::Unaligned, Eigen::Stride<Dynamic, Dynamic>>;
  std::fill(buffer.begin(), buffer.end(), -1.f);
  f.restore(strided(buffer.data() + 1, 2, 3, Eigen::Stride<Dynamic, Dynamic>(2, 10)));
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j) expected[1 + i * 10 + j * 2] = saved(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
  BOOST_TEST(buffer == expected, boost::test_tools::per_element());

  Eigen::MatrixXf large = Eigen::MatrixXf::Zero(4, 5), whole = large;
  whole.block(1, 2, 2, 3) = saved;
  f.restore(large.block(1, 2, 2, 3));
  BOOST_TEST((large == whole));
  large.setZero();
  Eigen::Ref<Eigen::MatrixXf> ref = large.block(1, 2, 2, 3);
  f.restore(ref);
  BOOST_TEST((large == whole));
  large.setZero();
  f.restore(Eigen::Ref<Eigen::MatrixXf>(large.block<2, 3>(1, 2)));
  BOOST_TEST((large == whole));
  require_all(f.refusal(large.block(1, 2, 3, 3)), "/x: expected float32[3, 3], found float32[2, 3]");

  Eigen::VectorXf vector = Eigen::VectorXf::LinSpaced(6, 0, 5), other = vector;
  f.save(vector.segment(2, 3));
  other.setZero();
  f.restore(other.head(3));
  BOOST_TEST((other.head(3) == vector.segment(2, 3)));
  f.restore(large.row(3).segment(1, 3));
  BOOST_TEST((large.row(3).segment(1, 3) == vector.segment(2, 3).transpose()));
}

BOOST_AUTO_TEST_CASE(what_is_const_is_saved_and_not_restored) {
  const Eigen::MatrixXf saved = Eigen::MatrixXf::Random(2, 3);
  Eigen::MatrixXf back;
  file f;
  f.save(Eigen::Map<const Eigen::MatrixXf>(saved.data(), 2, 3)).restore(back);
  BOOST_TEST((back == saved));
  const auto message = "/x: expected an object that may change, found one bound as const";
  require_all(f.refusal(Eigen::Map<const Eigen::MatrixXf>(saved.data(), 2, 3)), message);
  require_all(f.refusal(saved), message);
  require_all(f.refusal(saved.leftCols(3)), message);
  const Eigen::Ref<const Eigen::MatrixXf> evaluated = saved * 2.f;  // it holds a matrix of its own
  f.save(evaluated).restore(back);
  BOOST_TEST((back == saved * 2.f));
  require_all(f.refusal(evaluated), message);
  static_assert(!holdfast::is_view<Eigen::Ref<const Eigen::MatrixXf>>, "copies of one that holds a matrix do not hold it");
  static_assert(!holdfast::checkpointable<Eigen::Matrix<long double, 2, 2>>);
  static_assert(!holdfast::checkpointable<Eigen::Block<const Eigen::CwiseBinaryOp<Eigen::internal::scalar_sum_op<float>, const Eigen::MatrixXf, const Eigen::MatrixXf>>>);
}

BOOST_AUTO_TEST_CASE(matrices_live_in_containers_and_are_recognised_as_tied) {
  std::map<std::string, Eigen::MatrixXf> saved{{"fc1.weight", Eigen::MatrixXf::Random(2, 3)}, {"fc2.weight", Eigen::MatrixXf::Random(3, 1)}}, back;
  std::vector<Eigen::Vector4f, Eigen::aligned_allocator<Eigen::Vector4f>> list{Eigen::Vector4f::Ones(), Eigen::Vector4f::Zero()}, list_back;
  BOOST_TEST((copy(saved) == saved));
  BOOST_TEST((copy(list) == list));
  Eigen::MatrixXf& shared = saved["fc1.weight"];
  holdfast::state s;
  s.bind("a", shared).bind("b", Eigen::Map<Eigen::MatrixXf>(shared.data(), 2, 3));
  const support::folder dir;
  holdfast::save(dir / "f.h5", s);
  const auto entries = holdfast::checkpoint_file(dir / "f.h5").entries();
  BOOST_REQUIRE(entries.size() == 2u);
  BOOST_TEST(entries[1].alias_of == "a");
}

BOOST_AUTO_TEST_CASE(a_run_resumes_bit_for_bit_and_not_without_its_momentum) {
  const auto whole = holdfast::testing::resume_equivalence([] { return std::make_unique<regression>(); }, 10);
  BOOST_TEST(whole.equivalent(), whole.text());
  const auto forgetful = holdfast::testing::resume_equivalence([] { return std::make_unique<regression>(true); }, 10);
  BOOST_TEST(!forgetful.equivalent());
  require_all(forgetful.text(), "/weight");
}

BOOST_AUTO_TEST_CASE(docs_adapters) {
  const support::current_folder here;
#include <holdfast/adapters/eigen.hpp>
#include <holdfast/holdfast.hpp>

  Eigen::MatrixXf weight(10, 64);
  holdfast::state state;
  state.bind("model/weight", weight);

  weight.setConstant(2);
  holdfast::save("run.h5", state);
  weight.setZero();
  holdfast::restore("run.h5", state);
  BOOST_TEST(weight.sum() == 1280.f);
}

BOOST_AUTO_TEST_SUITE_END()
