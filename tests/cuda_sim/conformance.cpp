// What the documentation of the CUDA runtime promises, by the CUDA API alone: linked with the simulator under several schedules, and with libcudart where
// there is a GPU, so that a difference between them is seen.
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <future>
#include <memory>
#include <thread>

#include <cuda_runtime_api.h>

#include "../support.hpp"

namespace {

void good(cudaError_t error) { BOOST_REQUIRE_MESSAGE(error == cudaSuccess, cudaGetErrorName(error) << ": " << cudaGetErrorString(error)); }

/// An error that the documentation promises, which does not stay.
void expect(cudaError_t error, cudaError_t expected) {
  BOOST_TEST(error == expected, cudaGetErrorName(error) << " and not " << cudaGetErrorName(expected));
  cudaGetLastError();
}

int device_count() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
}

bool has_pools(int device) {
  int yes = 0;
  good(cudaDeviceGetAttribute(&yes, cudaDevAttrMemoryPoolsSupported, device));
  return yes != 0;
}

constexpr std::size_t bytes = 1 << 16;

template <auto Free>
struct freed {
  template <class T>
  void operator()(T* p) const { BOOST_TEST(Free(p) == cudaSuccess); }
};
using stream = std::unique_ptr<CUstream_st, freed<cudaStreamDestroy>>;
using event = std::unique_ptr<CUevent_st, freed<cudaEventDestroy>>;
using device_bytes = std::unique_ptr<unsigned char, freed<cudaFree>>;
using pinned_bytes = std::unique_ptr<unsigned char, freed<cudaFreeHost>>;

stream make_stream(int flags = cudaStreamNonBlocking) {
  cudaStream_t s;
  good(cudaStreamCreateWithFlags(&s, static_cast<unsigned>(flags)));
  return stream(s);
}

event make_event(unsigned flags = cudaEventDisableTiming) {
  cudaEvent_t e;
  good(cudaEventCreateWithFlags(&e, flags));
  return event(e);
}

device_bytes on_device(std::size_t n = bytes) {
  void* p;
  good(cudaMalloc(&p, n));
  return device_bytes(static_cast<unsigned char*>(p));
}

pinned_bytes pinned(std::size_t n = bytes) {
  void* p;
  good(cudaMallocHost(&p, n));
  return pinned_bytes(static_cast<unsigned char*>(p));
}

bool all_are(const unsigned char* memory, int value, std::size_t n = bytes) {
  return std::all_of(memory, memory + n, [&](unsigned char c) { return c == value; });
}

/// A host function that a stream cannot pass before the test lets it.
class gate {
 public:
  void close(cudaStream_t s) {
    const auto wait = [](void* until) { std::unique_ptr<std::shared_future<void>>(static_cast<std::shared_future<void>*>(until))->wait(); };
    good(cudaLaunchHostFunc(s, wait, new std::shared_future<void>(opened_.get_future().share())));
  }
  void open() {
    if (!std::exchange(open_, true)) opened_.set_value();
  }
  ~gate() { open(); }

 private:
  std::promise<void> opened_;
  bool open_ = false;
};

bool stays_not_ready(cudaStream_t s) {
  for (int i = 0; i < 20; ++i)
    if (cudaStreamQuery(s) != cudaErrorNotReady) return false;
  cudaGetLastError();
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(conformance)

// Streams and events.

BOOST_AUTO_TEST_CASE(copies_and_sets_of_a_stream_are_asynchronous_and_in_order) {
  const auto s = make_stream(), other = make_stream();
  const auto e = make_event();
  const auto device = on_device();
  const auto host = pinned(), host2 = pinned();
  std::memset(host.get(), 9, bytes);
  gate g;
  g.close(s.get());
  good(cudaMemcpyAsync(device.get(), host.get(), bytes, cudaMemcpyHostToDevice, s.get()));
  good(cudaMemsetAsync(device.get(), 0x107, bytes / 2, s.get()));  // its low byte
  good(cudaMemcpyAsync(host2.get(), device.get(), bytes, cudaMemcpyDeviceToHost, s.get()));
  good(cudaEventRecord(e.get(), s.get()));
  BOOST_TEST(stays_not_ready(s.get()));
  expect(cudaEventQuery(e.get()), cudaErrorNotReady);
  good(cudaStreamSynchronize(other.get()));  // another stream does not wait
  good(cudaStreamQuery(other.get()));
  g.open();
  good(cudaEventSynchronize(e.get()));
  good(cudaEventQuery(e.get()));
  BOOST_TEST(all_are(host2.get(), 7, bytes / 2));
  BOOST_TEST(all_are(host2.get() + bytes / 2, 9, bytes / 2));
  good(cudaStreamSynchronize(s.get()));
  good(cudaStreamQuery(s.get()));
}

BOOST_AUTO_TEST_CASE(a_wait_is_for_the_latest_record_at_the_time_of_the_call) {
  const auto one = make_stream(), two = make_stream(), three = make_stream();
  const auto e = make_event();
  good(cudaStreamWaitEvent(two.get(), e.get(), 0));  // never recorded: nothing to wait for
  good(cudaEventQuery(e.get()));
  good(cudaEventSynchronize(e.get()));
  good(cudaStreamSynchronize(two.get()));
  gate g;
  g.close(one.get());
  good(cudaEventRecord(e.get(), one.get()));
  good(cudaStreamWaitEvent(two.get(), e.get(), 0));
  good(cudaEventRecord(e.get(), three.get()));
  good(cudaEventSynchronize(e.get()));
  BOOST_TEST(stays_not_ready(two.get()));
  g.open();
  good(cudaStreamSynchronize(two.get()));
}

BOOST_AUTO_TEST_CASE(the_legacy_default_stream_waits_for_blocking_streams_and_they_for_it) {
  const auto blocking = make_stream(cudaStreamDefault), blocking2 = make_stream(cudaStreamDefault), free = make_stream();
  const auto device = on_device(), device2 = on_device();
  {
    gate g;
    g.close(blocking.get());
    good(cudaMemsetAsync(device.get(), 1, bytes, cudaStreamLegacy));
    BOOST_TEST(stays_not_ready(cudaStreamLegacy));
    good(cudaMemsetAsync(device2.get(), 1, bytes, free.get()));
    good(cudaStreamSynchronize(free.get()));
    good(cudaMemsetAsync(device.get(), 2, bytes, blocking2.get()));
    BOOST_TEST(stays_not_ready(blocking2.get()));
  }
  const auto host = pinned();
  good(cudaMemcpyAsync(host.get(), device.get(), bytes, cudaMemcpyDeviceToHost, blocking2.get()));
  good(cudaStreamSynchronize(blocking2.get()));
  BOOST_TEST(all_are(host.get(), 2));
  good(cudaDeviceSynchronize());
}

BOOST_AUTO_TEST_CASE(stream_0_is_the_one_that_the_program_was_compiled_for) {
  const auto blocking = make_stream(cudaStreamDefault);
  const auto device = on_device();
  gate g;
  g.close(blocking.get());
#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
  good(cudaMemsetAsync(device.get(), 1, bytes, nullptr));
  good(cudaStreamSynchronize(nullptr));
#else
  good(cudaMemsetAsync(device.get(), 1, bytes, nullptr));
  BOOST_TEST(stays_not_ready(nullptr));
#endif
  g.open();
  good(cudaDeviceSynchronize());
}

BOOST_AUTO_TEST_CASE(each_thread_has_a_default_stream) {
  gate g;
  g.close(cudaStreamPerThread);
  const auto device = on_device();
  std::thread([&] {
    BOOST_TEST(cudaMemsetAsync(device.get(), 1, bytes, cudaStreamPerThread) == cudaSuccess);
    BOOST_TEST(cudaStreamSynchronize(cudaStreamPerThread) == cudaSuccess);
  }).join();
  BOOST_TEST(stays_not_ready(cudaStreamPerThread));
  g.open();
  good(cudaStreamSynchronize(cudaStreamPerThread));
}

BOOST_AUTO_TEST_CASE(what_is_destroyed_early_still_happens) {
  auto s = make_stream();
  const auto e = make_event();
  const auto device = on_device();
  const auto host = pinned();
  gate g;
  g.close(s.get());
  {
    const auto waits = make_stream();
    const auto gone = make_event();
    good(cudaEventRecord(gone.get(), s.get()));
    good(cudaStreamWaitEvent(waits.get(), gone.get(), 0));
    good(cudaMemsetAsync(device.get(), 5, bytes, waits.get()));
    good(cudaMemcpyAsync(host.get(), device.get(), bytes, cudaMemcpyDeviceToHost, waits.get()));
    good(cudaEventRecord(e.get(), waits.get()));
  }
  s.reset();
  expect(cudaEventQuery(e.get()), cudaErrorNotReady);
  g.open();
  good(cudaEventSynchronize(e.get()));
  BOOST_TEST(all_are(host.get(), 5));
}

BOOST_AUTO_TEST_CASE(time_between_events) {
  const auto s = make_stream();
  const auto a = make_event(cudaEventDefault), b = make_event(cudaEventDefault), without = make_event();
  float ms = -1;
  expect(cudaEventElapsedTime(&ms, a.get(), b.get()), cudaErrorInvalidResourceHandle);  // never recorded
  good(cudaEventRecord(a.get(), s.get()));
  good(cudaEventRecord(b.get(), s.get()));
  good(cudaEventRecord(without.get(), s.get()));
  good(cudaEventSynchronize(b.get()));
  good(cudaEventElapsedTime(&ms, a.get(), b.get()));
  BOOST_TEST(ms >= 0);
  expect(cudaEventElapsedTime(&ms, a.get(), without.get()), cudaErrorInvalidResourceHandle);
  good(cudaStreamSynchronize(s.get()));
}

BOOST_AUTO_TEST_CASE(what_a_stream_says_of_itself) {
  const auto s = make_stream();
  unsigned flags = 9;
  good(cudaStreamGetFlags(s.get(), &flags));
  BOOST_TEST(flags == unsigned{cudaStreamNonBlocking});
  int least, greatest, priority;
  good(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t urgent;
  good(cudaStreamCreateWithPriority(&urgent, cudaStreamNonBlocking, greatest));
  good(cudaStreamGetPriority(urgent, &priority));
  BOOST_TEST(priority == greatest);
  good(cudaStreamDestroy(urgent));
  cudaStreamCaptureStatus capture;
  good(cudaStreamIsCapturing(s.get(), &capture));
  BOOST_TEST(capture == cudaStreamCaptureStatusNone);
#if CUDART_VERSION >= 12080
  int device = -1;
  good(cudaStreamGetDevice(s.get(), &device));
  BOOST_TEST(device == 0);
#endif
}

// Copies.

BOOST_AUTO_TEST_CASE(synchronous_copies) {
  const auto device = on_device(), device2 = on_device();
  std::vector<unsigned char> mine(bytes, 3), back(bytes);
  good(cudaMemcpy(device.get(), mine.data(), bytes, cudaMemcpyHostToDevice));
  std::fill(mine.begin(), mine.end(), 4);  // it was staged
  good(cudaMemcpy(device2.get(), device.get(), bytes, cudaMemcpyDeviceToDevice));
  good(cudaMemcpy(back.data(), device2.get(), bytes, cudaMemcpyDefault));
  BOOST_TEST(all_are(back.data(), 3));
  good(cudaMemset(device.get(), 8, bytes));
  const auto host = pinned();
  good(cudaMemcpy(host.get(), device.get(), bytes, cudaMemcpyDeviceToHost));
  BOOST_TEST(all_are(host.get(), 8));
  good(cudaMemcpy(host.get(), mine.data(), bytes, cudaMemcpyHostToHost));
  BOOST_TEST(all_are(host.get(), 4));
  good(cudaMemcpy(device.get(), host.get(), 0, cudaMemcpyHostToDevice));
}

BOOST_AUTO_TEST_CASE(pageable_memory_may_be_used_again_at_once) {
  const auto s = make_stream();
  const auto device = on_device();
  std::vector<unsigned char> mine(bytes, 3), back(bytes);
  for (int i = 0; i < 10; ++i) {
    std::fill(mine.begin(), mine.end(), static_cast<unsigned char>(i));
    good(cudaMemcpyAsync(device.get(), mine.data(), bytes, cudaMemcpyHostToDevice, s.get()));
    std::fill(mine.begin(), mine.end(), 99);
    good(cudaMemcpyAsync(back.data(), device.get(), bytes, cudaMemcpyDeviceToHost, s.get()));
    good(cudaStreamSynchronize(s.get()));
    BOOST_TEST(all_are(back.data(), i));
  }
}

BOOST_AUTO_TEST_CASE(rows) {
  const auto s = make_stream();
  const auto device = on_device();
  const auto host = pinned();
  for (std::size_t i = 0; i < 1000; ++i) host.get()[i] = static_cast<unsigned char>(i);
  good(cudaMemsetAsync(device.get(), 0xEE, bytes, s.get()));
  good(cudaMemcpy2DAsync(device.get(), 100, host.get(), 20, 10, 50, cudaMemcpyHostToDevice, s.get()));
  std::vector<unsigned char> back(5000);
  good(cudaMemcpyAsync(back.data(), device.get(), 5000, cudaMemcpyDeviceToHost, s.get()));
  good(cudaStreamSynchronize(s.get()));
  for (std::size_t i = 0; i < 5000; ++i) BOOST_REQUIRE_EQUAL(back[i], i % 100 < 10 ? (i / 100 * 20 + i % 100) % 256 : 0xEE);
  expect(cudaMemcpy2DAsync(device.get(), 9, host.get(), 20, 10, 50, cudaMemcpyHostToDevice, s.get()), cudaErrorInvalidPitchValue);
}

#if CUDART_VERSION >= 13000
BOOST_AUTO_TEST_CASE(batches) {
  const auto s = make_stream();
  const auto device = on_device();
  const auto host = pinned(), back = pinned();
  std::memset(host.get(), 1, bytes / 2);
  std::memset(host.get() + bytes / 2, 2, bytes / 2);
  void* to[] = {device.get() + bytes / 2, device.get()};
  const void* from[] = {host.get(), host.get() + bytes / 2};
  std::size_t sizes[] = {bytes / 2, bytes / 2}, first[] = {0, 1};
  cudaMemcpyAttributes attributes[2] = {};
  attributes[0].srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  attributes[1].srcAccessOrder = cudaMemcpySrcAccessOrderDuringApiCall;
  good(cudaMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, s.get()));
  good(cudaMemcpyAsync(back.get(), device.get(), bytes, cudaMemcpyDeviceToHost, s.get()));
  good(cudaStreamSynchronize(s.get()));
  BOOST_TEST(all_are(back.get(), 2, bytes / 2));
  BOOST_TEST(all_are(back.get() + bytes / 2, 1, bytes / 2));
  sizes[1] = 0;  // 13.0 on hardware; the documentation does not say
  expect(cudaMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, s.get()), cudaErrorInvalidValue);
  sizes[1] = bytes / 2;
  expect(cudaMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, nullptr), cudaErrorInvalidValue);
  first[0] = 1;  // "the first entry in attrsIdxs must always be 0"
  expect(cudaMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 1, s.get()), cudaErrorInvalidValue);
}
#endif

// Memory.

BOOST_AUTO_TEST_CASE(what_pointers_are) {
  const auto type_of = [](const void* p) {
    cudaPointerAttributes a;
    good(cudaPointerGetAttributes(&a, p));
    if (a.type == cudaMemoryTypeDevice || a.type == cudaMemoryTypeManaged) BOOST_TEST(a.device == 0);
    if (a.type == cudaMemoryTypeDevice) BOOST_TEST(a.devicePointer == p);
    if (a.type == cudaMemoryTypeHost) BOOST_TEST(a.hostPointer == p);
    return a.type;
  };
  const auto device = on_device();
  const auto host = pinned();
  std::vector<unsigned char> mine(bytes);
  BOOST_TEST(type_of(device.get() + 100) == cudaMemoryTypeDevice);
  BOOST_TEST(type_of(host.get() + 100) == cudaMemoryTypeHost);
  BOOST_TEST(type_of(mine.data()) == cudaMemoryTypeUnregistered);
  good(cudaHostRegister(mine.data(), bytes, cudaHostRegisterDefault));
  BOOST_TEST(type_of(mine.data() + 100) == cudaMemoryTypeHost);
  expect(cudaHostRegister(mine.data(), bytes, cudaHostRegisterDefault), cudaErrorHostMemoryAlreadyRegistered);
  good(cudaHostUnregister(mine.data()));
  BOOST_TEST(type_of(mine.data()) == cudaMemoryTypeUnregistered);
  void* p;
  good(cudaHostAlloc(&p, bytes, cudaHostAllocPortable | cudaHostAllocMapped));
  BOOST_TEST(type_of(p) == cudaMemoryTypeHost);
  good(cudaFreeHost(p));
  if (int yes = 0; cudaDeviceGetAttribute(&yes, cudaDevAttrManagedMemory, 0) == cudaSuccess && yes != 0) {
    good(cudaMallocManaged(&p, bytes, cudaMemAttachGlobal));
    BOOST_TEST(type_of(p) == cudaMemoryTypeManaged);
    good(cudaMemset(p, 6, bytes));
    good(cudaDeviceSynchronize());
    BOOST_TEST(all_are(static_cast<unsigned char*>(p), 6));
    good(cudaFree(p));
  }
}

BOOST_AUTO_TEST_CASE(no_more_than_there_is) {
  std::size_t free, total;
  good(cudaMemGetInfo(&free, &total));
  BOOST_TEST(free <= total);
  void* p = nullptr;
  expect(cudaMalloc(&p, total + 1), cudaErrorMemoryAllocation);
  good(cudaPeekAtLastError());
  good(cudaFree(nullptr));
  good(cudaFreeHost(nullptr));
}

BOOST_AUTO_TEST_CASE(stream_ordered_memory) {
  if (!has_pools(0)) return;
  const auto s = make_stream(), other = make_stream();
  const auto e = make_event();
  const auto host = pinned();
  cudaMemPool_t pool;
  good(cudaDeviceGetDefaultMemPool(&pool, 0));
  std::uint64_t threshold = 1 << 20, back = 0;
  good(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  good(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &back));
  BOOST_TEST(back == threshold);
  for (int i = 0; i < 10; ++i) {
    void* p;
    good(cudaMallocAsync(&p, bytes, s.get()));
    good(cudaMemsetAsync(p, i, bytes, s.get()));
    good(cudaEventRecord(e.get(), s.get()));
    good(cudaStreamWaitEvent(other.get(), e.get(), 0));
    good(cudaMemcpyAsync(host.get(), p, bytes, cudaMemcpyDeviceToHost, other.get()));
    good(cudaFreeAsync(p, other.get()));
    good(cudaStreamSynchronize(other.get()));
    BOOST_TEST(all_are(host.get(), i));
  }
}

// Devices, threads, errors.

BOOST_AUTO_TEST_CASE(devices) {
  const int n = device_count();
  expect(cudaSetDevice(n), cudaErrorInvalidDevice);
  expect(cudaSetDevice(-1), cudaErrorInvalidDevice);
  good(cudaSetDevice(n - 1));
  std::thread([] {
    int device = -1;
    BOOST_TEST(cudaGetDevice(&device) == cudaSuccess);
    BOOST_TEST(device == 0);  // a thread begins there
  }).join();
  int device = -1;
  good(cudaGetDevice(&device));
  BOOST_TEST(device == n - 1);
  cudaDeviceProp properties;
  good(cudaGetDeviceProperties(&properties, n - 1));
  BOOST_TEST(properties.name[0] != '\0');
  BOOST_TEST(properties.totalGlobalMem > 0u);
  good(cudaSetDevice(0));
}

BOOST_AUTO_TEST_CASE(errors_are_of_their_thread_and_told_once) {
  BOOST_TEST(cudaSetDevice(-1) == cudaErrorInvalidDevice);
  std::thread([] { BOOST_TEST(cudaPeekAtLastError() == cudaSuccess); }).join();
  BOOST_TEST(cudaPeekAtLastError() == cudaErrorInvalidDevice);
  BOOST_TEST(cudaGetLastError() == cudaErrorInvalidDevice);
  BOOST_TEST(cudaGetLastError() == cudaSuccess);
  BOOST_TEST(std::string(cudaGetErrorName(cudaErrorInvalidDevice)) == "cudaErrorInvalidDevice");
  BOOST_TEST(std::string(cudaGetErrorString(cudaErrorMemoryAllocation)) == "out of memory");
}

// Random programs.

namespace {

/// Memory of one kind, what must be in it once everything has happened, and the events after which it may be read, or written.
struct buffer {
  unsigned char* address;
  bool host;
  std::vector<unsigned char> model;
  cudaEvent_t written = nullptr;
  std::vector<cudaEvent_t> read = {};
};

/// A program of random operations on random streams of all devices, that orders by events and waits exactly what must be ordered.
class random_program {
 public:
  explicit random_program(std::uint64_t seed) : engine_(seed), devices_(std::min(device_count(), 2)) {
    for (int d = 0; d < devices_; ++d) {
      good(cudaSetDevice(d));
      for (const auto flags : {cudaStreamNonBlocking, cudaStreamNonBlocking, cudaStreamDefault}) streams_.push_back(make_stream(flags)), device_of_.push_back(d);
      for (int i = 0; i < 3; ++i) {
        memory_.push_back(on_device(size));
        buffers_.push_back({memory_.back().get(), false, std::vector<unsigned char>(size)});
        const cudaStream_t s = streams_.back().get();
        good(cudaMemsetAsync(memory_.back().get(), 0, size, s));
        buffers_.back().written = record(streams_.size() - 1);
      }
    }
    for (int i = 0; i < 3; ++i) {
      host_memory_.push_back(pinned(size));
      std::memset(host_memory_.back().get(), 0, size);
      buffers_.push_back({host_memory_.back().get(), true, std::vector<unsigned char>(size)});
    }
  }

  void run(int operations) {
    while (operations-- > 0) {
      switch (support::pick(engine_, 0, 9)) {
        case 0: host_write(); break;
        case 1: host_function(); break;
        case 2: set(); break;
        case 3: pageable(); break;
        default: copy();
      }
    }
  }

  /// Waits for everything and compares.
  void check() {
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      const buffer& b = buffers_[i];
      for (const cudaEvent_t e : before_writing(b)) good(cudaEventSynchronize(e));
      std::vector<unsigned char> found(size);
      if (b.host) std::memcpy(found.data(), b.address, size);
      else good(cudaMemcpy(found.data(), b.address, size, cudaMemcpyDefault));
      BOOST_TEST((found == b.model), "buffer " << i << " is not what it should be");
    }
  }

 private:
  static constexpr std::size_t size = 12288;

  struct piece {
    std::size_t at, n;
  };
  piece pick_piece() {
    const std::size_t n = support::pick<std::size_t>(engine_, 1, size);
    return {support::pick<std::size_t>(engine_, 0, size - n), n};
  }
  buffer& pick_buffer() { return buffers_[support::pick<std::size_t>(engine_, 0, buffers_.size() - 1)]; }
  buffer& pick_host_buffer() { return buffers_[buffers_.size() - support::pick<std::size_t>(engine_, 1, 3)]; }
  buffer& pick_device_buffer() { return buffers_[support::pick<std::size_t>(engine_, 0, buffers_.size() - 4)]; }
  std::size_t pick_stream() {
    const auto s = support::pick<std::size_t>(engine_, 0, streams_.size() - 1);
    good(cudaSetDevice(device_of_[s]));
    return s;
  }

  cudaEvent_t record(std::size_t s) {
    events_.push_back(make_event());
    good(cudaEventRecord(events_.back().get(), streams_[s].get()));
    return events_.back().get();
  }
  static std::vector<cudaEvent_t> before_writing(const buffer& b) {
    std::vector<cudaEvent_t> all = b.read;
    if (b.written != nullptr) all.push_back(b.written);
    return all;
  }
  // The stream waits, or the host does before it goes on.
  void wait(std::size_t s, const std::vector<cudaEvent_t>& events) {
    for (const cudaEvent_t e : events) {
      if (support::pick(engine_, 0, 7) == 0) good(cudaEventSynchronize(e));
      else good(cudaStreamWaitEvent(streams_[s].get(), e, 0));
    }
  }
  void wait_to_read(std::size_t s, const buffer& b) {
    if (b.written != nullptr) wait(s, {b.written});
  }
  static void wrote(buffer& b, cudaEvent_t e) {
    b.written = e;
    b.read.clear();
  }

  void copy() {
    buffer *const from = &pick_buffer(), *const to = &pick_buffer();
    if (from == to || (from->host && to->host)) return;
    const auto s = pick_stream();
    const piece p = pick_piece();
    const std::size_t at = support::pick<std::size_t>(engine_, 0, size - p.n);
    wait_to_read(s, *from);
    wait(s, before_writing(*to));
    good(cudaMemcpyAsync(to->address + at, from->address + p.at, p.n, cudaMemcpyDefault, streams_[s].get()));
    const cudaEvent_t e = record(s);
    from->read.push_back(e);
    wrote(*to, e);
    std::memcpy(to->model.data() + at, from->model.data() + p.at, p.n);
  }

  void set() {
    buffer& to = pick_device_buffer();
    cudaPointerAttributes where;
    good(cudaPointerGetAttributes(&where, to.address));
    std::size_t s = pick_stream();
    while (device_of_[s] != where.device) s = pick_stream();
    const piece p = pick_piece();
    const auto value = support::pick(engine_, 0, 255);
    wait(s, before_writing(to));
    good(cudaMemsetAsync(to.address + p.at, value, p.n, streams_[s].get()));
    wrote(to, record(s));
    std::memset(to.model.data() + p.at, value, p.n);
  }

  void pageable() {
    buffer& b = pick_device_buffer();
    const auto s = pick_stream();
    const piece p = pick_piece();
    if (support::pick(engine_, 0, 1) == 0) {
      std::vector<unsigned char> mine(p.n);
      for (auto& c : mine) c = static_cast<unsigned char>(engine_());
      wait(s, before_writing(b));
      std::memcpy(b.model.data() + p.at, mine.data(), p.n);
      good(cudaMemcpyAsync(b.address + p.at, mine.data(), p.n, cudaMemcpyHostToDevice, streams_[s].get()));
      wrote(b, record(s));
    } else {
      std::vector<unsigned char> mine(p.n);
      wait_to_read(s, b);
      good(cudaMemcpyAsync(mine.data(), b.address + p.at, p.n, cudaMemcpyDeviceToHost, streams_[s].get()));
      good(cudaStreamSynchronize(streams_[s].get()));
      BOOST_TEST((std::memcmp(mine.data(), b.model.data() + p.at, p.n) == 0));
    }
  }

  void host_write() {
    buffer& b = pick_host_buffer();
    for (const cudaEvent_t e : before_writing(b)) {
      if (support::pick(engine_, 0, 1) == 0) good(cudaEventSynchronize(e));
      else
        while (cudaEventQuery(e) == cudaErrorNotReady) std::this_thread::yield();
    }
    BOOST_TEST((std::memcmp(b.address, b.model.data(), size) == 0));
    for (std::size_t i = 0; i < size; ++i) b.model[i] = b.address[i] = static_cast<unsigned char>(b.model[i] * 3 + i);
    wrote(b, nullptr);
  }

  void host_function() {
    buffer& b = pick_host_buffer();
    const auto s = pick_stream();
    wait(s, before_writing(b));
    good(cudaLaunchHostFunc(streams_[s].get(), [](void* data) {
      auto* const p = static_cast<unsigned char*>(data);
      for (std::size_t i = 0; i < size; ++i) p[i] = static_cast<unsigned char>(p[i] ^ i); }, b.address));
    wrote(b, record(s));
    for (std::size_t i = 0; i < size; ++i) b.model[i] = static_cast<unsigned char>(b.model[i] ^ i);
  }

  std::mt19937_64 engine_;
  int devices_;
  std::vector<int> device_of_;
  std::vector<device_bytes> memory_;
  std::vector<pinned_bytes> host_memory_;
  std::vector<stream> streams_;
  std::vector<event> events_;
  std::vector<buffer> buffers_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(programs_that_order_what_must_be_ordered_compute_what_they_say) {
  for (std::size_t i = 0; i < support::effort(20); ++i) {
    random_program program(support::seed() + i);
    program.run(100);
    program.check();
  }
  good(cudaSetDevice(0));
}

BOOST_AUTO_TEST_SUITE_END()
