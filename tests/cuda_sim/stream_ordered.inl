// CUDA functions that the header renames where CUDA_API_PER_THREAD_DEFAULT_STREAM is defined: compiled twice, and PER_THREAD says for which.
#include "machine.hpp"
#include "operations.hpp"

using namespace cuda_sim;

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy_now("cudaMemcpy", {.to = to, .from = from, .width = bytes, .kind = kind}, PER_THREAD);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const copy c{.to = to, .from = from, .width = bytes, .kind = kind};
  return copy_async("cudaMemcpyAsync", &c, 1, stream, PER_THREAD);
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, cudaMemcpyKind kind) {
  return copy_now("cudaMemcpy2D", {.to = to, .from = from, .width = width, .height = height, .to_pitch = to_pitch, .from_pitch = from_pitch, .kind = kind}, PER_THREAD);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  const copy c{.to = to, .from = from, .width = width, .height = height, .to_pitch = to_pitch, .from_pitch = from_pitch, .kind = kind};
  return copy_async("cudaMemcpy2DAsync", &c, 1, stream, PER_THREAD);
}

#if CUDART_VERSION >= 13000
cudaError_t cudaMemcpyBatchAsync(void* const* to, const void* const* from, const size_t* bytes, size_t count, cudaMemcpyAttributes* attributes, size_t* first_of, size_t kinds, cudaStream_t stream) {
  bool valid = to != nullptr && from != nullptr && bytes != nullptr && attributes != nullptr && first_of != nullptr && count > 0 && kinds > 0 && kinds <= count &&
               stream != nullptr && stream != cudaStreamLegacy && first_of[0] == 0;
  std::vector<copy> copies;
  for (std::size_t i = 0, k = 0; valid && i < count; ++i) {
    if (k + 1 < kinds && first_of[k + 1] == i) ++k;
    const auto order = attributes[k].srcAccessOrder;
    valid = bytes[i] > 0 && (order == cudaMemcpySrcAccessOrderStream || order == cudaMemcpySrcAccessOrderDuringApiCall || order == cudaMemcpySrcAccessOrderAny);
    copies.push_back({.to = to[i], .from = from[i], .width = bytes[i], .early = order != cudaMemcpySrcAccessOrderStream});
  }
  return valid ? copy_async("cudaMemcpyBatchAsync", copies.data(), copies.size(), stream, PER_THREAD)
               : call("cudaMemcpyBatchAsync", [](cuda_sim::lock&) { return cudaErrorInvalidValue; });
}
#endif

cudaError_t cudaMemset(void* pointer, int value, size_t bytes) { return set_memory("cudaMemset", pointer, value, bytes, nullptr, PER_THREAD, true); }
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) { return set_memory("cudaMemsetAsync", pointer, value, bytes, stream, PER_THREAD, false); }

cudaError_t cudaMallocAsync(void** pointer, size_t size, cudaStream_t stream) { return malloc_async(pointer, size, stream, PER_THREAD); }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) { return free_async(pointer, stream, PER_THREAD); }

cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return synchronize(stream, PER_THREAD); }
cudaError_t cudaStreamQuery(cudaStream_t stream) { return query(stream, PER_THREAD); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags) { return wait_event(stream, event, flags, PER_THREAD); }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return record(event, stream, PER_THREAD); }
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) { return launch_host_function(stream, function, data, PER_THREAD); }

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned int* flags) {
  return ask_stream("cudaStreamGetFlags", stream, PER_THREAD, [](const CUstream_st& s, void* to) { *static_cast<unsigned*>(to) = s.flags; }, flags);
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return ask_stream("cudaStreamGetPriority", stream, PER_THREAD, [](const CUstream_st& s, void* to) { *static_cast<int*>(to) = s.priority; }, priority);
}
#if CUDART_VERSION >= 12080
cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) {
  return ask_stream("cudaStreamGetDevice", stream, PER_THREAD, [](const CUstream_st& s, void* to) { *static_cast<int*>(to) = s.device; }, device);
}
#endif
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return ask_stream("cudaStreamIsCapturing", stream, PER_THREAD, [](const CUstream_st&, void* to) { *static_cast<cudaStreamCaptureStatus*>(to) = cudaStreamCaptureStatusNone; }, status);
}
#if CUDART_VERSION >= 13000
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long*, cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**, size_t*) {
#else
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long*, cudaGraph_t*, const cudaGraphNode_t**, size_t*) {
#endif
  return ask_stream("cudaStreamGetCaptureInfo", stream, PER_THREAD, [](const CUstream_st&, void* to) { *static_cast<cudaStreamCaptureStatus*>(to) = cudaStreamCaptureStatusNone; }, status);
}

}  // extern "C"
