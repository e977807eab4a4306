// The functions of programs compiled with CUDA_API_PER_THREAD_DEFAULT_STREAM, which the header gives other names.
#define CUDA_API_PER_THREAD_DEFAULT_STREAM
constexpr bool PER_THREAD = true;
#include "stream_ordered.inl"
