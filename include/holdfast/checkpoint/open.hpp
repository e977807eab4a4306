#pragma once
#include <memory>
#include <string>
#include <utility>

#include <holdfast/checkpoint/restore_options.hpp>
#include <holdfast/hdf5/foreign_reader.hpp>
#include <holdfast/hdf5/sealed_reader.hpp>
#include <holdfast/io/posix.hpp>

namespace holdfast::detail {

/// Opens a sealed checkpoint by its index or, where the caller trusts it, any HDF5 file through libhdf5. With a key only
/// what was sealed with it. `on_demand` is for a sealed file of which little is asked.
template <class X = void>
std::unique_ptr<hdf5::reader> open_reader(const std::string& path, trust trusted, io::storage* storage = nullptr, const seal_key& key = {}, bool on_demand = false) {
  std::shared_ptr<io::file> file = (storage != nullptr ? *storage : io::posix()).open(path);
  if (const auto trailer = hdf5::basic_sealed_reader<X>::trailer_of(*file)) return std::make_unique<hdf5::basic_sealed_reader<X>>(std::move(file), *trailer, key, on_demand);
  if (key) throw integrity_error(path + ": expected a seal made with the key, found none; do not trust it, or leave .key out");
  if (trusted == trust::foreign) return std::make_unique<hdf5::basic_foreign_reader<X>>(std::move(file));
  throw format_error(path +
                     ": expected a sealed checkpoint, found an HDF5 file without holdfast's trailer: it was truncated, written to by "
                     "another program since it was saved, or not made by holdfast; pass .trust = holdfast::trust::foreign to read it unverified");
}

}  // namespace holdfast::detail
