#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include <sys/mman.h>

namespace holdfast::io {

/// The unit of direct I/O: offsets, lengths and addresses are multiples of it.
inline constexpr std::size_t page_bytes = 4096;

/// Memory for bytes on their way to or from a file: page-aligned, as direct I/O wants it, and of huge pages where the system gives
/// them, which direct I/O and fresh memory gain from. It is kept until it is replaced by more, so that its pages stay
/// mapped from one save to the next.
class staging_buffer {
 public:
  staging_buffer() = default;
  staging_buffer(const staging_buffer&) = delete;
  ~staging_buffer() { release(); }

  /// At least `bytes` of memory; what was in it stays if it was large enough. Throws `std::bad_alloc`.
  std::span<std::byte> reserve(std::size_t bytes) {
    if (bytes <= bytes_) return {memory_, bytes};
    release();
    bytes = (bytes + huge_page - 1) / huge_page * huge_page;
    // Huge pages lie at multiples of their size, which mmap does not promise.
    void* const p = ::mmap(nullptr, bytes + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    mapped_ = static_cast<std::byte*>(p);
    const auto skip = (huge_page - reinterpret_cast<std::size_t>(p) % huge_page) % huge_page;
    memory_ = mapped_ + skip;
    bytes_ = bytes;
    (void)::madvise(memory_, bytes_, MADV_HUGEPAGE);
    return {memory_, bytes_};
  }

  std::span<std::byte> memory() const noexcept { return {memory_, bytes_}; }

  /// Keeps something for as long as this memory: what page-locks it for a device.
  void attach(std::shared_ptr<void> guard) noexcept { attached_ = std::move(guard); }
  bool attached() const noexcept { return attached_ != nullptr; }

 private:
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  void release() noexcept {
    attached_.reset();
    if (mapped_ != nullptr) ::munmap(mapped_, bytes_ + huge_page);
    mapped_ = memory_ = nullptr;
    bytes_ = 0;
  }

  std::byte *mapped_ = nullptr, *memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::shared_ptr<void> attached_;
};

}  // namespace holdfast::io
