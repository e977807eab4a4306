#pragma once
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <mpi.h>

#include <holdfast/core/error.hpp>
#include <holdfast/core/order.hpp>
#include <holdfast/io/overlapped_writer.hpp>
#include <holdfast/io/staging_buffer.hpp>
#include <holdfast/mpi/communicator.hpp>

namespace holdfast::mpi::detail {

/// The errno that says best what MPI-IO said.
template <class = void>
int errno_of(int code) {
  int of = MPI_ERR_OTHER;
  MPI_Error_class(code, &of);
  switch (of) {
    case MPI_ERR_NO_SPACE: return ENOSPC;
    case MPI_ERR_QUOTA: return EDQUOT;
    case MPI_ERR_ACCESS: return EACCES;
    case MPI_ERR_READ_ONLY: return EROFS;
    case MPI_ERR_NO_SUCH_FILE: return ENOENT;
    default: return EIO;
  }
}

/// Writes pieces of a file by all ranks at once, with MPI-IO: each notes what it has (`write`), then all write (`write_all`).
template <class X>
class basic_collective_writer {
 public:
  static constexpr std::size_t piece_bytes = io::basic_overlapped_writer<X>::piece_bytes;

  /// Opens a file that is there. Errors call it `shown_as`. Collective; throws the same on all ranks. A rank notes no more than
  /// `most` pieces at a time, in memory of `pieces`.
  basic_collective_writer(const basic_communicator<X>& comm, const std::string& path, std::string shown_as, MPI_Info hints, io::staging_buffer& pieces, std::size_t most)
      : shown_as_(std::move(shown_as)), hints_(hints) {
    const int opened = MPI_File_open(comm.get(), path.c_str(), MPI_MODE_RDWR, hints, &file_);  // to fill what lies between pieces MPI-IO may read
    together(comm, [&] {
      require(opened, "MPI_File_open");
      memory_ = pieces.reserve(most * piece_bytes);
    });
  }
  basic_collective_writer(const basic_collective_writer&) = delete;

  /// Memory for one piece until `write_all`.
  std::span<std::byte> piece() { return memory_.subspan(taken_++ * piece_bytes, piece_bytes); }

  /// Notes bytes of memory of `piece`.
  void write(std::uint64_t offset, std::span<const std::byte> bytes) { jobs_.push_back({offset, bytes}); }

  /// Writes what all ranks have noted. Collective, also for a rank that has nothing.
  void write_all() {
    holdfast::detail::sort(jobs_, [](const job& a, const job& b) { return a.offset < b.offset; });
    std::vector<int> lengths;
    std::vector<MPI_Aint> here, there;
    int bytes = 0, written = 0;
    for (const job& j : jobs_) {
      lengths.push_back(static_cast<int>(j.bytes.size()));
      here.push_back(j.bytes.data() - memory_.data());
      there.push_back(static_cast<MPI_Aint>(j.offset));
      bytes += lengths.back();
    }
    jobs_.clear();
    taken_ = 0;
    const type in_memory(lengths, here), in_file(lengths, there);
    MPI_Status status{};
    const int seen = MPI_File_set_view(file_, 0, MPI_BYTE, in_file.of, "native", hints_);
    const int done = MPI_File_write_at_all(file_, 0, memory_.data(), bytes == 0 ? 0 : 1, in_memory.of, &status);
    require(seen, "MPI_File_set_view");
    require(done, "MPI_File_write_at_all");
    check(MPI_Get_elements(&status, MPI_BYTE, &written), "MPI_Get_elements");
    if (written != bytes) throw io_error(shown_as_ + ": MPI_File_write_at_all wrote " + std::to_string(written) + " of " + std::to_string(bytes) + " bytes", std::error_code(EIO, std::generic_category()));
  }

  /// Collective. Makes what this rank has written durable, if that is asked for, and closes the file.
  void close(bool durable) {
    const int synced = durable ? MPI_File_sync(file_) : MPI_SUCCESS;
    const int closed = MPI_File_close(&file_);
    require(synced, "MPI_File_sync");
    require(closed, "MPI_File_close");
  }

 private:
  struct job {
    std::uint64_t offset;
    std::span<const std::byte> bytes;
  };

  /// Stretches of bytes as MPI names them; plain bytes for none.
  struct type {
    MPI_Datatype of = MPI_BYTE;
    type(const std::vector<int>& lengths, const std::vector<MPI_Aint>& places) {
      if (lengths.empty()) return;
      check(MPI_Type_create_hindexed(static_cast<int>(lengths.size()), lengths.data(), places.data(), MPI_BYTE, &of), "MPI_Type_create_hindexed");
      check(MPI_Type_commit(&of), "MPI_Type_commit");
    }
    type(const type&) = delete;
    ~type() {
      if (of != MPI_BYTE) MPI_Type_free(&of);
    }
  };

  void require(int code, const char* call) const {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw io_error(shown_as_ + ": " + call + ": " + std::string(text, static_cast<std::size_t>(length)), std::error_code(errno_of(code), std::generic_category()));
  }

  std::string shown_as_;
  MPI_Info hints_;
  MPI_File file_ = MPI_FILE_NULL;
  std::span<std::byte> memory_;
  std::size_t taken_ = 0;
  std::vector<job> jobs_;
};

}  // namespace holdfast::mpi::detail
