#include "hdf5_view.hpp"

#include <algorithm>
#include <exception>
#include <string_view>

#include <hdf5.h>

#include <holdfast/core/path.hpp>
#include <holdfast/hdf5/datatype.hpp>
#include <holdfast/hdf5/foreign_file.hpp>
#include <holdfast/hdf5/handle.hpp>
#include <holdfast/hdf5/layout.hpp>

namespace tool {
namespace {

namespace hdf5 = holdfast::hdf5;

struct visit {
  hdf5_view* into;
  hid_t access;
  const std::string* file;
  std::exception_ptr error{};
};

void take_attributes(hid_t object, const std::string& path, hdf5_view& into) {
  struct names {
    const std::string& path;
    std::vector<std::string>& all;
  } found{path, into.attributes};
  const auto add = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    auto& f = *static_cast<names*>(out);
    if (std::string_view(name) == hdf5::dtype_attribute) return 0;
    try {
      f.all.push_back("/" + f.path + " (" + name + ")");
      return 0;
    } catch (...) {
      return -1;
    }
  };
  hdf5::checked(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add, &found), "/" + path + ": cannot list the attributes");
}

void take(hid_t root, const std::string& path, bool hard, const visit& v) {
  if (holdfast::detail::within(path, hdf5::library_group)) return;
  if (!hard) return v.into->links.push_back("/" + path);
  const std::string what = *v.file + ": /" + path + ": cannot open";
  const hdf5::handle object = hdf5::checked(H5Oopen(root, path.c_str(), v.access), &H5Oclose, what);
  take_attributes(object.get(), path, *v.into);
  if (H5Iget_type(object.get()) != H5I_DATASET) return;
  if (const haddr_t at = H5Dget_offset(object.get()); at != HADDR_UNDEF) v.into->offsets.emplace(path, at);
}

}  // namespace

hdf5_view::hdf5_view(const std::string& path) {
  const hdf5::quiet_errors quiet;
  const hdf5::detail::plugins_off no_plugins;
  const hdf5::handle access = hdf5::checked(H5Pcreate(H5P_LINK_ACCESS), &H5Pclose, "H5Pcreate");
  hdf5::checked(H5Pset_elink_cb(access.get(), &hdf5::detail::follow_none, nullptr), "H5Pset_elink_cb");
  const hdf5::handle file = hdf5::checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose, path + ": cannot open it as HDF5");
  take_attributes(file.get(), "", *this);
  visit v{this, access.get(), &path};
  const auto each = [](hid_t root, const char* name, const H5L_info_t* link, void* with) -> herr_t {
    auto& given = *static_cast<visit*>(with);
    try {
      take(root, name, link->type == H5L_TYPE_HARD, given);
      return 0;
    } catch (...) {
      given.error = std::current_exception();
      return -1;
    }
  };
  const herr_t done = H5Lvisit(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, each, &v);
  if (v.error) std::rethrow_exception(v.error);
  hdf5::checked(done, path + ": cannot list its links");

  const std::string own = std::string(hdf5::library_group) + "/" + hdf5::digests_dataset;
  if (H5Lexists(file.get(), hdf5::library_group, access.get()) <= 0 || H5Lexists(file.get(), own.c_str(), access.get()) <= 0) return;
  const hdf5::handle set = hdf5::checked(H5Dopen2(file.get(), own.c_str(), H5P_DEFAULT), &H5Dclose, path + ": cannot open /" + own);
  const hdf5::handle type = hdf5::checked(H5Dget_type(set.get()), &H5Tclose, path + ": cannot read /" + own);
  const hdf5::handle space = hdf5::checked(H5Dget_space(set.get()), &H5Sclose, path + ": cannot read /" + own);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 || H5Sget_simple_extent_npoints(space.get()) != 1) return;
  digests.resize(H5Tget_size(type.get()));
  hdf5::checked(H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, digests.data()), path + ": cannot read /" + own);
  const hdf5::handle group = hdf5::checked(H5Gopen2(file.get(), hdf5::library_group, H5P_DEFAULT), &H5Gclose, path + ": cannot open /holdfast");
  if (H5Aexists(group.get(), hdf5::digest_attribute) <= 0) return;
  const hdf5::handle attribute = hdf5::checked(H5Aopen(group.get(), hdf5::digest_attribute, H5P_DEFAULT), &H5Aclose, "H5Aopen");
  const hdf5::handle text = hdf5::checked(H5Aget_type(attribute.get()), &H5Tclose, "H5Aget_type");
  std::string value(std::min<std::size_t>(H5Tget_size(text.get()), 64), '\0');
  if (H5Tget_class(text.get()) != H5T_STRING || H5Tis_variable_str(text.get()) != 0 || H5Tget_size(text.get()) > value.size()) return;
  hdf5::checked(H5Aread(attribute.get(), text.get(), value.data()), "H5Aread");
  keyed = value.starts_with(hdf5::keyed_digest_name);
}

}  // namespace tool
