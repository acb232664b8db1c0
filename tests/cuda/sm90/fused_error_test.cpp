// The fused kernel against the two kernels on the same inputs: errors against the fp64 reference at
// most 5 % larger, in every case of the table.
//
// A case has few heads, and the ratio of two errors of a few tokens is mostly chance. So cases get
// more heads, and several seeds; squared errors are pooled over all chains, and what is still left
// to chance is allowed for by the number of independent roundings (docs/numerics.md, One kernel
// beside another).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cuda/sm90/config.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "tests/cuda/sm90/fused_cases.hpp"
#include "verification/verify.hpp"

namespace flash_kda::verification {
namespace {

constexpr double kMost = 1.05;
// Standard deviations granted to each of about 200 ratios.
constexpr double kDeviations = 3.0;

// Lengths of the sequences that are not empty.
std::vector<double> lengths_of(const Case& c) {
  std::vector<double> lengths;
  if (c.lengths.empty()) {
    lengths.assign(static_cast<std::size_t>(c.problem.batch),
                   static_cast<double>(c.problem.tokens));
  } else {
    lengths.assign(c.lengths.begin(), c.lengths.end());
  }
  std::erase(lengths, 0.0);
  return lengths;
}

// Cases of many sequences, or of one token, are held to so many chains; a call of a seed to a
// quarter of them.
constexpr double kMostChains = 1024.0;

// With more heads, for about 2,048 tokens times heads a call: the emulator takes a tenth of the
// time that as many calls of two heads would.
Case with_more_heads(Case c) {
  const std::vector<double> lengths = lengths_of(c);
  const double tokens = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  const double most = kMostChains / 4.0 / static_cast<double>(lengths.size());
  const double heads = std::clamp(2048.0 / tokens, std::min(4.0, most), std::min(128.0, most));
  const auto factor = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(heads / static_cast<double>(c.problem.v_heads)));
  c.problem.qk_heads *= factor;
  c.problem.v_heads *= factor;
  return c;
}

// What a case is pooled over: enough for a ratio within 2 % where a chain is longer than some
// tokens.
struct Sample {
  int seeds = 0;
  double chains = 0.0;  // of all seeds
  double tokens = 0.0;  // harmonic mean of the lengths, times `chains`

  explicit Sample(const Case& c) {
    const std::vector<double> lengths = lengths_of(c);
    double inverses = 0.0;
    for (const double length : lengths) inverses += 1.0 / length;
    const auto sequences = static_cast<double>(lengths.size());
    const double chains_of_seed = static_cast<double>(c.problem.v_heads) * sequences;
    const double tokens_of_seed = chains_of_seed * sequences / inverses;
    const double wanted = std::max(8192.0 / tokens_of_seed, 64.0 / chains_of_seed);
    const double most = std::clamp(kMostChains / chains_of_seed, 2.0, 8.0);
    seeds = static_cast<int>(std::clamp(std::ceil(wanted), 2.0, most));
    chains = seeds * chains_of_seed;
    tokens = seeds * tokens_of_seed;
  }
};

// Relative standard deviations of the ratio of two pooled squared errors.
double deviation_of_out(const Sample& sample) {
  // Of 6.3 squared roundings 3 are of scores, which all columns share: sqrt(4 / tokens) of these.
  return std::sqrt(2.0) * (3.0 / 6.3) * std::sqrt(4.0 / sample.tokens);
}
double deviation_of_state(const Sample& sample) {
  // Three roundings of 128 elements each of the last token alone.
  return std::sqrt(2.0) * std::sqrt(4.4 / (3.0 * 128.0) / sample.chains);
}

// Factors by which errors are known to exceed those of the two kernels for a reason.
struct Excess {
  double out = 1.0, state = 1.0;
};
Excess known_excess(const Case& c) {
  // beta (v - k_gamma S) is v but for little where beta is 1 and the gate forgets, so the two
  // kernels round nothing there. The fused kernel has the key's norm in it. One rounding more, of
  // at least four with an output (three of scores, its own) and one with a state (k_to_end).
  if (c.name == "beta-1") return {std::sqrt(5.0 / 4.0), std::sqrt(2.0)};
  // The state along a key that comes again and again is corrected at each start of a chunk; since
  // then the roundings of v_new add up, undamped, and one of the correction. Of 150 tokens 150 mod
  // 32 = 22 instead of 150 mod 16 = 6.
  if (c.name == "keys-identical-open-beta-1") return {1.0, std::sqrt((22.0 + 1.0) / (6.0 + 1.0))};
  return {};
}

struct Squares {
  double out = 0.0, final_state = 0.0, checkpoints = 0.0;
};
Squares measure(const Case& c, const VerifyOptions& of_form, int seeds) {
  Squares sum;
  for (int seed = 11; seed < 11 + seeds; ++seed) {
    VerifyOptions options = of_form;
    options.seed = static_cast<std::uint64_t>(seed);
    const VerifyRow row = run_case(c, BackendKind::kCuda, Precision::kBF16, options);
    EXPECT_EQ(row.config.algorithm, options.algorithm);
    EXPECT_TRUE(row.out.present) << row.detail;
    EXPECT_EQ(row.out.mask_mismatches, 0);
    sum.out += row.out.sum_of_squares;
    sum.final_state += row.final_state.sum_of_squares;
    sum.checkpoints += row.checkpoints.sum_of_squares;
  }
  return sum;
}

void expect_at_most(const char* what, double fused, double two, double excess, double deviation) {
  const double most = kMost * excess * std::sqrt(1.0 + kDeviations * deviation);
  // Kept in the report of a run: the ratio and what it may be.
  if (two > 0.0) {
    testing::Test::RecordProperty(
        what, std::to_string(std::sqrt(fused / two)) + " of " + std::to_string(most));
  }
  EXPECT_LE(std::sqrt(fused), most * std::sqrt(two)) << what;
}

void expect_errors_of_two_kernels(const Case& c, const VerifyOptions& form) {
  const Sample sample(c);
  const Squares fused = measure(c, form, sample.seeds);
  const Squares two = measure(c, {.algorithm = Algorithm::kChunked}, sample.seeds);
  const Excess excess = known_excess(c);
  const double of_state = deviation_of_state(sample);
  expect_at_most("out", fused.out, two.out, excess.out, deviation_of_out(sample));
  expect_at_most("final_state", fused.final_state, two.final_state, excess.state, of_state);
  expect_at_most("checkpoints", fused.checkpoints, two.checkpoints, excess.state, of_state);
}

class FusedError : public testing::TestWithParam<Case> {};

TEST_P(FusedError, IsThatOfTheTwoKernels) {
  expect_errors_of_two_kernels(with_more_heads(GetParam()), {.algorithm = Algorithm::kFused});
}

// A chain of 32 chunks in 15 segments, one state after the other by a rounded transition.
Case long_chains(GateInput gate) {
  Case c;
  c.name = std::string("segments-") + std::to_string(static_cast<int>(gate));
  c.problem.tokens = 1024;
  c.problem.qk_heads = c.problem.v_heads = 4;
  c.problem.head_dim_k = c.problem.head_dim_v = 128;
  c.problem.out_dtype = DType::kBF16;
  c.inputs.gate = gate;
  c.memory.initial = InitialState::kGiven;
  return c;
}

class SegmentsError : public testing::TestWithParam<GateInput> {};

TEST_P(SegmentsError, IsThatOfTheTwoKernels) {
  const auto in_segments = [](Plan& plan) {
    plan.config = cuda::sm90::leave_to_segments(plan.config, plan.problem);
    plan.config.segment_tokens = 2 * cuda::sm90::kChunk;
    plan.workspace_bytes = cuda::sm90::fused_workspace_bytes(plan.problem, plan.config);
  };
  expect_errors_of_two_kernels(
      long_chains(GetParam()),
      {.algorithm = Algorithm::kFused, .cuts = Cuts::kExact, .adjust = in_segments});
}

INSTANTIATE_TEST_SUITE_P(All, SegmentsError,
                         testing::Values(GateInput::kPublished, GateInput::kSlow, GateInput::kOpen,
                                         GateInput::kAlternating));

std::vector<Case> cases_with_tokens() {
  std::vector<Case> all = fused_cases();
  std::erase_if(all, [](const Case& c) { return lengths_of(c).empty(); });
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, FusedError, testing::ValuesIn(cases_with_tokens()), case_name);

}  // namespace
}  // namespace flash_kda::verification
