#pragma once
/// What the CUDA functions do whose default stream is the legacy one or the thread's own, as the program was compiled: stream_ordered.inl calls these.
#include <cstddef>

#include <cuda_runtime_api.h>

namespace cuda_sim {

cudaError_t malloc_async(void** pointer, std::size_t size, cudaStream_t stream, bool per_thread);
cudaError_t free_async(void* pointer, cudaStream_t stream, bool per_thread);

/// Rows of `width` bytes; one row where nothing else is said.
struct copy {
  void* to;
  const void* from;
  std::size_t width, height = 1, to_pitch = 0, from_pitch = 0;
  cudaMemcpyKind kind = cudaMemcpyDefault;
  int to_device = -1, from_device = -1;  ///< where the caller says which
  bool early = false;                    ///< the source may be read as soon as the call is made
};
cudaError_t copy_now(const char* function, const copy&, bool per_thread);
cudaError_t copy_async(const char* function, const copy*, std::size_t count, cudaStream_t stream, bool per_thread);

cudaError_t set_memory(const char* function, void* pointer, int value, std::size_t bytes, cudaStream_t stream, bool per_thread, bool synchronous);

cudaError_t synchronize(cudaStream_t, bool per_thread);
cudaError_t query(cudaStream_t, bool per_thread);
cudaError_t wait_event(cudaStream_t, cudaEvent_t, unsigned flags, bool per_thread);
cudaError_t record(cudaEvent_t, cudaStream_t, bool per_thread);
cudaError_t launch_host_function(cudaStream_t, cudaHostFn_t, void* data, bool per_thread);

/// Something that a stream says of itself.
cudaError_t ask_stream(const char* function, cudaStream_t, bool per_thread, void (*answer)(const CUstream_st&, void* to), void* to);

}  // namespace cuda_sim
