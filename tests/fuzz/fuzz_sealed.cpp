// A whole sealed file, of which every digest is made right before it is read: listed, verified, mapped and restored. An input is
// the file. The trailer's reserved bytes choose how it is restored: 160 bits of options, 161 how it is verified, 162 what is bound.
#include <holdfast/holdfast.hpp>

#include <complex>
#include <map>
#include <random>
#include <set>

#include "../checkpoint/sample.hpp"
#include "driver.hpp"
#include "sealed_file.hpp"

namespace {

struct part {
  std::vector<double> moment;
  std::int32_t count = 0;
};

}  // namespace

template <>
struct holdfast::traits<part> : holdfast::fields<holdfast::field<&part::moment>, holdfast::field<&part::count>> {};

namespace {

using namespace holdfast;

/// A state with every family of types. What is empty takes the file's sizes.
struct model {
  std::vector<float> weight;
  std::vector<bool> mask;
  std::vector<std::string> words;
  std::map<std::string, std::vector<std::uint8_t>> moments;
  std::map<int, part> parts;
  std::vector<part> layers;
  std::optional<std::string> note;
  std::shared_ptr<part> first, second;
  std::set<std::int16_t> seen;
  std::complex<float> pair{1, 2};
  std::chrono::milliseconds spent{5};
  std::mt19937 mersenne;
  std::ranlux24_base carry;
  std::knuth_b shuffled;
  std::normal_distribution<float> normal{0, 1};
  double matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
  std::int64_t step = 3;
  state bound;

  explicit model(bool filled) {
    if (filled) {
      weight = {1, 2, 3};
      mask = {true, false, true};
      words = {"one", "", "three"};
      moments = {{"a/b", {1, 2}}, {"c", {}}};
      parts[-3].count = 1;
      layers.resize(2);
      layers[1].moment = {0.5};
      note = "text";
      first = second = std::make_shared<part>(part{{1, 2}, 4});
      seen = {-1, 5};
    }
    bound.bind("weight", weight).bind("mask", mask).bind("words", words).bind("moments", moments).bind("parts", parts).bind("layers", layers).bind("note", note);
    bound.bind("first", first).bind("second", second).bind("seen", seen).bind("pair", pair).bind("spent", spent).bind("matrix", matrix).bind("step", step);
  }
  model(const model&) = delete;

  /// Engines apart: their states are large, and most inputs should be about other things.
  void bind_random() { bound.bind("rng/normal", normal).bind("rng/shuffled", shuffled).bind("rng/carry", carry); }

  /// Uses what was restored.
  void run() {
    for (int i = 0; i < 300; ++i) {
      fuzz::require(carry() <= std::ranlux24_base::max(), "an engine that gives more than its greatest number");
      fuzz::require(shuffled() <= std::knuth_b::max(), "an engine that gives more than its greatest number");
      fuzz::require(mersenne() <= std::mt19937::max(), "an engine that gives more than its greatest number");
      (void)normal(mersenne);
    }
  }
};

/// Reads, verifies and maps everything there is.
void read_all(const hdf5::reader& r) {
  unsigned sum = 0;
  for (const entry& e : r.entries()) {
    if (e.bytes == 0 || e.kind == entry_kind::group || e.kind == entry_kind::absent) continue;
    holdfast::detail::transfers(r, {{&e, nullptr}}, true).run();
    const auto mapped = r.map(e);
    for (std::uint64_t i = 0; i < e.bytes; ++i) sum += static_cast<unsigned>(mapped.get()[i]);
  }
  volatile unsigned used = sum;
  (void)used;
}

restore_options options_in(std::span<const std::byte> file) {
  const auto reserved = file.last(hdf5::trailer::bytes).subspan(160);
  const auto bits = static_cast<unsigned>(reserved[0]), how = static_cast<unsigned>(reserved[1]);
  restore_options o;
  if ((bits & 1) != 0) o.missing = on_missing::keep;
  if ((bits & 2) != 0) o.unexpected = on_unexpected::ignore;
  if ((bits & 4) != 0) o.cast = cast::allow;
  if ((bits & 8) != 0) o.except = {"parts/**"};
  if ((bits & 16) != 0) o.rename = {{"moments/*", "moments/*"}};
  o.verify = how % 3 == 0 ? verify::before : how % 3 == 1 ? verify::during
                                                          : verify::off;
  return o;
}

}  // namespace

namespace fuzz {

const char* const name = "fuzz_sealed";
const bool isolated = false;

void run(std::span<const std::byte> input) {
  if (input.size() < 8 + hdf5::trailer::bytes || input.size() > 1 << 16) return;
  static support::memory_files memory;
  bytes& file = memory["f.h5"];
  file.assign(input.begin(), input.end());
  support::reseal(file);
  const restore_options options = options_in(file);
  const bool with_random = (static_cast<unsigned>(file[file.size() - 30]) & 1) != 0;
  model to((static_cast<unsigned>(file[file.size() - 30]) & 2) != 0);
  if (with_random) to.bind_random();
  const std::string before = support::contents(to.bound);
  // Pieces and windows of a fixed size, and what is in proportion to the file; with links, to the names they give.
  const std::size_t most = (std::size_t{96} << 20) + 1024 * file.size();
  bool started = false;
  try {
    within(most, [&] {
      const auto reader = holdfast::detail::open_reader("f.h5", trust::sealed_only, &memory);
      read_all(*reader);
      reader->verify_metadata();
    });
    within(most, [&] {
      const auto from = holdfast::detail::open_to_restore("f.h5", options, &memory);
      started = true;
      (void)holdfast::detail::restore_from(*from, holdfast::detail::selection(*from, options), to.bound, options);
    });
    to.run();
    (void)support::contents(to.bound);
  } catch (const mismatch_error& e) {
    require(std::strncmp(e.what(), "f.h5: ", 6) == 0, std::string("an error that does not name its file: ") + e.what());
    require(support::contents(to.bound) == before, "a refusal that changed the state");
  } catch (const error& e) {
    const std::string_view text = e.what();
    require(text.starts_with("f.h5: "), "an error that does not name its file: " + std::string(text));
    require(started || dynamic_cast<const format_error*>(&e) != nullptr || dynamic_cast<const integrity_error*>(&e) != nullptr, "a file refused by another error: " + std::string(text));
    if (text.find("partly restored") == text.npos) require(support::contents(to.bound) == before, "an error that does not say that the state has changed: " + std::string(text));
    else to.run();
  }
}

std::vector<seed_input> seeds() {
  const auto with_options = [](bytes file, unsigned options, unsigned how, unsigned random) {
    file[file.size() - 32] = static_cast<std::byte>(options);
    file[file.size() - 31] = static_cast<std::byte>(how);
    file[file.size() - 30] = static_cast<std::byte>(random);
    support::reseal(file);
    return file;
  };
  const model full(true), bare(false);
  std::vector<float> weight(3);
  state one, engines;
  one.bind("weight", weight);
  model with_engines(true);
  engines.bind("rng/normal", with_engines.normal).bind("rng/shuffled", with_engines.shuffled).bind("rng/carry", with_engines.carry);
  return {
      {"full", with_options(support::tiny_sealed_file(full.bound), 0, 0, 2)},
      {"bare", with_options(support::tiny_sealed_file(bare.bound), 0, 1, 0)},
      {"into_empty", with_options(support::tiny_sealed_file(full.bound), 2, 1, 0)},
      {"lenient", with_options(support::tiny_sealed_file(one), 7, 2, 0)},
      {"engines", with_options(support::tiny_sealed_file(engines), 3, 0, 1)},
  };
}

}  // namespace fuzz
