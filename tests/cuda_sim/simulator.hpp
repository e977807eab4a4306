#pragma once
/// A strict simulated CUDA runtime for tests on machines without a GPU: compiled against NVIDIA's cuda_runtime_api.h and linked in place of libcudart.
/// A program under test sees only the CUDA API; a test sets the machine up, and asks what went wrong, through this header.
///
/// What it does beyond running the calls:
/// - Device memory has its own addresses, which the host may not touch (SIGSEGV, with a line that says so) and which are not used again.
/// - What is enqueued happens at once, as late as it may, or at random by a seed; a host function happens on a thread of its own.
/// - Every pair of overlapping accesses of which one writes must be ordered by streams, events or host synchronisation. Those that only happened to be
///   in order are violations, too. So are uses of freed memory, uses of destroyed handles, copies past an allocation, memory freed while it is in use.
/// - Whole pages of pinned memory are closed to the host (SIGSEGV, with the operation's name) while something uses them for which it has not waited.
/// - Fresh memory is poisoned (0xA5), freed memory too (0xDD). A device has a memory limit. Any call can be made to fail, any copy to fail later and for good.
/// - Asynchronous copies from pageable memory are staged before the call returns, those to pageable memory return when they are done; both are counted.
///
/// Where documentation leaves a choice it takes what is worst for the program: only what is promised orders anything. cudaFree, cudaMalloc and copies from
/// pageable memory may wait on hardware, and order nothing here; cudaStreamSynchronize of the legacy default stream waits for that stream alone; pinned
/// memory of less than a page is not page-aligned; a batch whose source may be read early reads it at once; allocations touch where their sizes allow it, and
/// a copy to two of them is an error, as on an H200. A failed device lets what frees, destroys
/// and waits do so, and all calls return its error.
///
/// What it cannot do: it runs no kernels (a test gives a function and the ranges that it reads and writes), no graphs, stream capture, arrays, textures,
/// IPC, cooperative groups or virtual memory management; such calls do not link. Parts of pages of pinned memory, and managed memory, are watched only where
/// the test declares what the host does (host_reads, host_writes) or a CUDA call does it; pageable memory is not watched. How host threads synchronise with
/// each other is not seen: what one has waited for counts as waited for by all, and every call synchronises with every other as the thread sanitizer sees it,
/// which therefore accuses nobody falsely but misses what only CUDA orders. The copies of a batch are not compared with each other. A device has 64 GiB of addresses between two resets. It knows the
/// documentation, not a driver. It claims nothing about speed: the throttle only makes copies last, so that a test can see what goes on meanwhile.
///
/// A program that does not know of this header is set up by the environment, CUDA_SIM="devices=2 schedule=random seed=7 memory=1000000
/// bytes_per_second=1e9", and then says at its end what was wrong and what it did not release, and exits with 3.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

namespace cuda_sim {

/// When enqueued operations happen: as soon as what they wait for has happened; when a call cannot return without them; or, at every call, some of those
/// that could, drawn by the seed.
enum class schedule { eager,
                      lazy,
                      random };

struct configuration {
  int devices = 1;                            ///< with none, every call fails with cudaErrorNoDevice
  std::size_t memory = std::size_t{1} << 28;  ///< bytes of each device
  cuda_sim::schedule schedule = cuda_sim::schedule::eager;
  std::uint64_t seed = 0;       ///< of schedule::random; the same seed is the same order where one host thread calls
  double bytes_per_second = 0;  ///< of copies, for each device and direction; 0: not throttled. Throttled copies run on threads and in real time, beside what the host does where the schedule is eager.
  bool peer_access = true;      ///< whether devices can access each other's memory
  bool memory_pools = true;     ///< whether cudaMallocAsync is supported
  bool guard_pinned = true;     ///< whether the host is kept out (SIGSEGV) of pages of pinned memory that an operation uses for which it has not waited
};

/// A new machine: what was enqueued is dropped, all memory, streams and events are gone, counts are zero, the calling and every other thread uses device 0.
/// No other thread may be inside a CUDA call.
void reset(const configuration& = {});

struct range {
  const void* address;  ///< as the program knows it
  std::size_t bytes;
};

/// What a simulated kernel does: it gets where the bytes of the ranges really are. It must call neither CUDA nor this header.
using kernel = std::function<void(const std::vector<const std::byte*>& reads, const std::vector<std::byte*>& writes)>;

/// Enqueues a simulated kernel that reads and writes those ranges of device, managed or pinned memory. The stream must be of the current device; 0 is the
/// legacy default stream.
cudaError_t launch(cudaStream_t stream, const std::vector<range>& reads, const std::vector<range>& writes, kernel function, const std::string& name = "kernel");

/// The host reads or writes this memory now: what the program under test does without a CUDA call.
void host_reads(const void* address, std::size_t bytes);
void host_writes(const void* address, std::size_t bytes);

/// The k-th call from now (1: the next) of this CUDA function ("*": of any) does nothing and returns the error.
void fail_call(const std::string& function, std::size_t k, cudaError_t error);

/// The k-th copy that happens from now moves nothing, and from then on calls for its device return the error. What frees and destroys does so all the same.
void fail_asynchronously(std::size_t k, cudaError_t error);

/// One text for each mistake found since the reset. Each pair of operations is told once.
std::vector<std::string> violations();

/// One text for each stream, event and piece of memory that is still there.
std::vector<std::string> leaks();

/// How often this CUDA function was called since the reset ("*": all of them together).
std::size_t calls(const std::string& function);

struct copy_counts {
  std::size_t copies = 0;              ///< that happened, of any kind
  std::size_t bytes = 0;               ///< that they moved
  std::size_t pageable_to_device = 0;  ///< asynchronous copies from pageable memory, which cost a second copy on the host
  std::size_t pageable_to_host = 0;    ///< asynchronous copies to pageable memory, which are not asynchronous
};
copy_counts copies();

/// Runs whatever is still enqueued, on all devices. Orders nothing: the host has not waited.
void run_enqueued();

/// Calls a function that may touch device memory from the host, and returns what the signal handler would have printed; empty if it did not. Destructors
/// of the function's objects do not run then.
std::string touched(const std::function<void()>& function);

}  // namespace cuda_sim
