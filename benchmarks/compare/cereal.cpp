#include <fstream>

#include <cereal/archives/binary.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <cereal/version.hpp>

#include "contenders.hpp"

namespace compare {

namespace {

template <class Archive>
void contents(Archive& archive, workload& w) {
  for (tensor& t : w.tensors()) archive(t.name, t.shape, cereal::binary_data(t.memory.get(), t.bytes));
}

void save(workload& w, const std::string& path) {
  std::ofstream out(path, std::ios::binary);
  cereal::BinaryOutputArchive archive(out);
  contents(archive, w);
}

void load(workload& w, const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  cereal::BinaryInputArchive archive(in);
  contents(archive, w);
}

}  // namespace

void add_cereal(worker& to) {
  to.version("cereal " + std::to_string(CEREAL_VERSION_MAJOR) + "." + std::to_string(CEREAL_VERSION_MINOR) + "." + std::to_string(CEREAL_VERSION_PATCH));
  to.add_save("cereal", save);
  to.add_load("cereal, load", load);
}

}  // namespace compare
