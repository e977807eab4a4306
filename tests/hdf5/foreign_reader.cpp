#include <holdfast/hdf5/foreign_reader.hpp>

#include <array>
#include <complex>
#include <cstring>
#include <numeric>

#include <holdfast/separate.hpp>

#include "../support.hpp"
#include "damage.hpp"

using namespace holdfast;
using hdf5::foreign_reader;
using hdf5::handle;
using support::message_of;
using support::require_all;

namespace {

/// An HDF5 file as another program makes it, with everything the C API offers.
class plain_file {
 public:
  explicit plain_file(const std::string& path) : path_(path), file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), &H5Fclose) {}

  handle group(const char* path) { return {H5Gcreate2(file_.get(), path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), &H5Gclose}; }

  handle dataset(const char* path, hid_t type, std::vector<hsize_t> dims, hid_t memory_type = -1, const void* data = nullptr, const handle& creation = {}) {
    const handle space(dims.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), &H5Sclose);
    handle set(H5Dcreate2(file_.get(), path, type, space.get(), H5P_DEFAULT, creation.get() < 0 ? H5P_DEFAULT : creation.get(), H5P_DEFAULT), &H5Dclose);
    BOOST_REQUIRE(set.get() >= 0);
    if (data != nullptr) BOOST_REQUIRE(H5Dwrite(set.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    return set;
  }

  static handle creation(std::vector<hsize_t> chunk = {}) {
    handle h(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose);
    if (!chunk.empty()) H5Pset_chunk(h.get(), static_cast<int>(chunk.size()), chunk.data());
    return h;
  }
  hid_t id() const { return file_.get(); }
  const std::string& path() const { return path_; }

  foreign_reader reader() {
    file_ = handle();
    return foreign_reader(io::posix().open(path_));
  }

 private:
  std::string path_;
  handle file_;
};

template <class T>
std::vector<T> all(const foreign_reader& r, const std::string& path) {
  const entry* e = r.find(path);
  BOOST_REQUIRE_MESSAGE(e != nullptr, path);
  BOOST_TEST(r.unreadable(*e) == "");
  BOOST_TEST((e->dtype == dtype_of<T>::value || e->dtype == dtype::string), path << " is " << name(e->dtype));
  std::vector<T> out(e->bytes / sizeof(T));
  r.read(*e, 0, e->bytes / size_of(e->dtype), reinterpret_cast<std::byte*>(out.data()));
  return out;
}
std::string text(const foreign_reader& r, const std::string& path) {
  const auto c = all<char>(r, path);
  return {c.begin(), c.end()};
}

std::vector<float> counting(std::size_t n) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), 0.5f);
  return v;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(foreign_reader_)

BOOST_AUTO_TEST_CASE(chunked_and_filtered_data_is_read_whole_and_in_parts) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const auto values = counting(6 * 7 * 5);
  const auto creation = plain_file::creation({4, 3, 5});
  H5Pset_shuffle(creation.get());
  H5Pset_deflate(creation.get(), 6);
  H5Pset_fletcher32(creation.get());
  f.dataset("packed", H5T_IEEE_F32LE, {6, 7, 5}, H5T_NATIVE_FLOAT, values.data(), creation);
  f.dataset("plain", H5T_IEEE_F32LE, {6, 7, 5}, H5T_NATIVE_FLOAT, values.data());
  f.dataset("chunked", H5T_IEEE_F32LE, {6, 7, 5}, H5T_NATIVE_FLOAT, values.data(), plain_file::creation({6, 1, 2}));
  const auto r = f.reader();
  BOOST_TEST(!r.sealed());
  for (const char* path : {"packed", "plain", "chunked"}) {
    BOOST_TEST((all<float>(r, path) == values), path);
    BOOST_TEST((r.find(path)->shape == shape{6, 7, 5}));
    BOOST_TEST(!r.has_digest(*r.find(path)));
    BOOST_TEST(r.map(*r.find(path)) == nullptr);
    for (std::size_t first = 0; first < values.size(); first += 3)
      for (const std::size_t count : {std::size_t{1}, std::size_t{5}, std::size_t{36}, values.size() - first}) {
        if (first + count > values.size()) continue;
        std::vector<float> part(count);
        r.read(*r.find(path), first, count, reinterpret_cast<std::byte*>(part.data()));
        BOOST_REQUIRE((std::equal(part.begin(), part.end(), values.begin() + static_cast<std::ptrdiff_t>(first))));
      }
  }
}

BOOST_AUTO_TEST_CASE(damage_under_a_checksum_of_hdf5_is_an_error) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const auto values = counting(1000);
  const auto creation = plain_file::creation({1000});
  H5Pset_fletcher32(creation.get());
  {
    const handle set = f.dataset("x", H5T_IEEE_F32LE, {1000}, H5T_NATIVE_FLOAT, values.data(), creation);
  }
  f.reader();
  const std::string bytes = support::bytes_of(f.path());
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&values[500]), 8));
  BOOST_REQUIRE(at != std::string::npos);
  support::flip_bit(f.path(), at);
  const foreign_reader r(io::posix().open(f.path()));
  require_all(message_of<format_error>([&] { all<float>(r, "x"); }), f.path() + ": /x: cannot read: HDF5: ");
}

BOOST_AUTO_TEST_CASE(big_endian_values_come_back_in_this_machine_s_order) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const std::vector<std::int32_t> ints{1, -2, 1 << 30};
  const std::vector<double> doubles{0.1, -1e300};
  const std::vector<std::complex<float>> pairs{{1, 2}, {3, -4}};
  f.dataset("ints", H5T_STD_I32BE, {3}, H5T_NATIVE_INT32, ints.data());
  f.dataset("doubles", H5T_IEEE_F64BE, {2}, H5T_NATIVE_DOUBLE, doubles.data());
  const auto complex_type = [](hid_t part) {
    handle t(H5Tcreate(H5T_COMPOUND, 8), &H5Tclose);
    H5Tinsert(t.get(), "r", 0, part);
    H5Tinsert(t.get(), "i", 4, part);
    return t;
  };
  f.dataset("complex", complex_type(H5T_IEEE_F32BE).get(), {2}, complex_type(H5T_NATIVE_FLOAT).get(), pairs.data());
  // NaNs with a payload survive a change of byte order.
  const std::vector<std::uint64_t> nans{0x7ff0000000000001, 0xfff8dead00000001};
  f.dataset("nans", H5T_IEEE_F64BE, {2}, H5T_NATIVE_DOUBLE, nans.data());
  const auto r = f.reader();
  BOOST_TEST((all<std::int32_t>(r, "ints") == ints));
  BOOST_TEST((all<double>(r, "doubles") == doubles));
  BOOST_TEST((all<std::complex<float>>(r, "complex") == pairs));
  const auto back = all<double>(r, "nans");
  BOOST_TEST(std::memcmp(back.data(), nans.data(), 16) == 0);
}

BOOST_AUTO_TEST_CASE(text_of_both_kinds_is_read) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const handle variable(H5Tcopy(H5T_C_S1), &H5Tclose), fixed(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(variable.get(), H5T_VARIABLE);
  H5Tset_size(fixed.get(), 6);
  H5Tset_strpad(fixed.get(), H5T_STR_NULLPAD);
  const char* one = "na\xc3\xafve";
  const char* several[] = {"a", "longer", ""};
  f.dataset("one", variable.get(), {}, variable.get(), &one);
  f.dataset("several", variable.get(), {3}, variable.get(), several);
  f.dataset("fixed", fixed.get(), {2}, fixed.get(), "abcdefgh\0\0\0\0");
  f.dataset("unwritten", variable.get(), {2});
  const auto r = f.reader();
  BOOST_TEST(text(r, "one") == "na\xc3\xafve");
  BOOST_TEST((r.find("one")->shape == shape{6}));
  BOOST_TEST(text(r, "several") == std::string("a\0\0\0\0\0longer\0\0\0\0\0\0", 18));
  BOOST_TEST((r.find("several")->shape == shape{3, 6}));
  BOOST_TEST(text(r, "fixed") == std::string("abcdefgh\0\0\0\0", 12));
  BOOST_TEST((r.find("fixed")->shape == shape{2, 6}));
  BOOST_TEST((r.find("unwritten")->shape == shape{2, 0}));
  char part[5];
  r.read(*r.find("fixed"), 4, 5, reinterpret_cast<std::byte*>(part));
  BOOST_TEST(std::string(part, 5) == "efgh" + std::string(1, '\0'));
}

BOOST_AUTO_TEST_CASE(what_has_no_dtype_or_lies_in_other_files_is_named_with_its_reason) {
  const support::folder dir;
  const int secret = 42;
  support::write_bytes(dir / "secret.bin", std::string_view(reinterpret_cast<const char*>(&secret), 4));
  {
    plain_file source(dir / "source.h5");
    source.dataset("d", H5T_STD_I32LE, {1}, H5T_NATIVE_INT, &secret);
  }
  plain_file f(dir / "f.h5");
  const auto external = plain_file::creation();
  H5Pset_external(external.get(), (dir / "secret.bin").c_str(), 0, 4);
  f.dataset("external", H5T_STD_I32LE, {1}, -1, nullptr, external);
  const auto virtual_creation = plain_file::creation();
  const hsize_t one = 1;
  const handle space(H5Screate_simple(1, &one, nullptr), &H5Sclose);
  H5Pset_virtual(virtual_creation.get(), space.get(), (dir / "source.h5").c_str(), "d", space.get());
  f.dataset("virtual", H5T_STD_I32LE, {1}, -1, nullptr, virtual_creation);
  const handle record(H5Tcreate(H5T_COMPOUND, 8), &H5Tclose), list(H5Tvlen_create(H5T_STD_I8LE), &H5Tclose);
  H5Tinsert(record.get(), "a", 0, H5T_STD_I32LE);
  H5Tinsert(record.get(), "b", 4, H5T_IEEE_F32LE);
  f.dataset("record", record.get(), {2});
  f.dataset("lists", list.get(), {2});
  f.dataset("reference", H5T_STD_REF_OBJ, {});
  f.dataset("fine", H5T_STD_I32LE, {1}, H5T_NATIVE_INT, &secret);
  const auto r = f.reader();
  const auto why = [&](const char* path) { return r.unreadable(*r.find(path)); };
  require_all(why("external"), "external storage");
  require_all(why("virtual"), "virtual dataset", "other files");
  for (const char* path : {"record", "lists", "reference"}) require_all(why(path), "no dtype");
  BOOST_TEST(why("fine") == "");
}

BOOST_AUTO_TEST_CASE(a_filter_that_is_not_hdf5_s_own_is_refused_and_no_plugin_is_loaded) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  static const H5Z_class2_t ours{H5Z_CLASS_T_VERS, 300, 1, 1, "test filter", nullptr, nullptr, [](unsigned, std::size_t, const unsigned*, std::size_t n, std::size_t*, void**) { return n; }};
  BOOST_REQUIRE(H5Zregister(&ours) >= 0);
  const auto creation = plain_file::creation({10});
  H5Pset_filter(creation.get(), 300, H5Z_FLAG_MANDATORY, 0, nullptr);
  const auto values = counting(10);
  f.dataset("x", H5T_IEEE_F32LE, {10}, H5T_NATIVE_FLOAT, values.data(), creation);
  H5Zunregister(300);
  unsigned before = 0, after = 0;
  H5PLget_loading_state(&before);
  const auto r = f.reader();
  require_all(r.unreadable(*r.find("x")), "filter 300", "not HDF5's own");
  H5PLget_loading_state(&after);
  BOOST_TEST(before == after);
}

BOOST_AUTO_TEST_CASE(soft_and_external_links_are_not_followed_and_hard_links_are_second_names) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const auto values = counting(3);
  {
    plain_file other(dir / "other.h5");
    other.dataset("x", H5T_IEEE_F32LE, {3}, H5T_NATIVE_FLOAT, values.data());
  }
  f.group("g");
  f.group("g/inner");
  f.dataset("g/x", H5T_IEEE_F32LE, {3}, H5T_NATIVE_FLOAT, values.data());
  H5Lcreate_soft("/g/x", f.id(), "soft", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external((dir / "other.h5").c_str(), "x", f.id(), "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f.id(), "g/x", f.id(), "z", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f.id(), "g", f.id(), "h", H5P_DEFAULT, H5P_DEFAULT);
  const auto r = f.reader();
  BOOST_TEST(r.find("soft") == nullptr);
  BOOST_TEST(r.find("elsewhere") == nullptr);
  BOOST_TEST((all<float>(r, "z") == values));
  BOOST_TEST((all<float>(r, "h/x") == values));
  BOOST_TEST(r.find("z")->alias_of == "g/x");
  BOOST_TEST(r.find("h/x")->alias_of == "g/x");
}

BOOST_AUTO_TEST_CASE(groups_that_contain_themselves_are_walked_once) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const auto values = counting(3);
  for (const char* path : {"a", "a/b", "c"}) f.group(path);
  f.dataset("a/b/x", H5T_IEEE_F32LE, {3}, H5T_NATIVE_FLOAT, values.data());
  H5Lcreate_hard(f.id(), "a", f.id(), "a/b/up", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f.id(), "/", f.id(), "a/root", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f.id(), "a", f.id(), "c/a", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f.id(), "c", f.id(), "a/c", H5P_DEFAULT, H5P_DEFAULT);
  const auto r = f.reader();
  BOOST_TEST((all<float>(r, "a/b/x") == values));
  BOOST_TEST(r.entries().size() < 20u);
}

BOOST_AUTO_TEST_CASE(groups_nested_without_end_are_refused) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  std::string path;
  for (int i = 0; i < 260; ++i) f.group((path += "/g").c_str());
  require_all(message_of<format_error>([&] { f.reader(); }), "nested deeper than 256");
}

BOOST_AUTO_TEST_CASE(content_that_a_file_of_its_size_cannot_hold_is_not_taken_for_any) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const auto values = counting(3);
  constexpr hsize_t mebi = 1 << 20;
  for (const char* path : {"a", "b", "c"}) f.group(path);
  f.dataset("a/fine", H5T_IEEE_F32LE, {3}, H5T_NATIVE_FLOAT, values.data(), {});
  // Declared and never written: there is nothing of it in the file.
  f.dataset("b/huge", H5T_IEEE_F64LE, {hsize_t{1} << 40}, -1, nullptr, plain_file::creation({1024}));
  f.dataset("b/overflow", H5T_IEEE_F64LE, {hsize_t{1} << 40, hsize_t{1} << 40}, -1, nullptr, plain_file::creation({1, 1024}));
  f.dataset("c/first", H5T_STD_I8LE, {40 * mebi}, -1, nullptr, plain_file::creation({1024}));
  f.dataset("c/second", H5T_STD_I8LE, {40 * mebi}, -1, nullptr, plain_file::creation({1024}));
  {
    const hsize_t few = 10, unlimited = H5S_UNLIMITED;
    const handle space(H5Screate_simple(1, &few, &unlimited), &H5Sclose);
    const handle set(H5Dcreate2(f.id(), "d_chunks", H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, plain_file::creation({256 * mebi}).get(), H5P_DEFAULT), &H5Dclose);
    BOOST_REQUIRE(set.get() >= 0);
  }
  const handle wide(H5Tcopy(H5T_C_S1), &H5Tclose), narrow(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(wide.get(), 2000 * mebi);
  f.dataset("e_text", wide.get(), {}, -1, nullptr, {});
  H5Tset_size(narrow.get(), 2);
  f.dataset("e_dimensions", narrow.get(), std::vector<hsize_t>(32, 1), -1, nullptr, {});
  const auto r = f.reader();
  BOOST_TEST((all<float>(r, "a/fine") == values));
  const auto why = [&](const char* path) { return r.unreadable(*r.find(path)); };
  for (const char* path : {"b/huge", "b/overflow", "e_text"}) require_all(why(path), "a dataset of more bytes than a file of ", " holds");
  require_all(why("d_chunks"), "in chunks of more bytes than a file of ");
  require_all(why("e_dimensions"), "32 dimensions");
  BOOST_TEST(why("c/first") == "");
  require_all(why("c/second"), "with those before it is more than a file of ");
  BOOST_TEST(r.find("b/huge")->bytes == 0u);
}

BOOST_AUTO_TEST_CASE(data_outside_the_file_or_of_another_length_than_the_shape_gives_is_not_read) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const auto values = counting(7001);
  f.dataset("x", H5T_IEEE_F32LE, {7001}, H5T_NATIVE_FLOAT, values.data());
  BOOST_TEST((all<float>(f.reader(), "x") == values));
  std::string bytes = support::bytes_of(f.path());
  const std::uint64_t length = 28004;
  std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&length), 8));
  BOOST_REQUIRE(at != std::string::npos);
  const auto why = [&](std::size_t where, char value) {  // nothing is under a checksum in the oldest format
    std::string changed = bytes;
    changed[where] = value;
    support::write_bytes(f.path(), changed);
    const foreign_reader r(io::posix().open(f.path()));
    return r.unreadable(*r.find("x"));
  };
  require_all(why(at + 1, 0x6c), "another length than its type and shape give");
  require_all(why(at - 8 + 6, 1), "data lies outside the file");
  bytes[at - 9] = bytes[at - 8] = 0;  // compact, where it was contiguous, and of no bytes
  require_all(why(at - 7, 0), "another length");
}

BOOST_AUTO_TEST_CASE(text_longer_than_the_file_is_refused_before_there_is_memory_for_it) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const handle variable(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(variable.get(), H5T_VARIABLE);
  const char* const words[] = {"one", "three"};
  std::size_t place = 0;
  {
    const handle set = f.dataset("words", variable.get(), {2}, variable.get(), words);
    place = static_cast<std::size_t>(H5Dget_offset(set.get()));
  }
  BOOST_TEST(text(f.reader(), "words") == std::string("one\0\0three", 10));
  std::string bytes = support::bytes_of(f.path());
  BOOST_REQUIRE_EQUAL(bytes[place + 16], 5);
  bytes[place + 19] = 0x7f;
  support::write_bytes(f.path(), bytes);
  require_all(message_of<format_error>([&] { foreign_reader(io::posix().open(f.path())); }), f.path() + ": /words: cannot read text: strings longer than the file");
}

BOOST_AUTO_TEST_CASE(text_that_would_be_padded_to_more_than_a_file_holds_is_not_read) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const handle variable(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(variable.get(), H5T_VARIABLE);
  const std::string lengthy(60000, 'x');
  std::vector<const char*> strings(10000, "");
  strings[7] = lengthy.c_str();
  f.dataset("padded", variable.get(), {strings.size()}, variable.get(), strings.data());
  f.dataset("fine", variable.get(), {3}, variable.get(), strings.data() + 6);
  const auto r = f.reader();
  require_all(r.unreadable(*r.find("padded")), "text that padded to one width is more than a file of ");
  BOOST_TEST((r.find("fine")->shape == shape{3, 60000}));
}

BOOST_AUTO_TEST_CASE(names_that_are_more_than_a_file_holds_are_refused) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  std::string path;
  for (int i = 0; i < 20; ++i) f.group((path += "/" + std::string(60000, static_cast<char>('a' + i))).c_str());
  f.dataset((path + "/x").c_str(), H5T_STD_I8LE, {});
  for (int i = 0; i < 200; ++i) H5Lcreate_hard(f.id(), (path + "/x").c_str(), f.id(), (path + "/" + std::to_string(i)).c_str(), H5P_DEFAULT, H5P_DEFAULT);
  require_all(message_of<format_error>([&] { f.reader(); }), f.path() + ": /aaa", "more names than a file of ", " bytes can hold");
}

BOOST_AUTO_TEST_CASE(links_that_multiply_are_refused) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  f.group("t");
  f.dataset("t/x", H5T_STD_I8LE, {});
  std::string below = "t";
  for (char g = 's'; g > 'a'; --g) {  // found in the order of names, so that each group is first met under its own
    const std::string path(1, g);
    f.group(path.c_str());
    for (const char* link : {"/zz0", "/zz1"}) H5Lcreate_hard(f.id(), below.c_str(), f.id(), (path + link).c_str(), H5P_DEFAULT, H5P_DEFAULT);
    below = path;
  }
  require_all(message_of<format_error>([&] { f.reader(); }), f.path(), "links without end");
}

BOOST_AUTO_TEST_CASE(a_name_with_a_slash_leads_nowhere) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  f.group("real");
  f.dataset("real/d", H5T_STD_I8LE, {});
  H5Lcreate_soft("/real", f.id(), "soft", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_hard(f.id(), "real/d", f.id(), "softXd", H5P_DEFAULT, H5P_DEFAULT);
  f.reader();
  std::string bytes = support::bytes_of(f.path());
  bytes.replace(bytes.find("softXd"), 6, "soft/d");  // names are under no checksum in the oldest format
  support::write_bytes(f.path(), bytes);
  require_all(message_of<format_error>([&] { foreign_reader(io::posix().open(f.path())); }), f.path() + ": /soft/d: a link with a name that HDF5 does not allow");
}

BOOST_AUTO_TEST_CASE(our_own_group_is_held_to_the_same_rules) {
  const support::folder dir;
  const std::string line = std::string(32, 'a') + "  x\n";
  support::write_bytes(dir / "secret.txt", line);
  const handle text_type(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(text_type.get(), line.size());
  const auto values = counting(3);
  const std::int64_t steps[2000] = {5};
  int made = 0;
  /// A file with a dataset x and what `make` makes of /holdfast, opened.
  const auto with = [&](auto make) {
    plain_file f(dir / ("f" + std::to_string(made++) + ".h5"));
    f.dataset("x", H5T_IEEE_F32LE, {3}, H5T_NATIVE_FLOAT, values.data());
    make(f);
    return f.reader();
  };
  const auto digests = [&](plain_file& f, const char* group, std::vector<hsize_t> dims, const handle& creation) {
    f.group(group);
    const std::string twice = line + line;
    f.dataset((std::string(group) + "/digests").c_str(), text_type.get(), std::move(dims), text_type.get(), creation.get() < 0 ? twice.data() : nullptr, creation);
  };
  const auto untouched = [](const foreign_reader& r) { return !r.has_digest(*r.find("x")) && r.step() == -1; };

  const auto sound = with([&](plain_file& f) {
    digests(f, "holdfast", {}, {});
    f.dataset("holdfast/step", H5T_STD_I64LE, {}, H5T_NATIVE_INT64, steps);
  });
  BOOST_TEST((sound.has_digest(*sound.find("x")) && sound.step() == 5));
  // More elements than the one that there is room for.
  BOOST_TEST(untouched(with([&](plain_file& f) {
    digests(f, "holdfast", {2}, {});
    f.dataset("holdfast/step", H5T_STD_I64LE, {2000}, H5T_NATIVE_INT64, steps);
  })));
  BOOST_TEST(untouched(with([&](plain_file& f) {
    const handle external = plain_file::creation();
    H5Pset_external(external.get(), (dir / "secret.txt").c_str(), 0, line.size());
    digests(f, "holdfast", {}, external);
  })));
  BOOST_TEST(untouched(with([&](plain_file& f) {
    digests(f, "elsewhere", {}, {});
    f.dataset("elsewhere/step", H5T_STD_I64LE, {}, H5T_NATIVE_INT64, steps);
    H5Lcreate_soft("/elsewhere", f.id(), "holdfast", H5P_DEFAULT, H5P_DEFAULT);
  })));
  BOOST_TEST(untouched(with([&](plain_file& f) {
    digests(f, "elsewhere", {}, {});
    f.dataset("elsewhere/step", H5T_STD_I64LE, {}, H5T_NATIVE_INT64, steps);
    H5Lcreate_external(f.path().c_str(), "/elsewhere", f.id(), "holdfast", H5P_DEFAULT, H5P_DEFAULT);
  })));
  BOOST_TEST(untouched(with([&](plain_file& f) {
    f.group("holdfast");
    const handle variable(H5Tcopy(H5T_C_S1), &H5Tclose);
    H5Tset_size(variable.get(), H5T_VARIABLE);
    const char* const text = line.c_str();
    f.dataset("holdfast/digests", variable.get(), {}, variable.get(), &text);
    f.group("holdfast/step");
  })));
}

BOOST_AUTO_TEST_CASE(empty_things_are_what_they_are) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  f.dataset("none", H5T_IEEE_F32LE, {0, 3});
  f.dataset("scalar", H5T_STD_U16LE, {});
  f.group("g");
  const handle null(H5Screate(H5S_NULL), &H5Sclose);
  {
    const handle set(H5Dcreate2(f.id(), "null", H5T_IEEE_F32LE, null.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), &H5Dclose);
  }
  const auto r = f.reader();
  BOOST_TEST(all<float>(r, "none").empty());
  BOOST_TEST((r.find("none")->shape == shape{0, 3}));
  BOOST_TEST((all<std::uint16_t>(r, "scalar") == std::vector<std::uint16_t>{0}));
  BOOST_TEST((r.find("null")->kind == entry_kind::absent));
  BOOST_TEST((r.find("g")->kind == entry_kind::group));
}

BOOST_AUTO_TEST_CASE(an_integer_that_an_attribute_calls_a_float8_is_one) {
  const support::folder dir;
  plain_file f(dir / "f.h5");
  const std::vector<std::uint8_t> codes{0x00, 0x7f, 0x80};
  const handle text_type(H5Tcopy(H5T_C_S1), &H5Tclose), scalar(H5Screate(H5S_SCALAR), &H5Sclose);
  H5Tset_size(text_type.get(), 13);
  const auto named = [&](const char* path, hid_t type, const char* label) {
    const handle set = f.dataset(path, type, {3}, H5T_NATIVE_UINT8, codes.data());
    const handle a(H5Acreate2(set.get(), "dtype", text_type.get(), scalar.get(), H5P_DEFAULT, H5P_DEFAULT), &H5Aclose);
    H5Awrite(a.get(), text_type.get(), label);
  };
  named("x", H5T_STD_U8LE, "float8_e4m3fn");
  named("y", H5T_STD_U8LE, "float32\0\0\0\0\0\0");
  named("z", H5T_STD_I16LE, "float8_e4m3fn");
  const auto r = f.reader();
  BOOST_TEST((r.find("x")->dtype == dtype::float8_e4m3fn));
  BOOST_TEST((r.find("y")->dtype == dtype::uint8));
  BOOST_TEST((r.find("z")->dtype == dtype::int16));
}

BOOST_AUTO_TEST_CASE(our_own_group_gives_digests_and_step_and_is_not_listed) {
  const support::folder dir;
  std::vector<float> w = counting(2000);
  state s;
  s.bind("m/w", w).bind("m/tied", w);
  save(dir / "f.h5", s, {.step = 9});
  const foreign_reader r(io::posix().open(dir / "f.h5"));
  BOOST_TEST(r.step() == 9);
  BOOST_TEST(r.find("holdfast") == nullptr);
  BOOST_TEST(r.find("holdfast/step") == nullptr);
  for (const char* path : {"m/w", "m/tied"}) {
    BOOST_TEST(r.has_digest(*r.find(path)), path);
    BOOST_TEST((all<float>(r, path) == w));
  }
}

BOOST_AUTO_TEST_CASE(what_libhdf5_cannot_open_is_an_error_with_its_reason) {
  const support::folder dir;
  support::write_bytes(dir / "f.h5", "\x89HDF\r\n\x1a\n and nothing more");
  require_all(message_of<format_error>([&] { foreign_reader(io::posix().open(dir / "f.h5")); }), dir / "f.h5", "cannot open it as HDF5: HDF5: ");
  plain_file f(dir / "g.h5");
  const auto values = counting(3000);
  f.dataset("x", H5T_IEEE_F32LE, {3000}, H5T_NATIVE_FLOAT, values.data());
  f.reader();
  const std::string whole = support::bytes_of(dir / "g.h5");
  support::write_bytes(dir / "g.h5", whole.substr(0, whole.size() / 2));
  require_all(message_of<format_error>([&] { foreign_reader(io::posix().open(dir / "g.h5")); }), dir / "g.h5", "truncated file");
}

BOOST_AUTO_TEST_SUITE_END()
