// Calls on device memory, timed by events on their stream.
#include "apps/flash-kda/timed_device_call.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>

#include "cuda/staged_run.hpp"

namespace flash_kda::cli {
namespace {

// Calls of one warm sample. They are replayed as one graph, so that neither the host's work per
// launch nor the resolution of events (half a microsecond) shows in short calls.
constexpr int kWarmCalls = 8;
constexpr std::size_t kCopyBytes = std::size_t{512} << 20;
constexpr int kCopies = 5;

Status device_status(const char* what, cudaError_t error) {
  if (error == cudaSuccess) return {};
  return {StatusCode::kDeviceError, fmt::format("{}: {}", what, cudaGetErrorString(error))};
}

// Device memory whose content does not matter.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { cudaFree(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  cudaError_t allocate(std::size_t bytes) {
    bytes_ = bytes;
    return cudaMalloc(&data_, bytes);
  }
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A stream and two events on it.
class DeviceClock {
 public:
  DeviceClock() = default;
  ~DeviceClock() {
    if (begin_ != nullptr) cudaEventDestroy(begin_);
    if (end_ != nullptr) cudaEventDestroy(end_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  DeviceClock(const DeviceClock&) = delete;
  DeviceClock& operator=(const DeviceClock&) = delete;

  cudaError_t create() {
    cudaError_t error = cudaStreamCreate(&stream_);
    if (error == cudaSuccess) error = cudaEventCreate(&begin_);
    if (error == cudaSuccess) error = cudaEventCreate(&end_);
    return error;
  }
  cudaStream_t stream() const { return stream_; }
  cudaError_t start() { return cudaEventRecord(begin_, stream_); }
  Result<double> stop() {
    float milliseconds = 0;
    cudaError_t error = cudaEventRecord(end_, stream_);
    if (error == cudaSuccess) error = cudaEventSynchronize(end_);
    if (error == cudaSuccess) error = cudaEventElapsedTime(&milliseconds, begin_, end_);
    if (error != cudaSuccess) return device_status("timing", error);
    return static_cast<double>(milliseconds);
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

class TimedDeviceCall final : public TimedCall {
 public:
  TimedDeviceCall(const Plan& plan, Cache cache) : plan_(plan), cache_(cache) {}
  ~TimedDeviceCall() override {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }

  Status prepare(const Tensors& host) {
    if (Status status = call_.copy_in(plan_, host); !status.ok()) return status;
    if (Status status = device_status("stream", clock_.create()); !status.ok()) return status;
    return cache_ == Cache::kCold ? prepare_flush() : capture();
  }

  Result<double> run_once() override { return cache_ == Cache::kCold ? run_cold() : run_warm(); }

 private:
  Status enqueue() { return run(plan_, call_.tensors(), call_.workspace(), clock_.stream()); }

  // Writing twice the size of L2 leaves nothing else in it.
  Status prepare_flush() {
    int device = 0;
    int bytes = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) {
      error = cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device);
    }
    if (error == cudaSuccess) error = flush_.allocate(2 * static_cast<std::size_t>(bytes));
    return device_status("buffer to flush L2 with", error);
  }

  Status capture() {
    cudaError_t error = cudaStreamBeginCapture(clock_.stream(), cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess) return device_status("capture", error);
    Status status;
    for (int i = 0; i < kWarmCalls && status.ok(); ++i) status = enqueue();
    cudaGraph_t graph = nullptr;
    error = cudaStreamEndCapture(clock_.stream(), &graph);
    if (status.ok() && error == cudaSuccess) error = cudaGraphInstantiate(&graph_, graph, 0);
    if (graph != nullptr) cudaGraphDestroy(graph);
    return status.ok() ? device_status("graph", error) : status;
  }

  // The host enqueues the call while the GPU is still flushing: launches leave no gap.
  Result<double> run_cold() {
    cudaError_t error = cudaMemsetAsync(flush_.data(), 0, flush_.bytes(), clock_.stream());
    if (error == cudaSuccess) error = clock_.start();
    if (error != cudaSuccess) return device_status("flush of L2", error);
    if (Status status = enqueue(); !status.ok()) return status;
    return clock_.stop();
  }

  // The call ahead of the clock warms the cache and covers the launch of the graph.
  Result<double> run_warm() {
    if (Status status = enqueue(); !status.ok()) return status;
    cudaError_t error = clock_.start();
    if (error == cudaSuccess) error = cudaGraphLaunch(graph_, clock_.stream());
    if (error != cudaSuccess) return device_status("graph launch", error);
    const Result<double> milliseconds = clock_.stop();
    if (!milliseconds.ok()) return milliseconds;
    return *milliseconds / kWarmCalls;
  }

  Plan plan_;
  Cache cache_;
  StagedCall call_;
  DeviceClock clock_;
  Scratch flush_;
  cudaGraphExec_t graph_ = nullptr;
};

// The fastest of a few copies: what the memory can do.
double measure_copy_gbs() {
  Scratch from;
  Scratch to;
  DeviceClock clock;
  if (from.allocate(kCopyBytes) != cudaSuccess || to.allocate(kCopyBytes) != cudaSuccess ||
      clock.create() != cudaSuccess || cudaMemset(from.data(), 0, kCopyBytes) != cudaSuccess) {
    return 0;
  }
  double best = 0;
  for (int i = 0; i < kCopies; ++i) {
    if (clock.start() != cudaSuccess ||
        cudaMemcpyAsync(to.data(), from.data(), kCopyBytes, cudaMemcpyDeviceToDevice,
                        clock.stream()) != cudaSuccess) {
      return 0;
    }
    const Result<double> milliseconds = clock.stop();
    if (!milliseconds.ok() || *milliseconds <= 0) return 0;
    best = std::max(best, 2e-6 * static_cast<double>(kCopyBytes) / *milliseconds);
  }
  return best;
}

}  // namespace

Result<std::unique_ptr<TimedCall>> make_timed_device_call(const Plan& plan, Cache cache,
                                                          const Tensors& host) {
  auto call = std::make_unique<TimedDeviceCall>(plan, cache);
  if (Status status = call->prepare(host); !status.ok()) return status;
  return std::unique_ptr<TimedCall>(std::move(call));
}

std::optional<Gpu> measure_gpu() {
  int device = 0;
  cudaDeviceProp properties{};
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaGetDeviceProperties(&properties, device) != cudaSuccess) {
    return std::nullopt;
  }
  return Gpu{.name = properties.name, .copy_gbs = measure_copy_gbs()};
}

}  // namespace flash_kda::cli
