// Copies and memory sets: which memory they access when, and when the call returns.
#include <cstring>

#include "machine.hpp"
#include "operations.hpp"

namespace cuda_sim {

namespace {

bool on_device(place p) { return p == place::device || p == place::managed; }
bool on_host(place p) { return p != place::device; }

// Bytes from the first to behind the last.
std::size_t span_of(const copy& c, std::size_t pitch) { return pitch * (c.height - 1) + c.width; }

struct sides {
  location to, from;
  engine direction;
  const char* name;
};

// What the copy's pointers mean; a violation, and nothing, if they may not mean that.
std::optional<sides> sides_of(const char* function, const copy& c) {
  sides s{locate(c.to, span_of(c, c.to_pitch)), locate(c.from, span_of(c, c.from_pitch)), engine::at_once, "H2H"};
  const bool to_device = s.to.place == place::device || (s.to.place == place::managed && c.kind != cudaMemcpyDeviceToHost);
  const bool from_device = s.from.place == place::device || (s.from.place == place::managed && c.kind != cudaMemcpyHostToDevice);
  if (to_device && from_device) s.direction = engine::between, s.name = "D2D";
  else if (to_device) s.direction = engine::to_device, s.name = "H2D";
  else if (from_device) s.direction = engine::to_host, s.name = "D2H";
  std::string mistake = !s.to.mistake.empty() ? s.to.mistake : s.from.mistake;
  const auto expect = [&](bool holds, const char* what) {
    if (mistake.empty() && !holds) mistake = what;
  };
  expect(c.to != nullptr && c.from != nullptr, "a null pointer");
  if (c.kind == cudaMemcpyHostToDevice || c.kind == cudaMemcpyHostToHost) expect(on_host(s.from.place), "the kind says that the source is host memory, and it is the device's");
  if (c.kind == cudaMemcpyHostToDevice || c.kind == cudaMemcpyDeviceToDevice) expect(on_device(s.to.place), "the kind says that the destination is device memory, and it is the host's");
  if (c.kind == cudaMemcpyDeviceToHost || c.kind == cudaMemcpyDeviceToDevice) expect(on_device(s.from.place), "the kind says that the source is device memory, and it is the host's");
  if (c.kind == cudaMemcpyDeviceToHost || c.kind == cudaMemcpyHostToHost) expect(on_host(s.to.place), "the kind says that the destination is host memory, and it is the device's");
  if (c.to_device >= 0 && mistake.empty()) expect(s.to.allocation != nullptr && s.to.allocation->device == c.to_device, "the destination is not on the device that the call names");
  if (c.from_device >= 0 && mistake.empty()) expect(s.from.allocation != nullptr && s.from.allocation->device == c.from_device, "the source is not on the device that the call names");
  if (c.height == 1 && s.to.bytes != nullptr && s.from.bytes != nullptr) expect(s.to.bytes + c.width <= s.from.bytes || s.from.bytes + c.width <= s.to.bytes, "source and destination overlap");
  if (mistake.empty()) return s;
  violation(std::string(function) + ": " + mistake);
  return std::nullopt;
}

void note_rows(operation& o, const copy& c, const location& where, bool writes, const void* first, std::size_t pitch) {
  if (where.place == place::pageable) return;
  if (pitch == c.width) return note_access(o, first, c.width * c.height, writes);
  for (std::size_t row = 0; row < c.height; ++row) note_access(o, static_cast<const std::byte*>(first) + row * pitch, c.width, writes);
}

// Enqueues one copy, whose pointers were checked. Pageable sources, and those that may be read early, are read here.
operation_ptr enqueue(const char* function, const copy& c, const sides& s, CUstream_st& stream, lock& l) {
  const operation_ptr o = make_operation(stream, std::string(function) + " " + s.name);
  const bool staged = c.early || (s.direction == engine::to_device && s.from.place == place::pageable);
  if (!staged) note_rows(*o, c, s.from, false, c.from, c.from_pitch);
  else if (s.from.place != place::pageable) note_host_access(std::string(function) + " may read its source at once", c.from, span_of(c, c.from_pitch), false);
  note_rows(*o, c, s.to, true, c.to, c.to_pitch);
  const extent source{reinterpret_cast<std::uintptr_t>(c.from), reinterpret_cast<std::uintptr_t>(c.from) + span_of(c, c.from_pitch)};
  if (staged) {
    o->staging.resize(c.width * c.height);
    if (s.from.place == place::pinned) open_guards(source);
  }
  const bool whole = c.width == c.to_pitch && c.width == c.from_pitch;
  const std::size_t rows = whole ? 1 : c.height, bytes = whole ? c.width * c.height : c.width;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::byte* from = s.from.bytes + row * c.from_pitch;
    if (staged) from = static_cast<const std::byte*>(std::memcpy(o->staging.data() + row * bytes, from, bytes));
    o->moves.push_back({s.to.bytes + row * c.to_pitch, from, bytes});
  }
  if (staged && s.from.place == place::pinned) close_guards(source);
  o->copy = true;
  if (the_machine().options.bytes_per_second > 0) o->runs = s.direction;
  submit(o, l);
  return o;
}

void wait_for(const operation_ptr& o, lock& l) {
  finish(o, l);
  host_waited_for(*o->who.known);
}

struct request {
  copy what;
  sides where;
};

// Adds the copy to those that are to be enqueued, unless it is empty or wrong.
cudaError_t check(const char* function, copy c, std::vector<request>& all) {
  if (c.height == 1 && c.to_pitch == 0) c.to_pitch = c.width;
  if (c.height == 1 && c.from_pitch == 0) c.from_pitch = c.width;
  if (c.kind < cudaMemcpyHostToHost || c.kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (c.width == 0 || c.height == 0) return cudaSuccess;
  if (c.width > c.to_pitch || c.width > c.from_pitch) return cudaErrorInvalidPitchValue;
  const auto where = sides_of(function, c);
  if (!where) return cudaErrorInvalidValue;
  all.push_back({c, *where});
  return cudaSuccess;
}

bool from_pageable(const sides& s) { return s.direction == engine::to_device && s.from.place == place::pageable; }
bool to_pageable(const sides& s) { return s.direction == engine::to_host && s.to.place == place::pageable; }

}  // namespace

cudaError_t copy_now(const char* function, const copy& what, bool per_thread) {
  return stream_call(function, nullptr, per_thread, [&](CUstream_st& stream, lock& l) {
    std::vector<request> all;
    const cudaError_t error = check(function, what, all);
    for (const auto& [c, where] : all) {
      if (from_pageable(where) && stream.last) wait_for(stream.last, l);
      const operation_ptr o = enqueue(function, c, where, stream, l);
      if (where.direction != engine::between && !from_pageable(where)) wait_for(o, l);
    }
    return error;
  });
}

cudaError_t copy_async(const char* function, const copy* what, std::size_t count, cudaStream_t handle, bool per_thread) {
  return stream_call(function, handle, per_thread, [&](CUstream_st& stream, lock& l) {
    machine& m = the_machine();
    std::vector<request> all;
    for (std::size_t i = 0; i < count; ++i)
      if (const cudaError_t error = check(function, what[i], all); error != cudaSuccess) return error;
    for (const auto& [c, where] : all) {
      const operation_ptr o = enqueue(function, c, where, stream, l);
      m.copies.pageable_to_device += from_pageable(where);
      m.copies.pageable_to_host += to_pageable(where);
      // "The driver may synchronize with the stream and stage the copy": or not.
      if (from_pageable(where) && m.options.schedule == schedule::random && m.random() % 2 == 0) finish(o, l);
      if (where.direction == engine::at_once || to_pageable(where)) wait_for(o, l);
    }
    return cudaSuccess;
  });
}

cudaError_t set_memory(const char* function, void* pointer, int value, std::size_t bytes, cudaStream_t handle, bool per_thread, bool synchronous) {
  return stream_call(function, handle, per_thread, [&](CUstream_st& stream, lock& l) {
    if (bytes == 0) return cudaSuccess;
    const location where = locate(pointer, bytes);
    if (!where.mistake.empty() || where.place == place::pageable) {
      violation(std::string(function) + ": " + (where.mistake.empty() ? "pageable memory" : where.mistake));
      return cudaErrorInvalidValue;
    }
    const operation_ptr o = make_operation(stream, function);
    note_access(*o, pointer, bytes, true);
    o->work = [to = where.bytes, value, bytes] { std::memset(to, value, bytes); };
    submit(o, l);
    if (synchronous && where.place == place::pinned) wait_for(o, l);
    return cudaSuccess;
  });
}

}  // namespace cuda_sim
