#include <holdfast/holdfast.hpp>

#include <algorithm>
#include <optional>
#include <random>

#include "contenders.hpp"
#include "memory.hpp"

namespace compare {

namespace {

/// Digests nothing, so that a save without digests can be told from one with them.
class no_digest final : public holdfast::keyed_digest {
  class nothing final : public stream {
    void update(std::span<const std::byte>) override {}
    holdfast::digest finish() override { return {}; }
  };
  std::unique_ptr<stream> start() const override { return std::make_unique<nothing>(); }
};

void bind(holdfast::state& to, const tensor& t) {
  const auto as = [&]<class T>(T* data) { to.bind(t.name, holdfast::tensor(data, holdfast::shape(t.shape))); };
  if (t.dtype == "float32") as(reinterpret_cast<float*>(t.memory.get()));
  else if (t.dtype == "float64") as(reinterpret_cast<double*>(t.memory.get()));
  else as(reinterpret_cast<std::int64_t*>(t.memory.get()));
}

/// The state of this process's tensors; contenders run on one workload.
holdfast::state& state_of(const workload& tensors) {
  static holdfast::state bound = [&] {
    holdfast::state s;
    for (const tensor& t : tensors.tensors()) bind(s, t);
    return s;
  }();
  return bound;
}

/// Saves again and again with a saver of its own.
worker::contender replayed(holdfast::save_options options) {
  return [options, saver = std::make_shared<holdfast::saver>()](workload& w, const std::string& path) {
    const holdfast::state& state = state_of(w);
    return seconds([&] { saver->save(path, state, options); });
  };
}

double first_save(workload& w, const std::string& path) {
  const holdfast::state& state = state_of(w);
  return seconds([&] { holdfast::save(path, state); });
}

/// A steady run: what retention lets go becomes the next file.
worker::contender recycled() {
  struct run {
    std::optional<holdfast::checkpoint_directory> folder;
    std::int64_t step = 0;
  };
  return [r = std::make_shared<run>()](workload& w, const std::string& path) {
    const holdfast::state& state = state_of(w);
    if (!r->folder)
      for (r->folder.emplace(path, holdfast::retention{.keep_last = 1, .recycle = true}); r->step < 3;) r->folder->save(r->step++, state);
    return seconds([&] { r->folder->save(r->step++, state); });
  };
}

/// What is measured while a save is in the background: `measure(start)` calls `start` once.
template <class F>
worker::contender in_background(std::shared_ptr<holdfast::saver> saver, F measure) {
  return [saver, measure](workload& w, const std::string& path) {
    const holdfast::state& state = state_of(w);
    holdfast::pending_save pending;
    const double result = measure(w, [&] { pending = saver->save_async(path, state); });
    pending.wait();
    return result;
  };
}

worker::action restore(holdfast::restore_options options) {
  return [options](workload& w, const std::string& path) { holdfast::restore(path, state_of(w), options); };
}

double one_tensor(workload& w, const std::string& path) {
  static std::minstd_rand random(1);
  std::vector<const tensor*> wanted;
  for (int i = 0; i < 20; ++i) wanted.push_back(&w.tensors()[random() % w.tensors().size()]);
  return mean_seconds(static_cast<int>(wanted.size()), [&](int i) {
    const tensor& t = *wanted[static_cast<std::size_t>(i)];
    const auto found = holdfast::checkpoint_file(path).read<std::vector<float>>(t.name);
    if (!std::equal(t.content().begin(), t.content().end(), std::as_bytes(std::span(found)).begin())) throw std::runtime_error(t.name + " is not what was saved");
  });
}

double map_all(workload& w, const std::string& path) {
  return seconds([&] {
    const holdfast::checkpoint_file file(path);
    for (const tensor& t : w.tensors())
      if (file.map<float>(t.name).size_bytes() != t.bytes) throw std::runtime_error(t.name + " has another length");
  });
}

}  // namespace

void add_holdfast(worker& to) {
  to.add("holdfast save", replayed({}));
  to.add("holdfast save, first time", first_save);
  to.add("holdfast save, no digests", replayed({.key = std::make_shared<no_digest>()}));
  to.add("holdfast save, no fsync", replayed({.durable = false}));
  to.add("holdfast save, buffered", replayed({.io = holdfast::io::mode::buffered}));
  to.add("holdfast save, recycled blocks", recycled());
  to.add_load("holdfast restore", restore({}));
  to.add_load("holdfast restore, not verified", restore({.verify = holdfast::verify::off}));
  to.add("holdfast one tensor", one_tensor);
  to.add("holdfast map", map_all);

  const auto saver = std::make_shared<holdfast::saver>();  // one, so that its copy of the state is there once
  to.add("holdfast stall", in_background(saver, [](workload&, auto start) { return seconds(start); }));
  to.add("pass after holdfast's stall", in_background(saver, [](workload& w, auto start) {
           start();
           return seconds([&] { w.step(); });
         }));

  to.add("holdfast save, memory", [](workload& w, const std::string& path) {
    const holdfast::state& state = state_of(w);
    return peak_more_bytes([&] { holdfast::save(path, state); });
  });
  to.add("holdfast save_async, memory", [](workload& w, const std::string& path) {
    const holdfast::state& state = state_of(w);
    return peak_more_bytes([&] { holdfast::save_async(path, state).wait(); });
  });
  to.add("holdfast restore, memory", [](workload& w, const std::string& path) {
    holdfast::state& state = state_of(w);
    return peak_more_bytes([&] { holdfast::restore(path, state); });
  });
}

}  // namespace compare
