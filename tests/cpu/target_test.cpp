// FLASH_KDA_CPU_TARGET: what it forces runs, what it cannot force is explained.
#include "cpu/target.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "flash_kda/prefill.hpp"
#include "verification/verify.hpp"

namespace flash_kda::cpu {
namespace {

constexpr const char* kVariable = "FLASH_KDA_CPU_TARGET";
constexpr Target kTargets[] = {Target::kNeon, Target::kAvx2, Target::kAvx3, Target::kAvx3Bf16};

class ForcedTarget {
 public:
  explicit ForcedTarget(const std::string& name) { setenv(kVariable, name.c_str(), 1); }
  ~ForcedTarget() { unsetenv(kVariable); }
  ForcedTarget(const ForcedTarget&) = delete;
  ForcedTarget& operator=(const ForcedTarget&) = delete;
};

Problem small_problem() {
  Problem problem;
  problem.tokens = 40;
  problem.qk_heads = problem.v_heads = 2;
  problem.head_dim_k = problem.head_dim_v = 64;
  return problem;
}

PlanOptions cpu_options(Precision precision, Algorithm algorithm = Algorithm::kAuto) {
  return {.backend = BackendKind::kCpu, .precision = precision, .algorithm = algorithm};
}

bool serves(Target target, Precision precision) {
  return target != Target::kAvx3Bf16 || precision == Precision::kBF16;
}

TEST(CpuTarget, TheForcedOneIsPlannedAndRuns) {
  int ran = 0;
  for (const Target target : kTargets) {
    if (!is_available(target)) continue;
    const ForcedTarget forced(to_string(target));
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      if (!serves(target, precision)) continue;
      for (const Algorithm algorithm : {Algorithm::kRecurrent, Algorithm::kChunked}) {
        forget_executed();
        const verification::VerifyRow row = verification::run_case(
            verification::cases().front(), BackendKind::kCpu, precision, {.algorithm = algorithm});
        EXPECT_EQ(row.outcome, verification::Outcome::kPassed) << row.detail;
        EXPECT_EQ(row.config.target, to_string(target));
        EXPECT_EQ(last_executed(), target);
        ++ran;
      }
    }
  }
  EXPECT_GE(ran, 4);
}

TEST(CpuTarget, WithoutTheVariableTheBestOneIsTaken) {
  const Result<Plan> plan = make_plan(small_problem(), cpu_options(Precision::kBF16));
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(available_targets().rfind(plan->config.target, 0), 0u) << available_targets();
}

TEST(CpuTarget, NamesAreNotCaseSensitive) {
  if (!is_available(Target::kAvx2)) GTEST_SKIP();
  const ForcedTarget forced("avx2");
  const Result<Plan> plan = make_plan(small_problem(), cpu_options(Precision::kF32));
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->config.target, "AVX2");
}

TEST(CpuTarget, AnUnknownNameIsRefused) {
  const ForcedTarget forced("sse9");
  const Support support = supports(small_problem(), BackendKind::kCpu);
  EXPECT_FALSE(support.supported);
  EXPECT_NE(support.reason.find("FLASH_KDA_CPU_TARGET"), std::string::npos) << support.reason;
  EXPECT_NE(support.reason.find("sse9"), std::string::npos) << support.reason;
  EXPECT_FALSE(make_plan(small_problem(), cpu_options(Precision::kF32)).ok());
}

TEST(CpuTarget, AnImpossibleOneIsRefused) {
  for (const Target target : kTargets) {
    if (is_available(target)) continue;
    const ForcedTarget forced(to_string(target));
    const Result<Plan> plan = make_plan(small_problem(), cpu_options(Precision::kBF16));
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.status().code(), StatusCode::kUnsupported);
    EXPECT_NE(plan.status().message().find(available_targets()), std::string::npos)
        << plan.status().message();
  }
}

TEST(CpuTarget, Bf16DotProductsServeOnlyTheirPrecision) {
  if (!is_available(Target::kAvx3Bf16)) GTEST_SKIP();
  const ForcedTarget forced("avx512bf16");
  EXPECT_TRUE(make_plan(small_problem(), cpu_options(Precision::kBF16)).ok());
  const Result<Plan> plan = make_plan(small_problem(), cpu_options(Precision::kF32));
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.status().message().find("fp32"), std::string::npos);
}

// The whole table for the targets that this machine would not choose by itself.
TEST(CpuTarget, EveryCaseMatchesTheDefinitionOnEveryTarget) {
  for (const Target target : kTargets) {
    if (!is_available(target)) continue;
    const ForcedTarget forced(to_string(target));
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      const Result<Plan> best = make_plan(small_problem(), cpu_options(precision));
      if (!best.ok()) continue;
      for (const verification::Case& c : verification::cases()) {
        const verification::VerifyRow row =
            verification::run_case(c, BackendKind::kCpu, precision, {});
        EXPECT_NE(row.outcome, verification::Outcome::kFailed)
            << to_string(target) << " " << to_string(precision) << " " << c.name << ": "
            << row.detail;
      }
    }
  }
}

}  // namespace
}  // namespace flash_kda::cpu
