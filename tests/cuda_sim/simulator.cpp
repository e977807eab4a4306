// The checker of the simulated CUDA runtime: each mistake is found and told, whatever the schedule; correct programs are not accused.
#include "simulator.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "../support.hpp"

namespace {

using cuda_sim::schedule;

constexpr std::size_t bytes = 64 << 10;

std::vector<cuda_sim::configuration> schedules(int devices = 1) {
  std::vector<cuda_sim::configuration> all{{.devices = devices, .schedule = schedule::eager}, {.devices = devices, .schedule = schedule::lazy}};
  for (std::uint64_t i = 0; i < 50; ++i) all.push_back({.devices = devices, .schedule = schedule::random, .seed = support::seed() + i});
  return all;
}

std::string text_of(const cuda_sim::configuration& c) {
  return c.schedule == schedule::eager ? "eager" : c.schedule == schedule::lazy ? "lazy"
                                                                                : "seed " + std::to_string(c.seed);
}

void good(cudaError_t error) { BOOST_TEST(error == cudaSuccess, cudaGetErrorName(error)); }

/// What a program needs, on one device.
struct setup {
  cudaStream_t one = nullptr, two = nullptr;
  cudaEvent_t event = nullptr;
  std::byte *device = nullptr, *other = nullptr, *pinned = nullptr;
  setup() {
    good(cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking));
    good(cudaStreamCreateWithFlags(&two, cudaStreamNonBlocking));
    good(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    good(cudaMalloc(reinterpret_cast<void**>(&device), bytes));
    good(cudaMalloc(reinterpret_cast<void**>(&other), bytes));
    good(cudaMallocHost(reinterpret_cast<void**>(&pinned), bytes));
  }
  void release() {
    good(cudaDeviceSynchronize());
    good(cudaStreamDestroy(one));
    good(cudaStreamDestroy(two));
    good(cudaEventDestroy(event));
    good(cudaFree(device));
    good(cudaFree(other));
    good(cudaFreeHost(pinned));
  }
};

cudaError_t fill(std::byte* memory, int value, cudaStream_t stream, std::size_t n = bytes, const char* name = "kernel") {
  return cuda_sim::launch(stream, {}, {{memory, n}}, [value, n](const auto&, const auto& to) { std::memset(to[0], value, n); }, name);
}

/// Runs the program under every schedule; each must find exactly one violation, with these pieces.
template <class Program, class... Pieces>
void finds(Program&& program, const Pieces&... pieces) {
  for (const auto& c : schedules(2)) {
    cuda_sim::reset(c);
    BOOST_TEST_CONTEXT(text_of(c)) {
      program();
      const auto found = cuda_sim::violations();
      BOOST_TEST(found.size() == 1u);
      if (!found.empty()) support::require_all(found[0], pieces...);
      if (found.size() != 1)
        for (const auto& text : found) BOOST_TEST_MESSAGE(text);
    }
  }
}

/// None may.
template <class Program>
void finds_nothing(Program&& program) {
  for (const auto& c : schedules(2)) {
    cuda_sim::reset(c);
    BOOST_TEST_CONTEXT(text_of(c)) {
      program();
      for (const auto& text : cuda_sim::violations()) BOOST_ERROR(text);
      for (const auto& text : cuda_sim::leaks()) BOOST_ERROR("not released: " << text);
    }
  }
}

bool all_are(const void* memory, std::size_t n, int value) {
  return std::all_of(static_cast<const unsigned char*>(memory), static_cast<const unsigned char*>(memory) + n, [&](unsigned char c) { return c == value; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simulator)

// What orders and what does not.

BOOST_AUTO_TEST_CASE(two_streams_without_an_event) {
  finds([] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.two));
  },
        "cudaMemcpyAsync D2H #2 on stream 2 of gpu 0 reads bytes 0 to 65536 of allocation #1 (cudaMalloc, 65536 bytes, gpu 0)", "while kernel #1 on stream 1 of gpu 0 writes them", "record an event on stream 1", "let stream 2");
}

BOOST_AUTO_TEST_CASE(an_event_recorded_on_the_wrong_stream) {
  finds([] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(cudaEventRecord(s.event, s.two));
    good(cudaStreamWaitEvent(s.two, s.event, 0));
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.two));
  },
        "nothing orders them");
}

BOOST_AUTO_TEST_CASE(an_event_recorded_too_early) {
  finds([] {
    setup s;
    good(cudaEventRecord(s.event, s.one));
    good(fill(s.device, 1, s.one));
    good(cudaStreamWaitEvent(s.two, s.event, 0));
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.two));
  },
        "nothing orders them");
}

BOOST_AUTO_TEST_CASE(a_missing_back_edge) {
  finds([] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(cudaEventRecord(s.event, s.one));
    good(cudaStreamWaitEvent(s.two, s.event, 0));
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.two));
    good(fill(s.device, 2, s.one, bytes, "next step"));
  },
        "next step #5 on stream 1 of gpu 0 writes", "while cudaMemcpyAsync D2H #4 on stream 2 of gpu 0 reads them", "record an event on stream 2");
}

BOOST_AUTO_TEST_CASE(a_reader_does_not_hide_the_writer) {
  finds([] {
    setup s;
    cudaStream_t three;
    good(cudaStreamCreateWithFlags(&three, cudaStreamNonBlocking));
    good(fill(s.device, 1, s.one));
    good(cudaEventRecord(s.event, s.one));
    good(cudaStreamWaitEvent(s.two, s.event, 0));
    good(cudaMemcpyAsync(s.pinned, s.device, 8, cudaMemcpyDeviceToHost, s.two));
    good(cudaMemcpyAsync(s.pinned + 8, s.device, 8, cudaMemcpyDeviceToHost, three));
  },
        "on stream 3 of gpu 0 reads bytes 0 to 8 of allocation #1", "while kernel #1 on stream 1");
}

BOOST_AUTO_TEST_CASE(only_the_bytes_that_overlap_are_told) {
  finds([] {
    setup s;
    good(fill(s.device, 1, s.one, 1000));
    good(cudaMemcpyAsync(s.pinned, s.device + 900, 300, cudaMemcpyDeviceToHost, s.two));
  },
        "bytes 900 to 1000 of allocation #1");
  finds_nothing([] {
    setup s;
    good(fill(s.device, 1, s.one, 900));
    good(cudaMemcpyAsync(s.pinned, s.device + 900, 300, cudaMemcpyDeviceToHost, s.two));
    good(fill(s.other, 1, s.one, 1000));
    good(cudaMemcpyAsync(s.device, s.other + 1000, 300, cudaMemcpyDeviceToDevice, s.one));
    s.release();
  });
}

BOOST_AUTO_TEST_CASE(a_host_that_has_not_waited) {
  finds([] {
    setup s;
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.one));
    cuda_sim::host_reads(s.pinned + 10, 1);
  },
        "the host (host_reads, #2) reads bytes 10 to 11 of allocation #3 (cudaMallocHost, 65536 bytes)", "while cudaMemcpyAsync D2H #1", "the host has not waited for it", "synchronise with stream 1 of gpu 0");
  finds([] {
    setup s;
    good(cudaMemcpyAsync(s.device, s.pinned, bytes, cudaMemcpyHostToDevice, s.one));
    cuda_sim::host_writes(s.pinned, 1);
  },
        "while cudaMemcpyAsync H2D #1 on stream 1 of gpu 0 reads them");
  // It has waited for the other stream.
  finds([] {
    setup s;
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.one));
    good(cudaStreamSynchronize(s.two));
    cuda_sim::host_reads(s.pinned, 1);
  },
        "the host has not waited");
  // Device memory is never the host's.
  finds([] {
    setup s;
    cuda_sim::host_reads(s.device + 5, 2);
  },
        "the host touches bytes 5 to 7 of allocation #1");
}

BOOST_AUTO_TEST_CASE(ways_to_order) {
  finds_nothing([] {
    setup s;
    const auto producer = [&] { good(fill(s.device, 1, s.one)); };
    const auto consumer = [&](cudaStream_t stream) { good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, stream)); };
    const auto host = [&] { cuda_sim::host_reads(s.pinned, bytes), cuda_sim::host_writes(s.pinned, bytes); };
    producer();  // an event, and its way back
    good(cudaEventRecord(s.event, s.one));
    good(cudaStreamWaitEvent(s.two, s.event, 0));
    consumer(s.two);
    good(cudaEventRecord(s.event, s.two));
    good(cudaStreamWaitEvent(s.one, s.event, 0));
    producer();
    good(cudaEventSynchronize(s.event));
    host();
    good(cudaStreamSynchronize(s.one));  // the host between two streams
    consumer(s.two);
    good(cudaDeviceSynchronize());
    host();
    producer();
    while (cudaStreamQuery(s.one) == cudaErrorNotReady) {
    }
    consumer(s.two);
    good(cudaEventRecord(s.event, s.two));
    while (cudaEventQuery(s.event) == cudaErrorNotReady) {
    }
    host();
    s.release();
  });
}

BOOST_AUTO_TEST_CASE(the_legacy_default_stream_waits_for_blocking_streams_and_they_for_it) {
  finds_nothing([] {
    setup s;
    cudaStream_t a, b;
    good(cudaStreamCreate(&a));
    good(cudaStreamCreateWithFlags(&b, cudaStreamDefault));
    good(fill(s.device, 1, a));
    good(fill(s.device, 2, nullptr));
    good(fill(s.device, 3, b));
    good(cudaMemcpy(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost));
    BOOST_TEST(all_are(s.pinned, bytes, 3));
    good(fill(s.device, 4, cudaStreamPerThread));
    good(fill(s.device, 5, cudaStreamLegacy));
    good(cudaStreamDestroy(a));
    good(cudaStreamDestroy(b));
    s.release();
  });
  finds([] {
    setup s;
    cudaStream_t a, b;
    good(cudaStreamCreate(&a));
    good(cudaStreamCreate(&b));
    good(fill(s.device, 1, a));
    good(fill(s.device, 2, b));
  },
        "kernel #2 on stream 4 of gpu 0", "kernel #1 on stream 3 of gpu 0");
  finds([] {
    setup s;
    good(fill(s.device, 1, nullptr));
    good(fill(s.device, 2, s.one));
  },
        "kernel #2 on stream 1 of gpu 0 writes", "while kernel #1 on the legacy default stream of gpu 0");
}

BOOST_AUTO_TEST_CASE(default_streams_of_devices_are_not_ordered) {
  finds([] {
    setup s;
    good(cudaDeviceEnablePeerAccess(1, 0));
    good(cudaMemsetAsync(s.device, 1, bytes, nullptr));
    good(cudaSetDevice(1));
    good(cudaDeviceEnablePeerAccess(0, 0));
    good(fill(s.device, 2, nullptr));
  },
        "the legacy default stream of gpu 1 writes", "cudaMemsetAsync #1 on the legacy default stream of gpu 0");
}

BOOST_AUTO_TEST_CASE(a_host_function_is_in_the_order_of_its_stream) {
  struct shared {
    std::byte* pinned;
    std::promise<int> seen;
  };
  finds_nothing([] {
    setup s;
    shared x{s.pinned, {}};
    good(fill(s.device, 7, s.one));
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.one));
    good(cudaLaunchHostFunc(s.one, [](void* data) {
      auto& y = *static_cast<shared*>(data);
      cuda_sim::host_reads(y.pinned, bytes);
      y.seen.set_value(std::to_integer<int>(y.pinned[100])); }, &x));
    good(cudaEventRecord(s.event, s.one));
    good(cudaMemcpyAsync(s.pinned, s.other, bytes, cudaMemcpyDeviceToHost, s.one));
    BOOST_TEST(x.seen.get_future().get() == 7);  // no CUDA call forces it
    good(cudaEventSynchronize(s.event));
    BOOST_TEST(cuda_sim::touched([&] { (void)*static_cast<volatile std::byte*>(s.pinned); }) != "");
    s.release();
  });
  static cudaError_t answer;
  finds([] {
    setup s;
    good(cudaLaunchHostFunc(s.one, [](void* error) { *static_cast<cudaError_t*>(error) = cudaStreamQuery(nullptr); }, &answer));
    good(cudaStreamSynchronize(s.one));
  },
        "cudaStreamQuery is called from inside cudaLaunchHostFunc #1 on stream 1");
}

// Memory.

BOOST_AUTO_TEST_CASE(freed_while_in_use) {
  finds([] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(cudaFree(s.device));
  },
        "the host (cudaFree, #2) writes bytes 0 to 65536 of allocation #1", "while kernel #1 on stream 1");
  finds([] {
    setup s;
    good(cudaMemcpyAsync(s.pinned, s.device, 100, cudaMemcpyDeviceToHost, s.one));
    good(cudaFreeHost(s.pinned));
  },
        "the host (cudaFreeHost, #2)", "while cudaMemcpyAsync D2H #1 on stream 1 of gpu 0 writes them");
  finds([] {
    setup s;
    std::vector<std::byte> mine(bytes);
    good(cudaHostRegister(mine.data(), mine.size(), cudaHostRegisterDefault));
    good(cudaMemcpyAsync(mine.data(), s.device, bytes, cudaMemcpyDeviceToHost, s.one));
    good(cudaHostUnregister(mine.data()));
  },
        "the host (cudaHostUnregister, #2)");
}

BOOST_AUTO_TEST_CASE(used_after_it_was_freed) {
  finds([] {
    setup s;
    good(cudaFree(s.device));
    BOOST_TEST(cudaMemsetAsync(s.device, 1, 1, s.one) == cudaErrorInvalidValue);
  },
        "cudaMemsetAsync: bytes 0 to 1 of allocation #1 (cudaMalloc, 65536 bytes, gpu 0) after it was freed");
  finds([] {
    setup s;
    good(cudaFree(s.device));
    BOOST_TEST(cudaFree(s.device) == cudaErrorInvalidValue);
  },
        "cudaFree of what is no such allocation, or was freed before");
  finds([] {
    setup s;
    void* p;
    good(cudaMallocAsync(&p, 100, s.one));
    good(cudaFreeAsync(p, s.one));
    BOOST_TEST(cudaMemsetAsync(p, 1, 1, s.one) == cudaErrorInvalidValue);
  },
        "bytes 0 to 1 of allocation #4 (cudaMallocAsync, 100 bytes, gpu 0) after it was freed");
}

BOOST_AUTO_TEST_CASE(stream_ordered_memory) {
  finds_nothing([] {
    setup s;
    void* p;
    good(cudaMallocAsync(&p, 100, s.one));
    good(fill(static_cast<std::byte*>(p), 1, s.one, 100));
    good(cudaEventRecord(s.event, s.one));
    good(cudaStreamWaitEvent(s.two, s.event, 0));
    good(fill(static_cast<std::byte*>(p), 2, s.two, 100));
    good(cudaFreeAsync(p, s.two));
    s.release();
  });
  finds([] {
    setup s;
    void* p;
    good(cudaMallocAsync(&p, 100, s.one));
    good(fill(static_cast<std::byte*>(p), 1, s.two, 100));
  },
        "kernel #2 on stream 2 of gpu 0 writes", "while cudaMallocAsync #1 on stream 1");
  finds([] {
    setup s;
    void* p;
    good(cudaMallocAsync(&p, 100, s.one));
    good(fill(static_cast<std::byte*>(p), 1, s.one, 100));
    good(cudaFreeAsync(p, s.two));
  },
        "cudaFreeAsync #3 on stream 2 of gpu 0 writes");
  // Whatever still uses it may come later.
  finds([] {
    setup s;
    void* p;
    good(cudaMallocAsync(&p, 100, s.one));
    good(cudaStreamSynchronize(s.one));
    good(cudaMemcpyAsync(s.pinned, p, 100, cudaMemcpyDeviceToHost, s.one));
    good(cudaFreeAsync(p, s.two));
    good(cudaStreamSynchronize(s.two));
    good(cudaStreamSynchronize(s.one));
  },
        "while cudaMemcpyAsync D2H #2 on stream 1 of gpu 0 reads them");
}

BOOST_AUTO_TEST_CASE(past_the_end) {
  finds([] {
    setup s;
    BOOST_TEST(cudaMemcpyAsync(s.pinned, s.device + bytes - 10, 11, cudaMemcpyDeviceToHost, s.one) == cudaErrorInvalidValue);
  },
        "11 bytes reach past the end of allocation #1");
  finds([] {
    setup s;
    std::byte *one = nullptr, *two = nullptr;
    good(cudaMallocAsync(reinterpret_cast<void**>(&one), 4096, s.one));
    good(cudaMallocAsync(reinterpret_cast<void**>(&two), 4096, s.one));
    BOOST_TEST((one + 4096 == two));
    BOOST_TEST(cudaMemcpyAsync(one, s.pinned, 8192, cudaMemcpyHostToDevice, s.one) == cudaErrorInvalidValue);
    good(cudaFreeAsync(one, s.one));
    good(cudaFreeAsync(two, s.one));
    good(cudaStreamSynchronize(s.one));
  },
        "8192 bytes reach past the end of allocation");
  finds([] {
    setup s;
    std::vector<std::byte> mine(8192);
    good(cudaHostRegister(mine.data() + 4096, 4096, cudaHostRegisterDefault));
    BOOST_TEST(cudaMemcpyAsync(s.device, mine.data(), 8192, cudaMemcpyHostToDevice, s.one) == cudaErrorInvalidValue);
    good(cudaHostUnregister(mine.data() + 4096));
  },
        "reach from pageable memory into allocation #4 (cudaHostRegister");
}

BOOST_AUTO_TEST_CASE(copies_onto_themselves) {
  finds([] {
    setup s;
    BOOST_TEST(cudaMemcpyAsync(s.device + 5, s.device, 6, cudaMemcpyDeviceToDevice, s.one) == cudaErrorInvalidValue);
  },
        "source and destination overlap");
}

BOOST_AUTO_TEST_CASE(kinds_that_are_not_so) {
  const auto wrong = [](cudaMemcpyKind kind, bool to_device, const char* piece) {
    finds([=] {
      setup s;
      std::byte *const device = s.device, *const host = s.pinned;
      BOOST_TEST(cudaMemcpyAsync(to_device ? device : host, to_device ? host : device, 8, kind, s.one) == cudaErrorInvalidValue);
    },
          piece);
  };
  wrong(cudaMemcpyHostToDevice, false, "the kind says that the source is host memory");
  wrong(cudaMemcpyDeviceToHost, true, "the kind says that the source is device memory");
  wrong(cudaMemcpyHostToHost, true, "the kind says that the destination is host memory");
  wrong(cudaMemcpyDeviceToDevice, true, "the kind says that the source is device memory");
  finds([] {
    setup s;
    BOOST_TEST(cudaMemcpyPeerAsync(s.device, 1, s.other, 0, 8, s.one) == cudaErrorInvalidValue);
  },
        "the destination is not on the device that the call names");
}

BOOST_AUTO_TEST_CASE(the_host_cannot_touch_device_memory) {
  cuda_sim::reset({.devices = 2});
  good(cudaSetDevice(1));
  setup s;
  volatile std::byte* const p = s.device;
  support::require_all(cuda_sim::touched([&] { (void)*p; }), "host touched device memory of gpu 1");
  support::require_all(cuda_sim::touched([&] { *p = std::byte{1}; }), "host touched device memory of gpu 1");
  BOOST_TEST(cuda_sim::touched([&] { *static_cast<volatile std::byte*>(s.pinned) = std::byte{1}; }) == "");
  BOOST_TEST(support::in_child([&] { return std::to_integer<int>(*p); }) != 0);
  good(cudaFree(s.device));
  support::require_all(cuda_sim::touched([&] { (void)*p; }), "host touched device memory of gpu 1");
}

BOOST_AUTO_TEST_CASE(the_host_cannot_touch_pinned_memory_before_it_has_waited) {
  for (const auto& c : schedules()) {
    cuda_sim::reset(c);
    BOOST_TEST_CONTEXT(text_of(c)) {
      setup s;
      volatile std::byte* const p = s.pinned;
      std::memset(s.pinned, 1, bytes);
      good(fill(s.device, 5, s.one));
      good(cudaMemcpyAsync(s.pinned, s.device, 3 * 4096, cudaMemcpyDeviceToHost, s.one));
      good(cudaEventRecord(s.event, s.one));
      support::require_all(cuda_sim::touched([&] { (void)p[4096]; }), "host touched pinned memory", "that cudaMemcpyAsync D2H #2 on stream 1 of gpu 0 uses", "has not waited");
      BOOST_TEST(cuda_sim::touched([&] { (void)p[3 * 4096]; }) == "");
      good(cudaStreamSynchronize(s.two));
      BOOST_TEST(cuda_sim::touched([&] { (void)p[0]; }) != "");
      good(cudaEventSynchronize(s.event));
      BOOST_TEST(all_are(s.pinned, 3 * 4096, 5));
      good(cudaMemcpyAsync(s.device, s.pinned, bytes, cudaMemcpyHostToDevice, s.one));
      BOOST_TEST(cuda_sim::touched([&] { (void)p[0]; }) == "");
      BOOST_TEST(cuda_sim::touched([&] { p[0] = std::byte{1}; }) != "");
      good(cudaStreamSynchronize(s.one));
      BOOST_TEST(cuda_sim::touched([&] { p[0] = std::byte{1}; }) == "");
      BOOST_TEST(cuda_sim::violations().empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(fresh_memory_is_poisoned) {
  cuda_sim::reset();
  setup s;
  BOOST_TEST(all_are(s.pinned, bytes, 0xA5));
  std::vector<std::byte> seen(bytes);
  good(cudaMemcpy(seen.data(), s.device, bytes, cudaMemcpyDeviceToHost));
  BOOST_TEST(all_are(seen.data(), bytes, 0xA5));
}

BOOST_AUTO_TEST_CASE(a_device_has_a_limit_and_gives_no_address_twice) {
  cuda_sim::reset({.devices = 2, .memory = 1 << 20, .schedule = schedule::lazy});
  std::size_t free, total;
  good(cudaMemGetInfo(&free, &total));
  BOOST_TEST(free == 1u << 20);
  BOOST_TEST(total == 1u << 20);
  void *a, *b, *c;
  good(cudaMalloc(&a, 1 << 19));
  good(cudaMalloc(&b, 1 << 19));
  BOOST_TEST(cudaMalloc(&c, 1) == cudaErrorMemoryAllocation);
  BOOST_TEST(cudaGetLastError() == cudaErrorMemoryAllocation);
  BOOST_TEST(cudaGetLastError() == cudaSuccess);
  good(cudaSetDevice(1));
  good(cudaMalloc(&c, 1 << 20));
  good(cudaSetDevice(0));
  good(cudaFree(a));
  void* again;
  good(cudaMallocAsync(&again, 1 << 19, nullptr));
  BOOST_TEST(again != a);
  good(cudaFreeAsync(again, nullptr));
  good(cudaMalloc(&again, 1 << 19));  // what is freed in stream order is had back
  good(cudaFree(again));
  good(cudaFree(b));
  good(cudaFree(c));
  BOOST_TEST(cuda_sim::violations().empty());
  BOOST_TEST(cuda_sim::leaks().empty());
}

// Copies.

BOOST_AUTO_TEST_CASE(copies_happen_later) {
  cuda_sim::reset({.schedule = schedule::lazy});
  setup s;
  good(cudaMemsetAsync(s.device, 1, bytes, s.one));
  good(cudaMemcpyAsync(s.pinned, s.device, 8, cudaMemcpyDeviceToHost, s.one));
  BOOST_TEST(all_are(s.pinned, 8, 0xA5));
  for (int i = 0; i < 3; ++i) BOOST_TEST(cudaStreamQuery(s.one) == cudaErrorNotReady);
  BOOST_TEST(all_are(s.pinned, 8, 0xA5));
  good(cudaStreamQuery(s.one));
  BOOST_TEST(all_are(s.pinned, 8, 1));
  good(cudaMemsetAsync(s.device, 2, bytes, s.one));
  good(cudaMemcpyAsync(s.pinned, s.device, 8, cudaMemcpyDeviceToHost, s.one));
  cuda_sim::run_enqueued();
  BOOST_TEST(all_are(s.pinned, 8, 2));
  cuda_sim::host_reads(s.pinned, 8);
  BOOST_TEST(cuda_sim::violations().size() == 1u);  // that it has happened is not that one has waited
}

BOOST_AUTO_TEST_CASE(random_schedules_differ_by_seed_and_only_by_it) {
  const auto order_of = [](std::uint64_t seed) {
    cuda_sim::reset({.schedule = schedule::random, .seed = seed});
    std::string order;
    cudaStream_t streams[4];
    for (int i = 0; i < 4; ++i) good(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
    for (int k = 0; k < 5; ++k)
      for (int i = 0; i < 4; ++i) good(cuda_sim::launch(streams[i], {}, {}, [&order, i](const auto&, const auto&) { order += static_cast<char>('a' + i); }));
    good(cudaDeviceSynchronize());
    BOOST_TEST(order.size() == 20u);
    return order;
  };
  std::set<std::string> orders;
  std::set<char> last;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    orders.insert(order_of(seed));
    last.insert(order_of(seed).back());
    BOOST_TEST(order_of(seed) == order_of(seed));
  }
  BOOST_TEST(orders.size() > 15u);
  BOOST_TEST(last.size() > 1u);
}

BOOST_AUTO_TEST_CASE(pageable_copies_are_staged_or_waited_for_and_counted) {
  finds_nothing([] {
    setup s;
    std::vector<std::byte> mine(bytes, std::byte{3});
    good(cudaMemcpyAsync(s.device, mine.data(), bytes, cudaMemcpyHostToDevice, s.one));
    std::fill(mine.begin(), mine.end(), std::byte{4});
    good(cudaMemcpyAsync(mine.data(), s.device, bytes, cudaMemcpyDeviceToHost, s.one));
    BOOST_TEST(all_are(mine.data(), bytes, 3));
    BOOST_TEST(cuda_sim::copies().pageable_to_device == 1u);
    BOOST_TEST(cuda_sim::copies().pageable_to_host == 1u);
    BOOST_TEST(cuda_sim::copies().copies == 2u);
    BOOST_TEST(cuda_sim::copies().bytes == 2 * bytes);
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDefault, s.one));
    good(cudaMemcpy(mine.data(), s.device, bytes, cudaMemcpyDefault));
    BOOST_TEST(cuda_sim::copies().pageable_to_host == 1u);
    s.release();
  });
}

BOOST_AUTO_TEST_CASE(a_synchronous_copy_waits_only_for_its_own_stream) {
  finds([] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(cudaMemcpy(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost));
  },
        "cudaMemcpy D2H #2 on the legacy default stream of gpu 0 reads", "kernel #1 on stream 1 of gpu 0");
  // Device to device does not wait at all.
  finds([] {
    setup s;
    good(cudaMemcpy(s.device, s.other, bytes, cudaMemcpyDeviceToDevice));
    good(fill(s.device, 1, s.one));
  },
        "while cudaMemcpy D2D #1 on the legacy default stream");
}

BOOST_AUTO_TEST_CASE(rows) {
  finds_nothing([] {
    setup s;
    for (std::size_t i = 0; i < 64; ++i) s.pinned[i] = static_cast<std::byte>(i);
    good(cudaMemcpy2DAsync(s.device, 16, s.pinned, 8, 4, 8, cudaMemcpyHostToDevice, s.one));
    good(fill(s.device + 4, 0, s.two, 12));  // between two rows
    std::vector<unsigned char> back(32);
    good(cudaStreamSynchronize(s.one));
    good(cudaMemcpy2D(back.data(), 4, s.device, 16, 4, 8, cudaMemcpyDeviceToHost));
    for (std::size_t i = 0; i < 32; ++i) BOOST_TEST(back[i] == i / 4 * 8 + i % 4);
    BOOST_TEST(cudaMemcpy2DAsync(s.device, 2, s.pinned, 8, 4, 8, cudaMemcpyHostToDevice, s.one) == cudaErrorInvalidPitchValue);
    s.release();
  });
}

#if CUDART_VERSION >= 13000
BOOST_AUTO_TEST_CASE(a_batch_that_may_read_its_source_early) {
  const auto batch = [](const setup& s, cudaMemcpySrcAccessOrder order) {
    void* to = s.pinned;
    const void* from = s.device;
    std::size_t size = bytes, first = 0;
    cudaMemcpyAttributes attributes = {};
    attributes.srcAccessOrder = order;
    return cudaMemcpyBatchAsync(&to, &from, &size, 1, &attributes, &first, 1, s.one);
  };
  finds([&] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(batch(s, cudaMemcpySrcAccessOrderAny));
  },
        "cudaMemcpyBatchAsync may read its source at once", "while kernel #1 on stream 1");
  finds_nothing([&] {
    setup s;
    good(fill(s.device, 1, s.one));
    good(batch(s, cudaMemcpySrcAccessOrderStream));
    good(cudaStreamSynchronize(s.one));
    BOOST_TEST(all_are(s.pinned, bytes, 1));
    good(batch(s, cudaMemcpySrcAccessOrderAny));
    s.release();
  });
}
#endif

BOOST_AUTO_TEST_CASE(between_devices) {
  finds_nothing([] {
    setup s;
    good(cudaSetDevice(1));
    std::byte* there;
    good(cudaMalloc(reinterpret_cast<void**>(&there), bytes));
    good(cudaSetDevice(0));
    good(fill(s.device, 9, s.one));
    good(cudaMemcpyPeerAsync(there, 1, s.device, 0, bytes, s.one));
    good(cudaMemcpyAsync(s.other, there, bytes, cudaMemcpyDefault, s.one));
    good(cudaMemcpyAsync(s.pinned, s.other, bytes, cudaMemcpyDefault, s.one));
    good(cudaStreamSynchronize(s.one));
    BOOST_TEST(all_are(s.pinned, bytes, 9));
    good(cudaFree(there));
    s.release();
  });
  finds([] {
    setup s;
    good(cudaSetDevice(1));
    cudaStream_t there;
    good(cudaStreamCreateWithFlags(&there, cudaStreamNonBlocking));
    fill(s.device, 1, there);
    BOOST_TEST(cudaStreamSynchronize(there) == cudaErrorIllegalAddress);
  },
        "kernel on stream 3 of gpu 1: memory of gpu 0, to which gpu 1 has no peer access");
  finds([] {
    setup s;
    good(cudaSetDevice(1));
    BOOST_TEST(fill(s.device, 1, s.one) == cudaErrorInvalidResourceHandle);
  },
        "kernel is launched on stream 1 of gpu 0 while gpu 1 is current");
}

// Errors.

BOOST_AUTO_TEST_CASE(the_kth_call_fails) {
  cuda_sim::reset();
  setup s;
  cuda_sim::fail_call("cudaMemsetAsync", 2, cudaErrorUnknown);
  good(cudaMemsetAsync(s.device, 1, 8, s.one));
  BOOST_TEST(cudaMemsetAsync(s.device, 2, 8, s.one) == cudaErrorUnknown);
  good(cudaMemcpyAsync(s.pinned, s.device, 8, cudaMemcpyDeviceToHost, s.one));
  good(cudaStreamSynchronize(s.one));
  BOOST_TEST(all_are(s.pinned, 8, 1));
  good(cudaMemsetAsync(s.device, 2, 8, s.one));
  BOOST_TEST(cuda_sim::calls("cudaMemsetAsync") == 3u);
  const std::size_t all = cuda_sim::calls("*");
  cuda_sim::fail_call("*", 1, cudaErrorUnknown);
  good(fill(s.device, 1, s.one));  // no function of CUDA's
  BOOST_TEST(cudaStreamSynchronize(s.one) == cudaErrorUnknown);
  good(cudaStreamSynchronize(s.one));
  BOOST_TEST(cuda_sim::calls("*") == all + 2);
}

BOOST_AUTO_TEST_CASE(a_copy_fails_later_and_for_good) {
  for (const auto& c : schedules(2)) {
    cuda_sim::reset(c);
    BOOST_TEST_CONTEXT(text_of(c)) {
      setup s;
      cuda_sim::fail_asynchronously(2, cudaErrorECCUncorrectable);
      good(cudaMemcpyAsync(s.pinned, s.device, 8, cudaMemcpyDeviceToHost, s.one));
      const cudaError_t enqueued = cudaMemcpyAsync(s.pinned + 8, s.device, 8, cudaMemcpyDeviceToHost, s.one);
      BOOST_TEST((enqueued == cudaSuccess || enqueued == cudaErrorECCUncorrectable));
      BOOST_TEST(cudaStreamSynchronize(s.one) == cudaErrorECCUncorrectable);
      BOOST_TEST(all_are(s.pinned + 8, 8, 0xA5));
      for (int i = 0; i < 2; ++i) {
        BOOST_TEST(cudaStreamSynchronize(s.two) == cudaErrorECCUncorrectable);
        BOOST_TEST(cudaGetLastError() == cudaErrorECCUncorrectable);
        BOOST_TEST(cudaMemsetAsync(s.device, 1, 8, s.one) == cudaErrorECCUncorrectable);
        BOOST_TEST(cudaEventSynchronize(s.event) == cudaErrorECCUncorrectable);
      }
      BOOST_TEST(cudaFree(s.device) == cudaErrorECCUncorrectable);
      BOOST_TEST(cudaFree(s.other) == cudaErrorECCUncorrectable);
      BOOST_TEST(cudaFreeHost(s.pinned) == cudaErrorECCUncorrectable);
      BOOST_TEST(cudaStreamDestroy(s.two) == cudaErrorECCUncorrectable);
      BOOST_TEST(cudaEventDestroy(s.event) == cudaErrorECCUncorrectable);
      BOOST_TEST(cuda_sim::violations().empty());
      BOOST_TEST(cuda_sim::leaks().size() == 1u);
      good(cudaSetDevice(1));  // the other device works
      void* there;
      good(cudaMalloc(&there, 8));
      BOOST_TEST(cudaStreamQuery(s.one) == cudaErrorECCUncorrectable);
      good(cudaFree(there));
    }
  }
}

BOOST_AUTO_TEST_CASE(handles) {
  finds([] {
    setup s;
    good(cudaStreamDestroy(s.one));
    BOOST_TEST(cudaStreamSynchronize(s.one) == cudaErrorInvalidResourceHandle);
  },
        "stream 1 of gpu 0 is used after it was destroyed");
  finds([] {
    setup s;
    good(cudaEventDestroy(s.event));
    BOOST_TEST(cudaEventQuery(s.event) == cudaErrorInvalidResourceHandle);
  },
        "event 1 of gpu 0 is used after it was destroyed");
  cuda_sim::reset();
  setup s;
  BOOST_TEST(cuda_sim::leaks().size() == 6u);
  s.release();
  BOOST_TEST(cuda_sim::leaks().empty());
}

BOOST_AUTO_TEST_CASE(a_machine_without_a_device) {
  cuda_sim::reset({.devices = 0});
  int n = 5;
  void* p;
  BOOST_TEST(cudaGetDeviceCount(&n) == cudaErrorNoDevice);
  BOOST_TEST(n == 0);
  BOOST_TEST(cudaMalloc(&p, 1) == cudaErrorNoDevice);
  BOOST_TEST(cudaSetDevice(0) == cudaErrorNoDevice);
  BOOST_TEST(cudaGetLastError() == cudaErrorNoDevice);
  int value = 5;
  cudaPointerAttributes attributes;
  BOOST_TEST(cudaPointerGetAttributes(&attributes, &value) == cudaErrorNoDevice);
  int version = 0;
  good(cudaRuntimeGetVersion(&version));
  BOOST_TEST(version == CUDART_VERSION);
}

// Threads, and time.

BOOST_AUTO_TEST_CASE(a_writer_on_a_thread_takes_what_a_trainer_copies) {
  finds_nothing([] {
    setup s;
    constexpr std::size_t slots = 2, slot = bytes / slots;
    constexpr int steps = 6;
    cudaEvent_t copied[slots];
    for (auto& e : copied) good(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    std::promise<void> full[steps], empty[steps];
    int wrong = 0;
    std::thread writer([&] {
      for (int step = 0; step < steps; ++step) {
        full[step].get_future().get();
        const auto k = static_cast<std::size_t>(step) % slots;
        if (cudaEventSynchronize(copied[k]) != cudaSuccess) ++wrong;
        cuda_sim::host_reads(s.pinned + k * slot, slot);
        if (!all_are(s.pinned + k * slot, slot, step)) ++wrong;
        empty[step].set_value();
      }
    });
    for (int step = 0; step < steps; ++step) {
      const auto k = static_cast<std::size_t>(step) % slots;
      good(fill(s.device, step, s.one));
      good(cudaEventRecord(s.event, s.one));
      good(cudaStreamWaitEvent(s.two, s.event, 0));
      if (step >= 2) empty[step - 2].get_future().get();
      good(cudaMemcpyAsync(s.pinned + k * slot, s.device, slot, cudaMemcpyDeviceToHost, s.two));
      good(cudaEventRecord(copied[k], s.two));
      good(cudaStreamWaitEvent(s.one, copied[k], 0));
      full[step].set_value();
    }
    writer.join();
    BOOST_TEST(wrong == 0);
    for (auto& e : copied) good(cudaEventDestroy(e));
    s.release();
  });
}

BOOST_AUTO_TEST_CASE(throttled_copies_take_their_time_while_the_host_goes_on) {
  // Not less than the throttle says: that more passed is the machine's business.
  for (const auto way : {schedule::eager, schedule::lazy, schedule::random}) {
    cuda_sim::reset({.schedule = way, .bytes_per_second = 2e6});
    setup s;
    const auto start = std::chrono::steady_clock::now();
    good(fill(s.device, 1, s.one));
    good(cudaMemcpyAsync(s.pinned, s.device, bytes, cudaMemcpyDeviceToHost, s.one));
    good(cudaMemcpyAsync(s.other, s.device, bytes, cudaMemcpyDeviceToDevice, s.two));  // wrong, and told
    good(cudaEventRecord(s.event, s.one));
    while (cudaEventQuery(s.event) == cudaErrorNotReady) std::this_thread::yield();
    BOOST_TEST(all_are(s.pinned, bytes, 1));
    BOOST_TEST((std::chrono::steady_clock::now() - start >= std::chrono::duration<double>(bytes / 2e6)));
    BOOST_TEST(cuda_sim::violations().size() == 1u);
    cuda_sim::reset();  // with a copy that may still be running
  }
}

BOOST_AUTO_TEST_SUITE_END()
