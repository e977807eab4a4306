// The functions of programs compiled without CUDA_API_PER_THREAD_DEFAULT_STREAM.
constexpr bool PER_THREAD = false;
#include "stream_ordered.inl"
