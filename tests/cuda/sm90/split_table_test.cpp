// The verification table on the split form of the fused kernel.
#include <gtest/gtest.h>

#include <string>

#include "cuda/sm90/config.hpp"
#include "tests/cuda/sm90/fused_cases.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {
namespace {

std::vector<Case> split_cases() {
  std::vector<Case> all;
  for (Case& c : fused_cases()) {
    if (cuda::sm90::is_bounded(c.problem.gate)) all.push_back(std::move(c));
  }
  return all;
}

class SplitTable : public testing::TestWithParam<Case> {};

TEST_P(SplitTable, MatchesTheDefinition) {
  const VerifyRow row = run_case(GetParam(), BackendKind::kCuda, Precision::kBF16,
                                 {.algorithm = Algorithm::kFused, .v_panel = 64});
  EXPECT_EQ(row.config.target, "sm_90a fused, split");
  EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

INSTANTIATE_TEST_SUITE_P(All, SplitTable, testing::ValuesIn(split_cases()), case_name);

}  // namespace
}  // namespace flash_kda::verification
