// The verification table on the fused kernel.
#include <gtest/gtest.h>

#include <string>

#include "tests/cuda/sm90/fused_cases.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {

namespace {

class FusedTable : public testing::TestWithParam<Case> {};

TEST_P(FusedTable, MatchesTheDefinition) {
  const VerifyRow row =
      run_case(GetParam(), BackendKind::kCuda, Precision::kBF16, {.algorithm = Algorithm::kFused});
  EXPECT_EQ(row.config.target, "sm_90a fused");
  EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

INSTANTIATE_TEST_SUITE_P(All, FusedTable, testing::ValuesIn(fused_cases()), case_name);

}  // namespace
}  // namespace flash_kda::verification
