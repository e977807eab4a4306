#pragma once
/// What tests of many ranks share: some of the ranks, a folder of all, and tensors in pieces.
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/mpi.hpp>
#include <holdfast/separate.hpp>

#include "../support.hpp"

namespace support {

inline int world_rank() { return holdfast::mpi::detail::communicator(MPI_COMM_WORLD).rank(); }
inline int world_size() { return holdfast::mpi::detail::communicator(MPI_COMM_WORLD).size(); }

inline std::string from_root(std::string text) {
  const auto bytes = std::as_bytes(std::span(text));
  std::vector<std::byte> sent(bytes.begin(), bytes.end());
  holdfast::mpi::detail::communicator(MPI_COMM_WORLD).broadcast(sent);
  return {reinterpret_cast<const char*>(sent.data()), sent.size()};
}

/// The first `n` ranks of all, as a communicator of their own.
class first_ranks {
 public:
  explicit first_ranks(int n) { MPI_Comm_split(MPI_COMM_WORLD, world_rank() < n ? 0 : MPI_UNDEFINED, world_rank(), &comm_); }
  first_ranks(const first_ranks&) = delete;
  ~first_ranks() {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
  }
  explicit operator bool() const { return comm_ != MPI_COMM_NULL; }
  MPI_Comm operator*() const { return comm_; }
  int rank() const { return holdfast::mpi::detail::communicator(comm_).rank(); }
  int size() const { return holdfast::mpi::detail::communicator(comm_).size(); }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

/// What the ranks agree on for a save of what each has bound.
inline holdfast::mpi::detail::blueprint planned(const holdfast::mpi::detail::communicator& comm, const holdfast::detail::manifest& bound) {
  const holdfast::mpi::detail::naming named(bound, comm.rank());
  return {comm, named, ask(comm, named), false};
}

/// One folder for all ranks, which goes when all are done with it.
class shared_folder {
 public:
  shared_folder() {
    if (world_rank() == 0) own_.emplace();
    path_ = from_root(own_ ? own_->path().string() : "");
  }
  shared_folder(const shared_folder&) = delete;
  ~shared_folder() { MPI_Barrier(MPI_COMM_WORLD); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::optional<folder> own_;
  std::string path_;
};

/// How `ranks` processes cut a tensor.
enum class cut { rows,
                 columns,
                 grid,
                 flattened };
inline constexpr cut all_cuts[] = {cut::rows, cut::columns, cut::grid, cut::flattened};

/// The part of a matrix that a rank has. Rows and columns differ in number from rank to rank; with more ranks than rows some have none.
inline holdfast::detail::shard part_of(cut how, std::int64_t rows, std::int64_t columns, int ranks, int rank) {
  const auto share = [](std::int64_t n, std::int64_t parts, std::int64_t i) { return std::pair(n * i / parts, n * (i + 1) / parts); };
  if (how == cut::flattened) {
    const auto [from, to] = share(rows * columns, ranks, rank);
    return {{rows, columns}, {from}, {to - from}};
  }
  std::int64_t down = how == cut::columns ? 1 : ranks, across = how == cut::rows ? 1 : ranks;
  if (how == cut::grid)
    for (across = 1, down = ranks; across * 2 <= down && down % 2 == 0;) across *= 2, down /= 2;
  const auto [top, bottom] = share(rows, down, rank / across);
  const auto [left, right] = share(columns, across, rank % across);
  return {{rows, columns}, {top, left}, {bottom - top, right - left}};
}

/// What the element of a tensor at a place is.
template <class T>
T element(std::uint64_t tensor, std::uint64_t at) {
  return static_cast<T>((at * 2654435761u + tensor * 40503u) % 1000003u);
}

template <class T>
struct piece {
  holdfast::detail::shard part;
  std::vector<T> memory;
  std::uint64_t number;

  piece(holdfast::detail::shard of, std::uint64_t tensor, bool fill) : part(std::move(of)), memory(part.elements(), T(-1)), number(tensor) {
    if (fill) each([](T& x, T expected) { x = expected; });
  }
  holdfast::tensor_ref<T> view() { return holdfast::sharded(holdfast::tensor(memory.data(), part.extents()), part.whole(), {part.offsets().begin(), part.offsets().end()}); }
  bool right() {
    bool all = true;
    each([&](const T& x, T expected) { all = all && x == expected; });
    return all;
  }

 private:
  template <class F>
  void each(F&& visit) {
    part.for_each(0, static_cast<std::uint64_t>(part.whole().elements()), [&](std::uint64_t at, std::uint64_t local, std::uint64_t n) {
      for (std::uint64_t i = 0; i < n; ++i) visit(memory[local + i], element<T>(number, at + i));
    });
  }
};

/// A training state of some ranks: sharded in every way, replicas large and small, a generator for each rank.
struct sharded_trainer {
  std::vector<std::unique_ptr<piece<float>>> pieces;
  std::vector<double> replica;
  std::vector<float> bias;
  std::int64_t step;
  std::mt19937_64 engine;
  std::vector<std::uint8_t> own;  // large, and of the rank alone
  holdfast::state bound;

  /// How large it is: tensors of several digest blocks, or just large enough to be written in blocks, for many ranks.
  enum class size { blocks,
                    compact };

  /// `filled` with what every number of ranks has; otherwise with what nobody saved.
  sharded_trainer(int ranks, int rank, bool filled, std::int64_t now = 7, size of = size::blocks)
      : replica(of == size::blocks ? 300'001 : 10'001), bias(10, filled ? 0.5f : -1), step(filled ? now : -1), engine(filled ? static_cast<unsigned>(rank) + 1 : 999), own(of == size::blocks ? 100'000 : 70'000, filled ? static_cast<std::uint8_t>(rank + 1) : 0) {
    for (std::size_t i = 0; i < replica.size(); ++i) replica[i] = filled ? element<double>(99, i) : -1;
    std::uint64_t number = 0;
    for (const cut how : all_cuts)
      for (const auto& [rows, columns] : {std::pair(of == size::blocks ? 400 : 40, 900), std::pair(5, 3), std::pair(3, of == size::blocks ? 100'000 : 9'000)}) {
        pieces.push_back(std::make_unique<piece<float>>(part_of(how, rows, columns, ranks, rank), number, filled));
        bound.bind("model/" + std::to_string(number++), pieces.back()->view());
      }
    bound.bind("optimizer/replica", replica).bind("model/bias", bias).bind("progress/step", step);
    bound.bind("ranks/" + std::to_string(rank) + "/rng", engine).bind("ranks/" + std::to_string(rank) + "/own", own);
  }
  sharded_trainer(const sharded_trainer&) = delete;

  /// Whether everything that ranks share is what was saved.
  bool right() {
    bool all = step != -1 && bias == std::vector<float>(10, 0.5f);
    for (std::size_t i = 0; i < replica.size(); ++i) all = all && replica[i] == element<double>(99, i);
    for (const auto& p : pieces) all = all && p->right();
    return all;
  }
  bool right_of_rank(int rank) const { return engine == std::mt19937_64(static_cast<unsigned>(rank) + 1) && own == std::vector<std::uint8_t>(own.size(), static_cast<std::uint8_t>(rank + 1)); }
};

}  // namespace support
