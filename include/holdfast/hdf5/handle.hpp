#pragma once
#include <string>
#include <utility>

#include <hdf5.h>

#include <holdfast/core/error.hpp>

namespace holdfast::hdf5 {

/// Owns one HDF5 identifier and closes it with the function of its kind.
class handle {
 public:
  using closer = herr_t (*)(hid_t);
  handle() = default;
  handle(hid_t id, closer closer_of_its_kind) noexcept : id_(id), close_(closer_of_its_kind) {}
  handle(handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  handle& operator=(handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const noexcept { return id_; }

  /// Closes now and reports whether that worked, which matters for a file.
  bool close() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_ = -1;
  closer close_ = nullptr;
};

/// Keeps libhdf5 from printing its error stack to stderr, where this library turns failures into exceptions. The
/// stack's printer belongs to the calling thread and is put back on destruction.
class quiet_errors {
 public:
  quiet_errors() {
    H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  quiet_errors(const quiet_errors&) = delete;
  ~quiet_errors() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

namespace detail {

/// The innermost description on libhdf5's error stack.
inline std::string last_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, [](unsigned, const H5E_error2_t* e, void* out) -> herr_t {
             auto& s = *static_cast<std::string*>(out);
             if (s.empty() && e->desc != nullptr) s = e->desc;
             return 0; }, &text);
  return text.empty() ? "no reason given" : text;
}

}  // namespace detail

/// Throws `format_error` "what: reason" for a negative result of an HDF5 function.
template <class Result>
Result checked(Result result, const std::string& what) {
  if (result < 0) throw format_error(what + ": HDF5: " + detail::last_error());
  return result;
}
inline handle checked(hid_t id, handle::closer close, const std::string& what) { return {checked(id, what), close}; }

}  // namespace holdfast::hdf5
