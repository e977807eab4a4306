#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace compare {

struct free_memory {
  void operator()(std::byte* p) const { std::free(p); }
};

/// Memory of a whole number of pages, beginning at one, and of huge pages where it is large enough for them: direct writes from
/// these take two thirds of the time.
class page_buffer {
 public:
  page_buffer() = default;
  explicit page_buffer(std::uint64_t bytes);

  std::byte* data() const { return memory_.get(); }
  std::uint64_t size() const { return size_; }
  std::span<std::byte> all() const { return {data(), size_}; }
  /// Has at least so many bytes from now on. New ones are touched.
  std::span<std::byte> at_least(std::uint64_t bytes);

  static constexpr std::uint64_t page = 4096, huge_page = 512 * page;
  static constexpr std::uint64_t round_up(std::uint64_t bytes) { return (bytes + page - 1) / page * page; }

 private:
  std::unique_ptr<std::byte, free_memory> memory_;
  std::uint64_t size_ = 0;
};

/// A named tensor in memory of its own, at a multiple of 64 as tensor libraries give it.
struct tensor {
  std::string name;
  std::string dtype;  ///< float32, float64 or int64
  std::vector<std::int64_t> shape;
  std::unique_ptr<std::byte, free_memory> memory;
  std::uint64_t bytes;

  std::span<std::byte> content() const { return {memory.get(), bytes}; }
};

/// The tensors that every contender saves and loads.
class workload {
 public:
  /// Reads lines of a name, a dtype and the extents, separated by blanks, and fills the tensors with numbers of 0 to 1.
  explicit workload(const std::string& description);

  std::vector<tensor>& tensors() { return tensors_; }
  const std::vector<tensor>& tensors() const { return tensors_; }
  std::uint64_t bytes() const { return bytes_; }

  /// Overwrites the first element of every tensor, which a load must put back.
  void spoil();
  /// Throws unless the first element of every tensor is what it was at first.
  void check() const;
  /// What a trainer's next step does to its state: reads and writes every float once, on one thread.
  void step();

 private:
  std::vector<tensor> tensors_;
  std::vector<std::uint32_t> first_;  // the first four bytes of each
  std::uint64_t bytes_ = 0;
};

/// The tensors' bytes one after the other, each beginning at a multiple of `alignment`.
class concatenation {
 public:
  explicit concatenation(const workload& all, std::uint64_t alignment = 1);

  std::uint64_t size() const { return size_; }

  /// Calls `visit(bytes in a tensor, where they lie here)` for the parts of tensors between `from` and `to`, in order.
  template <class F>
  void for_each_part(std::uint64_t from, std::uint64_t to, F visit) const {
    for (std::size_t i = first_at(from); i < parts_.size() && parts_[i].at < to; ++i) {
      const auto& [at, bytes] = parts_[i];
      const std::uint64_t begin = from > at ? from - at : 0, end = std::min<std::uint64_t>(bytes.size(), to - at);
      if (begin < end) visit(bytes.subspan(begin, end - begin), at + begin);
    }
  }

  /// Copies what lies between `from` and `from + out.size()`.
  void read(std::uint64_t from, std::span<std::byte> out) const {
    for_each_part(from, from + out.size(), [&](std::span<std::byte> bytes, std::uint64_t at) { std::memcpy(out.data() + (at - from), bytes.data(), bytes.size()); });
  }

 private:
  struct part {
    std::uint64_t at;
    std::span<std::byte> bytes;
  };
  /// The part that holds `at`, or the first one after it.
  std::size_t first_at(std::uint64_t at) const;

  std::vector<part> parts_;
  std::uint64_t size_ = 0;
};

}  // namespace compare
