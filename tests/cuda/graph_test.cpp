// A call captured in a CUDA graph and replayed with other data and other lengths.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda {
namespace {

constexpr std::int64_t kTokens = 70;
constexpr std::int64_t kHeads = 2;

// Device memory that frees itself.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
    EXPECT_EQ(cudaMalloc(&data_, bytes), cudaSuccess);
    EXPECT_EQ(cudaMemset(data_, 0, bytes), cudaSuccess);
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  void write(const void* from) {
    ASSERT_EQ(cudaMemcpy(data_, from, bytes_, cudaMemcpyHostToDevice), cudaSuccess);
  }
  std::vector<std::byte> read() const {
    std::vector<std::byte> to(bytes_);
    EXPECT_EQ(cudaMemcpy(to.data(), data_, bytes_, cudaMemcpyDeviceToHost), cudaSuccess);
    return to;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Two packed sequences on the device.
struct Call {
  explicit Call(std::int64_t head_dim) : dim(head_dim) {}

  std::int64_t dim;
  std::size_t row_bytes = static_cast<std::size_t>(kTokens * kHeads * dim * 2);
  DeviceBuffer q{row_bytes}, k{row_bytes}, v{row_bytes}, g{row_bytes}, out{row_bytes};
  DeviceBuffer beta{kTokens * kHeads * 2}, cu_seqlens{3 * 4};
  DeviceBuffer state{static_cast<std::size_t>(2 * kHeads * dim * dim * 4)};

  Problem problem() const {
    Problem p;
    p.tokens = kTokens;
    p.num_sequences = 2;
    p.qk_heads = p.v_heads = kHeads;
    p.head_dim_k = p.head_dim_v = dim;
    return p;
  }

  Tensors tensors() const {
    Tensors t;
    const auto rows = [this](const DeviceBuffer& buffer) {
      return TensorView::contiguous(buffer.data(), DType::kBF16, {1, kTokens, kHeads, dim});
    };
    t.q = rows(q);
    t.k = rows(k);
    t.v = rows(v);
    t.g = rows(g);
    t.out = rows(out);
    t.beta = TensorView::contiguous(beta.data(), DType::kBF16, {1, kTokens, kHeads});
    t.cu_seqlens = TensorView::contiguous(cu_seqlens.data(), DType::kI32, {3});
    t.final_state = TensorView::contiguous(state.data(), DType::kF32, {2, kHeads, dim, dim});
    return t;
  }

  // bf16 values in (-2, 2) from a small generator, and a cut between the sequences.
  void fill(std::uint32_t seed, std::int32_t cut) {
    for (DeviceBuffer* buffer : {&q, &k, &v, &g, &beta}) {
      std::vector<std::uint16_t> values(buffer->bytes() / 2);
      for (std::uint16_t& value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<std::uint16_t>(0x3e00u + (seed >> 23) + ((seed & 1u) << 15));
      }
      buffer->write(values.data());
    }
    const std::int32_t lengths[] = {0, cut, kTokens};
    cu_seqlens.write(lengths);
  }
};

struct Form {
  const char* name;
  Algorithm algorithm;
  std::int64_t head_dim;
  int multiprocessors;
};

void PrintTo(const Form& form, std::ostream* os) { *os << form.name; }

class Graph : public testing::TestWithParam<Form> {};

TEST_P(Graph, ReplaysWithOtherDataAndLengths) {
  Call call(GetParam().head_dim);
  const Result<Plan> plan =
      make_plan(call.problem(), {.backend = BackendKind::kCuda,
                                 .algorithm = GetParam().algorithm,
                                 .multiprocessors = GetParam().multiprocessors});
  if (plan.status().code() == StatusCode::kUnsupported) GTEST_SKIP() << plan.status().message();
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  DeviceBuffer workspace(plan->workspace_bytes + 1);
  // Nothing may be expected of the workspace: these are NaNs, and counters far beyond zero.
  ASSERT_EQ(cudaMemset(workspace.data(), 0xff, workspace.bytes()), cudaSuccess);
  const Workspace space = {workspace.data(), plan->workspace_bytes};

  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  call.fill(1, 30);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  const Status captured = run(*plan, call.tensors(), space, stream);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_TRUE(captured.ok()) << captured.message();
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);

  for (const std::int32_t cut : {30, 0, 70, 17}) {
    call.fill(100 + static_cast<std::uint32_t>(cut), cut);
    ASSERT_TRUE(run(*plan, call.tensors(), space, stream).ok());
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    const std::vector<std::byte> want_out = call.out.read();
    const std::vector<std::byte> want_state = call.state.read();
    ASSERT_EQ(cudaMemset(call.out.data(), 0xff, call.out.bytes()), cudaSuccess);
    ASSERT_EQ(cudaMemset(call.state.data(), 0xff, call.state.bytes()), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(call.out.read(), want_out) << "cut " << cut;
    EXPECT_EQ(call.state.read(), want_state) << "cut " << cut;
  }
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

// The fused kernel has four chains for three blocks, so that some are cut.
INSTANTIATE_TEST_SUITE_P(Forms, Graph,
                         testing::Values(Form{"chunked", Algorithm::kChunked, 64, 0},
                                         Form{"recurrent", Algorithm::kRecurrent, 64, 0},
                                         Form{"fused", Algorithm::kFused, 128, 3}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace flash_kda
