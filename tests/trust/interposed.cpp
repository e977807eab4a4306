// The definitions that stand in front of libc's and of the C++ runtime's: see interposed.hpp.
#include "interposed.hpp"

using support::fault::current;
using support::fault::due;
using support::fault::next;
using support::fault::way;

namespace {

/// Fails the call if it is its turn, otherwise makes it. For calls that transfer nothing a short transfer is none.
template <class R, class... A>
R call(const char* name, A... arguments) {
  if (due(name) && current.how == way::fail) {
    errno = current.code;
    return static_cast<R>(-1);
  }
  return next<R(A...)>(name)(arguments...);
}

/// The same for a transfer of `n` bytes, which may be cut to half.
template <class R, class B, class O>
R transfer(const char* name, int fd, B buffer, std::size_t n, O offset) {
  if (due(name)) {
    if (current.how == way::fail) {
      errno = current.code;
      return -1;
    }
    n = n > 1 ? n / 2 : n;
  }
  return next<R(int, B, std::size_t, O)>(name)(fd, buffer, n, offset);
}

}  // namespace

extern "C" {

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? static_cast<mode_t>(va_arg(rest, int)) : 0;
  va_end(rest);
  if (due("open") && current.how == way::fail) {
    errno = current.code;
    return -1;
  }
  return next<int(const char*, int, ...)>("open64")(path, flags, mode);
}
ssize_t pwrite64(int fd, const void* bytes, std::size_t n, off64_t at) { return transfer<ssize_t>("pwrite64", fd, bytes, n, at); }
ssize_t pread64(int fd, void* out, std::size_t n, off64_t at) { return transfer<ssize_t>("pread64", fd, out, n, at); }
int fallocate64(int fd, int mode, off64_t at, off64_t n) { return call<int>("fallocate64", fd, mode, at, n); }
int fsync(int fd) { return call<int>("fsync", fd); }
int renameat2(int from, const char* a, int to, const char* b, unsigned flags) noexcept { return call<int>("renameat2", from, a, to, b, flags); }
int rename(const char* a, const char* b) noexcept { return call<int>("rename", a, b); }
int unlink(const char* path) noexcept { return call<int>("unlink", path); }
int flock(int fd, int what) noexcept { return call<int>("flock", fd, what); }
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) noexcept {  // which returns the errno
  if (due("pthread_create") && current.how == way::fail) return current.code;
  return next<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create")(thread, attributes, run, argument);
}
int fstat64(int fd, struct stat64* s) noexcept { return call<int>("fstat64", fd, s); }

}  // extern "C"

void* operator new(std::size_t n) {
  if (due("operator new", true)) throw std::bad_alloc();
  if (void* p = std::malloc(n == 0 ? 1 : n)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return due("operator new", true) ? nullptr : std::malloc(n == 0 ? 1 : n); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
