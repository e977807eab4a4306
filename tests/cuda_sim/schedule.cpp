// When enqueued operations happen, and in which thread.
#include <cstring>

#include "machine.hpp"

namespace cuda_sim {

namespace {

const operation_ptr* missing(const operation& o) {
  for (const operation_ptr& before : o.after)
    if (before->state != operation::done) return &before;
  return nullptr;
}

void done(const operation_ptr& o) {
  machine& m = the_machine();
  o->state = operation::done;
  o->done_at = std::chrono::steady_clock::now();
  o->after.clear();
  o->moves.clear();
  o->work = nullptr;
  o->staging = {};
  for (const extent e : o->pinned) close_guards(e);
  o->pinned.clear();
  o->touches.clear();
  o->keeps.clear();
  o->stream->queue.pop_front();
  if (o->runs == engine::host_function) {
    std::erase(m.host_functions, o);
    guard_after_host_function();
  }
  m.progress.notify_all();
}

bool broken(const operation& o) { return error_of(o.stream->device) != cudaSuccess; }

void copy_throttled(const operation& o, double bytes_per_second, std::chrono::steady_clock::time_point& until) {
  constexpr std::size_t chunk = 64 << 10;
  // Sleeps end late: copies that follow each other closely make up for it.
  if (const auto now = std::chrono::steady_clock::now(); now - until > std::chrono::milliseconds(1)) until = now;
  for (const move& piece : o.moves)
    for (std::size_t at = 0; at < piece.bytes; at += chunk) {
      const std::size_t n = std::min(chunk, piece.bytes - at);
      until += std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(static_cast<double>(n) / bytes_per_second));
      std::this_thread::sleep_until(until);
      std::memcpy(piece.to + at, piece.from + at, n);
    }
}

// Starts every operation that can start, until none can.
void run_all(lock& l);

void start(const operation_ptr&);

// A program may wait for a host function without calling CUDA.
void nudge_host_functions() {
  for (const auto functions = the_machine().host_functions; const operation_ptr& o : functions) nudge(o);
}

void serve(worker& w, engine what) {
  machine& m = the_machine();
  lock l(m.mutex);
  while (true) {
    const auto has_work = [&] { return w.ends || !w.queue.empty(); };
    if (what != engine::host_function) w.wakes.wait(l, has_work);
    else if (!w.wakes.wait_for(l, std::chrono::milliseconds(10), has_work)) nudge_host_functions();
    if (w.queue.empty()) {
      if (w.ends) return;
      continue;
    }
    const operation_ptr o = w.queue.front();
    w.queue.pop_front();
    const double rate = m.options.bytes_per_second;
    // It runs on a thread of the host, which knows all that came before and may tell others by means that are not seen here.
    if (o->runs == engine::host_function) host_waited_for(*o->who.known);
    l.unlock();
    if (o->copy) copy_throttled(*o, rate, w.free_at);
    this_thread().inside = o.get();
    if (o->work) o->work();
    this_thread().inside = nullptr;
    l.lock();
    done(o);
    if (m.options.schedule == schedule::eager) run_all(l);
  }
}

worker& worker_for(const operation& o) {
  auto& w = the_machine().workers[{o.stream->device, o.runs}];
  if (!w) {
    w = std::make_unique<worker>();
    w->thread = std::thread(serve, std::ref(*w), o.runs);
  }
  return *w;
}

void start(const operation_ptr& o) {
  machine& m = the_machine();
  bool works = !broken(*o);
  for (const extent e : o->pinned) open_guards(e);
  if (works && o->copy) {
    if (m.failing_copy && --m.failing_copy->first == 0) {
      m.broken[static_cast<std::size_t>(o->stream->device)] = m.failing_copy->second;
      m.failing_copy.reset();
      works = false;
    } else {
      ++m.copies.copies;
      for (const move& piece : o->moves) m.copies.bytes += piece.bytes;
    }
  }
  if (works && o->runs != engine::at_once) {
    worker& w = worker_for(*o);
    o->state = operation::running;
    w.queue.push_back(o);
    w.wakes.notify_one();
    return;
  }
  if (works)
    for (const move& piece : o->moves) std::memmove(piece.to, piece.from, piece.bytes);
  if (o->work && (works || o->always)) o->work();
  done(o);
}

// What could start now: at most one operation a stream.
std::vector<operation_ptr> startable() {
  std::vector<operation_ptr> found;
  for (const auto& s : the_machine().streams)
    if (!s->queue.empty() && s->queue.front()->state == operation::queued && missing(*s->queue.front()) == nullptr) found.push_back(s->queue.front());
  return found;
}

bool start_one_at_random() {
  const auto choice = startable();
  if (choice.empty()) return false;
  start(choice[the_machine().random() % choice.size()]);
  return true;
}

void run_all(lock&) {
  while (true) {
    const auto now = startable();
    if (now.empty()) return;
    for (const operation_ptr& o : now) start(o);
  }
}

}  // namespace

operation_ptr make_operation(CUstream_st& s, const std::string& what, const operation_ptr& recorded) {
  machine& m = the_machine();
  auto o = std::make_shared<operation>();
  o->stream = &s;
  s.known.join(m.host);
  const auto follow = [&](CUstream_st& other) {
    if (other.last && other.last->state != operation::done) o->after.push_back(other.last);
    if (&other != &s) s.known.join(other.known);
  };
  follow(s);
  // The legacy default stream waits for all blocking streams of its device, and they for it.
  for (const auto& other : m.streams)
    if (other.get() != &s && other->device == s.device && ((s.legacy && other->blocking) || (other->legacy && s.blocking))) follow(*other);
  if (recorded) {
    o->after.push_back(recorded);
    s.known.join(*recorded->who.known);
  }
  const moment now{s.agent, s.known.tick(s.agent)};
  o->who = {now, std::make_shared<const std::string>(what + " #" + std::to_string(++m.numbers) + " on " + s.name), std::make_shared<const std::string>(s.name), std::make_shared<const vector_clock>(s.known)};
  return o;
}

void submit(const operation_ptr& o, lock& l) {
  o->stream->queue.push_back(o);
  o->stream->last = o;
  if (o->runs == engine::host_function) {
    worker_for(*o);
    the_machine().host_functions.push_back(o);
  }
  if (the_machine().options.schedule == schedule::eager) run_all(l);
}

void pump(lock&) {
  machine& m = the_machine();
  if (m.options.schedule != schedule::random) return;
  while (m.random() % 3 != 0 && start_one_at_random()) {
  }
}

void finish(operation_ptr target, lock& l) {
  machine& m = the_machine();
  if (m.options.schedule == schedule::random)
    while (target->state != operation::done)
      if (!start_one_at_random()) m.progress.wait(l);
  // Otherwise just what the target needs.
  std::vector<operation_ptr> path{std::move(target)};
  while (!path.empty()) {
    const operation_ptr o = path.back();
    if (o->state == operation::done) path.pop_back();
    else if (const operation_ptr* before = missing(*o)) path.push_back(*before);
    else if (o->state == operation::queued) start(o);
    else m.progress.wait(l);
  }
}

void nudge(operation_ptr target) {
  std::vector<operation_ptr> path{std::move(target)};
  while (!path.empty()) {
    const operation_ptr o = path.back();
    if (o->state == operation::done) path.pop_back();
    else if (const operation_ptr* before = missing(*o)) path.push_back(*before);
    else if (o->state == operation::queued) start(o);
    else return;
  }
}

void finish_users(extent e, lock& l) {
  std::vector<operation_ptr> users;
  for (const auto& s : the_machine().streams)
    for (const operation_ptr& o : s->queue)
      if (std::any_of(o->touches.begin(), o->touches.end(), [&](extent t) { return t.begin < e.end && e.begin < t.end; })) users.push_back(o);
  for (const operation_ptr& o : users) finish(o, l);
}

void finish_stream(CUstream_st& s, lock& l) {
  if (s.last) finish(s.last, l);
}

void finish_device(int device, lock& l) {
  for (std::size_t i = 0; i < the_machine().streams.size(); ++i)
    if (CUstream_st& s = *the_machine().streams[i]; device < 0 || s.device == device) finish_stream(s, l);
}

void stop_workers(lock& l) {
  machine& m = the_machine();
  std::erase_if(m.host_functions, [](const operation_ptr& o) { return o->state == operation::queued; });
  for (const auto& s : m.streams) {
    // What runs is waited for, what only waits is dropped.
    std::deque<operation_ptr> dropped;
    dropped.swap(s->queue);
    if (!dropped.empty() && dropped.front()->state == operation::running) s->queue.push_back(dropped.front()), dropped.pop_front();
    for (const operation_ptr& o : dropped) o->after.clear();  // else a chain of them is deleted by recursion
  }
  m.progress.wait(l, [&] { return std::all_of(m.streams.begin(), m.streams.end(), [](const auto& s) { return s->queue.empty(); }); });
  auto workers = std::move(m.workers);
  m.workers.clear();
  for (const auto& [key, w] : workers) w->ends = true, w->wakes.notify_one();
  l.unlock();
  for (const auto& [key, w] : workers) w->thread.join();
  l.lock();
}

CUstream_st& new_stream(int device, std::string name) {
  machine& m = the_machine();
  m.streams.push_back(std::make_unique<CUstream_st>());
  CUstream_st& s = *m.streams.back();
  s.name = std::move(name) + " of gpu " + std::to_string(device);
  s.device = device;
  s.agent = m.streams.size();  // 0 is the host
  return s;
}

CUstream_st* stream_of(cudaStream_t handle, bool per_thread) {
  machine& m = the_machine();
  host_thread& t = this_thread();
  if (handle == nullptr) handle = per_thread ? cudaStreamPerThread : cudaStreamLegacy;
  if (handle == cudaStreamLegacy) return m.legacy[static_cast<std::size_t>(t.device)];
  if (handle == cudaStreamPerThread) {
    CUstream_st*& own = t.streams[t.device];
    if (own == nullptr) own = &new_stream(t.device, "a thread's default stream");
    return own;
  }
  for (const auto& s : m.streams)
    if (s.get() == handle && s->made_by_program) {
      if (s->alive) return handle;
      violation(s->name + " is used after it was destroyed");
      return nullptr;
    }
  violation("a stream handle that no call has made is used");
  return nullptr;
}

}  // namespace cuda_sim
