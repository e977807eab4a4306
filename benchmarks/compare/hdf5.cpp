#include <random>
#include <stdexcept>

#include <hdf5.h>

#include "contenders.hpp"

namespace compare {

namespace {

/// An identifier that is given back.
class identifier {
 public:
  identifier(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {
    if (id < 0) throw std::runtime_error("libhdf5 failed");
  }
  identifier(const identifier&) = delete;
  ~identifier() { close_(id_); }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

hid_t type_of(const tensor& t) {
  return t.dtype == "float32" ? H5T_NATIVE_FLOAT : t.dtype == "float64" ? H5T_NATIVE_DOUBLE
                                                                        : H5T_NATIVE_INT64;
}

void must(herr_t result) {
  if (result < 0) throw std::runtime_error("libhdf5 failed");
}

void read(hid_t file, const tensor& t, void* out) {
  const identifier set(H5Dopen(file, t.name.c_str(), H5P_DEFAULT), &H5Dclose);
  must(H5Dread(set, type_of(t), H5S_ALL, H5S_ALL, H5P_DEFAULT, out));
}

void save(workload& w, const std::string& path) {
  const identifier links(H5Pcreate(H5P_LINK_CREATE), &H5Pclose);
  must(H5Pset_create_intermediate_group(links, 1));
  const identifier file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), &H5Fclose);
  for (const tensor& t : w.tensors()) {
    const std::vector<hsize_t> extents(t.shape.begin(), t.shape.end());
    const identifier space(t.shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), &H5Sclose);
    const identifier set(H5Dcreate(file, t.name.c_str(), type_of(t), space, links, H5P_DEFAULT, H5P_DEFAULT), &H5Dclose);
    must(H5Dwrite(set, type_of(t), H5S_ALL, H5S_ALL, H5P_DEFAULT, t.memory.get()));
  }
}

void load(workload& w, const std::string& path) {
  const identifier file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose);
  for (const tensor& t : w.tensors()) read(file, t, t.memory.get());
}

double one_tensor(workload& w, const std::string& path) {
  static std::minstd_rand random(1);
  std::vector<std::byte> out(w.tensors().front().bytes);
  return mean_seconds(20, [&](int) {
    const identifier file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose);
    read(file, w.tensors()[random() % w.tensors().size()], out.data());
  });
}

}  // namespace

void add_hdf5(worker& to) {
  unsigned major = 0, minor = 0, release = 0;
  must(H5get_libversion(&major, &minor, &release));
  to.version("HDF5 " + std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release));
  to.add_save("H5Dwrite", save);
  to.add_load("H5Dread", load);
  to.add("libhdf5 one tensor", one_tensor);
}

}  // namespace compare
