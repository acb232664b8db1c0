// The planner alone: no device is asked.
#include <gtest/gtest.h>

#include "cuda/planner/cost_model.hpp"
#include "cuda/planner/two_kernel_plan.hpp"

namespace flash_kda::cuda {
namespace {

Problem one_sequence(std::int64_t tokens, std::int64_t heads) {
  Problem p;
  p.tokens = tokens;
  p.qk_heads = p.v_heads = heads;
  p.head_dim_k = p.head_dim_v = 128;
  return p;
}

constexpr DeviceLimits kH100 = {.multiprocessors = 132, .capability = 90};

TEST(Planner, ManyHeadsKeepWholeSequencesAndWholeHeads) {
  const Config config = choose_config(one_sequence(8192, 96), {}, kH100);
  EXPECT_EQ(config.algorithm, Algorithm::kChunked);
  EXPECT_EQ(config.chunk_size, 16);
  EXPECT_EQ(config.v_panel, 128);
  EXPECT_EQ(config.segment_tokens, 0);
  EXPECT_EQ(config.work_items, 96);
}

TEST(Planner, FewHeadsSplitTheValueRows) {
  const Config config = choose_config(one_sequence(512, 32), {}, kH100);
  EXPECT_EQ(config.v_panel, 64);
  EXPECT_EQ(config.work_items, 64);
}

TEST(Planner, LongSequencesOfFewHeadsAreCut) {
  const Config config = choose_config(one_sequence(65536, 4), {}, kH100);
  EXPECT_GT(config.segment_tokens, 0);
  EXPECT_EQ(config.segment_tokens % config.chunk_size, 0);
  const Split split = choose_split(one_sequence(65536, 4), kH100);
  EXPECT_LT(split.cycles, 0.8 * predict_cycles(one_sequence(65536, 4), kH100, 4, 0));
}

TEST(Planner, FewTokensAreTakenOneByOne) {
  EXPECT_EQ(choose_config(one_sequence(1, 32), {}, kH100).algorithm, Algorithm::kRecurrent);
  Problem decode = one_sequence(128, 32);
  decode.num_sequences = 128;
  EXPECT_EQ(choose_config(decode, {}, kH100).algorithm, Algorithm::kRecurrent);
  EXPECT_EQ(lay_out_workspace(decode, choose_config(decode, {}, kH100)).bytes, 0u);
}

// The workspace grows with every bound, so that a buffer for the largest call serves all smaller.
TEST(Planner, WorkspaceIsMonotone) {
  std::size_t previous = 0;
  for (const std::int64_t tokens : {64, 65, 100, 1000, 8192}) {
    Problem p = one_sequence(tokens, 96);
    p.num_sequences = 3;
    const std::size_t bytes = lay_out_workspace(p, choose_config(p, {}, kH100)).bytes;
    EXPECT_GE(bytes, previous) << tokens;
    previous = bytes;
  }
}

TEST(Planner, SaysWhyItRefuses) {
  Problem p = one_sequence(64, 2);
  EXPECT_EQ(why_unsupported(p), "");
  p.head_dim_k = 256;
  EXPECT_EQ(why_unsupported(p), "head_dim_k: expected 64 or 128, got 256");
  p = one_sequence(64, 2);
  p.qkv_dtype = DType::kF32;
  EXPECT_EQ(why_unsupported(p), "qkv_dtype: expected bf16, got f32");
}

// Places of neighbouring sequences never meet, whatever the lengths.
TEST(Planner, PlacesHoldEveryPartition) {
  for (std::int64_t a = 0; a <= 40; ++a) {
    for (std::int64_t b = 0; a + b <= 40; ++b) {
      Problem p = one_sequence(40, 1);
      p.num_sequences = 3;
      const std::int64_t starts[] = {0, a, a + b, 40};
      std::int64_t end = 0;
      for (std::int64_t n = 0; n < 3; ++n) {
        const std::int64_t base = starts[n] / 16 + n;
        EXPECT_GE(base, end);
        end = base + (starts[n + 1] - starts[n] + 15) / 16;
      }
      EXPECT_LE(end, count_places(p, 0).chunks);
    }
  }
}

}  // namespace
}  // namespace flash_kda::cuda
