#pragma once
/// The simulated machine behind the CUDA functions: devices, memory, streams, events, and the operations that are enqueued. One mutex guards all of it.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "history.hpp"
#include "simulator.hpp"

namespace cuda_sim {

struct operation;
using operation_ptr = std::shared_ptr<operation>;

}  // namespace cuda_sim

/// What a cudaStream_t points to. Never deleted before the next reset, so that a handle used after its end is known for what it is.
struct CUstream_st {
  std::string name;
  int device;
  std::size_t agent;  ///< its place in vector clocks
  bool legacy = false, blocking = true, alive = true, made_by_program = false;
  int priority = 0;
  unsigned flags = 0;
  cuda_sim::vector_clock known;                    ///< what has happened before whatever is enqueued next
  std::deque<cuda_sim::operation_ptr> queue = {};  ///< not done yet
  cuda_sim::operation_ptr last = {};               ///< enqueued last, done or not
  int not_ready = 0;                               ///< queries in a row that answered so
};

/// What a cudaEvent_t points to; kept as streams are.
struct CUevent_st {
  std::string name;
  int device;
  unsigned flags;
  bool alive = true;
  cuda_sim::operation_ptr recorded = {};  ///< by the latest record
  int not_ready = 0;
};

struct CUmemPoolHandle_st {
  std::uint64_t release_threshold = 0;
};

namespace cuda_sim {

using lock = std::unique_lock<std::mutex>;

/// Bytes to copy from where they really are to where they really go.
struct move {
  std::byte* to;
  const std::byte* from;
  std::size_t bytes;
};

/// Where an operation runs: as soon as it is chosen, in the thread that chose it; or on a thread, for throttled copies one a device and direction.
enum class engine { at_once,
                    to_device,
                    to_host,
                    between,
                    host_function };

/// Something enqueued on a stream.
struct operation {
  accessor who;
  CUstream_st* stream;
  std::vector<operation_ptr> after;                    ///< what must be done first; emptied when this is done
  std::vector<extent> touches = {};                    ///< memory as the program knows it
  std::vector<extent> pinned = {};                     ///< those of it that are pinned
  std::vector<std::shared_ptr<std::byte>> keeps = {};  ///< that memory, should the program free it too early
  engine runs = engine::at_once;
  bool copy = false;
  bool always = false;  ///< its work is done even on a broken device
  std::vector<move> moves = {};
  std::function<void()> work = {};      ///< after the moves
  std::vector<std::byte> staging = {};  ///< a pageable source, copied while the call went on
  enum { queued,
         running,
         done } state = queued;
  std::chrono::steady_clock::time_point done_at = {};
};

/// Pages of pinned memory that the host may not touch, or not write, before it has waited for operations that use them.
struct guarded {
  struct user {
    bool writes;
    moment when;
    std::shared_ptr<const std::string> what;
    std::vector<operation_ptr> after;  ///< host functions that come first, and may touch them
  };
  std::vector<user> users;
  int open = 0;  ///< how many operations are using them right now
};

enum class place { pageable,
                   pinned,
                   managed,
                   device };

struct allocation {
  std::uint64_t number;
  cuda_sim::place place;
  int device;
  std::uintptr_t begin;  ///< as the program knows it
  std::size_t size;
  std::byte* bytes;  ///< where they are; the same but for device memory
  std::string made_by = {};
  std::shared_ptr<std::byte> owner = {};  ///< of the bytes, unless they are registered
  bool registered = false, stream_ordered = false;
  bool freed = false;  ///< by an operation that is still enqueued, or for good
};

/// A thread that runs operations one after the other.
struct worker {
  std::deque<operation_ptr> queue;
  std::condition_variable wakes;
  std::chrono::steady_clock::time_point free_at = {};  ///< when a throttled copy would end that ran just as long as it should
  bool ends = false;
  std::thread thread;
};

/// What a host thread has of its own.
struct host_thread {
  std::uint64_t generation = 0;  ///< of the machine that the rest belongs to
  int device = 0;
  cudaError_t last_error = cudaSuccess;
  std::map<int, CUstream_st*> streams = {};  ///< its default streams, by device
  const operation* inside = nullptr;         ///< the host function that it runs
};

struct machine {
  // Set up once a reset.
  configuration options;
  std::uint64_t generation = 1;

  std::mutex mutex;
  std::condition_variable progress;  ///< an operation is done
  std::mt19937_64 random;

  std::vector<std::unique_ptr<CUstream_st>> streams;
  std::vector<std::unique_ptr<CUevent_st>> events;
  std::vector<operation_ptr> host_functions;  ///< not done yet
  std::vector<CUstream_st*> legacy;           ///< by device
  std::uint64_t streams_made = 0;             ///< by the program
  std::vector<CUmemPoolHandle_st> pools;
  std::vector<cudaError_t> broken;  ///< by device: the error that sticks
  std::set<std::pair<int, int>> peers;
  std::map<std::pair<int, engine>, std::unique_ptr<worker>> workers;

  // memory.cpp
  std::map<std::uintptr_t, allocation> memory;                    ///< by begin
  std::map<std::uintptr_t, allocation> freed;                     ///< of devices, whose addresses are not used again
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> arenas;  ///< addresses of each device: from, next
  std::vector<std::size_t> used;
  std::uint64_t allocations = 0;

  // What happened.
  vector_clock host;  ///< what the host's threads know
  history accesses;
  interval_map<guarded> guards;
  std::uint64_t numbers = 0;  ///< of operations and host accesses
  std::vector<std::string> violations;
  std::set<std::pair<std::string, std::string>> told;
  std::map<std::string, std::size_t> calls;
  std::map<std::string, std::pair<std::size_t, cudaError_t>> failing_calls;  ///< the count at which one fails
  std::optional<std::pair<std::size_t, cudaError_t>> failing_copy;
  copy_counts copies;
};

/// The one machine. It is never destroyed: threads may outlive main's statics.
machine& the_machine();
/// The calling thread's own.
host_thread& this_thread();

// memory.cpp

/// What a program's pointer to `bytes` bytes means.
struct location {
  cuda_sim::place place = cuda_sim::place::pageable;
  const cuda_sim::allocation* allocation = nullptr;  ///< none if pageable
  std::byte* bytes = nullptr;                        ///< where they are
  std::string mistake = {};                          ///< why they may not be accessed; empty if they may
};
location locate(const void* address, std::size_t bytes);
/// "bytes 128 to 256 of allocation #3 (cudaMalloc, gpu 0)"
std::string describe(extent);
/// Memory of at least one byte. Nothing if the device has no room.
allocation* allocate(cuda_sim::place, int device, std::size_t bytes, const std::string& made_by);
void release(std::uintptr_t begin);
void release_everything();
void watch_device_addresses();

// schedule.cpp

/// A new operation on the stream, which follows what is enqueued there, and the event's record if there is one. The caller adds what it does and submits it.
operation_ptr make_operation(CUstream_st&, const std::string& what, const operation_ptr& recorded = nullptr);
/// Enqueues it; eagerly, runs it.
void submit(const operation_ptr&, lock&);
/// Runs at random what could run now.
void pump(lock&);
/// Returns when the operation is done.
void finish(operation_ptr, lock&);
void finish_stream(CUstream_st&, lock&);
void finish_device(int device, lock&);
void stop_workers(lock&);
/// Starts what the operation needs and can be started, and does not wait.
void nudge(operation_ptr);
/// Returns when nothing that is enqueued touches this memory.
void finish_users(extent, lock&);
CUstream_st& new_stream(int device, std::string name);
/// The stream of a handle, or null if there is none.
CUstream_st* stream_of(cudaStream_t, bool per_thread);

// guards.cpp

/// The host may not touch what an operation writes, nor write what it reads, before it has waited for it: page by page, as far as pages lie inside.
void guard(const operation&, extent, bool writes);
/// Gives the simulator itself access to pinned memory, whatever guards it has or gets, and takes it back.
void open_guards(extent);
void close_guards(extent);
/// Guards what a host function that is done could touch, and later operations use.
void guard_after_host_function();
/// Drops the guards of what the host has waited for.
void drop_known_guards();
/// Drops all guards of memory that is gone.
void drop_guards(extent);
/// Which guard is at this address: a text, or null. For the signal handler.
const char* guard_at(std::uintptr_t);

// checks.cpp

void violation(const std::string& text);
/// What sticks to this device.
cudaError_t error_of(int device);
/// An operation reads or writes memory as the program knows it.
void note_access(operation&, const void* address, std::size_t bytes, bool writes);
/// The host does, now. `what` names the call.
void note_host_access(const std::string& what, const void* address, std::size_t bytes, bool writes);
/// The host has waited for what this clock knows.
void host_waited_for(const vector_clock&);

/// What a function does on a broken device: nothing but return its error; its work all the same, and then return it; not care.
enum class on_broken { refuse,
                       proceed,
                       ignore };

/// Runs the body of a CUDA function: counts the call, makes it fail where that is asked for, gives what is enqueued a chance to happen, keeps the error.
template <class F>
cudaError_t call(const char* function, F&& body, on_broken = on_broken::refuse);

/// The same for a function that has a stream: also what sticks to the stream's device counts.
template <class F>
cudaError_t stream_call(const char* function, cudaStream_t handle, bool per_thread, F&& body, on_broken how = on_broken::refuse) {
  return call(function, [&](lock& l) {
    CUstream_st* const s = stream_of(handle, per_thread);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t stuck = error_of(s->device); stuck != cudaSuccess && how == on_broken::refuse) return stuck;
    const cudaError_t error = body(*s, l);
    return error != cudaSuccess ? error : error_of(s->device); }, how);
}

cudaError_t begin_call(const char* function, on_broken, lock&);
cudaError_t end_call(cudaError_t, lock&);

template <class F>
cudaError_t call(const char* function, F&& body, on_broken how) {
  lock l(the_machine().mutex);
  cudaError_t error = begin_call(function, how, l);
  if (error == cudaSuccess) {
    error = body(l);
    // An error that an operation meets while a call waits for it is that call's.
    if (how != on_broken::ignore && error == cudaSuccess) error = error_of(this_thread().device);
  }
  return end_call(error, l);
}

}  // namespace cuda_sim
