// What a save or restore may take: no HDF5 call where it says so, little memory, and tensors of more than 2^31 elements.
#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include <link.h>
#include <sys/mman.h>

#include <holdfast/separate.hpp>

#include "../allocations.hpp"
#include "../peak_memory.hpp"
#include "../support.hpp"
#include "sample.hpp"

using namespace holdfast;
using support::trainer;

namespace {

/// Makes every call of a function of libhdf5 a crash, by taking its code from this process. Returns how many stretches
/// of code that were.
int take_libhdf5_away() {
  int taken = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* count) {
        if (std::string_view(object->dlpi_name).find("libhdf5") == std::string_view::npos) return 0;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const auto& part = object->dlpi_phdr[i];
          if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
          const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE)), at = object->dlpi_addr + part.p_vaddr;
          if (::mprotect(reinterpret_cast<void*>(at / page * page), part.p_memsz + at % page, PROT_NONE) == 0) ++*static_cast<int*>(count);
        }
        return 0;
      },
      &taken);
  return taken;
}

/// Whether `work` runs to its end, and returns true, in a process that cannot call libhdf5.
template <class F>
bool works_without_libhdf5(F&& work) {
  return support::in_child([&] {
           if (take_libhdf5_away() == 0) return 2;
           return work() ? 0 : 3;
         }) == 0;
}

/// Memory of the operating system that holds zeros and costs nothing until it is written.
class untouched {
 public:
  explicit untouched(std::size_t n) : n_(n), at_(::mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    BOOST_REQUIRE(at_ != MAP_FAILED);
    ::madvise(at_, n, MADV_HUGEPAGE);  // fewer page faults; it works without
  }
  untouched(const untouched&) = delete;
  ~untouched() { ::munmap(at_, n_); }
  std::uint8_t* data() const { return static_cast<std::uint8_t*>(at_); }

 private:
  std::size_t n_;
  void* at_;
};

/// Leaves holes in a file where zeros are written to it.
class sparse_storage final : public io::posix_storage {
 public:
  std::unique_ptr<io::file> create(const std::string& path, const std::string& shown_as) override {
    return std::make_unique<sparse_file>(path, io::posix_storage::create(path, shown_as));
  }

 private:
  class sparse_file final : public io::file {
   public:
    sparse_file(std::string name, std::unique_ptr<io::file> below) : name_(std::move(name)), below_(std::move(below)) {}
    const std::string& path() const override { return below_->path(); }
    void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      static const std::vector<std::byte> zeros(1 << 20);
      while (!bytes.empty()) {
        const auto part = bytes.first(std::min(bytes.size(), zeros.size()));
        if (std::memcmp(part.data(), zeros.data(), part.size()) != 0) below_->write_at(offset, part);
        offset += part.size();
        bytes = bytes.subspan(part.size());
      }
    }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override { below_->read_at(offset, out); }
    std::uint64_t size() const override { return below_->size(); }
    std::chrono::system_clock::time_point modified() const override { return below_->modified(); }
    void preallocate(std::uint64_t bytes) override { std::filesystem::resize_file(name_, bytes); }
    void sync() override { below_->sync(); }
    std::shared_ptr<const std::byte> map() const override { return below_->map(); }

   private:
    std::string name_;
    std::unique_ptr<io::file> below_;
  };
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(limits)

BOOST_AUTO_TEST_CASE(a_replayed_save_allocates_no_more_for_more_tensors) {
  const support::folder dir;
  std::vector<std::size_t> taken;
  for (const std::size_t n : {100u, 3000u}) {
    std::vector<float> values(n);
    state s;
    for (std::size_t i = 0; i < n; ++i) s.bind("layers/" + std::to_string(i) + "/a_name_that_is_no_short_string", values[i]);
    saver saver;
    for (int round = 0; round < 3; ++round) {
      const std::size_t before = support::allocations::taken();
      saver.save(dir / "f.h5", s);
      if (round == 2) taken.push_back(support::allocations::taken() - before);
    }
  }
  std::cout << "a replayed save of 100 tensors allocates " << taken[0] << " times, of 3,000 " << taken[1] << " times\n";
  BOOST_TEST(taken[1] < taken[0] + 50);  // what grows by doubling
}

#ifndef HOLDFAST_TEST_SANITIZED  // its handler of signals turns the crashes that are wanted here into reports
BOOST_AUTO_TEST_CASE(a_process_without_libhdf5_cannot_lay_out_a_file) {
  const support::folder dir;
  const trainer t;
  BOOST_TEST(!works_without_libhdf5([&] {
    save(dir / "f.h5", t.bound);
    return true;
  }));
  BOOST_TEST(!works_without_libhdf5([&] { return H5open() >= 0; }));
}
#endif

BOOST_AUTO_TEST_CASE(a_replayed_save_calls_no_function_of_libhdf5) {
  const support::folder dir;
  trainer t;
  saver again;
  again.save(dir / "f.h5", t.bound);
  BOOST_TEST(works_without_libhdf5([&] {
    t.weight[3] = 77;
    t.engine();
    again.save(dir / "f.h5", t.bound, {.step = 8});
    return true;
  }));
  trainer back(2);
  BOOST_TEST(restore(dir / "f.h5", back.bound).step == 8);
  BOOST_TEST(back.weight[3] == 77);
}

BOOST_AUTO_TEST_CASE(reading_a_sealed_file_calls_no_function_of_libhdf5) {
  const support::folder dir;
  const trainer t(5);
  checkpoint_directory runs(dir / "runs");
  runs.save(1, t.bound);
  save(dir / "f.h5", t.bound);
  BOOST_TEST(works_without_libhdf5([&] {
    trainer back(2);
    restore(dir / "f.h5", back.bound, {.verify = verify::before});
    const checkpoint_file file(dir / "f.h5");
    file.verify();
    return back.contents() == t.contents() && plan_restore(dir / "f.h5", back.bound).ok() && file.read<std::vector<float>>("model/bias") == t.bias &&
           file.map<float>("model/weight")[7] == t.weight[7] && file.contains("rng") && checkpoint_directory(dir / "runs").restore_latest(back.bound)->step == 1;
  }));
}

BOOST_AUTO_TEST_CASE(more_elements_than_a_32_bit_number_counts) {
  constexpr std::int64_t n = (std::int64_t{1} << 31) + 17;
  const auto start = std::chrono::steady_clock::now();
  const support::folder dir;
  const untouched from(n), to(n);
  const std::array<std::int64_t, 6> marks{0, 1, (std::int64_t{1} << 30) + 5, (std::int64_t{1} << 31) - 1, std::int64_t{1} << 31, n - 1};
  for (const std::int64_t at : marks) from.data()[at] = static_cast<std::uint8_t>(at % 251 + 1);
  sparse_storage disk;
  state s, back;
  s.bind("large", tensor(from.data(), {n}));
  back.bind("large", tensor(to.data(), {n}));
  save(dir / "f.h5", s, {.storage = &disk});
  BOOST_TEST(std::filesystem::file_size(dir / "f.h5") > static_cast<std::uint64_t>(n));
  {
    const checkpoint_file file(dir / "f.h5");
    const auto map = file.map<std::uint8_t>("large");
    BOOST_TEST(map.size() == static_cast<std::size_t>(n));
    for (const std::int64_t at : marks) BOOST_TEST(map[static_cast<std::size_t>(at)] == from.data()[at]);
  }
  BOOST_TEST(restore(dir / "f.h5", back).bytes == static_cast<std::uint64_t>(n));
  for (const std::int64_t at : marks) {
    BOOST_TEST(to.data()[at] == from.data()[at]);
    if (at + 2 < n) BOOST_TEST(to.data()[at + 2] == 0);
  }
  std::cout << "2^31 + 17 elements saved and restored in " << seconds_since(start) << " s\n";
}

#ifndef HOLDFAST_TEST_SANITIZED  // which keeps memory of its own
BOOST_AUTO_TEST_CASE(a_save_and_a_restore_need_little_memory_beside_the_state) {
  const support::folder dir;
  const char* given = std::getenv("HOLDFAST_TEST_STATE_MIB");
  const std::size_t mib = given != nullptr ? std::strtoull(given, nullptr, 10) : 512;
  if (std::filesystem::space(dir.path()).available < (mib + 64) << 20) {
    BOOST_TEST_MESSAGE("skipped: too little space in " << dir.path());
    return;
  }
  const auto told = support::told_by_child([&]() -> std::string {
    // Half of it in one tensor, the rest in tensors of 1 MiB, one in four of them column-major.
    const std::size_t half = (mib << 20) / 8, part = (1 << 20) / 4;
    std::vector<float> large(half, 1.5f);
    std::vector<std::vector<float>> parts(half / part, std::vector<float>(part, 2.5f));
    state s;
    s.bind("large", large);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i % 4 == 0) s.bind("parts/" + std::to_string(i), tensor(parts[i].data(), {512, 512}, {1, 512}));
      else s.bind("parts/" + std::to_string(i), parts[i]);
    }
    support::forget_peak();
    const double before = support::peak_mib();
    auto start = std::chrono::steady_clock::now();
    save(dir / "f.h5", s);
    std::string text = std::to_string(support::peak_mib() - before) + " " + std::to_string(seconds_since(start));
    support::forget_peak();
    const double again = support::peak_mib();
    start = std::chrono::steady_clock::now();
    restore(dir / "f.h5", s);
    return text + " " + std::to_string(support::peak_mib() - again) + " " + std::to_string(seconds_since(start));
  });
  double saving = -1, restoring = -1, save_seconds = 0, restore_seconds = 0;
  std::istringstream(told) >> saving >> save_seconds >> restoring >> restore_seconds;
  std::cout << "a state of " << mib << " MiB: save needs " << saving << " MiB more (" << save_seconds << " s), restore " << restoring << " MiB (" << restore_seconds << " s)\n";
  BOOST_TEST(saving >= 0);
  BOOST_TEST(saving < 64);
  BOOST_TEST(restoring >= 0);
  BOOST_TEST(restoring < 64);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
