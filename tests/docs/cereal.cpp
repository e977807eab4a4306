// The blocks of docs/guides/cereal.md, word for word (blocks.py holds them to it), and what the page says of them.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <cereal/archives/binary.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <holdfast/adapters/cereal.hpp>
#include <holdfast/separate.hpp>

struct layer {
  std::vector<float> weight, bias;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(weight), CEREAL_NVP(bias));
  }
};

class optimizer {
 public:
  virtual ~optimizer() = default;
  double rate = 0.1;
  template <class Archive>
  void serialize(Archive& archive, const std::uint32_t version) {
    archive(CEREAL_NVP(rate));
    if (version >= 2) archive(CEREAL_NVP(warmup));
  }
  int warmup = 0;
};
CEREAL_CLASS_VERSION(optimizer, 2)

class adam : public optimizer {
 public:
  std::vector<float> exp_avg, exp_avg_sq;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::base_class<optimizer>(this), CEREAL_NVP(exp_avg), CEREAL_NVP(exp_avg_sq));
  }
};
CEREAL_REGISTER_TYPE(adam)

struct trainer {
  std::vector<layer> layers;
  std::shared_ptr<optimizer> update;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(layers), CEREAL_NVP(update));
  }
};

#include "../adapters/h5py.hpp"
#include "../support.hpp"

template <class Trainer>
void move_from_cereal(Trainer& run) {
  std::ifstream old("run.cereal", std::ios::binary);
  cereal::BinaryInputArchive archive(old);
  archive(run);

  holdfast::state state;
  state.bind("run", run);
  holdfast::save("run.h5", state);
}

BOOST_AUTO_TEST_CASE(the_page_is_true) {
  const support::folder folder;
  const std::string path = folder / "run.h5";
  trainer run;
  run.layers.resize(2);
  run.layers[1].weight = {1, 2};
  run.update = std::make_shared<adam>();
  run.update->warmup = 7;

  holdfast::state state;
  state.bind("trainer", run);
  holdfast::save(path, state);
  trainer resumed;
  holdfast::state other;
  other.bind("trainer", resumed);
  holdfast::restore(path, other);
  BOOST_TEST((resumed.layers.size() == 2 && resumed.layers[1].weight == run.layers[1].weight && resumed.update->warmup == 7));
  BOOST_TEST((dynamic_cast<adam*>(resumed.update.get()) != nullptr));

  std::vector<std::string> names;
  const holdfast::checkpoint_file file(path);
  for (const holdfast::entry& e : file.entries()) names.push_back(e.path);
  const std::vector<std::string> shown{"trainer/layers", "trainer/layers/0/bias", "trainer/layers/0/weight", "trainer/layers/1/bias", "trainer/layers/1/weight", "trainer/update/cereal_class_version",
                                       "trainer/update/exp_avg", "trainer/update/exp_avg_sq", "trainer/update/polymorphic_name", "trainer/update/rate", "trainer/update/warmup"};
  BOOST_TEST((names == shown));
  BOOST_TEST(true_in_h5py(path, "f['trainer/layers/1/weight'][:].tolist() == [1, 2] and f['trainer/update/polymorphic_name'][()] == b'adam'"));
}

BOOST_AUTO_TEST_CASE(docs_moving) {
  const support::current_folder here;
  trainer run, read;
  run.layers.resize(2);
  run.layers[1].weight = {1, 2};
  run.update = std::make_shared<adam>();
  {
    std::ofstream out("run.cereal", std::ios::binary);
    cereal::BinaryOutputArchive archive(out);
    archive(run);
  }
  move_from_cereal(read);
  BOOST_TEST(true_in_h5py("run.h5", "f['run/layers/1/weight'][:].tolist() == [1, 2]"));
}
