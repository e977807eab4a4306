// CUDA functions for streams and events.
#include "machine.hpp"
#include "operations.hpp"

using namespace cuda_sim;

namespace {

constexpr int patience = 3;  // queries in a row that may answer "not ready" before what they ask for is run

CUevent_st* event_of(cudaEvent_t handle) {
  for (const auto& e : the_machine().events)
    if (e.get() == handle) {
      if (e->alive) return handle;
      violation(e->name + " is used after it was destroyed");
      return nullptr;
    }
  violation("an event handle that no call has made is used");
  return nullptr;
}

cudaError_t make_stream(const char* function, cudaStream_t* stream, unsigned flags, int priority) {
  return call(function, [&](lock&) {
    if (stream == nullptr || (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0) return cudaErrorInvalidValue;
    CUstream_st& s = new_stream(this_thread().device, "stream " + std::to_string(++the_machine().streams_made));
    s.blocking = (flags & cudaStreamNonBlocking) == 0;
    s.made_by_program = true;
    s.flags = flags;
    s.priority = priority;
    *stream = &s;
    return cudaSuccess;
  });
}

cudaError_t make_event(const char* function, cudaEvent_t* event, unsigned flags) {
  return call(function, [&](lock&) {
    machine& m = the_machine();
    if (event == nullptr || (flags & ~static_cast<unsigned>(cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess)) != 0) return cudaErrorInvalidValue;
    const int device = this_thread().device;
    m.events.push_back(std::make_unique<CUevent_st>(CUevent_st{"event " + std::to_string(m.events.size() + 1) + " of gpu " + std::to_string(device), device, flags}));
    *event = m.events.back().get();
    return cudaSuccess;
  });
}

// Whether it is done, which a program may ask for ever.
bool ready(const operation_ptr& o, int& not_ready) {
  if (o->state != operation::done && the_machine().options.schedule != schedule::eager && ++not_ready > patience && o->state == operation::queued) {
    not_ready = 0;
    nudge(o);
  }
  if (o->state != operation::done) return false;
  not_ready = 0;
  return true;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return make_stream("cudaStreamCreate", stream, cudaStreamDefault, 0); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) { return make_stream("cudaStreamCreateWithFlags", stream, flags, 0); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int priority) { return make_stream("cudaStreamCreateWithPriority", stream, flags, priority); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy", [&](lock&) {
    CUstream_st* const s = stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread ? nullptr : stream_of(stream, false);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    s->alive = false;  // what is enqueued still happens
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return make_event("cudaEventCreate", event, cudaEventDefault); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) { return make_event("cudaEventCreateWithFlags", event, flags); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", [&](lock&) {
    CUevent_st* const e = event_of(event);
    if (e == nullptr) return cudaErrorInvalidResourceHandle;
    e->alive = false;
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", [&](lock& l) {
    CUevent_st* const e = event_of(event);
    if (e == nullptr) return cudaErrorInvalidResourceHandle;
    if (!e->recorded) return cudaSuccess;
    const operation_ptr recorded = e->recorded;
    finish(recorded, l);
    host_waited_for(*recorded->who.known);
    return error_of(e->device); }, on_broken::proceed);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [&](lock&) {
    CUevent_st* const e = event_of(event);
    if (e == nullptr) return cudaErrorInvalidResourceHandle;
    if (!e->recorded) return cudaSuccess;
    const operation_ptr recorded = e->recorded;
    if (!ready(recorded, e->not_ready)) return cudaErrorNotReady;
    host_waited_for(*recorded->who.known);
    return error_of(e->device); }, on_broken::proceed);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return call("cudaEventElapsedTime", [&](lock&) {
    const CUevent_st *const a = event_of(start), *const b = event_of(end);
    if (a == nullptr || b == nullptr || !a->recorded || !b->recorded || ((a->flags | b->flags) & cudaEventDisableTiming) != 0 || a->device != b->device) return cudaErrorInvalidResourceHandle;
    if (a->recorded->state != operation::done || b->recorded->state != operation::done) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(b->recorded->done_at - a->recorded->done_at).count();
    return cudaSuccess;
  });
}

}  // extern "C"

namespace cuda_sim {

cudaError_t synchronize(cudaStream_t stream, bool per_thread) {
  return stream_call("cudaStreamSynchronize", stream, per_thread, [&](CUstream_st& s, lock& l) {
    if (const operation_ptr last = s.last) {
      finish(last, l);
      host_waited_for(*last->who.known);
    }
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t query(cudaStream_t stream, bool per_thread) {
  return stream_call("cudaStreamQuery", stream, per_thread, [&](CUstream_st& s, lock&) {
    if (const operation_ptr last = s.last) {
      if (!ready(last, s.not_ready)) return cudaErrorNotReady;
      host_waited_for(*last->who.known);
    }
    return cudaSuccess; }, on_broken::proceed);
}

cudaError_t wait_event(cudaStream_t stream, cudaEvent_t event, unsigned flags, bool per_thread) {
  return stream_call("cudaStreamWaitEvent", stream, per_thread, [&](CUstream_st& s, lock& l) {
    const CUevent_st* const e = event_of(event);
    if (e == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags != cudaEventWaitDefault) return cudaErrorInvalidValue;
    if (!e->recorded) return cudaSuccess;
    submit(make_operation(s, "cudaStreamWaitEvent", e->recorded), l);
    return cudaSuccess;
  });
}

cudaError_t record(cudaEvent_t event, cudaStream_t stream, bool per_thread) {
  return stream_call("cudaEventRecord", stream, per_thread, [&](CUstream_st& s, lock& l) {
    CUevent_st* const e = event_of(event);
    if (e == nullptr || s.device != e->device) return cudaErrorInvalidResourceHandle;
    const operation_ptr o = make_operation(s, "cudaEventRecord");
    e->recorded = o;
    e->not_ready = 0;
    submit(o, l);
    return cudaSuccess;
  });
}

cudaError_t launch_host_function(cudaStream_t stream, cudaHostFn_t function, void* data, bool per_thread) {
  return stream_call("cudaLaunchHostFunc", stream, per_thread, [&](CUstream_st& s, lock& l) {
    if (function == nullptr) return cudaErrorInvalidValue;
    const operation_ptr o = make_operation(s, "cudaLaunchHostFunc");
    o->runs = engine::host_function;
    o->work = [function, data] { function(data); };
    submit(o, l);
    return cudaSuccess;
  });
}

cudaError_t ask_stream(const char* function, cudaStream_t stream, bool per_thread, void (*answer)(const CUstream_st&, void*), void* to) {
  return stream_call(function, stream, per_thread, [&](const CUstream_st& s, lock&) {
    if (to == nullptr) return cudaErrorInvalidValue;
    answer(s, to);
    return cudaSuccess;
  });
}

}  // namespace cuda_sim
