// CUDA functions for memory that mean the same whatever the default stream is.
#include "machine.hpp"
#include "operations.hpp"

using namespace cuda_sim;

namespace {

bool only(unsigned flags, int allowed) { return (flags & ~static_cast<unsigned>(allowed)) == 0; }

cudaError_t give(void** to, const allocation* a) {
  if (a == nullptr) return cudaErrorMemoryAllocation;
  *to = reinterpret_cast<void*>(a->begin);
  return cudaSuccess;
}

// The live allocation that begins here, if it is one of those; else a violation.
allocation* to_free(const char* function, void* pointer, bool (*expected)(const allocation&)) {
  machine& m = the_machine();
  const auto i = m.memory.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (i != m.memory.end() && !i->second.freed && expected(i->second)) return &i->second;
  violation(std::string(function) + " of what is no such allocation, or was freed before: " + describe({reinterpret_cast<std::uintptr_t>(pointer), reinterpret_cast<std::uintptr_t>(pointer)}));
  return nullptr;
}

// The host writes all of it: what still uses it is found. It is kept until that has happened.
void free_now(const char* function, allocation& a, cuda_sim::lock& l) {
  const auto begin = a.begin;
  note_host_access(function, reinterpret_cast<const void*>(begin), a.size, true);
  a.freed = true;
  finish_users({begin, begin + a.size}, l);
  release(begin);
}

cudaError_t host_alloc(const char* function, void** pointer, std::size_t size) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  if (size == 0) return *pointer = nullptr, cudaSuccess;
  return give(pointer, allocate(place::pinned, this_thread().device, size, function));
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t size) {
  return call("cudaMalloc", [&](lock& l) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    if (size == 0) return *pointer = nullptr, cudaSuccess;
    const int device = this_thread().device;
    const allocation* a = allocate(place::device, device, size, "cudaMalloc");
    if (a == nullptr) finish_device(device, l), a = allocate(place::device, device, size, "cudaMalloc");  // what is freed in stream order
    return give(pointer, a);
  });
}

cudaError_t cudaFree(void* pointer) {
  return call("cudaFree", [&](lock& l) {
    if (pointer == nullptr) return cudaSuccess;
    allocation* const a = to_free("cudaFree", pointer, [](const allocation& x) { return x.place == place::device || x.place == place::managed; });
    if (a == nullptr) return cudaErrorInvalidValue;
    free_now("cudaFree", *a, l);
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t cudaHostAlloc(void** pointer, size_t size, unsigned int flags) {
  return call("cudaHostAlloc", [&](lock&) {
    if (!only(flags, cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined)) return cudaErrorInvalidValue;
    return host_alloc("cudaHostAlloc", pointer, size);
  });
}

cudaError_t cudaMallocHost(void** pointer, size_t size) {
  return call("cudaMallocHost", [&](lock&) { return host_alloc("cudaMallocHost", pointer, size); });
}

cudaError_t cudaFreeHost(void* pointer) {
  return call("cudaFreeHost", [&](lock& l) {
    if (pointer == nullptr) return cudaSuccess;
    allocation* const a = to_free("cudaFreeHost", pointer, [](const allocation& x) { return x.place == place::pinned && !x.registered; });
    if (a == nullptr) return cudaErrorInvalidValue;
    free_now("cudaFreeHost", *a, l);
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t cudaHostRegister(void* pointer, size_t size, unsigned int flags) {
  return call("cudaHostRegister", [&](lock&) {
    if (pointer == nullptr || size == 0 || !only(flags, cudaHostRegisterPortable | cudaHostRegisterMapped | cudaHostRegisterReadOnly)) return cudaErrorInvalidValue;
    const location where = locate(pointer, size);
    if (where.place != place::pageable || !where.mistake.empty()) return cudaErrorHostMemoryAlreadyRegistered;
    machine& m = the_machine();
    const auto begin = reinterpret_cast<std::uintptr_t>(pointer);
    allocation a{++m.allocations, place::pinned, this_thread().device, begin, size, static_cast<std::byte*>(pointer), "cudaHostRegister"};
    a.registered = true;
    m.memory[begin] = a;
    return cudaSuccess;
  });
}

cudaError_t cudaHostUnregister(void* pointer) {
  return call("cudaHostUnregister", [&](lock& l) {
    allocation* const a = to_free("cudaHostUnregister", pointer, [](const allocation& x) { return x.registered; });
    if (a == nullptr) return cudaErrorHostMemoryNotRegistered;
    free_now("cudaHostUnregister", *a, l);
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t cudaMallocManaged(void** pointer, size_t size, unsigned int flags) {
  return call("cudaMallocManaged", [&](lock&) {
    if (pointer == nullptr || size == 0 || (flags != cudaMemAttachGlobal && flags != cudaMemAttachHost)) return cudaErrorInvalidValue;
    return give(pointer, allocate(place::managed, this_thread().device, size, "cudaMallocManaged"));
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call("cudaMemGetInfo", [&](lock&) {
    const machine& m = the_machine();
    *total = m.options.memory;
    *free = m.options.memory - m.used[static_cast<std::size_t>(this_thread().device)];
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return call("cudaPointerGetAttributes", [&](lock&) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    *attributes = {};
    const location where = locate(pointer, 0);
    void* const here = const_cast<void*>(pointer);
    if (where.allocation == nullptr) {
      attributes->type = cudaMemoryTypeUnregistered;
      attributes->device = cudaInvalidDeviceId;
      attributes->hostPointer = where.place == place::pageable ? here : nullptr;
      return cudaSuccess;
    }
    attributes->device = where.allocation->device;
    attributes->type = where.place == place::device ? cudaMemoryTypeDevice : where.place == place::managed ? cudaMemoryTypeManaged
                                                                                                           : cudaMemoryTypeHost;
    attributes->devicePointer = here;
    attributes->hostPointer = where.place == place::device ? nullptr : here;
    return cudaSuccess;
  });
}

}  // extern "C"

namespace cuda_sim {

cudaError_t malloc_async(void** pointer, std::size_t size, cudaStream_t stream, bool per_thread) {
  return stream_call("cudaMallocAsync", stream, per_thread, [&](CUstream_st& s, lock& l) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    if (!the_machine().options.memory_pools) return cudaErrorNotSupported;
    if (size == 0) return *pointer = nullptr, cudaSuccess;
    allocation* a = allocate(place::device, s.device, size, "cudaMallocAsync");
    if (a == nullptr) finish_device(s.device, l), a = allocate(place::device, s.device, size, "cudaMallocAsync");
    if (a != nullptr) {
      a->stream_ordered = true;
      const operation_ptr o = make_operation(s, "cudaMallocAsync");
      note_access(*o, reinterpret_cast<const void*>(a->begin), size, true);
      submit(o, l);
    }
    return give(pointer, a);
  });
}

cudaError_t free_async(void* pointer, cudaStream_t stream, bool per_thread) {
  return stream_call("cudaFreeAsync", stream, per_thread, [&](CUstream_st& s, lock& l) {
    if (pointer == nullptr) return cudaSuccess;
    allocation* const a = to_free("cudaFreeAsync", pointer, [](const allocation& x) { return x.stream_ordered; });
    if (a == nullptr) return cudaErrorInvalidValue;
    const operation_ptr o = make_operation(s, "cudaFreeAsync");
    note_access(*o, pointer, a->size, true);
    a->freed = true;
    o->always = true;
    o->work = [begin = a->begin] { release(begin); };
    submit(o, l);
    return cudaSuccess; }, on_broken::proceed);
}

}  // namespace cuda_sim
