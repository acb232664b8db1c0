// A call captured in a CUDA graph and replayed with other data and other lengths.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "tests/cuda/device_call.hpp"

namespace flash_kda {
namespace {

struct Form {
  const char* name;
  Algorithm algorithm;
  std::int64_t head_dim;
  int multiprocessors;
  std::int64_t tokens;
  int v_panel = 0;
};

void PrintTo(const Form& form, std::ostream* os) { *os << form.name; }

class Graph : public testing::TestWithParam<Form> {};

TEST_P(Graph, ReplaysWithOtherDataAndLengths) {
  DeviceCall call(GetParam().tokens, GetParam().head_dim);
  const Result<Plan> plan =
      make_plan(call.problem(), {.backend = BackendKind::kCuda,
                                 .algorithm = GetParam().algorithm,
                                 .multiprocessors = GetParam().multiprocessors,
                                 .v_panel = GetParam().v_panel});
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

// The fused kernel has four chains for three blocks, so that some are cut. Left to itself, the plan
// launches it and the two kernels for few chains of many tokens.
INSTANTIATE_TEST_SUITE_P(Forms, Graph,
                         testing::Values(Form{"chunked", Algorithm::kChunked, 64, 0, 70},
                                         Form{"recurrent", Algorithm::kRecurrent, 64, 0, 70},
                                         Form{"fused", Algorithm::kFused, 128, 3, 70},
                                         Form{"split", Algorithm::kFused, 128, 6, 70, 64},
                                         Form{"few_chains", Algorithm::kAuto, 128, 8, 1000, 128}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace flash_kda
