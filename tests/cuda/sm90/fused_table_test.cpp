// The verification table on the fused kernel. Its cases ask for fp32 outputs, to judge arithmetic
// without the rounding of the result; the fused kernel writes bf16, so they are taken with bf16,
// where the thresholds are those of that type.
#include <gtest/gtest.h>

#include <cctype>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "verification/verify.hpp"

namespace flash_kda::verification {

void PrintTo(const Case& c, std::ostream* os) { *os << to_string(c.problem); }

namespace {

// More chains than any device has SMs, so that blocks take several, of lengths in no order.
Case many_items(GateKind gate) {
  Case c;
  c.name = std::string("many-items-") + to_string(gate);
  for (int i = 0; i < 48; ++i) c.lengths.push_back(i % 7 == 3 ? 0 : (i * 37) % 83);
  c.problem.tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
  c.problem.num_sequences = static_cast<std::int64_t>(c.lengths.size());
  c.problem.qk_heads = 2;
  c.problem.v_heads = 6;
  c.problem.head_dim_k = 128;
  c.problem.head_dim_v = 128;
  c.problem.gate.kind = gate;
  c.memory.initial = InitialState::kGiven;
  return c;
}

std::vector<Case> fused_cases() {
  std::vector<Case> all;
  for (Case c : cases()) {
    const Problem& p = c.problem;
    if (p.head_dim_k != 128 || p.head_dim_v != 128 || p.qkv_dtype != DType::kBF16) continue;
    if (p.gate_dtype != DType::kBF16) continue;
    c.problem.out_dtype = DType::kBF16;
    all.push_back(std::move(c));
  }
  all.push_back(many_items(GateKind::kLowerBound));
  all.push_back(many_items(GateKind::kSoftplus));
  return all;
}

class FusedTable : public testing::TestWithParam<Case> {};

TEST_P(FusedTable, MatchesTheDefinition) {
  const VerifyRow row =
      run_case(GetParam(), BackendKind::kCuda, Precision::kBF16, {.algorithm = Algorithm::kFused});
  EXPECT_EQ(row.config.target, "sm_90a fused");
  EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, FusedTable, testing::ValuesIn(fused_cases()), case_name);

}  // namespace
}  // namespace flash_kda::verification
