// Damage to any byte of a checkpoint is found, named, and changes nothing: every bit that is no tensor's, samples of those that are,
// files cut short, spliced from two, and with pages lost. Everything in memory, so that there can be much of it.
#include <functional>
#include <map>

#include <holdfast/holdfast.hpp>

#include "../allocations.hpp"
#include "../checkpoint/sample.hpp"
#include "../io/memory_files.hpp"
#include "../support.hpp"

using namespace holdfast;
using support::memory_files;

namespace {

const std::string file = "runs/f.h5";

/// What was tried; printed at the end.
struct {
  std::size_t bits = 0, cut = 0, spliced = 0, zeroed = 0, stale = 0, harmless = 0;
} tried;

struct at_the_end {
  ~at_the_end() {
    std::cout << "damage: " << tried.bits << " bits flipped, " << tried.cut << " truncations, " << tried.spliced << " splices, " << tried.zeroed << " pages zeroed, " << tried.stale
              << " pages of another save; in content that nobody asked for, " << tried.harmless << " of them\n";
  }
};

/// A state of which a file is made and into which files are restored. Two of different seeds have one layout.
struct subject {
  state bound;
  virtual ~subject() = default;
  virtual state& all() { return bound; }
  virtual std::string contents() const { return support::contents(bound); }
  virtual bool holds(const std::string& what) const { return contents() == what; }
};

struct many_small final : subject {
  std::vector<std::vector<float>> tensors;
  explicit many_small(unsigned seed) {
    for (unsigned i = 0; i < 24; ++i) tensors.emplace_back(1 + i * 3 % 17, static_cast<float>(seed + i));
    for (unsigned i = 0; i < 24; ++i) bound.bind("layers/" + std::to_string(i) + (i % 2 == 0 ? "/weight" : "/bias"), tensors[i]);
  }
};

/// Three blocks of digests, and too much to copy for every bit.
struct one_large final : subject {
  std::vector<std::uint32_t> weight = std::vector<std::uint32_t>((2u << 18) + 777);
  explicit one_large(unsigned seed) {
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<std::uint32_t>(i * 2654435761u + seed);
    bound.bind("model/weight", weight);
  }
  std::string contents() const override { return {reinterpret_cast<const char*>(weight.data()), weight.size() * 4}; }
  bool holds(const std::string& what) const override { return what.size() == weight.size() * 4 && std::memcmp(what.data(), weight.data(), what.size()) == 0; }
};

struct shared final : subject {
  using block = std::map<std::string, std::vector<double>>;
  std::vector<std::int16_t> embed;
  std::shared_ptr<block> first, second;
  std::optional<std::vector<float>> nothing;
  std::vector<block> list;
  explicit shared(unsigned seed) : embed(40, static_cast<std::int16_t>(seed)), first(std::make_shared<block>()), second(first) {
    (*first)["a"] = {1.0 * seed, 2};
    (*first)["b"] = {};
    list.push_back(*first);
    bound.bind("embed", embed).bind("head", embed).bind("first", first).bind("second", second).bind("nothing", nothing).bind("list", list);
  }
};

struct text final : subject {
  std::string name;
  std::vector<std::string> lines;
  std::map<std::string, std::string> notes;
  explicit text(unsigned seed) : name("run " + std::to_string(100 + seed)), lines{"one", "", std::string(50, static_cast<char>('a' + seed))}, notes{{"a/b", "x"}, {"", std::to_string(seed)}} {
    bound.bind("name", name).bind("lines", lines).bind("notes", notes);
  }
};

struct empty final : subject {
  std::vector<float> none;
  std::map<std::string, int> nobody;
  explicit empty(unsigned) { bound.bind("none", none).bind("nobody", nobody); }
};

struct trained final : subject {
  support::trainer trainer;
  explicit trained(unsigned seed) : trainer(seed) {}
  state& all() override { return trainer.bound; }
  std::string contents() const override { return trainer.contents(); }
};

/// A saved file that is damaged and restored into a state of other values.
class target {
 public:
  using maker = std::function<std::unique_ptr<subject>(unsigned)>;

  explicit target(const maker& make, unsigned seed = 1) : from_(make(seed)), into_(make(seed + 1)) {
    saver().save(file, from_->all(), {.step = seed, .metric = 0.5, .storage = &memory});
    whole = memory[file];
    const auto opened = memory.open(file);
    trailer = hdf5::sealed_reader::trailer_of(*opened).value();
    const auto reader = detail::open_reader(file, trust::sealed_only, &memory);
    for (const entry& e : reader->entries())
      if (e.kind == entry_kind::tensor && e.bytes != 0) tensors.push_back(e);
    detail::sort(tensors, [](const entry& a, const entry& b) { return a.offset < b.offset; });
    before_ = into_->contents();
    support::allocations::reset();
    const std::size_t held = support::allocations::held();
    const auto sound = make(seed + 1);
    restore_into(sound->all(), {.verify = verify::before});
    most_ = support::allocations::peak() - held + (64 << 10);
    BOOST_REQUIRE(sound->holds(from_->contents()));
  }

  std::string saved() const { return from_->contents(); }
  subject& into() const { return *into_; }
  bool unchanged() const { return into_->holds(before_); }

  void restore_into(state& bound, const restore_options& options) {
    const auto from = detail::open_to_restore(file, options, &memory);
    (void)detail::restore_from(*from, detail::selection(*from, options), bound, options);
  }

  /// Why the file as it is now is refused, with the state as it was: empty if it is not. Anything else fails the test.
  std::string refusal(const restore_options& options = {.verify = verify::before}) {
    const std::size_t held = support::allocations::held();
    support::allocations::reset();
    std::string why;
    try {
      restore_into(into_->all(), options);
    } catch (const integrity_error& e) {
      why = e.what();
    } catch (const format_error& e) {
      why = e.what();
    } catch (const std::exception& e) {
      BOOST_ERROR("threw what it should not: " << e.what());
      return "another error";
    }
    if (support::allocations::peak() - held > most_) BOOST_ERROR("took " << support::allocations::peak() - held << " bytes of memory, where a sound file takes " << most_);
    if (!why.empty() && !why.starts_with(file + ": ")) BOOST_ERROR("does not name the file: " << why);
    if (!why.empty() && options.verify == verify::before && !unchanged()) BOOST_ERROR("changed the state: " << why);
    return why;
  }

  /// What must be said of damage to this byte.
  std::string blamed(std::uint64_t at) const {
    if (at < 8) return "found a file that is not HDF5";
    const std::uint64_t trailer_at = whole.size() - hdf5::trailer::bytes;
    if (at >= trailer_at + 8) return "the trailer is damaged";
    if (at >= trailer_at) return "found an HDF5 file without holdfast's trailer";
    if (at >= trailer.index_offset) return "the index is damaged";
    const entry* e = owner(at);
    return e == nullptr ? "the HDF5 metadata is damaged" : "/" + e->path + ": ";
  }
  const entry* owner(std::uint64_t at) const {
    const auto above = std::upper_bound(tensors.begin(), tensors.end(), at, [](std::uint64_t x, const entry& e) { return x < e.offset; });
    return above != tensors.begin() && at - std::prev(above)->offset < std::prev(above)->bytes ? &*std::prev(above) : nullptr;
  }

  void flip(std::uint64_t bit) { memory[file][bit / 8] ^= std::byte{1} << (bit % 8); }

  /// A file that is neither of the sound ones must be refused; one that is the other one is the other one.
  void judge(const std::vector<std::byte>& now, const std::vector<std::byte>* other, const char* what, std::uint64_t at) {
    memory[file] = now;
    if (now == whole || (other != nullptr && now == *other)) return;
    if (refusal().empty()) BOOST_ERROR(what << " at " << at << " was not found");
  }

  memory_files memory;
  std::vector<std::byte> whole;
  hdf5::trailer trailer;
  std::vector<entry> tensors;  ///< by place

 private:
  std::unique_ptr<subject> from_, into_;
  std::string before_;
  std::size_t most_ = 0;
};

template <class T>
target::maker making() {
  return [](unsigned seed) { return std::make_unique<T>(seed); };
}

/// Calls `visit(name, maker)` for every kind of state.
template <class F>
void for_each_kind(F&& visit) {
  visit("many small tensors", making<many_small>());
  visit("one large tensor", making<one_large>());
  visit("shared, absent, groups", making<shared>());
  visit("text", making<text>());
  visit("empty", making<empty>());
  visit("a trainer", making<trained>());
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(at_the_end);

BOOST_AUTO_TEST_SUITE(damage)

BOOST_AUTO_TEST_CASE(every_bit_that_belongs_to_no_tensor) {
  std::mt19937_64 engine = support::random_engine();
  // Less effort than usual tries a part of them; more would only try them again.
  const std::size_t stride = std::max<std::size_t>(1, 1000 / support::effort(1000));
  for_each_kind([&](const char* kind, const target::maker& make) {
    target t(make);
    BOOST_TEST_CONTEXT(kind) {
      for (std::uint64_t bit = engine() % stride; bit < 8 * t.whole.size(); bit += stride) {
        if (const entry* e = t.owner(bit / 8)) {
          bit = 8 * (e->offset + e->bytes) - 1 - (stride - 1);
          continue;
        }
        t.flip(bit);
        const std::string why = t.refusal();
        t.flip(bit);
        ++tried.bits;
        if (why.find(t.blamed(bit / 8)) == why.npos) BOOST_ERROR("byte " << bit / 8 << " bit " << bit % 8 << ": expected \"" << t.blamed(bit / 8) << "\", found \"" << why << "\"");
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(bits_of_tensors) {
  std::mt19937_64 engine = support::random_engine();
  for_each_kind([&](const char* kind, const target::maker& make) {
    target t(make);
    BOOST_TEST_CONTEXT(kind) {
      for (std::size_t i = support::effort(t.whole.size() > 100000 ? 500 : 5000); i > 0 && !t.tensors.empty(); --i) {
        const entry& e = t.tensors[engine() % t.tensors.size()];
        const std::uint64_t bit = 8 * e.offset + engine() % (8 * e.bytes);
        t.flip(bit);
        const std::string why = t.refusal();
        ++tried.bits;
        if (why.find(t.blamed(bit / 8)) == why.npos) BOOST_ERROR("bit " << bit << ": expected \"" << t.blamed(bit / 8) << "\", found \"" << why << "\"");
        if (i % 16 == 0) {  // and in the pass that copies, which finds it too, but later, and says so
          const std::string late = t.refusal({});
          const bool says = late.find("the state is partly restored (") != late.npos;
          if (late.find(t.blamed(bit / 8)) == late.npos || !(says || t.unchanged())) BOOST_ERROR("bit " << bit << ": in the pass that copies: \"" << late << "\"");
          t = target(make);
        } else {
          t.flip(bit);
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(bits_of_tensors_that_are_not_asked_for) {
  std::mt19937_64 engine = support::random_engine();
  target t(making<many_small>());
  const restore_options half{.only = {"layers/?/*"}, .verify = verify::before};
  many_small expected(2);
  t.restore_into(expected.bound, half);
  for (std::size_t i = support::effort(5000); i > 0; --i) {
    const entry& e = t.tensors[engine() % t.tensors.size()];
    const std::uint64_t bit = 8 * e.offset + engine() % (8 * e.bytes);
    const bool asked = holdfast::detail::pattern("layers/?/*").matches(e.path);
    many_small into(2);
    t.flip(bit);
    std::string why;
    try {
      t.restore_into(into.bound, half);
    } catch (const integrity_error& error) {
      why = error.what();
    }
    t.flip(bit);
    ++tried.bits;
    if (!asked) ++tried.harmless;
    if (asked != (why.find("/" + e.path + ": ") != why.npos)) BOOST_ERROR("/" << e.path << ", bit " << bit << ": \"" << why << "\"");
    if (!asked && into.contents() != expected.contents()) BOOST_ERROR("/" << e.path << ", bit " << bit << ": other data than was saved");
  }
}

BOOST_AUTO_TEST_CASE(files_cut_short) {
  for_each_kind([&](const char* kind, const target::maker& make) {
    target t(make);
    BOOST_TEST_CONTEXT(kind) {
      for (std::size_t n = t.whole.size(); n-- > 0;) {
        if (t.whole.size() - n > 4096 && n % 512 != 0) continue;
        t.memory[file].resize(n);
        const std::string why = t.refusal();
        ++tried.cut;
        const char* const expected = n == 0 ? "found an empty file" : n < 8 ? "not HDF5"
                                                                            : "found an HDF5 file without holdfast's trailer: it was truncated";
        if (why.find(expected) == why.npos) BOOST_ERROR("cut to " << n << ": \"" << why << "\"");
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(two_saves_of_one_state_spliced) {
  // Everything but step and content is equal: a torn overwrite, or a lost write, would look like this.
  std::mt19937_64 engine = support::random_engine();
  for_each_kind([&](const char* kind, const target::maker& make) {
    target t(make, 1), other(make, 8);
    BOOST_REQUIRE_EQUAL(t.whole.size(), other.whole.size());
    const std::vector<std::byte>& b = other.whole;
    BOOST_TEST_CONTEXT(kind) {
      const bool large = t.whole.size() > 100000;
      std::vector<std::byte> now;
      const auto splice = [&](const std::vector<std::byte>& head, const std::vector<std::byte>& tail, std::size_t at) {
        now = tail;
        std::copy_n(head.begin(), at, now.begin());
        t.judge(now, &b, "a splice", at);
        ++tried.spliced;
      };
      for (std::size_t at = 512; at < b.size(); at += 512 * (large ? 1 + engine() % 64 : 1)) splice(t.whole, b, at), splice(b, t.whole, at);
      for (std::size_t i = support::effort(large ? 50 : 3000); i > 0; --i) splice(t.whole, b, engine() % b.size());
      for (const std::size_t page : {std::size_t{512}, std::size_t{4096}}) {
        for (std::size_t at = 0; at < b.size(); at += page * (large ? 1 + engine() % 64 : 1)) {
          now = t.whole;
          std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(at), std::min(page, b.size() - at), now.begin() + static_cast<std::ptrdiff_t>(at));
          t.judge(now, &b, "a page of another save", at);
          ++tried.stale;
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(two_files_spliced) {
  std::mt19937_64 engine = support::random_engine();
  std::vector<target::maker> makers;
  for_each_kind([&](const char*, const target::maker& make) { makers.push_back(make); });
  for (const auto& make : makers) {
    target t(make);
    for (const auto& another : makers) {
      const target other(another, 3);
      const bool large = std::max(t.whole.size(), other.whole.size()) > 100000;
      for (std::size_t i = support::effort(large ? 20 : 300); i > 0; --i) {
        // The head of one and the tail of another: where they are, so that the length is that of the first or the second, or anywhere.
        const std::size_t head = engine() % (t.whole.size() + 1), place = engine() % 3;
        const std::size_t tail = place == 0   ? engine() % (other.whole.size() + 1)
                                 : place == 1 ? std::min(other.whole.size(), t.whole.size() - head)
                                              : other.whole.size() - std::min(head, other.whole.size());
        std::vector<std::byte> now(t.whole.begin(), t.whole.begin() + static_cast<std::ptrdiff_t>(head));
        now.insert(now.end(), other.whole.end() - static_cast<std::ptrdiff_t>(tail), other.whole.end());
        if (now == other.whole) continue;  // a sound file of another program
        t.judge(now, nullptr, "a splice", head);
        ++tried.spliced;
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(pages_of_zeros) {
  std::mt19937_64 engine = support::random_engine();
  for_each_kind([&](const char* kind, const target::maker& make) {
    target t(make);
    BOOST_TEST_CONTEXT(kind) {
      for (const std::size_t page : {std::size_t{512}, std::size_t{4096}}) {
        const auto zero = [&](std::size_t at) {
          std::vector<std::byte> now = t.whole;
          std::fill_n(now.begin() + static_cast<std::ptrdiff_t>(at), std::min(page, now.size() - at), std::byte{0});
          t.judge(now, nullptr, "a page of zeros", at);
          ++tried.zeroed;
        };
        for (std::size_t at = 0; at < t.whole.size(); at += page) zero(at);
        for (std::size_t i = support::effort(t.whole.size() > 100000 ? 20 : 200); i > 0; --i) zero(engine() % t.whole.size());
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(the_newest_checkpoint_damaged) {
  std::mt19937_64 engine = support::random_engine();
  memory_files memory;
  checkpoint_directory runs("runs", {.keep_last = 2, .storage = &memory});
  shared first(1), second(2);
  runs.save(10, first.bound);
  runs.save(20, second.bound);
  std::vector<std::byte>& newest = memory[runs.path_of(20)];
  const std::vector<std::byte> whole = newest;
  for (std::size_t i = support::effort(2000); i > 0; --i) {
    const std::uint64_t bit = engine() % (8 * whole.size());
    newest[bit / 8] ^= std::byte{1} << (bit % 8);
    shared into(3);
    const auto found = runs.restore_latest(into.bound);
    newest = whole;
    ++tried.bits;
    if (!found || found->step != 10 || into.contents() != first.contents()) BOOST_ERROR("bit " << bit << ": did not fall back to the older checkpoint");
    else if (found->rejected.size() != 1 || !found->rejected[0].reason.starts_with(runs.path_of(20) + ": ")) BOOST_ERROR("bit " << bit << ": did not say why the newest was rejected");
  }
  shared into(3);
  BOOST_TEST(runs.restore_latest(into.bound)->step == 20);
}

BOOST_AUTO_TEST_SUITE_END()
