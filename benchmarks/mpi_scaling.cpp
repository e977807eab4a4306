// What a save by many ranks costs, and of what: mpiexec -n N mpi_scaling FOLDER TENSORS MIB ROUNDS [rows|columns|replicas]
// prints the seconds of
//   plain    every rank writes as many bytes to a file of its own: the best that this machine does, with O_DIRECT where it may
//   first    a save whose layout is compiled and agreed on, with what was agreed forgotten before
//   again    a save that replays it
// as the medians of interleaved rounds. All are durable; the slowest rank counts. FOLDER is on the disk that is measured.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <mpi.h>

#include <holdfast/holdfast.hpp>
#include <holdfast/mpi.hpp>

namespace {

using namespace holdfast;
using clock = std::chrono::steady_clock;

int rank = 0, size = 1;

double slowest(double mine) {
  double all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return all;
}

/// The seconds of the slowest rank; all start together.
template <class F>
double timed(F&& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = clock::now();
  work();
  return slowest(std::chrono::duration<double>(clock::now() - start).count());
}

void write_plain(const std::string& folder, const std::vector<std::byte>& bytes) {
  io::storage& on = io::posix();
  io::durable_file file(on, folder + "/plain-" + std::to_string(rank));
  file->preallocate(bytes.size());
  if (bytes.size() >= io::overlapped_writer::piece_bytes) file->write_past_cache();
  io::staging_buffer pieces;
  io::overlapped_writer writer(*file, pieces, bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const auto piece = writer.piece();
    const std::size_t n = std::min(piece.size(), bytes.size() - at);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), n, piece.begin());
    writer.write(at, piece.first(n));
    at += n;
  }
  writer.finish();
  file.commit(io::replace::yes);
}

int measure(const std::string& folder, std::int64_t tensors, std::int64_t mib, int rounds, const std::string& how) {
  // Matrices of float32, 1024 rows of as many columns as make up the bytes, at least one for each rank.
  const std::int64_t rows = std::max<std::int64_t>(1024, size), columns = std::max<std::int64_t>((mib << 20) / 4 / tensors / rows, how == "columns" ? size : 1);
  const auto share = [](std::int64_t n, int r) { return n * r / size; };
  const std::int64_t top = how == "rows" ? share(rows, rank) : 0, bottom = how == "rows" ? share(rows, rank + 1) : rows;
  const std::int64_t left = how == "columns" ? share(columns, rank) : 0, right = how == "columns" ? share(columns, rank + 1) : columns;
  const auto own = static_cast<std::size_t>((bottom - top) * (right - left));
  std::vector<float> memory(own * static_cast<std::size_t>(tensors), 1.5f);
  state s;
  for (std::int64_t t = 0; t < tensors; ++t) {
    const tensor_ref<float> view = tensor(memory.data() + static_cast<std::size_t>(t) * own, {bottom - top, right - left});
    if (how == "replicas") s.bind("model/layer" + std::to_string(t), tensor_view(view.view));
    else s.bind("model/layer" + std::to_string(t), sharded(view.view, {rows, columns}, {top, left}));
  }
  const std::int64_t all = rows * columns * tensors * 4;
  const std::vector<std::byte> bytes(static_cast<std::size_t>(all / size), std::byte{1});

  std::map<std::string, std::vector<double>> seconds;
  for (int round = 0; round < rounds; ++round) {
    seconds["plain"].push_back(timed([&] { write_plain(folder, bytes); }));
    mpi::saver saver(MPI_COMM_WORLD);
    seconds["first"].push_back(timed([&] { saver.save(folder + "/ranks.h5", s); }));
    seconds["again"].push_back(timed([&] { saver.save(folder + "/ranks.h5", s); }));
  }
  if (rank != 0) return 0;
  std::cout << "{\"ranks\": " << size << ", \"tensors\": " << tensors << ", \"bytes\": " << all << ", \"cut\": \"" << how << '"';
  for (auto& [name, of] : seconds) {
    std::sort(of.begin(), of.end());
    std::cout << ", \"" << name << "\": " << of[of.size() / 2];
  }
  std::cout << "}" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int status = 2;
  try {
    if (argc >= 5) status = measure(argv[1], std::atoll(argv[2]), std::atoll(argv[3]), std::atoi(argv[4]), argc > 5 ? argv[5] : "rows");
    else if (rank == 0) std::cerr << "usage: mpiexec -n N mpi_scaling FOLDER TENSORS MIB ROUNDS [rows|columns|replicas]\n";
  } catch (const error& e) {
    if (rank == 0) std::cerr << e.what() << std::endl;
    status = 1;
  }
  MPI_Finalize();
  return status;
}
