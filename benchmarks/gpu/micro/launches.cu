// What launching costs: empty kernels one after the other, on a stream and in a graph, with and
// without dependent launch.
#include "cuda/common/async_copy.cuh"
#include "device.cuh"

namespace flash_kda::micro {
namespace {

constexpr int kLaunches = 32;

// The next kernel may start while this one ends (kOverlapped), or not.
enum class Dependence { kPlain, kOverlapped };

__global__ void __launch_bounds__(512, 1) do_nothing() {
  cuda::wait_for_previous_kernel();
  cuda::release_next_kernel();
}

struct Shape {
  const char* name;
  unsigned blocks, threads, shared_bytes;
};

void launch_all(const Shape& shape, Dependence dependence, cudaStream_t stream) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = dependence == Dependence::kOverlapped ? 1 : 0;
  for (int i = 0; i < kLaunches; ++i) check(cudaLaunchKernelEx(&config, do_nothing), "launch");
}

class Stream {
 public:
  Stream() { check(cudaStreamCreate(&stream_), "cudaStreamCreate"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_;
};

cudaGraphExec_t capture(const Shape& shape, Dependence dependence, cudaStream_t stream) {
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  launch_all(shape, dependence, stream);
  check(cudaStreamEndCapture(stream, &graph), "capture");
  check(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
  check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  return executable;
}

void measure(Report& report, const Shape& shape, Dependence dependence) {
  const Stream side;
  const std::string name = std::string("empty kernel, ") + shape.name +
                           (dependence == Dependence::kOverlapped ? ", dependent launch" : "");
  const auto microseconds = [](double ms) { return 1e3 * ms / kLaunches; };
  report.add(
      name + ", stream", "us",
      each(measure_milliseconds(report, [&] { launch_all(shape, dependence, cudaStreamLegacy); }),
           microseconds));
  const cudaGraphExec_t graph = capture(shape, dependence, side.get());
  report.add(name + ", graph", "us",
             each(measure_milliseconds(
                      report, [&] { check(cudaGraphLaunch(graph, cudaStreamLegacy), "graph"); }),
                  microseconds));
  check(cudaGraphExecDestroy(graph), "cudaGraphExecDestroy");
}

}  // namespace

void measure_launches(Report& report) {
  constexpr unsigned kFusedShared = 220 * 1024;
  allow_shared(do_nothing, kFusedShared);
  for (const Shape& shape : {Shape{"1 block", 1, 32, 0},
                             Shape{"132 blocks of 512 threads, 220 KB", 132, 512, kFusedShared}}) {
    if (report.effort() == Effort::kQuick && shape.blocks > 1) continue;
    measure(report, shape, Dependence::kPlain);
    measure(report, shape, Dependence::kOverlapped);
  }
}

}  // namespace flash_kda::micro
