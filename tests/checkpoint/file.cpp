#include <holdfast/checkpoint/file.hpp>

#include <complex>
#include <type_traits>

#include <holdfast/separate.hpp>

#include "../fuzz/sealed_file.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using support::message_of;
using support::require_all;
using support::trainer;

namespace {

struct saved {
  support::folder dir;
  std::string path = dir / "f.h5";
  trainer t{3};
  saved() { save(path, t.bound, {.step = 30, .metric = 1.5}); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(file_)

BOOST_AUTO_TEST_CASE(entries_list_every_path_with_its_type_and_shape) {
  const saved s;
  const checkpoint_file f(s.path);
  std::vector<std::string> listed;
  for (const entry& e : f.entries()) listed.push_back(e.path + " " + describe(e.dtype, e.shape));
  BOOST_TEST(listed == (std::vector<std::string>{"model/bias float32[5]", "model/matrix float64[3, 4]", "model/tied float32[3000]", "model/weight float32[3000]", "name string[3]",
                                                 "optimizer/momentum float32[7]", "progress/step int64[]", "rng/engine string[" + std::to_string(f.read<std::string>("rng/engine").size()) + "]", "rng/state uint64[313]"}),
             boost::test_tools::per_element());
  BOOST_TEST(f.step() == 30);
  BOOST_TEST(f.metric() == 1.5);
  BOOST_TEST(checkpoint_file(s.path).entries().size() == 9u);
}

BOOST_AUTO_TEST_CASE(contains_tells_tensors_and_groups_from_what_is_not_there) {
  const saved s;
  const checkpoint_file f(s.path);
  for (const char* path : {"model", "/model", "model/bias", "/model/bias", "rng", "model/tied"}) BOOST_TEST(f.contains(path), path);
  for (const char* path : {"mode", "model/", "model/b", "bias", "", "holdfast", "model/bias/x"}) BOOST_TEST(!f.contains(path), path);
}

BOOST_AUTO_TEST_CASE(read_gives_a_copy_of_any_type_that_fits) {
  const saved s;
  const checkpoint_file f(s.path);
  BOOST_TEST(f.read<std::int64_t>("progress/step") == 30);
  BOOST_TEST(f.read<std::int64_t>("/progress/step") == 30);
  BOOST_TEST((f.read<std::vector<float>>("model/weight") == s.t.weight));
  BOOST_TEST((f.read<std::vector<float>>("model/tied") == s.t.weight));
  BOOST_TEST(f.read<std::string>("name") == "run");
  BOOST_TEST((f.read<std::mt19937_64>("rng") == s.t.engine));
  BOOST_TEST((f.read<std::optional<std::vector<float>>>("optimizer/momentum") == s.t.momentum));
}

BOOST_AUTO_TEST_CASE(read_refuses_what_does_not_fit_by_its_name) {
  const saved s;
  const checkpoint_file f(s.path);
  require_all(message_of<mismatch_error>([&] { f.read<std::int32_t>("progress/step"); }), s.path, "/progress/step: expected int32[], found int64[]");
  require_all(message_of<mismatch_error>([&] { f.read<float>("model/bias"); }), "/model/bias: expected float32[], found float32[5]");
  require_all(message_of<mismatch_error>([&] { f.read<float>("model"); }), "/model: expected float32[], found a group");
  require_all(message_of<mismatch_error>([&] { f.read<float>("nothing"); }), s.path, "/nothing: expected a dataset, not in the file; entries() lists what is there");
  require_all(message_of<mismatch_error>([&] { f.read<std::mt19937>("rng"); }), "/rng/engine", "mersenne_twister_engine<32,");
}

BOOST_AUTO_TEST_CASE(read_and_verify_find_damage) {
  const saved s;
  checkpoint_file(s.path).verify();
  std::uint64_t at = 0;
  const checkpoint_file whole(s.path);
  for (const entry& e : whole.entries())
    if (e.path == "model/bias") at = e.offset;
  support::flip_bit(s.path, at + 4);
  const checkpoint_file f(s.path);
  require_all(message_of<integrity_error>([&] { f.verify(); }), s.path, "/model/bias: its 20 bytes are not those that were saved");
  require_all(message_of<integrity_error>([&] { f.read<std::vector<float>>("model/bias"); }), "/model/bias");
  BOOST_TEST((f.read<std::vector<float>>("model/weight") == s.t.weight));
  support::flip_bit(s.path, at + 4);
  support::flip_bit(s.path, 60);
  require_all(message_of<integrity_error>([&] { checkpoint_file(s.path).verify(); }), "the HDF5 metadata is damaged");
}

BOOST_AUTO_TEST_CASE(a_map_is_the_file_s_own_bytes) {
  const saved s;
  const checkpoint_file f(s.path);
  const auto w = f.map<float>("model/weight");
  BOOST_TEST(w.size() == 3000u);
  BOOST_TEST(std::equal(w.begin(), w.end(), s.t.weight.begin()));
  BOOST_TEST(f.map<float>("/model/tied").data() == w.data());
  BOOST_TEST(f.map<double>("model/matrix")[1] == s.t.matrix[3]);
  BOOST_TEST(f.map<std::uint64_t>("rng/state").size() == 313u);
  static_assert(std::is_same_v<decltype(w), const std::span<const float>>);
}

BOOST_AUTO_TEST_CASE(every_tensor_can_be_mapped_whatever_lies_beside_it) {
  const support::folder dir;
  std::vector<std::uint8_t> odd(3);
  std::vector<double> d{1, 2};
  std::vector<std::complex<double>> c{{1, 2}};
  std::vector<std::int16_t> h{5};
  std::vector<float> none;
  state s;
  s.bind("a", odd).bind("b", d).bind("c", c).bind("d", h).bind("e", odd[1]).bind("none", none);
  save(dir / "f.h5", s);
  const checkpoint_file f(dir / "f.h5");
  BOOST_TEST(f.map<double>("b")[1] == 2);
  BOOST_TEST(f.map<std::complex<double>>("c")[0].imag() == 2);
  BOOST_TEST(f.map<std::int16_t>("d")[0] == 5);
  BOOST_TEST(f.map<float>("none").empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_mapped_is_refused_by_its_name) {
  const saved s;
  const checkpoint_file f(s.path);
  require_all(message_of<mismatch_error>([&] { (void)f.map<double>("model/weight"); }), "/model/weight: expected float64, found float32[3000]");
  require_all(message_of<mismatch_error>([&] { (void)f.map<float>("none"); }), "/none");
  std::optional<float> absent;
  std::vector<std::vector<float>> list;
  state t;
  t.bind("absent", absent).bind("list", list);
  save(s.dir / "g.h5", t);
  const checkpoint_file g(s.dir / "g.h5");
  require_all(message_of<mismatch_error>([&] { (void)g.map<float>("absent"); }), "/absent: expected a dataset, found nothing");
  require_all(message_of<mismatch_error>([&] { (void)g.map<float>("list"); }), "/list: expected a dataset, found a group");
  // One that another program opened for writing.
  H5Fclose(H5Fopen(s.path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  const checkpoint_file unsealed(s.path, trust::foreign);
  BOOST_TEST(!unsealed.sealed());
  require_all(message_of<format_error>([&] { (void)unsealed.map<float>("model/weight"); }), "/model/weight: cannot be mapped", "read() copies it");
  BOOST_TEST((unsealed.read<std::vector<float>>("model/weight") == s.t.weight));
  unsealed.verify();
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_bool_are_not_mapped_as_some) {
  const support::folder dir;
  bool flags[] = {true, false, true};
  state s;
  s.bind("flags", flags);
  std::vector<std::byte> file = support::tiny_sealed_file(s);
  const auto write = [&] { support::write_bytes(dir / "f.h5", {reinterpret_cast<const char*>(file.data()), file.size()}); };
  write();
  BOOST_TEST(checkpoint_file(dir / "f.h5").map<bool>("flags")[2]);
  file[checkpoint_file(dir / "f.h5").entries()[0].offset] = std::byte{2};
  support::reseal(file);
  write();
  require_all(message_of<format_error>([&] { (void)checkpoint_file(dir / "f.h5").map<bool>("flags"); }), "/flags: expected bytes of 0 and 1");
}

BOOST_AUTO_TEST_SUITE_END()
