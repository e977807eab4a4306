#include <holdfast/adapters/npz.hpp>

#include <complex>
#include <cstring>
#include <random>

#include <holdfast/separate.hpp>

#include "../support.hpp"

using namespace holdfast;
using support::bytes_of;
using support::message_of;
using support::require_all;

namespace {

/// The bytes of an array in numpy's format 1.0 or, with another version, 2.0 or 3.0.
std::string npy(const std::string& descr, bool fortran, const std::string& shape, const std::string& content, int version = 1) {
  const std::string header = "{'descr': " + descr + ", 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }\n";
  std::string s = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  const auto n = static_cast<std::uint32_t>(header.size());
  s.append(reinterpret_cast<const char*>(&n), version == 1 ? 2 : 4);
  return s + header + content;
}

template <class T>
std::string content(const std::vector<T>& values) { return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)}; }

void make_zip(const std::string& path, const std::vector<std::pair<std::string, std::string>>& members, zip_int32_t method = ZIP_CM_STORE) {
  zip_t* const z = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  BOOST_REQUIRE(z != nullptr);
  for (const auto& [name, bytes] : members) {
    const auto i = name.ends_with('/') ? zip_dir_add(z, name.c_str(), 0) : zip_file_add(z, name.c_str(), zip_source_buffer(z, bytes.data(), bytes.size(), 0), 0);
    BOOST_REQUIRE(i >= 0);
    if (!name.ends_with('/')) zip_set_file_compression(z, static_cast<zip_uint64_t>(i), method, 0);
  }
  BOOST_REQUIRE(zip_close(z) == 0);
}

std::string reversed(std::string bytes, std::size_t width) {
  for (std::size_t i = 0; i < bytes.size(); i += width) std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i), bytes.begin() + static_cast<std::ptrdiff_t>(i + width));
  return bytes;
}

/// What importing an .npy file of these bytes as `a` throws.
template <class Error = format_error>
std::string refusal(const std::string& file) {
  const support::folder dir;
  support::write_bytes(dir / "a.npy", file);
  float a = 5;
  state s;
  s.bind("a", a);
  const std::string why = message_of<Error>([&] { import_npz(dir / "a.npy", s); });
  BOOST_TEST(why.starts_with(dir / "a.npy"));
  BOOST_TEST(a == 5);
  return why;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(adapters_npz)

BOOST_AUTO_TEST_CASE(an_archive_comes_back_stored_or_deflated) {
  const support::folder dir;
  std::vector<float> large(1'500'000), large_back(large.size());
  std::vector<double> f64{1.5, -2};
  std::mt19937_64 engine = support::random_engine();
  for (std::size_t i = 0; i < large.size(); i += 3) large[i] = static_cast<float>(engine());
  for (const zip_int32_t method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    make_zip(dir / "f.npz", {{"large.npy", npy("'<f4'", false, "(1500, 1000)", content(large))}, {"folder/", ""}, {"folder/f64.npy", npy("'<f8'", false, "(2,)", content(f64), 2)}, {"flag.npy", npy("'|b1'", false, "()", "\x01", 3)}, {"waves.npy", npy("\"<c8\"", false, "(1L,)", content(std::vector<float>{3, 4}))}, {"names.npy", npy("'|S3'", false, "(2,)", std::string("ab\0xyz", 6))}, {"none.npy", npy("'<i4'", false, "(0, 4)", "")}}, method);
    std::vector<double> f64_back;
    bool flag = false;
    std::vector<std::complex<float>> waves;
    std::vector<std::string> names;
    std::vector<std::int32_t> none(0);
    state s;
    std::fill(large_back.begin(), large_back.end(), -1.f);
    s.bind("model/large", tensor(large_back.data(), {1500, 1000})).bind("model/folder/f64", f64_back).bind("model/flag", flag).bind("model/waves", waves).bind("model/names", names).bind("model/none", tensor(none.data(), {0, 4}));
    const auto report = import_npz(dir / "f.npz", s, {.rename = {{"**", "model/**"}}, .verify = method == ZIP_CM_STORE ? verify::during : verify::before});
    BOOST_TEST((large_back == large));
    BOOST_TEST((f64_back == f64));
    BOOST_TEST(flag);
    BOOST_TEST((waves == std::vector<std::complex<float>>{{3, 4}}));
    BOOST_TEST((names == std::vector<std::string>{"ab", "xyz"}));
    BOOST_TEST(report.restored.size() == 6u);
    BOOST_TEST(!report.verified);
  }
}

BOOST_AUTO_TEST_CASE(fortran_order_and_big_endian_are_what_they_mean) {
  const support::folder dir;
  // a[i, j, k] = 100 i + 10 j + k, the first index running fastest.
  std::vector<float> fortran, c;
  for (int k = 0; k < 4; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) fortran.push_back(static_cast<float>(100 * i + 10 * j + k));
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) c.push_back(static_cast<float>(100 * i + 10 * j + k));
  const std::vector<std::complex<double>> waves{{1, 2}, {3, 4}};
  const std::string both = npy("'>f4'", true, "(2, 3, 4)", reversed(content(fortran), 4));
  make_zip(dir / "f.npz", {{"fortran.npy", npy("'<f4'", true, "(2, 3, 4)", content(fortran))}, {"both.npy", both}, {"waves.npy", npy("'>c16'", false, "(2,)", reversed(content(waves), 8))}, {"line.npy", npy("'>i2'", true, "(2,)", std::string("\1\2\3\4", 4))}});
  std::vector<float> one(24), two(24), alone(24);
  std::vector<std::complex<double>> waves_back;
  std::vector<std::int16_t> line;
  state s, t;
  s.bind("fortran", tensor(one.data(), {2, 3, 4})).bind("both", tensor(two.data(), {2, 3, 4})).bind("waves", waves_back).bind("line", line);
  import_npz(dir / "f.npz", s);
  BOOST_TEST((one == c));
  BOOST_TEST((two == c));
  BOOST_TEST((waves_back == waves));
  BOOST_TEST((line == std::vector<std::int16_t>{0x0102, 0x0304}));
  support::write_bytes(dir / "alone.npy", both);
  t.bind("w", tensor(alone.data(), {2, 3, 4}));
  import_npz(dir / "alone.npy", t, {.rename = {{"alone", "w"}}});
  BOOST_TEST((alone == c));
}

BOOST_AUTO_TEST_CASE(the_plan_is_that_of_restore) {
  const support::folder dir;
  make_zip(dir / "f.npz", {{"a.npy", npy("'<f4'", false, "(2,)", content(std::vector<float>{1, 2}))}, {"b.npy", npy("'<V2'", false, "(2,)", "1234")}, {"c.npy", npy("'|O'", false, "()", "pickle")}, {"d.npy", npy("[('x', '<f4'), ('y]', '<i4', (2,))]", false, "(1,)", "12341234123412341234")}, {"e.npy", npy("'<U2'", false, "()", "12345678")}, {"read.me", "hello"}});
  std::vector<double> a(2, 7);
  std::vector<bfloat16> b(2);
  std::vector<float> c(1), d(1), e(1), f(1);
  state s;
  s.bind("a", a).bind("b", b).bind("c", c).bind("d", d).bind("e", e).bind("read.me", f).bind("g", f);
  require_all(message_of<mismatch_error>([&] { import_npz(dir / "f.npz", s); }), "7 differences", "/a: expected float64[2], found float32[2]; pass .cast", "/b: expected bfloat16[2], found numpy's type '<V2', as which numpy writes bfloat16", "view(numpy.uint16)", "/c: expected float32[1], found numpy's type '|O', pickled", "/d: expected float32[1], found a type with fields, [('x', '<f4'), ('y]', '<i4', (2,))]", "/e: expected float32[1], found numpy's type '<U2': save text as bytes", "/read.me: expected float32[1], found a member of the archive that is not an array", "/g: expected float32[1], not in the file");
  BOOST_TEST((a == std::vector<double>{7, 7}));
  import_npz(dir / "f.npz", s, {.only = {"a"}, .cast = cast::allow});
  BOOST_TEST((a == std::vector<double>{1, 2}));
}

BOOST_AUTO_TEST_CASE(damaged_headers_are_refused) {
  const std::string good = npy("'<f4'", false, "()", "1234");
  require_all(refusal("hello"), "expected an .npz or .npy file of numpy");
  require_all(refusal(""), "expected an .npz or .npy file of numpy");
  require_all(refusal(good.substr(0, 7)), "found its end after 7 bytes");
  require_all(refusal(good.substr(0, 20)), "found its end after 20 bytes");
  require_all(refusal(good.substr(0, good.size() - 1)), "float32[] is 4 bytes, found 3; it was truncated");
  require_all(refusal(good + "x"), "float32[] is 4 bytes, found 5");
  require_all(refusal(npy("'<f4'", false, "()", "1234", 4)), "expected an array of numpy's format 1.0 to 3.0, found 4.0");
  std::string huge = npy("'<f4'", false, "()", "1234", 2);
  huge[11] = '\x7f';
  require_all(refusal(huge), "an .npy header of 213");
  const auto header = [](const std::string& text) {
    std::string s = npy("", false, "", "");
    const auto n = static_cast<std::uint16_t>(text.size());
    std::memcpy(s.data() + 8, &n, 2);
    return s.substr(0, 10) + text + "1234";
  };
  require_all(refusal(header("")), "header is damaged: expected '{'");
  require_all(refusal(header("{}")), "expected descr, fortran_order and shape");
  require_all(refusal(header("{'descr': '<f4', 'fortran_order': False}")), "expected descr, fortran_order and shape");
  require_all(refusal(header("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}")), "expected descr, fortran_order and shape");
  require_all(refusal(header("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x")), "expected descr, fortran_order and shape");
  require_all(refusal(header("{'descr': '<f4', 'descr': '<f4'}")), "expected every key once");
  require_all(refusal(header("{'descr': '<f4}")), "expected a text in quotes");
  require_all(refusal(header("{'descr': [('x', '<f4')")), "expected ']'");
  require_all(refusal(header("{'fortran_order': 1}")), "expected True or False");
  require_all(refusal(header("{'shape': (-1,)}")), "expected a number");
  require_all(refusal(header("{'shape': (99999999999999999999,)}")), "expected a number less than 2^63");
  require_all(refusal(header("{'shape': (2 3)}")), "expected ')'");
  require_all(refusal(npy("'<f4'", false, "(4294967296, 4294967296)", "")), "more than 2^63 - 1");
  require_all(refusal(npy("'<f4'", false, "(4611686018427387904,)", "")), "more than 2^63 - 1 bytes");
  require_all(refusal<mismatch_error>(npy("'=f4'", false, "()", "1234")), "found numpy's type '=f4'");
  require_all(refusal<mismatch_error>(npy("''", false, "()", "1234")), "found numpy's type ''");
  require_all(refusal<mismatch_error>(npy("'|f4'", false, "()", "1234")), "found numpy's type '|f4'");
}

BOOST_AUTO_TEST_CASE(damaged_archives_are_refused) {
  const support::folder dir;
  std::vector<float> w(100'000, 1.25f), back(w.size());
  state s;
  s.bind("w", back);
  const std::vector<std::pair<std::string, std::string>> members{{"w.npy", npy("'<f4'", false, "(100000,)", content(w))}};
  make_zip(dir / "f.npz", members);
  std::string file = bytes_of(dir / "f.npz");
  const std::size_t at = file.find(content(std::vector<float>{1.25f, 1.25f})) + 300'000;
  file[at] = '\x55';
  support::write_bytes(dir / "f.npz", file);
  require_all(message_of<format_error>([&] { import_npz(dir / "f.npz", s); }), "w.npy: cannot be unpacked", "CRC", "the state is partly restored");
  back.assign(w.size(), 0.f);
  BOOST_CHECK_THROW(import_npz(dir / "f.npz", s, {.verify = verify::before}), format_error);
  BOOST_TEST((back == std::vector<float>(w.size())));
  support::write_bytes(dir / "f.npz", file.substr(0, file.size() - 5));
  BOOST_CHECK_THROW(import_npz(dir / "f.npz", s), format_error);
  make_zip(dir / "bomb.npz", {{"w.npy", std::string(80'000'000, '\0')}}, ZIP_CM_DEFLATE);
  require_all(message_of<format_error>([&] { import_npz(dir / "bomb.npz", s); }), "does not begin with its signature");
  std::string bomb = bytes_of(dir / "bomb.npz");
  const std::uint32_t size = 80'000'000, more = 0xf0000000;  // what it claims, in the local header and the directory
  for (std::size_t i; (i = bomb.find(std::string_view(reinterpret_cast<const char*>(&size), 4))) != std::string::npos;) std::memcpy(bomb.data() + i, &more, 4);
  support::write_bytes(dir / "bomb.npz", bomb);
  require_all(message_of<format_error>([&] { import_npz(dir / "bomb.npz", s); }), "its members would be 4026531840 bytes, more than an archive of");
  BOOST_CHECK_THROW(import_npz(dir / "none.npz", s), io_error);
}

/// Whatever bytes change, an import ends in one of the library's errors or in a state that is there.
BOOST_AUTO_TEST_CASE(changed_files_are_refused_or_read) {
  const support::folder dir;
  std::mt19937_64 engine = support::random_engine();
  const std::string array = npy("'>f4'", true, "(2, 2)", "0123456789abcdef");
  make_zip(dir / "f.npz", {{"w.npy", array}, {"v.npy", npy("'<i2'", false, "(3,)", "012345")}});
  std::size_t refused = 0, read = 0;
  for (const std::string& whole : {array, bytes_of(dir / "f.npz")}) {
    for (std::size_t round = 0, rounds = support::effort(250); round < rounds; ++round) {
      std::string file = whole;
      for (int n = support::pick(engine, 1, 3); n-- > 0;) {
        const auto at = support::pick<std::size_t>(engine, 0, file.size() - 1);
        switch (support::pick(engine, 0, 3)) {
          case 0: file[at] = static_cast<char>(engine()); break;
          case 1: file.erase(at, support::pick<std::size_t>(engine, 1, 4)); break;
          case 2: file[at] = "'{}(),:<>|0129fciOVSU"[support::pick(engine, 0, 20)]; break;
          default: file.insert(at, file.substr(support::pick<std::size_t>(engine, 0, file.size() - 1), 5));
        }
        if (file.empty()) file = "x";
      }
      support::write_bytes(dir / "w.npy", file);
      std::vector<float> w(4);
      std::vector<std::int16_t> v;
      state s;
      s.bind("w", tensor(w.data(), {2, 2})).bind("v", v);
      try {
        import_npz(dir / "w.npy", s, {.missing = on_missing::keep, .unexpected = on_unexpected::ignore, .cast = cast::allow});
        ++read;
      } catch (const error&) {
        ++refused;
      }
    }
  }
  BOOST_TEST(refused > 150u);
  BOOST_TEST(read > 2u);
}

BOOST_AUTO_TEST_CASE(docs_safetensors) {
  const support::current_folder here;
  std::system("/usr/bin/python3 -c \"import numpy; numpy.savez('weights.npz', bias=numpy.float32([1, 2]))\"");
  std::vector<float> bias(2);
  holdfast::state state;
  state.bind("model/bias", bias);
#include <holdfast/adapters/npz.hpp>

  holdfast::import_npz("weights.npz", state, {.rename = {{"**", "model/**"}}});

  BOOST_TEST(bias == (std::vector<float>{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
