// The fused kernel against the two kernels on the same inputs: errors against the fp64 reference,
// relative RMS of the worst head, pooled over five seeds, since a case has few heads.
//
// Disabled: the aim of at most 5 % more is missed in some cases (docs/hopper_kernel.md). Run with
// --gtest_also_run_disabled_tests.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/sm90/fused_cases.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {
namespace {

struct PooledErrors {
  double out = 0, final_state = 0, checkpoints = 0;
};

PooledErrors measure(const Case& c, Algorithm algorithm) {
  constexpr int kSeeds = 5;
  PooledErrors squares;
  for (int seed = 11; seed < 11 + kSeeds; ++seed) {
    const VerifyRow row =
        run_case(c, BackendKind::kCuda, Precision::kBF16,
                 {.seed = static_cast<std::uint64_t>(seed), .algorithm = algorithm});
    EXPECT_EQ(row.config.algorithm, algorithm);
    squares.out += row.out.head.error * row.out.head.error;
    squares.final_state += row.final_state.head.error * row.final_state.head.error;
    squares.checkpoints += row.checkpoints.head.error * row.checkpoints.head.error;
  }
  return {std::sqrt(squares.out / kSeeds), std::sqrt(squares.final_state / kSeeds),
          std::sqrt(squares.checkpoints / kSeeds)};
}

class FusedError : public testing::TestWithParam<Case> {};

TEST_P(FusedError, DISABLED_IsThatOfTheTwoKernels) {
  constexpr double kMost = 1.05;
  const PooledErrors fused = measure(GetParam(), Algorithm::kFused);
  const PooledErrors two = measure(GetParam(), Algorithm::kChunked);
  EXPECT_LE(fused.out, kMost * two.out);
  EXPECT_LE(fused.final_state, kMost * two.final_state);
  EXPECT_LE(fused.checkpoints, kMost * two.checkpoints);
}

INSTANTIATE_TEST_SUITE_P(All, FusedError, testing::ValuesIn(fused_cases()), case_name);

}  // namespace
}  // namespace flash_kda::verification
