// Streams, events and graphs.
#include <gtest/gtest.h>

#include "support/device_buffer.hpp"
#include "support/runtime_case.hpp"

namespace emulator_tests {
namespace {

class Stream {
 public:
  Stream() { EXPECT_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { EXPECT_CUDA(cudaEventCreate(&event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

TEST(StreamApi, RunsItsWorkInOrder) {
  const Stream stream;
  const DeviceBuffer<int> data(256);
  ASSERT_CUDA(launch(fill, {.grid = 2, .block = 128, .stream = stream}, data.data(), 10, 256));
  ASSERT_CUDA(launch(add_to, {.grid = 2, .block = 128, .stream = stream}, data.data(), 5, 256));
  ASSERT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(cudaSuccess, cudaStreamQuery(stream));
  const std::vector<int> result = data.download();
  for (int i = 0; i < 256; ++i) ASSERT_EQ(15 + i, result[i]);
}

TEST(StreamApi, HostFunctionsRunInOrder) {
  const Stream stream;
  const DeviceBuffer<int> data(std::vector<int>{0});
  ASSERT_CUDA(launch(add_to, {.block = 1, .stream = stream}, data.data(), 4, 1));
  int copied = 0;
  ASSERT_CUDA(cudaMemcpyAsync(&copied, data.data(), 4, cudaMemcpyDeviceToHost, stream));
  struct Both {
    int* copied;
    int seen;
  } both{&copied, -1};
  ASSERT_CUDA(cudaLaunchHostFunc(
      stream,
      [](void* pointer) {
        auto* b = static_cast<Both*>(pointer);
        b->seen = *b->copied;
      },
      &both));
  ASSERT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(4, both.seen);
}

TEST(EventApi, OrdersStreamsAndMeasuresTime) {
  const Stream first;
  const Stream second;
  const Event start;
  const Event done;
  const DeviceBuffer<int> data(std::vector<int>(64, 1));
  ASSERT_CUDA(cudaEventRecord(start, first));
  ASSERT_CUDA(launch(add_to, {.block = 64, .stream = first}, data.data(), 2, 64));
  ASSERT_CUDA(cudaEventRecord(done, first));
  ASSERT_CUDA(cudaStreamWaitEvent(second, done, 0));
  ASSERT_CUDA(launch(add_to, {.block = 64, .stream = second}, data.data(), 30, 64));
  ASSERT_CUDA(cudaStreamSynchronize(second));
  EXPECT_EQ(33, data.download()[63]);
  ASSERT_CUDA(cudaEventSynchronize(done));
  EXPECT_EQ(cudaSuccess, cudaEventQuery(done));
  float milliseconds = -1;
  ASSERT_CUDA(cudaEventElapsedTime(&milliseconds, start, done));
  EXPECT_GE(milliseconds, 0.0f);
}

TEST(GraphApi, ReplaysKernelsCopiesAndSets) {
  const Stream stream;
  const DeviceBuffer<int> source(128);
  const DeviceBuffer<int> target(128);
  cudaGraph_t graph;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaStreamCaptureStatus capturing;
  ASSERT_CUDA(cudaStreamIsCapturing(stream, &capturing));
  EXPECT_EQ(cudaStreamCaptureStatusActive, capturing);
  ASSERT_CUDA(cudaMemsetAsync(target.data(), 0, 512, stream));
  ASSERT_CUDA(launch(add_to, {.grid = 2, .block = 64, .stream = stream}, source.data(), 1, 128));
  ASSERT_CUDA(cudaMemcpyAsync(target.data(), source.data(), 256, cudaMemcpyDeviceToDevice, stream));
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  // Nothing has run yet.
  source.upload(std::vector<int>(128, 100));
  target.upload(std::vector<int>(128, -1));
  size_t nodes = 0;
  ASSERT_CUDA(cudaGraphGetNodes(graph, nullptr, &nodes));
  EXPECT_EQ(3u, nodes);
  cudaGraphExec_t executable;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  ASSERT_CUDA(cudaGraphDestroy(graph));
  for (int replay = 1; replay <= 3; ++replay) {
    ASSERT_CUDA(cudaGraphLaunch(executable, stream));
    ASSERT_CUDA(cudaStreamSynchronize(stream));
    const std::vector<int> result = target.download();
    EXPECT_EQ(100 + replay, result[0]);
    EXPECT_EQ(100 + replay, result[63]);
    EXPECT_EQ(0, result[64]);
  }
  ASSERT_CUDA(cudaGraphExecDestroy(executable));
}

// Arguments are taken when the launch is captured, not when the graph runs.
TEST(GraphApi, KeepsTheArgumentsOfTheCapture) {
  const Stream stream;
  const DeviceBuffer<int> data(std::vector<int>(32, 0));
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int value = 1; value <= 3; ++value) {
    ASSERT_CUDA(launch(add_to, {.stream = stream}, data.data(), value, 32));
  }
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  ASSERT_CUDA(cudaGraphLaunch(executable, stream));
  ASSERT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(6, data.download()[31]);
  ASSERT_CUDA(cudaGraphExecDestroy(executable));
  ASSERT_CUDA(cudaGraphDestroy(graph));
}

TEST(GraphApi, CapturesForksAndJoins) {
  const Stream main_stream;
  const Stream side_stream;
  const Event fork;
  const Event join;
  const DeviceBuffer<int> a(std::vector<int>(32, 0));
  const DeviceBuffer<int> b(std::vector<int>(32, 0));
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  ASSERT_CUDA(cudaStreamBeginCapture(main_stream, cudaStreamCaptureModeThreadLocal));
  ASSERT_CUDA(cudaEventRecord(fork, main_stream));
  ASSERT_CUDA(cudaStreamWaitEvent(side_stream, fork, 0));
  ASSERT_CUDA(launch(add_to, {.stream = side_stream}, b.data(), 7, 32));
  ASSERT_CUDA(launch(add_to, {.stream = main_stream}, a.data(), 1, 32));
  ASSERT_CUDA(cudaEventRecord(join, side_stream));
  ASSERT_CUDA(cudaStreamWaitEvent(main_stream, join, 0));
  ASSERT_CUDA(cudaMemcpyAsync(a.data(), b.data(), 64, cudaMemcpyDeviceToDevice, main_stream));
  ASSERT_CUDA(cudaStreamEndCapture(main_stream, &graph));
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  ASSERT_CUDA(cudaGraphLaunch(executable, main_stream));
  ASSERT_CUDA(cudaGraphLaunch(executable, main_stream));
  ASSERT_CUDA(cudaStreamSynchronize(main_stream));
  const std::vector<int> result = a.download();
  EXPECT_EQ(14, result[0]);
  EXPECT_EQ(2, result[31]);
  ASSERT_CUDA(cudaGraphExecDestroy(executable));
  ASSERT_CUDA(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace emulator_tests
