#include "workload.hpp"

#include <fstream>
#include <new>
#include <random>
#include <sstream>
#include <stdexcept>

#include <sys/mman.h>

namespace compare {

namespace {

std::byte* allocate(std::uint64_t alignment, std::uint64_t bytes) {
  void* p = std::aligned_alloc(alignment, (std::max<std::uint64_t>(bytes, 1) + alignment - 1) / alignment * alignment);
  if (p == nullptr) throw std::bad_alloc();
  return static_cast<std::byte*>(p);
}

template <class T>
void fill_as(std::span<std::byte> bytes, std::minstd_rand& random) {
  auto* const at = reinterpret_cast<T*>(bytes.data());
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i)
    at[i] = std::is_integral_v<T> ? static_cast<T>(random()) : static_cast<T>(random()) / static_cast<T>(std::minstd_rand::max());
}

void fill(const tensor& t, std::minstd_rand& random) {
  if (t.dtype == "float32") fill_as<float>(t.content(), random);
  else if (t.dtype == "float64") fill_as<double>(t.content(), random);
  else if (t.dtype == "int64") fill_as<std::int64_t>(t.content(), random);
  else throw std::runtime_error(t.name + ": expected float32, float64 or int64, found " + t.dtype);
}

}  // namespace

page_buffer::page_buffer(std::uint64_t bytes) : memory_(allocate(bytes < huge_page ? page : huge_page, bytes)), size_(round_up(bytes)) {
  if (bytes >= huge_page) (void)::madvise(data(), size_, MADV_HUGEPAGE);
  std::memset(data(), 0, size_);
}

std::span<std::byte> page_buffer::at_least(std::uint64_t bytes) {
  if (size_ < bytes) *this = page_buffer(bytes);
  return all();
}

workload::workload(const std::string& description) {
  std::ifstream in(description);
  if (!in) throw std::runtime_error(description + ": cannot open");
  std::minstd_rand random(1);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    tensor t;
    words >> t.name >> t.dtype;
    std::uint64_t elements = 1;
    for (std::int64_t n = 0; words >> n; elements *= static_cast<std::uint64_t>(n)) t.shape.push_back(n);
    t.bytes = elements * (t.dtype == "float32" ? 4 : 8);
    t.memory.reset(allocate(64, t.bytes));
    fill(t, random);
    std::uint32_t first = 0;
    std::memcpy(&first, t.memory.get(), sizeof first);
    first_.push_back(first);
    bytes_ += t.bytes;
    tensors_.push_back(std::move(t));
  }
}

void workload::spoil() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const std::uint32_t other = ~first_[i];
    std::memcpy(tensors_[i].memory.get(), &other, sizeof other);
  }
}

void workload::check() const {
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (std::memcmp(tensors_[i].memory.get(), &first_[i], sizeof first_[i]) != 0) throw std::runtime_error(tensors_[i].name + " is not what was saved");
}

void workload::step() {
  for (const tensor& t : tensors_) {
    if (t.dtype != "float32") continue;
    auto* const x = reinterpret_cast<float*>(t.memory.get());
    for (std::size_t i = 0; i < t.bytes / sizeof(float); ++i) x[i] = x[i] * 0.999f + 0.001f;
  }
}

concatenation::concatenation(const workload& all, std::uint64_t alignment) {
  for (const tensor& t : all.tensors()) {
    size_ = (size_ + alignment - 1) / alignment * alignment;
    parts_.push_back({size_, t.content()});
    size_ += t.bytes;
  }
}

std::size_t concatenation::first_at(std::uint64_t at) const {
  const auto after = std::upper_bound(parts_.begin(), parts_.end(), at, [](std::uint64_t x, const part& p) { return x < p.at; });
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(after - parts_.begin() - 1, 0));
}

}  // namespace compare
