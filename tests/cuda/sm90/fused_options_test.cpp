// Options and counters of the fused kernel through the C ABI.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "flash_kda/flash_kda.h"
#include "tests/cuda/device_call.hpp"

namespace flash_kda {
namespace {

// A plan for two packed sequences of 1000 tokens together, two heads.
struct AbiPlan {
  AbiPlan(int multiprocessors, int cuts) {
    flash_kda_problem problem;
    flash_kda_problem_init(&problem);
    problem.tokens = 1000;
    problem.num_sequences = 2;
    problem.qk_heads = problem.v_heads = 2;
    problem.head_dim_k = problem.head_dim_v = 128;
    flash_kda_plan_options options;
    flash_kda_plan_options_init(&options);
    options.backend = FLASH_KDA_BACKEND_CUDA;
    options.algorithm = FLASH_KDA_ALGORITHM_FUSED;
    options.multiprocessors = multiprocessors;
    options.cuts = cuts;
    EXPECT_EQ(flash_kda_plan_create(&problem, &options, &plan), FLASH_KDA_OK)
        << flash_kda_last_error();
  }
  ~AbiPlan() { flash_kda_plan_destroy(plan); }
  AbiPlan(const AbiPlan&) = delete;
  AbiPlan& operator=(const AbiPlan&) = delete;

  std::string text() const { return flash_kda_plan_describe(plan); }
  flash_kda_plan* plan = nullptr;
};

TEST(FusedOptions, ReachThePlanThroughTheAbi) {
  const AbiPlan replayed(8, FLASH_KDA_CUTS_AUTO);
  EXPECT_NE(replayed.text().find("SMs=8"), std::string::npos) << replayed.text();
  EXPECT_NE(replayed.text().find("warm-up="), std::string::npos) << replayed.text();
  EXPECT_GT(flash_kda_plan_cut_counts_offset(replayed.plan), 0u);
  EXPECT_LE(flash_kda_plan_cut_counts_offset(replayed.plan) + 8,
            flash_kda_plan_workspace_bytes(replayed.plan));

  const AbiPlan exact(3, FLASH_KDA_CUTS_EXACT);
  EXPECT_NE(exact.text().find("SMs=3"), std::string::npos) << exact.text();
  EXPECT_EQ(exact.text().find("warm-up="), std::string::npos) << exact.text();
  EXPECT_GT(flash_kda_plan_cut_counts_offset(exact.plan), 0u);

  const AbiPlan whole(8, FLASH_KDA_CUTS_EXACT);  // four chains: each has its own
  EXPECT_EQ(flash_kda_plan_cut_counts_offset(whole.plan), 0u);
}

TEST(FusedOptions, CountsLieWhereThePlanSays) {
  DeviceCall call(1000, 128);
  call.fill(5, 200);
  const Result<Plan> plan = make_plan(
      call.problem(),
      {.backend = BackendKind::kCuda, .algorithm = Algorithm::kFused, .multiprocessors = 8});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  DeviceBuffer workspace(plan->workspace_bytes);
  EXPECT_EQ(cudaMemset(workspace.data(), 0xff, workspace.bytes()), cudaSuccess);
  const Status status = run(*plan, call.tensors(), {workspace.data(), workspace.bytes()}, nullptr);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  std::array<std::uint32_t, 2> counts{};
  std::memcpy(counts.data(), workspace.read().data() + plan->cut_counts_offset, sizeof(counts));
  // 8 blocks have 7 cuts; which of them end between chains depends on the costs (balance.hpp).
  EXPECT_GT(counts[0], 0u);
  EXPECT_LE(counts[0] + counts[1], 7u);
}

}  // namespace
}  // namespace flash_kda
