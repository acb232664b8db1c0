#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <ostream>

#include "core/call_fixture.hpp"

namespace flash_kda {
namespace {

struct BadProblem {
  const char* name;
  std::function<void(Problem&)> bend;
  const char* message;  // substring
};

// How CTest lists the case.
void PrintTo(const BadProblem& test, std::ostream* stream) { *stream << test.name; }

class CheckProblem : public testing::TestWithParam<BadProblem> {};

TEST_P(CheckProblem, RefusesAndNamesTheField) {
  Problem problem = CallFixture().problem;
  ASSERT_TRUE(check_problem(problem).ok());
  GetParam().bend(problem);
  const Status status = check_problem(problem);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), testing::HasSubstr(GetParam().message));
}

constexpr std::int64_t kHuge = std::int64_t{1} << 58;

INSTANTIATE_TEST_SUITE_P(
    Fields, CheckProblem,
    testing::Values(
        BadProblem{"batch", [](Problem& p) { p.batch = -1; }, "batch: expected at least 0, got -1"},
        BadProblem{"batch_varlen", [](Problem& p) { p.batch = 2; }, "batch: expected 1"},
        BadProblem{"tokens", [](Problem& p) { p.tokens = -5; },
                   "tokens: expected at least 0, got -5"},
        BadProblem{"sequences", [](Problem& p) { p.num_sequences = -1; }, "num_sequences"},
        BadProblem{"no_heads", [](Problem& p) { p.qk_heads = 0; }, "qk_heads: expected at least 1"},
        BadProblem{"gva", [](Problem& p) { p.v_heads = 5; },
                   "v_heads: expected a multiple of qk_heads=2, got 5"},
        BadProblem{"head_dim", [](Problem& p) { p.head_dim_k = 0; }, "head_dim_k"},
        BadProblem{"overflow", [](Problem& p) { p.tokens = kHuge; }, "exceeds 2^60"},
        BadProblem{"state_overflow", [](Problem& p) { p.num_sequences = kHuge; }, "N*HV*V*K"},
        BadProblem{"qkv_dtype", [](Problem& p) { p.qkv_dtype = DType::kI32; },
                   "qkv_dtype: expected bf16 or f16 or f32, got i32"},
        BadProblem{"gate_dtype", [](Problem& p) { p.gate_dtype = DType::kF16; },
                   "gate_dtype: expected bf16 or f32, got f16"},
        BadProblem{"state_dtype", [](Problem& p) { p.state.dtype = DType::kF16; }, "state.dtype"},
        BadProblem{"lower_bound_zero", [](Problem& p) { p.gate.lower_bound = 0.0f; },
                   "gate.lower_bound: expected a finite value below 0, got 0"},
        BadProblem{"lower_bound_nan",
                   [](Problem& p) { p.gate.lower_bound = std::numeric_limits<float>::quiet_NaN(); },
                   "gate.lower_bound"},
        BadProblem{"scale", [](Problem& p) { p.scale = std::numeric_limits<float>::infinity(); },
                   "scale: expected a finite value"},
        BadProblem{"gate_kind", [](Problem& p) { p.gate.kind = static_cast<GateKind>(7); },
                   "gate.kind: expected 0 to 2, got 7"},
        BadProblem{"layout", [](Problem& p) { p.state.layout = static_cast<StateLayout>(-1); },
                   "state.layout"},
        BadProblem{"slots",
                   [](Problem& p) {
                     p.state.storage = StateStorage::kPool;
                     p.state.pool_slots = -1;
                   },
                   "state.pool_slots: expected at least 0"},
        BadProblem{"every", [](Problem& p) { p.checkpoints.kind = CheckpointKind::kEvery; },
                   "checkpoints.every: expected at least 1, got 0"},
        BadProblem{"max_offsets", [](Problem& p) { p.checkpoints.kind = CheckpointKind::kOffsets; },
                   "checkpoints.max_offsets"}),
    [](const auto& test) { return test.param.name; });

TEST(CheckProblem, AcceptsEmptySizes) {
  Problem problem = CallFixture().problem;
  problem.tokens = 0;
  problem.num_sequences = 0;
  EXPECT_TRUE(check_problem(problem).ok());
  problem.num_sequences.reset();
  problem.batch = 0;
  EXPECT_TRUE(check_problem(problem).ok());
}

TEST(CheckProblem, AcceptsAnyLowerBoundBelowZero) {
  Problem problem = CallFixture().problem;
  for (const float bound : {-1e-6f, -5.0f, -1000.0f}) {
    problem.gate.lower_bound = bound;
    EXPECT_TRUE(check_problem(problem).ok()) << bound;
  }
}

}  // namespace
}  // namespace flash_kda
