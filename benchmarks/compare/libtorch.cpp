#include <torch/serialize.h>
#include <torch/types.h>
#include <torch/version.h>

#include "contenders.hpp"

namespace compare {

namespace {

torch::Dtype type_of(const tensor& t) {
  return t.dtype == "float32" ? torch::kFloat32 : t.dtype == "float64" ? torch::kFloat64
                                                                       : torch::kInt64;
}

/// The tensors of this process, without a copy.
const std::vector<torch::Tensor>& torch_tensors(const workload& w) {
  static const std::vector<torch::Tensor> all = [&] {
    std::vector<torch::Tensor> made;
    for (const tensor& t : w.tensors()) made.push_back(torch::from_blob(t.memory.get(), t.shape, type_of(t)));
    return made;
  }();
  return all;
}

void save(workload& w, const std::string& path) { torch::save(torch_tensors(w), path); }

/// Makes new tensors: libtorch has no load into those that are there.
double load(workload& w, const std::string& path) {
  std::vector<torch::Tensor> loaded;
  const double result = seconds([&] { torch::load(loaded, path); });
  for (std::size_t i = 0; i < w.tensors().size(); ++i)
    if (!loaded.at(i).equal(torch_tensors(w)[i])) throw std::runtime_error(w.tensors()[i].name + " is not what was saved");
  return result;
}

}  // namespace

void add_libtorch(worker& to) {
  to.version("libtorch " TORCH_VERSION);
  to.add_save("libtorch", save);
  to.add("libtorch, load", load);
}

}  // namespace compare

int main() {
  compare::worker all;
  compare::add_libtorch(all);
  return all.serve();
}
