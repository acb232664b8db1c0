// Choice of the backend, and the checks between plan and run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/call_fixture.hpp"

namespace flash_kda {
namespace {

using testing::HasSubstr;

class BackendVariable {
 public:
  explicit BackendVariable(const char* value) { setenv("FLASH_KDA_BACKEND", value, 1); }
  ~BackendVariable() { unsetenv("FLASH_KDA_BACKEND"); }
};

TEST(MakePlan, PicksAFastBackendByDefault) {
  Problem problem = CallFixture().problem;
  problem.head_dim_k = problem.head_dim_v = 128;
  const Result<Plan> plan = make_plan(problem);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_NE(plan->config.backend, BackendKind::kReference);
  EXPECT_NE(plan->config.algorithm, Algorithm::kAuto);
}

TEST(MakePlan, EnvironmentForcesABackend) {
  const BackendVariable forced("reference");
  const Result<Plan> plan = make_plan(CallFixture().problem);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->config.backend, BackendKind::kReference);
}

TEST(MakePlan, UnknownForcedBackendIsAnError) {
  const BackendVariable forced("abacus");
  EXPECT_THAT(make_plan(CallFixture().problem).status().message(),
              HasSubstr("FLASH_KDA_BACKEND: expected reference, cpu or cuda, got \"abacus\""));
}

TEST(MakePlan, RefusesBadOptions) {
  EXPECT_THAT(make_plan(CallFixture().problem, {.threads = -1}).status().message(),
              HasSubstr("threads: expected 0 (all) or more, got -1"));
  EXPECT_THAT(
      make_plan(CallFixture().problem, {.backend = static_cast<BackendKind>(9)}).status().message(),
      HasSubstr("not built into this library"));
}

TEST(MakePlan, ChecksTheValuePanel) {
  for (const int v_panel : {-64, 1, 32, 96, 256}) {
    const Status status =
        make_plan(CallFixture().problem, {.backend = BackendKind::kReference, .v_panel = v_panel})
            .status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), "v_panel: expected 0, 64 or 128, got " + std::to_string(v_panel));
  }
  for (const int v_panel : {0, 64, 128}) {
    EXPECT_TRUE(
        make_plan(CallFixture().problem, {.backend = BackendKind::kReference, .v_panel = v_panel})
            .ok())
        << v_panel;
  }
}

TEST(Run, RefusesASmallOrMisalignedWorkspace) {
  CallFixture call;
  call.use_pool(6);  // its slot bitmap makes the workspace non-empty on every backend
  const Result<Plan> plan = make_plan(call.problem, {.backend = BackendKind::kReference});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  ASSERT_GT(plan->workspace_bytes, 0u);
  const Status small = run(*plan, call.tensors, {call.workspace, plan->workspace_bytes - 1});
  EXPECT_EQ(small.code(), StatusCode::kWorkspaceTooSmall);
  EXPECT_THAT(small.message(), HasSubstr("workspace: expected at least"));
  const Status misaligned = run(*plan, call.tensors, {call.workspace + 8, plan->workspace_bytes});
  EXPECT_THAT(misaligned.message(), HasSubstr("aligned to 64 bytes"));
}

TEST(Supports, GivesTheReason) {
  Problem problem = CallFixture().problem;
  problem.v_heads = 3;
  const Support support = supports(problem, BackendKind::kCpu);
  EXPECT_FALSE(support.supported);
  EXPECT_THAT(support.reason, HasSubstr("v_heads"));
}

}  // namespace
}  // namespace flash_kda
