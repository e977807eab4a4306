#include <highfive/H5File.hpp>

#include "contenders.hpp"

namespace compare {

namespace {

template <class F>
void as_numbers(const tensor& t, F use) {
  if (t.dtype == "float32") use(reinterpret_cast<float*>(t.memory.get()));
  else if (t.dtype == "float64") use(reinterpret_cast<double*>(t.memory.get()));
  else use(reinterpret_cast<std::int64_t*>(t.memory.get()));
}

void save(workload& w, const std::string& path) {
  HighFive::File file(path, HighFive::File::Excl);
  for (const tensor& t : w.tensors())
    as_numbers(t, [&]<class T>(const T* data) { file.createDataSet<T>(t.name, HighFive::DataSpace(std::vector<std::size_t>(t.shape.begin(), t.shape.end()))).write_raw(data); });
}

void load(workload& w, const std::string& path) {
  const HighFive::File file(path, HighFive::File::ReadOnly);
  for (const tensor& t : w.tensors()) as_numbers(t, [&](auto* data) { file.getDataSet(t.name).read_raw(data); });
}

}  // namespace

void add_highfive(worker& to) {
  to.version("HighFive");
  to.add_save("HighFive", save);
  to.add_load("HighFive, load", load);
}

}  // namespace compare
