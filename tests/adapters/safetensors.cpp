#include <holdfast/adapters/safetensors.hpp>

#include <complex>
#include <cstring>
#include <fstream>
#include <random>

#include <holdfast/separate.hpp>

#include "../support.hpp"

using namespace holdfast;
using support::bytes_of;
using support::message_of;
using support::require_all;

namespace {

/// A file of a given header, with `bytes` zero bytes behind it.
std::string file_of(const std::string& header, std::size_t bytes = 0) {
  const std::uint64_t n = header.size();
  std::string s(8, '\0');
  std::memcpy(s.data(), &n, 8);
  return s + header + std::string(bytes, '\0');
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

/// A model with tensors of every dtype there is for it, more than a piece of 4 MiB in all.
struct model {
  std::vector<float> large = std::vector<float>(1'500'000);
  std::vector<double> f64 = std::vector<double>(3);
  std::vector<bfloat16> bf16 = std::vector<bfloat16>(5);
  std::vector<float16> f16 = std::vector<float16>(5);
  std::vector<float8_e4m3fn> e4m3 = std::vector<float8_e4m3fn>(3);
  std::vector<float8_e5m2> e5m2 = std::vector<float8_e5m2>(3);
  std::vector<std::int64_t> i64 = std::vector<std::int64_t>(2);
  std::vector<std::uint16_t> u16 = std::vector<std::uint16_t>(3);
  bool flag = false;
  std::int32_t scalar = 0;
  std::vector<float> empty;
  std::vector<float> column_major = std::vector<float>(6);
  state bound;

  model() {
    bound.bind("model/large", tensor(large.data(), {1500, 1000})).bind("model/f64", f64).bind("model/bf16", bf16).bind("model/f16", f16).bind("model/e4m3", e4m3).bind("model/e5m2", e5m2).bind("model/i64", i64).bind("model/u16", u16).bind("model/flag", flag).bind("model/scalar", scalar).bind("model/empty", tensor(empty.data(), {0, 4})).bind("model/column_major", tensor(column_major.data(), {2, 3}, {1, 2})).bind("model/tied", tensor(large.data(), {1500, 1000}));
  }
  void fill(std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    const auto bits = [&](auto& v) {
      for (auto& b : std::as_writable_bytes(std::span(v))) b = static_cast<std::byte>(engine());
    };
    bits(large), bits(f64), bits(bf16), bits(f16), bits(e4m3), bits(e5m2), bits(i64), bits(u16), bits(column_major);
    flag = true, scalar = -7;
  }
  std::string contents() const {
    std::string s;
    const auto add = [&](const auto& v) { s.append(reinterpret_cast<const char*>(v.data()), v.size() * sizeof v[0]); };
    add(large), add(f64), add(bf16), add(f16), add(e4m3), add(e5m2), add(i64), add(u16), add(column_major);
    return s + (flag ? "y" : "n") + std::to_string(scalar);
  }
};

/// A number that code of its own loads.
struct loading {
  float value = 0;
};

const rename_rule in{"**", "model/**"}, out{"model/**", "**"};

std::string refusal(const std::string& file) {
  const support::folder dir;
  support::write_bytes(dir / "f", file);
  std::vector<float> a;
  state s;
  s.bind("a", a);
  const std::string why = message_of<format_error>([&] { import_safetensors(dir / "f", s); });
  BOOST_TEST(why.starts_with(dir / "f"));
  BOOST_TEST(a.empty());
  return why;
}

}  // namespace

template <>
struct holdfast::traits<loading> {
  static void visit(loading& x, visitor& v) {
    if (v.applying()) return v.at_once([&](visitor& now) { now("value", x.value); });
    v("value", x.value);
  }
};

BOOST_AUTO_TEST_SUITE(adapters_safetensors)

BOOST_AUTO_TEST_CASE(a_state_comes_back_bit_for_bit) {
  const support::folder dir;
  model saved, other;
  saved.fill(1);
  export_safetensors(saved.bound, dir / "f.safetensors", {.rename = {out}, .metadata = {{"format", "pt"}}});
  const auto report = import_safetensors(dir / "f.safetensors", other.bound, {.rename = {in}});
  BOOST_TEST((other.contents() == saved.contents()));
  BOOST_TEST(report.restored.size() == 13u);
  BOOST_TEST(!report.verified);
  BOOST_TEST((support::names_in(dir.path()) == std::vector<std::string>{"f.safetensors"}));
  // The header: aligned, largest elements first, in the program's logical order.
  const std::string file = bytes_of(dir / "f.safetensors");
  std::uint64_t n = 0;
  std::memcpy(&n, file.data(), 8);
  BOOST_TEST(n % 8 == 0u);
  const auto header = nlohmann::json::parse(file.substr(8, n));
  BOOST_TEST(header["__metadata__"] == (nlohmann::json{{"format", "pt"}, {"tied", "large"}}));
  BOOST_TEST(!header.contains("tied"));
  for (const auto& [name, size] : {std::pair("f64", 8u), {"large", 4u}, {"bf16", 2u}, {"column_major", 4u}})
    BOOST_TEST((8 + n + header[name]["data_offsets"][0].get<std::uint64_t>()) % size == 0u, name);
  float second = 0;
  std::memcpy(&second, file.data() + 8 + n + header["column_major"]["data_offsets"][0].get<std::uint64_t>() + 4, 4);
  BOOST_TEST(std::memcmp(&second, &saved.column_major[2], 4) == 0);  // [0, 1]
  BOOST_TEST(header["scalar"]["shape"] == nlohmann::json::array());
  BOOST_TEST(header["empty"]["shape"] == (nlohmann::json{0, 4}));
}

BOOST_AUTO_TEST_CASE(data_begins_at_a_multiple_of_8_whatever_the_header_is) {
  const support::folder dir;
  double w = 1.5;
  state s;
  s.bind("w", w);
  for (std::size_t n = 0; n < 9; ++n) {
    export_safetensors(s, dir / "f", {.metadata = {{"m", std::string(n, 'x')}}});
    BOOST_TEST(bytes_of(dir / "f").size() % 8 == 0u);
    w = 0;
    import_safetensors(dir / "f", s);
    BOOST_TEST(w == 1.5);
  }
}

BOOST_AUTO_TEST_CASE(a_checkpoint_gives_the_same_file_and_is_verified) {
  const support::folder dir;
  model saved;
  saved.fill(2);
  save(dir / "f.h5", saved.bound);
  const safetensors_options options{.except = {"model/e5m2"}, .rename = {out}};
  export_safetensors(saved.bound, dir / "state", options);
  export_safetensors(checkpoint_file(dir / "f.h5"), dir / "file", options);
  BOOST_TEST((bytes_of(dir / "state") == bytes_of(dir / "file")));
  std::uint64_t at = 0;
  const checkpoint_file whole(dir / "f.h5");
  for (const entry& e : whole.entries())
    if (e.path == "model/large") at = e.offset + 3'000'000;
  support::flip_bit(dir / "f.h5", at);
  require_all(message_of<integrity_error>([&] { export_safetensors(checkpoint_file(dir / "f.h5"), dir / "damaged", options); }), "/model/large", "bytes 2097152 to 3145728");
  BOOST_TEST((support::names_in(dir.path()) == std::vector<std::string>{"f.h5", "file", "state"}));
}

BOOST_AUTO_TEST_CASE(a_second_name_is_written_where_the_first_is_not) {
  const support::folder dir;
  std::vector<float> w{1, 2};
  state s;
  s.bind("a", w).bind("b", w);
  export_safetensors(s, dir / "f", {.only = {"b"}});
  std::vector<float> back;
  state t;
  t.bind("b", back);
  import_safetensors(dir / "f", t);
  BOOST_TEST((back == w));
  require_all(message_of<error>([&] { export_safetensors(s, dir / "g", {.metadata = {{"b", "x"}}}); }), "metadata \"b\"");
}

BOOST_AUTO_TEST_CASE(parts_renames_and_conversions_are_those_of_restore) {
  const support::folder dir;
  model saved, other;
  saved.fill(3);
  export_safetensors(saved.bound, dir / "f", {.except = {"model/tied"}, .rename = {out}});
  const std::string before = other.contents();
  require_all(message_of<mismatch_error>([&] { import_safetensors(dir / "f", other.bound); }), "/model/f64: expected float64[3], not in the file", "/f64: found float64[3], not bound by the program");
  require_all(message_of<error>([&] { import_safetensors(dir / "f", other.bound, {.rename = {{"head.*", "model/*"}}}); }), "matches nothing in the file");
  BOOST_TEST((other.contents() == before));
  import_safetensors(dir / "f", other.bound, {.only = {"model/i64"}, .rename = {in}});
  BOOST_TEST((other.i64 == saved.i64));
  BOOST_TEST((other.f64 == std::vector<double>(3)));
  std::vector<float> f16(5);
  state s;
  s.bind("f16", f16);
  require_all(message_of<mismatch_error>([&] { import_safetensors(dir / "f", s, {.only = {"f16"}}); }), "/f16: expected float32[5], found float16[5]; pass .cast");
  import_safetensors(dir / "f", s, {.only = {"f16"}, .cast = cast::allow});
  for (std::size_t i = 0; i < 5; ++i) BOOST_TEST((f16[i] == static_cast<float>(saved.f16[i]) || f16[i] != f16[i]));
  std::vector<float> wrong(7);
  state t;
  t.bind("f64", wrong).bind("nowhere", f16);
  const auto report = import_safetensors(dir / "f", t, {.except = {"f64"}, .missing = on_missing::keep, .unexpected = on_unexpected::ignore});
  BOOST_TEST((report.missing == std::vector<std::string>{"nowhere"}));
  require_all(message_of<mismatch_error>([&] { import_safetensors(dir / "f", t, {.only = {"f64"}, .cast = cast::allow}); }), "/f64: expected float32[7], found float64[3]");
}

BOOST_AUTO_TEST_CASE(dotted_names_reach_groups_by_a_rename) {
  const support::folder dir;
  std::map<std::string, std::map<std::string, std::vector<float>>> layers{{"fc1", {{"weight", {1}}, {"bias", {2}}}}, {"block.0", {{"weight", {3}}}}}, back;
  state s, t;
  s.bind("model", layers);
  t.bind("model", back);
  export_safetensors(s, dir / "f", {.rename = {{"model/*/*", "*.*"}}});
  require_all(bytes_of(dir / "f"), "\"block.0.weight\":", "\"fc1.bias\":");
  import_safetensors(dir / "f", t, {.rename = {{"*.*", "model/*/*"}}});
  BOOST_TEST((back == layers));
}

BOOST_AUTO_TEST_CASE(code_of_a_type_loads_from_it_too) {
  const support::folder dir;
  float before = 7;
  loading saved{0.5f}, back;
  state s, t;
  s.bind("a", before).bind("x", saved);
  export_safetensors(s, dir / "f");
  t.bind("a", before).bind("x", back);
  import_safetensors(dir / "f", t);
  BOOST_TEST(back.value == 0.5f);
}

BOOST_AUTO_TEST_CASE(what_safetensors_cannot_hold_is_refused_by_name) {
  const support::folder dir;
  std::vector<std::complex<float>> waves(2);
  std::string text = "x";
  std::optional<float> nothing;
  std::vector<float> weight(2);
  state s;
  s.bind("waves", waves).bind("text", text).bind("nothing", nothing).bind("weight", weight);
  require_all(message_of<error>([&] { export_safetensors(s, dir / "f"); }), "\n  /waves: safetensors has no type for complex64[2]", "\n  /text: safetensors has no type for string[1]", "\n  /nothing: is absent");
  require_all(message_of<error>([&] { export_safetensors(s, dir / "f", {.only = {"wieght"}}); }), ".only pattern \"wieght\"");
  require_all(message_of<error>([&] { export_safetensors(s, dir / "f", {.only = {"weight"}, .rename = {{"text", "b"}}}); }), "rename from \"text\"");
  require_all(message_of<error>([&] { export_safetensors(s, dir / "f", {.only = {"weight"}, .rename = {{"*", "b"}}}); }), "the same wildcards");
  require_all(message_of<error>([&] { export_safetensors(s, dir / "f", {.only = {"weight"}, .rename = {{"weight", "__metadata__"}}}); }), "second tensor named \"__metadata__\"");
  require_all(message_of<error>([&] { export_safetensors(s, dir / "f", {.only = {"weight"}, .metadata = {{"a", "\xff"}}}); }), "not UTF-8");
  BOOST_TEST(support::names_in(dir.path()).empty());
  export_safetensors(s, dir / "f", {.only = {"weight"}});
  BOOST_CHECK_THROW(export_safetensors(s, dir / "f", {.only = {"weight"}, .existing = io::replace::no}), io_error);
}

BOOST_AUTO_TEST_CASE(every_rule_of_the_format_is_checked) {
  require_all(refusal(""), "found one of 0 bytes");
  require_all(refusal(std::string("\0\0\0\0\0\0\0\x01", 8)), "header of 72057594037927936 bytes, expected at most 100000000");
  require_all(refusal(file_of(one("F32", "[1]", "[0,4]"), 4).substr(0, 20)), "in a file of 20; it was truncated");
  require_all(refusal(file_of("")), "begins with '{'");
  require_all(refusal(file_of(" " + one("F32", "[1]", "[0,4]"), 4)), "begins with '{'");
  require_all(refusal(file_of("{\"a\":")), "no JSON");
  require_all(refusal(file_of("{\"\xff\":1}")), "no JSON");
  require_all(refusal(file_of("{} {}")), "no JSON");
  require_all(refusal(file_of(R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4)), "key \"a\" twice");
  require_all(refusal(file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4)), "key \"dtype\" twice");
  require_all(refusal(file_of("{\"a\":[[[[[[[[[1]]]]]]]]]}")), "nested deeper");
  require_all(refusal(file_of(R"({"a":1})")), "tensor \"a\": expected an object with dtype, shape and data_offsets, found 1");
  require_all(refusal(file_of(R"({"a":{"dtype":"F32","shape":[]}})")), "expected an object with dtype, shape and data_offsets");
  require_all(refusal(file_of(one("F31", "[1]", "[0,4]"), 4)), "expected a dtype of the safetensors format, found \"F31\"");
  require_all(refusal(file_of(one("F32", "1", "[0,4]"), 4)), "expected a shape and two data_offsets");
  require_all(refusal(file_of(one("F32", "[1]", "[0,4,8]"), 4)), "expected a shape and two data_offsets");
  for (const char* n : {"-1", "1.0", "\"1\"", "18446744073709551616"}) require_all(refusal(file_of(one("F32", std::string("[") + n + "]", "[0,4]"), 4)), "shape: expected integers from 0");
  require_all(refusal(file_of(one("F32", "[18446744073709551615]", "[0,4]"), 4)), "more than 2^63 - 1");
  require_all(refusal(file_of(one("F32", "[4294967296,4294967296]", "[0,0]"))), "more than 2^63 - 1");
  require_all(refusal(file_of(one("F32", "[4611686018427387904]", "[0,0]"))), "more than 2^63 - 1");
  require_all(refusal(file_of(one("F32", "[2]", "[0,4]"), 4)), "F32[2] is 8 bytes, found data_offsets [0,4]");
  require_all(refusal(file_of(one("F32", "[1]", "[4,0]"), 4)), "found data_offsets [4,0]");
  require_all(refusal(file_of(one("F4", "[3]", "[0,1]"), 1)), "F4[3] is 1 bytes");
  require_all(refusal(file_of(one("F32", "[1]", "[0,4]"), 3)), "the tensors are 4 bytes, the file holds 3; it was truncated");
  require_all(refusal(file_of(one("F32", "[1]", "[0,4]"), 5)), "5; it has bytes that belong to no tensor");
  require_all(refusal(file_of(one("F32", "[1]", "[4,8]"), 8)), "tensor \"a\" begins at byte 4 of the data, expected 0: tensors must not leave gaps");
  require_all(refusal(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12)), "tensor \"b\" begins at byte 4 of the data, expected 8: tensors must not overlap");
  require_all(refusal(file_of(R"({"__metadata__":[]})")), "__metadata__: expected an object of strings");
  require_all(refusal(file_of(R"({"__metadata__":{"a":1}})")), "__metadata__: \"a\": expected a string, found 1");
}

BOOST_AUTO_TEST_CASE(what_the_format_has_and_holdfast_has_not_is_refused_where_it_is_bound) {
  const support::folder dir;
  support::write_bytes(dir / "f", file_of(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[8,9]},"b":{"dtype":"C64","shape":[],"data_offsets":[0,8]}}    )", 9));
  std::uint8_t a = 0;
  std::complex<float> b = 1;
  state s;
  s.bind("a", a).bind("b", b);
  require_all(message_of<mismatch_error>([&] { import_safetensors(dir / "f", s); }), "/a: expected uint8[], found F4[2], a type that holdfast does not have");
  import_safetensors(dir / "f", s, {.except = {"a"}});
  BOOST_TEST(b == std::complex<float>());
  bool flag = false;
  state t;
  t.bind("a", flag);
  std::string file = file_of(one("BOOL", "[]", "[0,1]"), 1);
  file.back() = 2;
  support::write_bytes(dir / "f", file);
  require_all(message_of<format_error>([&] { import_safetensors(dir / "f", t); }), "/a: expected bytes of 0 and 1");
  BOOST_CHECK_THROW(import_safetensors(dir / "none", t), io_error);
}

/// Whatever bytes change, an import ends in one of the library's errors or in a state that is there.
BOOST_AUTO_TEST_CASE(changed_files_are_refused_or_read) {
  const support::folder dir;
  std::vector<float> w{1, 2, 3}, tied;
  std::vector<std::int8_t> codes{4, 5};
  bool flag = true;
  state s;
  s.bind("fc.weight", w).bind("fc.codes", codes).bind("flag", flag);
  export_safetensors(s, dir / "f", {.metadata = {{"format", "pt"}, {"tied", "flag"}}});
  const std::string whole = bytes_of(dir / "f");
  std::mt19937_64 engine = support::random_engine();
  const std::string_view tokens[] = {"{", "}", "[", "]", "\"", ",", ":", "0", "9999999999999999999", "-1", "1e3", "\"F32\"", "\"U8\"", "null", "\"a\":{}", "data_offsets", "__metadata__", "\\u0000", "\xc3"};
  std::size_t refused = 0, read = 0;
  for (std::size_t round = 0, rounds = support::effort(600); round < rounds; ++round) {
    std::string file = whole;
    for (int n = support::pick(engine, 1, 3); n-- > 0;) {
      const auto at = support::pick<std::size_t>(engine, 0, file.size() - 1);
      switch (support::pick(engine, 0, 4)) {
        case 0: file[at] = static_cast<char>(engine()); break;
        case 1: file.erase(at, support::pick<std::size_t>(engine, 1, 8)); break;
        case 2: file.insert(at, tokens[support::pick<std::size_t>(engine, 0, std::size(tokens) - 1)]); break;
        case 3: file[at] = static_cast<char>('0' + support::pick(engine, 0, 9)); break;
        default: file.insert(at, file.substr(support::pick<std::size_t>(engine, 0, file.size() - 1), 12));
      }
      if (file.size() < 9) file.resize(9);
    }
    if (support::pick(engine, 0, 1) == 1) {  // a length that fits, so that the header itself is met
      const std::uint64_t n = std::max<std::size_t>(file.size(), 8 + 15) - 8 - 15;
      std::memcpy(file.data(), &n, 8);
    }
    support::write_bytes(dir / "changed", file);
    std::vector<float> w2;
    std::vector<std::int8_t> codes2;
    bool flag2 = false;
    state t;
    t.bind("fc.weight", w2).bind("fc.codes", codes2).bind("flag", flag2);
    try {
      import_safetensors(dir / "changed", t, {.missing = on_missing::keep, .unexpected = on_unexpected::ignore, .cast = cast::allow});
      ++read;
    } catch (const error&) {
      ++refused;
    }
  }
  BOOST_TEST(refused > 150u);
  BOOST_TEST(read > 2u);
}

BOOST_AUTO_TEST_CASE(docs_safetensors) {
  const support::current_folder here;
  model of_file, in_program;
  of_file.fill(7);
  save("run.h5", of_file.bound);
  export_safetensors(of_file.bound, "model.safetensors", {.only = {"model/**"}, .rename = {{"model/**", "**"}}});
  holdfast::state& state = in_program.bound;
#include <holdfast/adapters/safetensors.hpp>

  holdfast::import_safetensors("model.safetensors", state, {.only = {"model/**"}, .rename = {{"**", "model/**"}}});

  holdfast::export_safetensors(state, "model.safetensors", {.only = {"model/**"}, .rename = {{"model/**", "**"}}});
  holdfast::export_safetensors(holdfast::checkpoint_file("run.h5"), "model.safetensors", {.only = {"model/**"}, .rename = {{"model/**", "**"}}});

  BOOST_TEST((in_program.contents() == of_file.contents()));
}

BOOST_AUTO_TEST_SUITE_END()
