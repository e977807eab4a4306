// Any HDF5 file, opened with trust::foreign: listed, read and restored. libhdf5 itself crashes on some of these and hangs on others,
// which is counted and no failure; what is ours must refuse with an error that names the file, or read, and take no more memory than
// a file of that size may ask for. An input is the file.
#include <holdfast/holdfast.hpp>

#include <map>

#include "../io/memory_files.hpp"
#include "driver.hpp"

using namespace holdfast;
using hdf5::handle;

namespace {

/// Files of the kinds that other programs make, through the C API and in memory.
class plain_file {
 public:
  explicit plain_file(bool newest) {
    const handle access(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
    H5Pset_fapl_core(access.get(), 1024, false);
    H5Pset_libver_bounds(access.get(), newest ? H5F_LIBVER_V110 : H5F_LIBVER_EARLIEST, H5F_LIBVER_V110);
    const handle creation(H5Pcreate(H5P_FILE_CREATE), &H5Pclose);
    H5Pset_obj_track_times(creation.get(), false);
    file_ = handle(H5Fcreate("seed", H5F_ACC_TRUNC, creation.get(), access.get()), &H5Fclose);
  }
  void group(const char* path) {
    const handle timeless(H5Pcreate(H5P_GROUP_CREATE), &H5Pclose);
    H5Pset_obj_track_times(timeless.get(), false);
    const handle made(H5Gcreate2(id(), path, H5P_DEFAULT, timeless.get(), H5P_DEFAULT), &H5Gclose);
  }
  handle dataset(const char* path, hid_t type, std::vector<hsize_t> dims, const void* data, const handle& creation = {}) {
    const handle space(dims.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), &H5Sclose);
    const handle timeless(creation.get() < 0 ? H5Pcreate(H5P_DATASET_CREATE) : H5Pcopy(creation.get()), &H5Pclose);
    H5Pset_obj_track_times(timeless.get(), false);
    handle set(H5Dcreate2(id(), path, type, space.get(), H5P_DEFAULT, timeless.get(), H5P_DEFAULT), &H5Dclose);
    if (data != nullptr) H5Dwrite(set.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    return set;
  }
  hid_t id() const { return file_.get(); }
  fuzz::bytes image() const {
    H5Fflush(id(), H5F_SCOPE_GLOBAL);
    fuzz::bytes out(static_cast<std::size_t>(H5Fget_file_image(id(), nullptr, 0)));
    H5Fget_file_image(id(), out.data(), out.size());
    return out;
  }

 private:
  handle file_;
};

handle text_type(std::size_t width) {
  handle t(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(t.get(), width);
  return t;
}

struct model {
  std::vector<float> weight;
  std::vector<std::string> words;
  std::map<std::string, std::vector<double>> moments;
  std::string name;
  std::int64_t step = 0;
  state bound;
  model() { bound.bind("weight", weight).bind("words", words).bind("moments", moments).bind("name", name).bind("step", step); }
};

}  // namespace

namespace fuzz {

const char* const name = "fuzz_foreign";
const bool isolated = true;

void run(std::span<const std::byte> input) {
  static support::memory_files memory;
  memory["f.h5"].assign(input.begin(), input.end());
  const std::size_t holds = (std::size_t{64} << 20) + 1040 * input.size();
  try {
    within(4 * holds, [&] {
      const auto reader = holdfast::detail::open_reader("f.h5", trust::foreign, &memory);
      std::uint64_t left = std::uint64_t{16} << 20;  // enough for what was written, and not for hours of what never was
      for (const entry& e : reader->entries()) {
        if (e.kind != entry_kind::tensor || !reader->unreadable(e).empty() || e.bytes > left) continue;
        left -= e.bytes;
        try {
          holdfast::detail::transfers(*reader, {{&e, nullptr}}, true).run();
        } catch (const integrity_error&) {
        } catch (const format_error&) {
        }
      }
      model to;
      const restore_options options{.missing = on_missing::keep, .unexpected = on_unexpected::ignore, .cast = cast::allow, .verify = verify::off};
      (void)holdfast::detail::restore_from(*reader, holdfast::detail::selection(*reader, options), to.bound, options);
    });
  } catch (const error& e) {
    // libhdf5's functions are named where one fails that has nothing to do with any one file.
    const std::string_view text = e.what();
    require(text.starts_with("f.h5: ") || text.starts_with("H5"), "an error that does not name its file: " + std::string(text));
  }
}

std::vector<seed_input> seeds() {
  std::vector<seed_input> all;
  const float weight[] = {1, 2, 3, 4, 5, 6};
  const double moment[] = {0.5, 0.25};
  const std::int64_t step = 5;
  for (const bool newest : {false, true}) {
    plain_file f(newest);
    f.dataset("weight", H5T_NATIVE_FLOAT, {6}, weight);
    f.group("moments");
    f.dataset("moments/a", H5T_NATIVE_DOUBLE, {2}, moment);
    f.dataset("step", H5T_NATIVE_INT64, {}, &step);
    f.dataset("name", text_type(4).get(), {}, "run");
    H5Lcreate_hard(f.id(), "moments", f.id(), "tied", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/moments/a", f.id(), "soft", H5P_DEFAULT, H5P_DEFAULT);
    all.push_back({newest ? "plain_v110.h5" : "plain.h5", f.image()});
  }
  {
    plain_file f(false);
    const handle chunks(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose);
    const hsize_t chunk[] = {2, 2};
    H5Pset_chunk(chunks.get(), 2, chunk);
    H5Pset_shuffle(chunks.get());
    H5Pset_deflate(chunks.get(), 6);
    f.dataset("weight", H5T_NATIVE_FLOAT, {2, 3}, weight, chunks);
    all.push_back({"chunks.h5", f.image()});
  }
  {
    plain_file f(false);
    const handle variable = text_type(H5T_VARIABLE);
    const char* const words[] = {"one", "", "three"};
    f.dataset("words", variable.get(), {3}, words);
    all.push_back({"text.h5", f.image()});
  }
  {
    plain_file f(false);
    const handle set = f.dataset("codes", H5T_STD_U8LE, {6}, weight), scalar(H5Screate(H5S_SCALAR), &H5Sclose), type = text_type(14);
    const handle attribute(H5Acreate2(set.get(), "dtype", type.get(), scalar.get(), H5P_DEFAULT, H5P_DEFAULT), &H5Aclose);
    H5Awrite(attribute.get(), type.get(), "float8_e4m3fn");
    f.group("holdfast");
    f.dataset("holdfast/digests", text_type(36 + 3).get(), {}, "00112233445566778899aabbccddeeff  codes");
    f.dataset("holdfast/step", H5T_STD_I64LE, {}, &step);
    const handle compact(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose), external(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose), bools = hdf5::datatype_of(dtype::boolean), pairs = hdf5::datatype_of(dtype::complex64);
    H5Pset_layout(compact.get(), H5D_COMPACT);
    f.dataset("bools", bools.get(), {2}, "\0\1", compact);
    f.dataset("pairs", pairs.get(), {2}, weight, compact);
    H5Pset_external(external.get(), "secret", 0, 4);
    f.dataset("external", H5T_STD_I32LE, {1}, nullptr, external);
    all.push_back({"kinds.h5", f.image()});
  }
  return all;
}

}  // namespace fuzz
