#include "rt/stream.hpp"

#include <atomic>
#include <mutex>
#include <set>

namespace emulator::rt {
namespace {

struct Book {
  std::mutex mutex;
  std::set<Stream*> streams;
  std::set<Event*> events;
  Stream legacy;
  std::atomic<unsigned long long> next_id{1};
};

Book& book() {
  static auto* b = new Book;
  return *b;
}

bool is_default(cudaStream_t s) {
  return s == nullptr || s == cudaStreamLegacy || s == cudaStreamPerThread;
}

bool is_event(cudaEvent_t e) {
  std::lock_guard lock(book().mutex);
  return book().events.count(reinterpret_cast<Event*>(e)) != 0;
}

Event& event_of(cudaEvent_t e) { return *reinterpret_cast<Event*>(e); }

cudaError_t make_stream(cudaStream_t* out, unsigned flags, int priority) {
  auto* s = new Stream;
  s->flags = flags;
  s->priority = priority;
  s->id = ++book().next_id;
  std::lock_guard lock(book().mutex);
  book().streams.insert(s);
  *out = reinterpret_cast<cudaStream_t>(s);
  return cudaSuccess;
}

cudaError_t synchronize() { return sticky_error() != cudaSuccess ? sticky_error() : cudaSuccess; }

}  // namespace

bool is_stream(cudaStream_t s) {
  if (is_default(s)) return true;
  std::lock_guard lock(book().mutex);
  return book().streams.count(reinterpret_cast<Stream*>(s)) != 0;
}

Stream& stream_of(cudaStream_t s) {
  return is_default(s) ? book().legacy : *reinterpret_cast<Stream*>(s);
}

GraphNode* add_node(Graph& g, WorkKind kind, std::function<cudaError_t()> work,
                    std::vector<GraphNode*> dependencies) {
  g.nodes.push_back(std::make_unique<GraphNode>());
  GraphNode* n = g.nodes.back().get();
  n->kind = kind;
  n->work = std::move(work);
  n->dependencies = std::move(dependencies);
  return n;
}

cudaError_t submit(cudaStream_t handle, WorkKind kind, std::function<cudaError_t()> work) {
  if (!is_stream(handle)) return remember(cudaErrorInvalidResourceHandle);
  Stream& s = stream_of(handle);
  if (!s.capture) {
    if (sticky_error() != cudaSuccess) return sticky_error();
    return remember(work());
  }
  std::vector<GraphNode*> dependencies;
  if (s.last) dependencies.push_back(s.last);
  s.last = add_node(*s.capture->graph, kind, std::move(work), std::move(dependencies));
  return cudaSuccess;
}

}  // namespace emulator::rt

using namespace emulator::rt;

extern "C" {

cudaError_t CUDARTAPI cudaStreamCreate(cudaStream_t* s) { return make_stream(s, 0, 0); }
cudaError_t CUDARTAPI cudaStreamCreateWithFlags(cudaStream_t* s, unsigned flags) {
  return make_stream(s, flags, 0);
}
cudaError_t CUDARTAPI cudaStreamCreateWithPriority(cudaStream_t* s, unsigned flags, int priority) {
  return make_stream(s, flags, priority);
}

cudaError_t CUDARTAPI cudaStreamDestroy(cudaStream_t s) {
  if (!is_stream(s) || is_default(s)) return remember(cudaErrorInvalidResourceHandle);
  std::lock_guard lock(book().mutex);
  auto* p = reinterpret_cast<Stream*>(s);
  book().streams.erase(p);
  delete p;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaStreamSynchronize(cudaStream_t s) {
  if (!is_stream(s)) return remember(cudaErrorInvalidResourceHandle);
  if (stream_of(s).capture) {
    stream_of(s).capture->invalid = true;
    return remember(cudaErrorStreamCaptureUnsupported);
  }
  return synchronize();
}

cudaError_t CUDARTAPI cudaStreamQuery(cudaStream_t s) {
  return is_stream(s) ? synchronize() : remember(cudaErrorInvalidResourceHandle);
}

cudaError_t CUDARTAPI cudaStreamGetFlags(cudaStream_t s, unsigned* flags) {
  *flags = stream_of(s).flags;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaStreamGetPriority(cudaStream_t s, int* priority) {
  *priority = stream_of(s).priority;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaStreamGetId(cudaStream_t s, unsigned long long* id) {
  *id = stream_of(s).id;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaStreamGetDevice(cudaStream_t, int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaDeviceSynchronize() { return synchronize(); }

cudaError_t CUDARTAPI cudaStreamAddCallback(cudaStream_t s, cudaStreamCallback_t f, void* data,
                                            unsigned) {
  return submit(s, WorkKind::kHost, [=] {
    f(s, sticky_error(), data);
    return cudaSuccess;
  });
}
cudaError_t CUDARTAPI cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t f, void* data) {
  return submit(s, WorkKind::kHost, [=] {
    f(data);
    return cudaSuccess;
  });
}

cudaError_t CUDARTAPI cudaEventCreateWithFlags(cudaEvent_t* e, unsigned flags) {
  auto* event = new Event;
  event->flags = flags;
  std::lock_guard lock(book().mutex);
  book().events.insert(event);
  *e = reinterpret_cast<cudaEvent_t>(event);
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }

cudaError_t CUDARTAPI cudaEventDestroy(cudaEvent_t e) {
  if (!is_event(e)) return remember(cudaErrorInvalidResourceHandle);
  std::lock_guard lock(book().mutex);
  book().events.erase(reinterpret_cast<Event*>(e));
  delete reinterpret_cast<Event*>(e);
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned) {
  if (!is_event(e) || !is_stream(s)) return remember(cudaErrorInvalidResourceHandle);
  Event& event = event_of(e);
  Stream& stream = stream_of(s);
  event.recorded = true;
  event.when = std::chrono::steady_clock::now();
  event.capture = stream.capture;
  event.node = stream.last;
  return cudaSuccess;
}
cudaError_t CUDARTAPI cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  return cudaEventRecordWithFlags(e, s, 0);
}

cudaError_t CUDARTAPI cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  if (!is_event(e) || !is_stream(s)) return remember(cudaErrorInvalidResourceHandle);
  Event& event = event_of(e);
  if (!event.capture) return cudaSuccess;  // what it marks is done
  Stream& stream = stream_of(s);
  if (stream.capture && stream.capture != event.capture) {
    stream.capture->invalid = true;
    return remember(cudaErrorStreamCaptureInvalidated);
  }
  // The stream joins the capture, with an edge from the event's node.
  stream.capture = event.capture;
  std::vector<GraphNode*> dependencies;
  if (stream.last) dependencies.push_back(stream.last);
  if (event.node) dependencies.push_back(event.node);
  if (dependencies.size() == 1) {
    stream.last = dependencies[0];
  } else if (dependencies.size() == 2) {
    stream.last =
        add_node(*stream.capture->graph, WorkKind::kEmpty, nullptr, std::move(dependencies));
  }
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaEventSynchronize(cudaEvent_t e) {
  return is_event(e) ? synchronize() : remember(cudaErrorInvalidResourceHandle);
}
cudaError_t CUDARTAPI cudaEventQuery(cudaEvent_t e) {
  return is_event(e) ? synchronize() : remember(cudaErrorInvalidResourceHandle);
}
cudaError_t CUDARTAPI cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  if (!is_event(from) || !is_event(to)) return remember(cudaErrorInvalidResourceHandle);
  const Event &a = event_of(from), &b = event_of(to);
  if (!a.recorded || !b.recorded || ((a.flags | b.flags) & cudaEventDisableTiming))
    return remember(cudaErrorInvalidResourceHandle);
  *ms = std::chrono::duration<float, std::milli>(b.when - a.when).count();
  return synchronize();
}

// Capture.

cudaError_t CUDARTAPI cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  if (!is_stream(s)) return remember(cudaErrorInvalidResourceHandle);
  Stream& stream = stream_of(s);
  if (is_default(s)) return remember(cudaErrorStreamCaptureUnsupported);
  if (stream.capture) return remember(cudaErrorIllegalState);
  stream.capture = std::make_shared<Capture>();
  stream.capture->graph = new Graph;
  stream.capture->id = ++book().next_id;
  stream.capture->origin = s;
  stream.last = nullptr;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* out) {
  *out = nullptr;
  if (!is_stream(s)) return remember(cudaErrorInvalidResourceHandle);
  Stream& stream = stream_of(s);
  if (!stream.capture || stream.capture->origin != s) return remember(cudaErrorIllegalState);
  const std::shared_ptr<Capture> capture = stream.capture;
  {
    std::lock_guard lock(book().mutex);
    for (Stream* other : book().streams)
      if (other->capture == capture) {
        other->capture = nullptr;
        other->last = nullptr;
      }
    for (Event* e : book().events)
      if (e->capture == capture) {
        e->capture = nullptr;
        e->node = nullptr;
      }
  }
  if (capture->invalid) {
    delete capture->graph;
    return remember(cudaErrorStreamCaptureInvalidated);
  }
  *out = reinterpret_cast<cudaGraph_t>(capture->graph);
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status) {
  if (!is_stream(s)) return remember(cudaErrorInvalidResourceHandle);
  const auto& c = stream_of(s).capture;
  *status = !c           ? cudaStreamCaptureStatusNone
            : c->invalid ? cudaStreamCaptureStatusInvalidated
                         : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaStreamGetCaptureInfo(cudaStream_t s, cudaStreamCaptureStatus* status,
                                               unsigned long long* id, cudaGraph_t* graph,
                                               const cudaGraphNode_t** dependencies,
                                               const cudaGraphEdgeData** edges, size_t* count) {
  const cudaError_t e = cudaStreamIsCapturing(s, status);
  if (e != cudaSuccess) return e;
  Stream& stream = stream_of(s);
  if (id) *id = stream.capture ? stream.capture->id : 0;
  if (graph)
    *graph = stream.capture ? reinterpret_cast<cudaGraph_t>(stream.capture->graph) : nullptr;
  if (dependencies) *dependencies = reinterpret_cast<const cudaGraphNode_t*>(&stream.last);
  if (edges) *edges = nullptr;
  if (count) *count = stream.last ? 1 : 0;
  return cudaSuccess;
}

cudaError_t CUDARTAPI cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) {
  return cudaSuccess;
}

}  // extern "C"
