// CUDA functions for devices, errors and versions, and those peers and pools that do little.
#include <cstdio>
#include <cstring>

#include "machine.hpp"
#include "operations.hpp"

using namespace cuda_sim;

namespace {

bool is_device(int device) { return device >= 0 && device < the_machine().options.devices; }

struct error_text {
  cudaError_t error;
  const char *name, *text;
};
#define CUDA_SIM_ERROR(name, text) \
  error_text { name, #name, text }
constexpr error_text error_texts[] = {
    CUDA_SIM_ERROR(cudaSuccess, "no error"),
    CUDA_SIM_ERROR(cudaErrorInvalidValue, "invalid argument"),
    CUDA_SIM_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    CUDA_SIM_ERROR(cudaErrorInitializationError, "initialization error"),
    CUDA_SIM_ERROR(cudaErrorInvalidPitchValue, "invalid pitch argument"),
    CUDA_SIM_ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    CUDA_SIM_ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    CUDA_SIM_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    CUDA_SIM_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    CUDA_SIM_ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    CUDA_SIM_ERROR(cudaErrorPeerAccessUnsupported, "peer access is not supported between these two devices"),
    CUDA_SIM_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    CUDA_SIM_ERROR(cudaErrorNotReady, "device not ready"),
    CUDA_SIM_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    CUDA_SIM_ERROR(cudaErrorPeerAccessAlreadyEnabled, "peer access is already enabled"),
    CUDA_SIM_ERROR(cudaErrorHostMemoryAlreadyRegistered, "part or all of the requested memory range is already mapped"),
    CUDA_SIM_ERROR(cudaErrorHostMemoryNotRegistered, "pointer does not correspond to a registered memory region"),
    CUDA_SIM_ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    CUDA_SIM_ERROR(cudaErrorNotPermitted, "operation not permitted"),
    CUDA_SIM_ERROR(cudaErrorNotSupported, "operation not supported"),
    CUDA_SIM_ERROR(cudaErrorUnknown, "unknown error"),
};
#undef CUDA_SIM_ERROR

const error_text* text_of(cudaError_t error) {
  for (const error_text& t : error_texts)
    if (t.error == error) return &t;
  return nullptr;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return call("cudaGetDeviceCount", [&](lock&) {
    *count = the_machine().options.devices;
    return *count == 0 ? cudaErrorNoDevice : cudaSuccess; }, on_broken::ignore);
}

cudaError_t cudaGetDevice(int* device) {
  return call("cudaGetDevice", [&](lock&) {
    *device = this_thread().device;
    return the_machine().options.devices == 0 ? cudaErrorNoDevice : cudaSuccess; }, on_broken::ignore);
}

cudaError_t cudaSetDevice(int device) {
  return call("cudaSetDevice", [&](lock&) {
    if (!is_device(device)) return the_machine().options.devices == 0 ? cudaErrorNoDevice : cudaErrorInvalidDevice;
    this_thread().device = device;
    return cudaSuccess; }, on_broken::ignore);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call("cudaGetDeviceProperties", [&](lock&) {
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (!is_device(device)) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "simulated GPU %d", device);
    properties->totalGlobalMem = the_machine().options.memory;
    properties->major = 9;
    properties->multiProcessorCount = 1;
    properties->warpSize = 32;
    properties->asyncEngineCount = 2;
    properties->unifiedAddressing = properties->managedMemory = properties->concurrentManagedAccess = properties->canMapHostMemory = properties->hostRegisterSupported = 1;
    properties->memoryPoolsSupported = the_machine().options.memory_pools;
    properties->pciBusID = device + 1;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call("cudaDeviceGetAttribute", [&](lock&) {
    if (value == nullptr) return cudaErrorInvalidValue;
    if (!is_device(device)) return cudaErrorInvalidDevice;
    switch (attribute) {
      case cudaDevAttrMemoryPoolsSupported: return *value = the_machine().options.memory_pools, cudaSuccess;
      case cudaDevAttrComputeCapabilityMajor: return *value = 9, cudaSuccess;
      case cudaDevAttrAsyncEngineCount: return *value = 2, cudaSuccess;
      case cudaDevAttrPciBusId: return *value = device + 1, cudaSuccess;
      case cudaDevAttrMultiProcessorCount:
      case cudaDevAttrUnifiedAddressing:
      case cudaDevAttrManagedMemory:
      case cudaDevAttrConcurrentManagedAccess:
      case cudaDevAttrCanMapHostMemory:
      case cudaDevAttrHostRegisterSupported: return *value = 1, cudaSuccess;
      case cudaDevAttrComputeCapabilityMinor:
      case cudaDevAttrIntegrated:
      case cudaDevAttrPciDeviceId:
      case cudaDevAttrPciDomainId:
      case cudaDevAttrPageableMemoryAccess:
      case cudaDevAttrGPUDirectRDMASupported: return *value = 0, cudaSuccess;
      default: return cudaErrorNotSupported;
    }
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  return call("cudaDeviceGetPCIBusId", [&](lock&) {
    if (text == nullptr || length < 13) return cudaErrorInvalidValue;
    if (!is_device(device)) return cudaErrorInvalidDevice;
    std::snprintf(text, static_cast<std::size_t>(length), "0000:%02X:00.0", static_cast<unsigned>(device + 1) & 0xffu);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return call("cudaDeviceGetStreamPriorityRange", [&](lock&) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [&](lock& l) {
    const int device = this_thread().device;
    finish_device(device, l);
    for (const auto& s : the_machine().streams)
      if (s->device == device) host_waited_for(s->known);
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t cudaGetLastError() {
  lock l(the_machine().mutex);
  const cudaError_t stuck = error_of(this_thread().device), last = std::exchange(this_thread().last_error, cudaSuccess);
  return stuck != cudaSuccess ? stuck : last;
}

cudaError_t cudaPeekAtLastError() {
  lock l(the_machine().mutex);
  const cudaError_t stuck = error_of(this_thread().device);
  return stuck != cudaSuccess ? stuck : this_thread().last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
  const error_text* t = text_of(error);
  return t != nullptr ? t->name : "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  const error_text* t = text_of(error);
  return t != nullptr ? t->text : "unrecognized error code";
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call("cudaRuntimeGetVersion", [&](lock&) { return *version = CUDART_VERSION, cudaSuccess; }, on_broken::ignore);
}

cudaError_t cudaDriverGetVersion(int* version) {
  return call("cudaDriverGetVersion", [&](lock&) { return *version = the_machine().options.devices == 0 ? 0 : CUDART_VERSION, cudaSuccess; }, on_broken::ignore);
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return call("cudaDeviceCanAccessPeer", [&](lock&) {
    if (can == nullptr) return cudaErrorInvalidValue;
    if (!is_device(device) || !is_device(peer)) return cudaErrorInvalidDevice;
    *can = device != peer && the_machine().options.peer_access;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
  return call("cudaDeviceEnablePeerAccess", [&](lock&) {
    const int device = this_thread().device;
    if (flags != 0) return cudaErrorInvalidValue;
    if (!is_device(peer) || peer == device) return cudaErrorInvalidDevice;
    if (!the_machine().options.peer_access) return cudaErrorPeerAccessUnsupported;
    return the_machine().peers.insert({device, peer}).second ? cudaSuccess : cudaErrorPeerAccessAlreadyEnabled;
  });
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes, cudaStream_t stream) {
  const copy c{.to = to, .from = from, .width = bytes, .to_device = to_device, .from_device = from_device};
  return copy_async("cudaMemcpyPeerAsync", &c, 1, stream, false);
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return call("cudaDeviceGetDefaultMemPool", [&](lock&) {
    if (pool == nullptr) return cudaErrorInvalidValue;
    if (!is_device(device)) return cudaErrorInvalidDevice;
    if (!the_machine().options.memory_pools) return cudaErrorNotSupported;
    *pool = &the_machine().pools[static_cast<std::size_t>(device)];
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return call("cudaMemPoolSetAttribute", [&](lock&) {
    if (pool == nullptr || value == nullptr || attribute != cudaMemPoolAttrReleaseThreshold) return cudaErrorInvalidValue;
    std::memcpy(&pool->release_threshold, value, sizeof pool->release_threshold);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return call("cudaMemPoolGetAttribute", [&](lock&) {
    if (pool == nullptr || value == nullptr || attribute != cudaMemPoolAttrReleaseThreshold) return cudaErrorInvalidValue;
    std::memcpy(value, &pool->release_threshold, sizeof pool->release_threshold);
    return cudaSuccess;
  });
}

}  // extern "C"
