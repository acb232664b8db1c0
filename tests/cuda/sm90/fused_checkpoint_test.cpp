// Checkpoints of the fused kernel: the bits of shorter runs, whatever else the call keeps and
// however chains are cut.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "cuda/sm90/checkpoint_layout.hpp"
#include "cuda/sm90/config.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "verification/guarded_buffer.hpp"
#include "verification/inputs.hpp"

namespace flash_kda {
namespace {

using verification::Case;
using verification::CaseData;

constexpr std::int64_t kState = 128 * 128;

struct Results {
  std::vector<std::uint16_t> out;
  std::vector<float> final_state;
  std::vector<float> checkpoints;
};

Case with_lengths(std::vector<std::int64_t> lengths, std::int64_t heads, GateKind gate) {
  Case c;
  c.name = "checkpoints";
  c.lengths = std::move(lengths);
  Problem& p = c.problem;
  p.tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
  p.num_sequences = static_cast<std::int64_t>(c.lengths.size());
  p.qk_heads = p.v_heads = heads;
  p.head_dim_k = p.head_dim_v = 128;
  p.out_dtype = DType::kBF16;
  p.gate.kind = gate;
  c.memory.initial = verification::InitialState::kGiven;
  return c;
}

// Runs with results of its own. `offsets`: [N, offsets / N]; empty: no checkpoints.
Results run_fused(const CaseData& data, Problem p, std::vector<std::int32_t> offsets,
                  int multiprocessors = 0, Cuts cuts = Cuts::kExact,
                  const std::vector<std::int32_t>& cu_seqlens = {}, int v_panel = 128) {
  Results results;
  const std::int64_t states = p.sequences() * p.v_heads * kState;
  results.out.assign(static_cast<std::size_t>(p.tokens * p.v_heads * 128), 0xffff);
  results.final_state.assign(static_cast<std::size_t>(states), -1);
  Tensors t = data.tensors();
  t.out = TensorView::contiguous(results.out.data(), DType::kBF16, {1, p.tokens, p.v_heads, 128});
  t.final_state = TensorView::contiguous(results.final_state.data(), DType::kF32,
                                         {p.sequences(), p.v_heads, 128, 128});
  std::vector<std::int32_t> bounds = cu_seqlens;
  if (!bounds.empty()) {
    t.cu_seqlens = TensorView::contiguous(bounds.data(), DType::kI32, {p.sequences() + 1});
  }
  if (!offsets.empty()) {
    const auto columns = static_cast<std::int64_t>(offsets.size()) / p.sequences();
    p.checkpoints = {.kind = CheckpointKind::kOffsets, .max_offsets = columns};
    results.checkpoints.assign(static_cast<std::size_t>(columns * states), -1);
    t.checkpoint_offsets =
        TensorView::contiguous(offsets.data(), DType::kI32, {p.sequences(), columns});
    t.checkpoints = TensorView::contiguous(results.checkpoints.data(), DType::kF32,
                                           {p.sequences(), columns, p.v_heads, 128, 128});
  }
  const Result<Plan> plan = make_plan(p, {.backend = BackendKind::kCuda,
                                          .algorithm = Algorithm::kFused,
                                          .multiprocessors = multiprocessors,
                                          .cuts = cuts,
                                          .v_panel = v_panel});
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return results;
  const verification::GuardedBuffer workspace("workspace", plan->workspace_bytes, 0);
  const Status status = run_from_host(*plan, t, {workspace.data(), workspace.bytes()});
  EXPECT_TRUE(status.ok()) << status.message();
  return results;
}

bool same_state(const std::vector<float>& a, std::int64_t i, const std::vector<float>& b,
                std::int64_t j) {
  return std::memcmp(a.data() + i * kState, b.data() + j * kState, kState * sizeof(float)) == 0;
}

class FusedCheckpoint : public testing::TestWithParam<GateKind> {};

// One list with everything: unordered, repeated, several in a chunk, none, the ends, the borders of
// chunks and of the 32 entries that a warp looks at together.
TEST_P(FusedCheckpoint, HasTheBitsOfAShorterRun) {
  constexpr std::int64_t kHeads = 2;
  constexpr std::int32_t kLength = 101;
  std::vector<std::int32_t> offsets(40, 0);
  const std::vector<std::int32_t> wanted = {33, 1, 31, 32, 2, 17, 16, 33, 64, 63, 65, 96, 100, 101};
  std::copy(wanted.begin(), wanted.end(), offsets.begin());
  offsets[31] = 97, offsets[32] = 48, offsets[39] = 95;
  offsets[20] = -7;

  const Case c = with_lengths({kLength}, kHeads, GetParam());
  const CaseData data(c, /*seed=*/31);
  const Results plain = run_fused(data, c.problem, {});
  const Results kept = run_fused(data, c.problem, offsets);
  EXPECT_EQ(plain.out, kept.out);
  EXPECT_EQ(plain.final_state, kept.final_state);
  if (cuda::sm90::is_bounded(c.problem.gate)) {
    const Results split = run_fused(data, c.problem, offsets, 0, Cuts::kExact, {}, 64);
    EXPECT_EQ(split.out, kept.out);
    EXPECT_EQ(split.final_state, kept.final_state);
    EXPECT_EQ(split.checkpoints, kept.checkpoints);
  }
  for (std::size_t e = 0; e < offsets.size(); ++e) {
    if (offsets[e] <= 0) {
      EXPECT_EQ(kept.checkpoints[e * kHeads * kState], -1) << "entry " << e << " was written";
      continue;
    }
    const Results shorter = run_fused(data, c.problem, {}, 0, Cuts::kExact, {0, offsets[e]});
    for (std::int64_t head = 0; head < kHeads; ++head) {
      EXPECT_TRUE(same_state(kept.checkpoints, static_cast<std::int64_t>(e) * kHeads + head,
                             shorter.final_state, head))
          << "offset " << offsets[e] << " head " << head;
    }
  }
}

// Unequal sequences in blocks that have several, or parts of them.
TEST_P(FusedCheckpoint, DoesNotDependOnCuts) {
  const Case c = with_lengths({33, 0, 170, 64, 1, 0, 97}, 2, GetParam());
  const CaseData data(c, /*seed=*/32);
  const std::vector<std::int32_t> offsets = {33, 32, 31, 0,  0, 0, 170, 64, 65, 1, 64,
                                             0,  1,  0,  -1, 0, 0, 0,   96, 97, 5};
  const Results whole = run_fused(data, c.problem, offsets);
  const Results plain = run_fused(data, c.problem, {});
  EXPECT_EQ(whole.out, plain.out);
  EXPECT_EQ(whole.final_state, plain.final_state);
  for (const int multiprocessors : {2, 3, 5}) {
    const Results cut = run_fused(data, c.problem, offsets, multiprocessors);
    EXPECT_EQ(whole.out, cut.out) << multiprocessors << " multiprocessors";
    EXPECT_EQ(whole.final_state, cut.final_state) << multiprocessors << " multiprocessors";
    EXPECT_EQ(whole.checkpoints, cut.checkpoints) << multiprocessors << " multiprocessors";
  }
}

INSTANTIATE_TEST_SUITE_P(Gates, FusedCheckpoint,
                         testing::Values(GateKind::kLowerBound, GateKind::kSoftplus),
                         [](const auto& parameter) {
                           return std::string(parameter.param == GateKind::kLowerBound ? "bounded"
                                                                                       : "general");
                         });

// Every n tokens of a packed batch: rows are counted on the device, in the fused kernel's
// workspace.
TEST(FusedCheckpoints, EveryNEqualTheListOfOffsets) {
  for (const std::int32_t every : {32, 20}) {
    Case c = with_lengths({70, 0, 19, 64}, 2, GateKind::kLowerBound);
    c.problem.checkpoints = {.kind = CheckpointKind::kEvery, .every = every};
    const CaseData data(c, /*seed=*/33);
    std::vector<std::int32_t> offsets;
    std::int64_t rows = 0;
    for (const std::int64_t length : c.lengths) {
      for (std::int32_t i = 1; i <= 3; ++i) {
        offsets.push_back(i * every <= length ? i * every : 0);
        rows += offsets.back() > 0 ? 1 : 0;
      }
    }
    Case listed = c;
    listed.problem.checkpoints = {};
    const Results of_list = run_fused(CaseData(listed, /*seed=*/33), listed.problem, offsets, 3);

    std::vector<float> kept(static_cast<std::size_t>(rows * 2 * kState), -1);
    Tensors t = data.tensors();
    t.checkpoints = TensorView::contiguous(kept.data(), DType::kF32, {rows, 2, 128, 128});
    const Result<Plan> plan = make_plan(c.problem, {.backend = BackendKind::kCuda,
                                                    .algorithm = Algorithm::kFused,
                                                    .multiprocessors = 3,
                                                    .cuts = Cuts::kExact});
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    const verification::GuardedBuffer workspace("workspace", plan->workspace_bytes, 0);
    ASSERT_TRUE(run_from_host(*plan, t, {workspace.data(), workspace.bytes()}).ok());
    std::int64_t row = 0;
    for (std::size_t e = 0; e < offsets.size(); ++e) {
      if (offsets[e] == 0) continue;
      for (std::int64_t head = 0; head < 2; ++head) {
        EXPECT_TRUE(same_state(kept, 2 * row + head, of_list.checkpoints,
                               static_cast<std::int64_t>(2 * e) + head))
            << "every " << every << " row " << row;
      }
      ++row;
    }
    EXPECT_EQ(row, rows);
  }
}

// Replayed chunks belong to the block before: their checkpoints are its own. 800 tokens on 8
// multiprocessors: cuts lie 9 and 18 chunks into the first chain, at tokens 288 and 576.
TEST(FusedCheckpoints, AreKeptOnceWhereChainsAreReplayed) {
  const Case c = with_lengths({800, 200}, 2, GateKind::kLowerBound);
  const CaseData data(c, /*seed=*/34);
  const std::vector<std::int32_t> offsets = {287, 288, 289, 250, 576, 577, 800, 300,
                                             1,   31,  33,  96,  97,  199, 200, 32};
  const Results exact = run_fused(data, c.problem, offsets, 8, Cuts::kExact);
  const Results replayed = run_fused(data, c.problem, offsets, 8, Cuts::kAuto);
  ASSERT_EQ(exact.checkpoints.size(), replayed.checkpoints.size());
  for (std::size_t first = 0; first < exact.checkpoints.size(); first += kState) {
    double difference = 0;
    double norm = 0;
    for (std::size_t i = first; i < first + kState; ++i) {
      const double x = replayed.checkpoints[i];
      const double y = exact.checkpoints[i];
      difference += (x - y) * (x - y);
      norm += y * y;
    }
    // As for final states (fused_cut_test.cpp).
    EXPECT_LE(difference, norm * 0x1p-20) << "state " << first / kState;
  }
}

TEST(FusedCheckpoints, NeedCopiesOfStatesOnlyOffTheGrid) {
  using cuda::sm90::lay_out_checkpoints;
  Case c = with_lengths({800, 200}, 2, GateKind::kLowerBound);
  Problem& p = c.problem;
  Config config;
  config.algorithm = Algorithm::kFused;
  config.multiprocessors = 3;
  const auto copies = [&] {
    const cuda::sm90::CheckpointLayout layout = lay_out_checkpoints(p, config);
    return layout.rows - layout.kept_states;
  };
  EXPECT_EQ(copies(), 0u);
  p.checkpoints = {.kind = CheckpointKind::kEvery, .every = 64};
  EXPECT_EQ(copies(), 0u);
  p.checkpoints.every = 48;
  EXPECT_EQ(copies(), 3u * 128 * 128 * 4);
  p.checkpoints = {.kind = CheckpointKind::kOffsets, .max_offsets = 1};
  EXPECT_EQ(copies(), 3u * 128 * 128 * 4);
}

TEST(FusedCheckpoints, AreLeftToTwoKernelsWhereMostWouldBeDetours) {
  Problem p = with_lengths({4096}, 64, GateKind::kLowerBound).problem;
  const auto prefers = [&](const CheckpointSpec& checkpoints) {
    p.checkpoints = checkpoints;
    const cuda::DeviceLimits h200 = {.multiprocessors = 132, .capability = 90};
    const Config two_kernels = cuda::choose_config(p, {}, h200);
    const Result<Config> config = cuda::sm90::choose_fused(p, {}, h200, two_kernels);
    return config.ok() && config->algorithm == Algorithm::kFused;
  };
  EXPECT_TRUE(prefers({.kind = CheckpointKind::kEvery, .every = 32}));
  EXPECT_TRUE(prefers({.kind = CheckpointKind::kEvery, .every = 100}));
  EXPECT_FALSE(prefers({.kind = CheckpointKind::kEvery, .every = 1}));
  EXPECT_FALSE(prefers({.kind = CheckpointKind::kEvery, .every = 48}));
  EXPECT_TRUE(prefers({.kind = CheckpointKind::kOffsets, .max_offsets = 64}));
  EXPECT_FALSE(prefers({.kind = CheckpointKind::kOffsets, .max_offsets = 65}));
}

}  // namespace
}  // namespace flash_kda
