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

struct submitted {
  operation_ptr operation;  ///< none if nothing is to be copied
  engine direction = engine::at_once;
  place to = place::device, from = place::device;
};

void note_rows(operation& o, const copy& c, const location& where, bool writes, const void* first, std::size_t pitch) {
  if (where.place == place::pageable) return;
  if (pitch == c.width) return note_access(o, first, c.width * c.height, writes);
  for (std::size_t row = 0; row < c.height; ++row) note_access(o, static_cast<const std::byte*>(first) + row * pitch, c.width, writes);
}

// Enqueues one copy, whose pointers were checked. Pageable sources, and those that may be read early, are read here.
submitted enqueue(const char* function, const copy& c, const sides& s, CUstream_st& stream, lock& l) {
  const operation_ptr o = make_operation(stream, std::string(function) + " " + s.name);
  const bool staged = c.early || (s.direction == engine::to_device && s.from.place == place::pageable);
  if (!staged) note_rows(*o, c, s.from, false, c.from, c.from_pitch);
  else if (s.from.place != place::pageable) note_host_access(std::string(function) + " may read its source at once", c.from, span_of(c, c.from_pitch), false);
  note_rows(*o, c, s.to, true, c.to, c.to_pitch);
  const extent source{reinterpret_cast<std::uintptr_t>(c.from), reinterpret_cast<std::uintptr_t>(c.from) + span_of(c, c.from_pitch)};
  if (staged) {
    o->staging.resize(c.width * c.height);
    open_guards(source);
  }
  const bool whole = c.width == c.to_pitch && c.width == c.from_pitch;
  const std::size_t rows = whole ? 1 : c.height, bytes = whole ? c.width * c.height : c.width;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::byte* from = s.from.bytes + row * c.from_pitch;
    if (staged) from = static_cast<const std::byte*>(std::memcpy(o->staging.data() + row * bytes, from, bytes));
    o->moves.push_back({s.to.bytes + row * c.to_pitch, from, bytes});
  }
  if (staged) close_guards(source);
  o->copy = true;
  if (the_machine().options.bytes_per_second > 0) o->runs = s.direction;
  submit(o, l);
  return {o, s.direction, s.to.place, s.from.place};
}

void wait_for(const operation_ptr& o, lock& l) {
  finish(o, l);
  host_waited_for(*o->who.known);
}

copy with_pitches(copy c) {
  if (c.height == 1 && c.to_pitch == 0) c.to_pitch = c.width;
  if (c.height == 1 && c.from_pitch == 0) c.from_pitch = c.width;
  return c;
}

bool empty(const copy& c) { return c.width == 0 || c.height == 0; }
bool pitches_hold(const copy& c) { return c.width <= c.to_pitch && c.width <= c.from_pitch; }
bool known_kind(cudaMemcpyKind k) { return k >= cudaMemcpyHostToHost && k <= cudaMemcpyDefault; }

}  // namespace

cudaError_t copy_now(const char* function, const copy& what, bool per_thread) {
  return stream_call(function, nullptr, per_thread, [&](CUstream_st& stream, lock& l) {
    const copy c = with_pitches(what);
    if (!known_kind(c.kind)) return cudaErrorInvalidMemcpyDirection;
    if (empty(c)) return cudaSuccess;
    if (!pitches_hold(c)) return cudaErrorInvalidPitchValue;
    const auto s = sides_of(function, c);
    if (!s) return cudaErrorInvalidValue;
    if (s->direction == engine::to_device && s->from.place == place::pageable && stream.last) wait_for(stream.last, l);
    const submitted done = enqueue(function, c, *s, stream, l);
    const bool returns_before = s->direction == engine::between || (s->direction == engine::to_device && s->from.place == place::pageable);
    if (!returns_before) wait_for(done.operation, l);
    return cudaSuccess;
  });
}

cudaError_t copy_async(const char* function, const copy* what, std::size_t count, cudaStream_t handle, bool per_thread) {
  return stream_call(function, handle, per_thread, [&](CUstream_st& stream, lock& l) {
    std::vector<std::pair<copy, sides>> all;
    for (std::size_t i = 0; i < count; ++i) {
      const copy c = with_pitches(what[i]);
      if (!known_kind(c.kind)) return cudaErrorInvalidMemcpyDirection;
      if (empty(c)) continue;
      if (!pitches_hold(c)) return cudaErrorInvalidPitchValue;
      const auto s = sides_of(function, c);
      if (!s) return cudaErrorInvalidValue;
      all.emplace_back(c, *s);
    }
    for (const auto& [c, s] : all) {
      const submitted one = enqueue(function, c, s, stream, l);
      const bool pageable = one.to == place::pageable || one.from == place::pageable;
      if (pageable && one.direction == engine::to_device) ++the_machine().copies.pageable_to_device;
      if (pageable && one.direction == engine::to_host) ++the_machine().copies.pageable_to_host;
      // "The driver may synchronize with the stream and stage the copy": or not.
      const bool driver_waits = pageable && the_machine().options.schedule == schedule::random && the_machine().random() % 2 == 0;
      if (driver_waits) finish(one.operation, l);
      if (one.direction == engine::at_once || (pageable && one.direction == engine::to_host)) wait_for(one.operation, l);
    }
    return cudaSuccess;
  });
}

cudaError_t set_memory(const char* function, void* pointer, int value, std::size_t bytes, cudaStream_t handle, bool per_thread) {
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
    if (std::string(function) == "cudaMemset" && where.place == place::pinned) wait_for(o, l);
    return cudaSuccess;
  });
}

}  // namespace cuda_sim
