// Calls that follow each other on a stream, and sizes that only the device's own loops see.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "cuda/staged_run.hpp"
#include "verification/inputs.hpp"
#include "verification/verify.hpp"

namespace flash_kda {
namespace {

using verification::Case;
using verification::CaseData;

class Stream : public testing::TestWithParam<Algorithm> {
 protected:
  static Result<Plan> plan(const Problem& problem) {
    return make_plan(problem, {.backend = BackendKind::kCuda, .algorithm = GetParam()});
  }
};

testing::AssertionResult same_elements(const TensorView& a, const TensorView& b) {
  const auto bytes = static_cast<std::size_t>(a.num_elements()) * size_of(a.dtype);
  if (std::memcmp(a.data, b.data, bytes) == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the bits differ";
}

testing::AssertionResult same_elements(const std::optional<TensorView>& a,
                                       const std::optional<TensorView>& b) {
  return a ? same_elements(*a, *b) : testing::AssertionSuccess();
}

// The second call overwrites the workspace that the first reads, and reads the states that the
// first writes. Nobody synchronises between them: every kernel has to wait for the one before.
TEST_P(Stream, NextCallWaitsForTheLast) {
  for (const char* name : {"state-in-place", "checkpoint-every-7"}) {
    SCOPED_TRACE(name);
    Case c = *verification::find_case(name);
    c.memory.final = verification::FinalState::kInPlace;
    const Result<Plan> p = plan(c.problem);
    ASSERT_TRUE(p.ok()) << p.status().message();

    CaseData together(c, /*seed=*/3);
    StagedCall call;
    ASSERT_TRUE(call.copy_in(*p, together.tensors()).ok());
    ASSERT_TRUE(run(*p, call.tensors(), call.workspace()).ok());
    ASSERT_TRUE(run(*p, call.tensors(), call.workspace()).ok());
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    ASSERT_TRUE(call.copy_out().ok());

    CaseData apart(c, /*seed=*/3);
    ASSERT_TRUE(run_from_host(*p, apart.tensors(), {}).ok());
    ASSERT_TRUE(run_from_host(*p, apart.tensors(), {}).ok());
    const Tensors& a = together.tensors();
    const Tensors& b = apart.tensors();
    EXPECT_TRUE(same_elements(a.out, b.out));
    EXPECT_TRUE(same_elements(a.final_state, b.final_state));
    EXPECT_TRUE(same_elements(a.checkpoints, b.checkpoints));
  }
}

// 300 sequences: two rounds of 256 in checkpoint_rows, two of 32 in the search for a place.
TEST_P(Stream, HundredsOfShortSequences) {
  Case c = *verification::find_case("checkpoint-every-7");
  c.problem.checkpoints.every = 3;
  c.problem.qk_heads = c.problem.v_heads = 1;
  c.problem.head_dim_k = c.problem.head_dim_v = 64;
  c.lengths.assign(300, 0);
  for (std::size_t n = 0; n < c.lengths.size(); ++n) {
    c.lengths[n] = static_cast<std::int64_t>(n * 7 % 5);
  }
  c.problem.num_sequences = static_cast<std::int64_t>(c.lengths.size());
  c.problem.tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
  const verification::VerifyRow row =
      verification::run_case(c, BackendKind::kCuda, Precision::kBF16, {.algorithm = GetParam()});
  EXPECT_TRUE(row.outcome == verification::Outcome::kPassed) << row.detail;
}

// An address that no kernel may read: said, not tried.
TEST_P(Stream, MemoryOfTheHostIsRefused) {
  const Case& c = *verification::find_case("tokens-17");
  const Result<Plan> p = plan(c.problem);
  ASSERT_TRUE(p.ok()) << p.status().message();
  CaseData data(c, /*seed=*/1);
  const Workspace host_workspace = data.make_workspace(p->workspace_bytes);
  const auto expect_refusal = [&](const Tensors& tensors, Workspace workspace, const char* name) {
    const Status status = run(*p, tensors, workspace, nullptr);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.message();
    EXPECT_EQ(status.message().find(std::string(name) + ": expected memory of the GPU"), 0u)
        << status.message();
  };
  StagedCall call;
  ASSERT_TRUE(call.copy_in(*p, data.tensors()).ok());
  expect_refusal(data.tensors(), call.workspace(), "q");
  Tensors host_out = call.tensors();
  host_out.out = data.tensors().out;
  expect_refusal(host_out, call.workspace(), "out");
  if (p->workspace_bytes > 0) expect_refusal(call.tensors(), host_workspace, "workspace");
  EXPECT_TRUE(run(*p, call.tensors(), call.workspace(), nullptr).ok());
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Stream,
                         testing::Values(Algorithm::kChunked, Algorithm::kRecurrent),
                         [](const auto& parameter) {
                           return std::string(to_string(parameter.param));
                         });

}  // namespace
}  // namespace flash_kda
