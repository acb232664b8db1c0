// Sequences cut into segments, computed side by side and merged (E12 to E14).
#include <gtest/gtest.h>

#include "cuda/planner/two_kernel_plan.hpp"
#include "verification/compare.hpp"
#include "verification/expected.hpp"
#include "verification/inputs.hpp"

namespace flash_kda {
namespace {

// A plan of the case with cuts where the test wants them.
Plan plan_with_segments(const Problem& problem, std::int64_t segment_tokens) {
  Result<Plan> plan = make_plan(problem, {.backend = BackendKind::kCuda,
                                          .precision = Precision::kBF16,
                                          .algorithm = Algorithm::kChunked});
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  plan->config.v_panel = 64;
  plan->config.segment_tokens = segment_tokens;
  plan->workspace_bytes = cuda::lay_out_workspace(problem, plan->config).bytes;
  return *plan;
}

class Segments : public testing::TestWithParam<std::tuple<const char*, int>> {};

// The merged states pass through bf16 products like the states of chunks, so the bound of the uncut
// result holds for every cut.
TEST_P(Segments, GiveTheResultOfTheWhole) {
  const auto [name, segment_tokens] = GetParam();
  const verification::Case& c = *verification::find_case(name);
  verification::CaseData data(c, /*seed=*/5);
  const Plan plan = plan_with_segments(c.problem, segment_tokens);
  const Tensors& tensors = data.tensors();
  data.expect_changes_at_results();
  const verification::Expected expected = verification::expect(c.problem, tensors);
  const Status status = run_from_host(plan, tensors, {});
  ASSERT_TRUE(status.ok()) << status.message();

  const verification::Distribution d = verification::distribution(c);
  const auto of_state =
      verification::state_tolerance(c.problem, BackendKind::kCuda, Precision::kBF16, d);
  const auto of_out =
      verification::out_tolerance(c.problem, BackendKind::kCuda, Precision::kBF16, d);
  EXPECT_EQ(verification::compare_out(c.problem, tensors, expected, of_out).failure("out"), "");
  EXPECT_EQ(verification::compare_final_states(c.problem, tensors, expected, of_state)
                .failure("final_state"),
            "");
  EXPECT_EQ(verification::compare_checkpoints(c.problem, tensors, expected, of_state)
                .failure("checkpoints"),
            "");
  EXPECT_TRUE(data.stray_writes().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Cuts, Segments,
    testing::Combine(testing::Values("tokens-129", "lower-bound-slow", "packed-unequal",
                                     "packed-empty-middle", "packed-empty-last", "state-in-place",
                                     "state-bf16-kv", "state-masked", "pool-f32-vk", "pool-bf16-kv",
                                     "checkpoint-offsets", "checkpoint-every-7", "head-dim-64x128",
                                     "head-dim-128x64", "softplus-steep", "beta-2-slow",
                                     "slow-1024"),
                     testing::Values(16, 48, 256)),
    [](const auto& parameter) {
      std::string text = std::get<0>(parameter.param);
      for (char& c : text) c = c == '-' ? '_' : c;
      return text + "_every_" + std::to_string(std::get<1>(parameter.param));
    });

}  // namespace
}  // namespace flash_kda
