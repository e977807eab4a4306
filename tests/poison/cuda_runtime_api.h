#error "a header that programs without CUDA include asks for CUDA"
