// The same tensors as mpi_scaling's, in rows, by collective H5Dwrite of parallel HDF5:
//   mpiexec -n N mpi_h5dwrite FOLDER TENSORS MIB ROUNDS
// prints, as JSON, the seconds of the slowest rank to create the file, write every dataset by all ranks, close it and make it durable;
// the median of the rounds. Datasets are allocated early and not filled, metadata is written by all together.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <hdf5.h>
#include <mpi.h>

namespace {

int rank = 0, size = 1;

template <class T>
T good(T result, const char* what) {
  if (result >= 0) return result;
  std::cerr << what << " failed" << std::endl;
  MPI_Abort(MPI_COMM_WORLD, 1);
  return result;
}

void save(const std::string& path, std::int64_t tensors, hsize_t rows, hsize_t columns, const std::vector<float>& part) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_DATASET_CREATE), transfer = H5Pcreate(H5P_DATASET_XFER);
  H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
  H5Pset_all_coll_metadata_ops(access, true);
  H5Pset_coll_metadata_write(access, true);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_LATEST);
  H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
  H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
  const hid_t file = good(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), "H5Fcreate");
  const hid_t group = good(H5Gcreate2(file, "model", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), "H5Gcreate2");
  const auto ranks = static_cast<hsize_t>(size), me = static_cast<hsize_t>(rank);
  const hsize_t whole[] = {rows, columns}, from[] = {rows * me / ranks, 0}, own[] = {rows * (me + 1) / ranks - from[0], columns};
  const hid_t in_file = H5Screate_simple(2, whole, nullptr), in_memory = H5Screate_simple(2, own, nullptr);
  H5Sselect_hyperslab(in_file, H5S_SELECT_SET, from, nullptr, own, nullptr);
  for (std::int64_t t = 0; t < tensors; ++t) {
    const hid_t dataset = good(H5Dcreate2(group, ("layer" + std::to_string(t)).c_str(), H5T_IEEE_F32LE, in_file, H5P_DEFAULT, creation, H5P_DEFAULT), "H5Dcreate2");
    good(H5Dwrite(dataset, H5T_NATIVE_FLOAT, in_memory, in_file, transfer, part.data() + static_cast<std::size_t>(t) * own[0] * own[1]), "H5Dwrite");
    H5Dclose(dataset);
  }
  for (const hid_t space : {in_file, in_memory}) H5Sclose(space);
  H5Gclose(group);
  good(H5Fclose(file), "H5Fclose");
  for (const hid_t list : {access, creation, transfer}) H5Pclose(list);
  const int fd = good(::open(path.c_str(), O_RDWR), "open");
  good(::fsync(fd), "fsync");
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc < 5) {
    if (rank == 0) std::cerr << "usage: mpiexec -n N mpi_h5dwrite FOLDER TENSORS MIB ROUNDS\n";
    MPI_Finalize();
    return 2;
  }
  const std::int64_t tensors = std::atoll(argv[2]), rows = std::max<std::int64_t>(1024, size), columns = std::max<std::int64_t>((std::atoll(argv[3]) << 20) / 4 / tensors / rows, 1);
  const std::int64_t own = rows * (rank + 1) / size - rows * rank / size;
  const std::vector<float> memory(static_cast<std::size_t>(own * columns * tensors), 1.5f);
  std::vector<double> seconds;
  for (int round = 0; round < std::atoi(argv[4]); ++round) {
    MPI_Barrier(MPI_COMM_WORLD);
    const auto start = std::chrono::steady_clock::now();
    save(std::string(argv[1]) + "/h5dwrite.h5", tensors, static_cast<hsize_t>(rows), static_cast<hsize_t>(columns), memory);
    const double mine = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double all = 0;
    MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    seconds.push_back(all);
  }
  std::sort(seconds.begin(), seconds.end());
  if (rank == 0)
    std::cout << "{\"ranks\": " << size << ", \"tensors\": " << tensors << ", \"bytes\": " << rows * columns * tensors * 4 << ", \"cut\": \"rows\", \"H5Dwrite\": {\"seconds\": " << seconds[seconds.size() / 2] << "}}" << std::endl;
  MPI_Finalize();
  return 0;
}
