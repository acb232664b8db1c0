// Cutting chains over blocks changes no bit: states are handed over in fp32.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include "cuda/sm90/balance.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "verification/inputs.hpp"

namespace flash_kda {
namespace {

using verification::Case;
using verification::CaseData;

struct Results {
  std::vector<std::uint16_t> out;
  std::vector<float> final_state;
};

Results run_on(int multiprocessors, const Case& c, const CaseData& data) {
  const Problem& p = c.problem;
  Results results;
  results.out.assign(static_cast<std::size_t>(p.batch * p.tokens * p.v_heads * 128), 0xffff);
  results.final_state.assign(static_cast<std::size_t>(p.sequences() * p.v_heads * 128 * 128), -1);
  Tensors t = data.tensors();
  t.out =
      TensorView::contiguous(results.out.data(), DType::kBF16, {p.batch, p.tokens, p.v_heads, 128});
  t.final_state = TensorView::contiguous(results.final_state.data(), DType::kF32,
                                         {p.sequences(), p.v_heads, 128, 128});
  const Result<Plan> plan = make_plan(p, {.backend = BackendKind::kCuda,
                                          .algorithm = Algorithm::kFused,
                                          .multiprocessors = multiprocessors});
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return results;
  std::vector<std::byte> workspace(plan->workspace_bytes + Plan::kWorkspaceAlignment);
  void* aligned = workspace.data();
  std::size_t space = workspace.size();
  aligned = std::align(Plan::kWorkspaceAlignment, plan->workspace_bytes, aligned, space);
  const Status status = run_from_host(*plan, t, {aligned, plan->workspace_bytes});
  EXPECT_TRUE(status.ok()) << status.message();
  return results;
}

Case with_lengths(std::vector<std::int64_t> lengths, std::int64_t heads) {
  Case c;
  c.name = "cut";
  c.lengths = std::move(lengths);
  Problem& p = c.problem;
  p.tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
  p.num_sequences = static_cast<std::int64_t>(c.lengths.size());
  p.qk_heads = p.v_heads = heads;
  p.head_dim_k = p.head_dim_v = 128;
  p.out_dtype = DType::kBF16;
  c.memory.initial = verification::InitialState::kGiven;
  return c;
}

Case of_one_length(std::int64_t batch, std::int64_t tokens, std::int64_t heads) {
  Case c = with_lengths({}, heads);
  c.problem.num_sequences.reset();
  c.problem.batch = batch;
  c.problem.tokens = tokens;
  return c;
}

struct CutCase {
  const char* name;
  Case c;
  std::vector<int> multiprocessors;
};

void PrintTo(const CutCase& c, std::ostream* os) { *os << c.name; }

class FusedCut : public testing::TestWithParam<CutCase> {};

TEST_P(FusedCut, ChangesNoBit) {
  const Case& c = GetParam().c;
  const CaseData data(c, /*seed=*/8);
  const Results whole = run_on(0, c, data);
  for (const int multiprocessors : GetParam().multiprocessors) {
    const Results cut = run_on(multiprocessors, c, data);
    EXPECT_EQ(whole.out, cut.out) << multiprocessors << " multiprocessors";
    EXPECT_EQ(std::memcmp(whole.final_state.data(), cut.final_state.data(),
                          whole.final_state.size() * sizeof(float)),
              0)
        << multiprocessors << " multiprocessors";
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FusedCut,
    testing::Values(CutCase{"fixed", of_one_length(1, 150, 5), {2, 3, 4}},
                    CutCase{"batch", of_one_length(3, 65, 3), {2, 5, 7}},
                    CutCase{"unequal", with_lengths({33, 0, 170, 64, 1, 0, 97}, 2), {2, 3, 5}},
                    CutCase{"one_long", with_lengths({5, 7, 260, 3, 9, 31}, 3), {3, 4}},
                    CutCase{"empties", with_lengths({0, 0, 0, 40, 0, 0}, 1), {2, 3}}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace flash_kda

namespace flash_kda::cuda::sm90 {
namespace {

Problem chains(std::int64_t tokens, std::int64_t heads) {
  Problem p;
  p.tokens = tokens;
  p.qk_heads = p.v_heads = heads;
  p.head_dim_k = p.head_dim_v = 128;
  return p;
}

constexpr DeviceLimits kH200 = {.multiprocessors = 132, .capability = 90};
constexpr DeviceLimits kH20 = {.multiprocessors = 78, .capability = 90};

TEST(FusedPlan, CutsOnlyWhatCannotHaveItsOwnMultiprocessor) {
  const Problem p = chains(8192, 96);
  const Config on_h200 = fused_config(p, {}, kH200);
  EXPECT_FALSE(may_cut_chains(p, on_h200));
  EXPECT_EQ(lay_out_handover(p, on_h200).bytes, 0u);
  EXPECT_EQ(count_blocks(p, on_h200), 96);
  const Config on_h20 = fused_config(p, {}, kH20);
  EXPECT_TRUE(may_cut_chains(p, on_h20));
  EXPECT_EQ(count_blocks(p, on_h20), 78);
  EXPECT_FALSE(may_cut_chains(chains(8192, 132), on_h200));  // one each
  EXPECT_FALSE(may_cut_chains(chains(8192, 264), on_h200));  // two each
}

TEST(FusedPlan, KeepsToTheMultiprocessorsAskedFor) {
  const Problem p = chains(8192, 96);
  EXPECT_EQ(fused_config(p, {.multiprocessors = 40}, kH200).multiprocessors, 40);
  EXPECT_EQ(fused_config(p, {.multiprocessors = 400}, kH200).multiprocessors, 132);
}

TEST(FusedPlan, ShareIsNeverShorterThanAChain) {
  EXPECT_EQ(length_of_share(/*total=*/1000, /*longest=*/300, /*blocks=*/10), 300);
  EXPECT_EQ(length_of_share(1001, 30, 10), 101);
  EXPECT_TRUE(is_cut_worth_it(95, 100));
  EXPECT_FALSE(is_cut_worth_it(96, 100));
}

}  // namespace
}  // namespace flash_kda::cuda::sm90
