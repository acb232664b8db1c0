// Few chains in one call: the fused kernel for those whose cuts are proven, and for the rest two
// kernels, the split form or segments.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <numeric>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cuda/sm90/config.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "cuda/sm90/params.hpp"
#include "tests/cuda/device_call.hpp"
#include "verification/verify.hpp"

namespace flash_kda {
namespace {

// A plan of the fused kernel alone, with another form for chains without proof.
void leave_to_two_kernels(Plan& plan) {
  const Result<Plan> two_kernels =
      make_plan(plan.problem, {.backend = BackendKind::kCuda, .algorithm = Algorithm::kChunked});
  ASSERT_TRUE(two_kernels.ok()) << two_kernels.status().message();
  plan.config = cuda::sm90::leave_to_two_kernels(plan.config, two_kernels->config);
  plan.workspace_bytes = cuda::sm90::fused_workspace_bytes(plan.problem, plan.config);
}
void leave_to_split(Plan& plan) {
  plan.config = cuda::sm90::leave_to_split(plan.config);
  plan.workspace_bytes = cuda::sm90::fused_workspace_bytes(plan.problem, plan.config);
}
// Of two chunks.
void leave_to_segments(Plan& plan) {
  plan.config = cuda::sm90::leave_to_segments(plan.config, plan.problem);
  plan.config.segment_tokens = 2 * cuda::sm90::kChunk;
  plan.workspace_bytes = cuda::sm90::fused_workspace_bytes(plan.problem, plan.config);
}

constexpr int kMultiprocessors = 8;

struct Call {
  std::vector<std::byte> out, state;
  cuda::sm90::CutCounts counts;
};

// In a workspace of NaNs and counters far beyond zero.
Call run_plan(const DeviceCall& call, const Plan& plan) {
  Call result;
  DeviceBuffer workspace(plan.workspace_bytes + 1);
  EXPECT_EQ(cudaMemset(workspace.data(), 0xff, workspace.bytes()), cudaSuccess);
  EXPECT_EQ(cudaMemset(call.out.data(), 0xff, call.out.bytes()), cudaSuccess);
  const Status status =
      run(plan, call.tensors(), {workspace.data(), plan.workspace_bytes}, nullptr);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  result.out = call.out.read();
  result.state = call.state.read();
  if (plan.config.algorithm == Algorithm::kFused) {
    const auto layout = cuda::sm90::lay_out_handover(plan.problem, plan.config);
    std::memcpy(&result.counts, workspace.read().data() + layout.counts, sizeof(result.counts));
  }
  return result;
}

Plan plan_for(const DeviceCall& call, Algorithm algorithm, Cuts cuts = Cuts::kAuto) {
  const Result<Plan> plan = make_plan(call.problem(), {.backend = BackendKind::kCuda,
                                                       .algorithm = algorithm,
                                                       .multiprocessors = kMultiprocessors,
                                                       .cuts = cuts,
                                                       .v_panel = 128});
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return plan.ok() ? *plan : Plan();
}

Call run_planned(const DeviceCall& call, Algorithm algorithm, Unproven expected) {
  const Plan plan = plan_for(call, algorithm);
  EXPECT_EQ(plan.config.unproven, expected) << to_string(plan.config);
  return run_plan(call, plan);
}
Call run_adjusted(const DeviceCall& call, void (*adjust)(Plan&)) {
  Plan plan = plan_for(call, Algorithm::kFused);
  adjust(plan);
  return run_plan(call, plan);
}
Call run_both(const DeviceCall& call) { return run_adjusted(call, leave_to_two_kernels); }
Call run_with_split(const DeviceCall& call) { return run_adjusted(call, leave_to_split); }
Call run_with_segments(const DeviceCall& call) { return run_adjusted(call, leave_to_segments); }
Call run_two_kernels(const DeviceCall& call) {
  return run_planned(call, Algorithm::kChunked, Unproven::kWait);
}

constexpr std::int64_t kDim = 128;
constexpr std::int64_t kHeads = DeviceCall::kHeads;
constexpr std::int32_t kFirstLength = 190;
constexpr std::int64_t kTokens = 950;

// Two sequences of 190 and 760 tokens: chains that cost 26, 26, 8 and 8, the longer sequence first,
// shared by 8 blocks of 9. Cuts lie 9, 18, then 1, 10, 19, then 2, then 3 chunks into them; those
// up to 8 are replayed from the start of their sequence, whatever the gates.
class FewChains : public testing::Test {
 protected:
  FewChains() : call_(kTokens, kDim) { call_.fill(5, kFirstLength); }

  // Gates that keep what channel 5 has, in the heads for which `open` says so.
  void open_channel(const std::function<bool(std::int64_t)>& open) {
    std::vector<std::uint16_t> g(call_.g.bytes() / 2);
    const std::vector<std::byte> bytes = call_.g.read();
    std::memcpy(g.data(), bytes.data(), bytes.size());
    constexpr std::uint16_t kMinus30 = 0xc1f0;  // sigmoid: 1e-13
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (i % kDim == 5 && open(static_cast<std::int64_t>(i) / kDim % kHeads)) g[i] = kMinus30;
    }
    call_.g.write(g.data());
  }

  // With another form for chains without proof: where there are none, the bits are those of the
  // fused kernel alone; then with some, heads for which `open` says so.
  Call run_proven(void (*adjust)(Plan&)) {
    Call proven = run_adjusted(call_, adjust);
    EXPECT_EQ(proven.counts.exact, 0u);
    const Call fused = run_planned(call_, Algorithm::kFused, Unproven::kWait);
    EXPECT_EQ(proven.out, fused.out);
    EXPECT_EQ(proven.state, fused.state);
    return proven;
  }
  Call run_slow(void (*adjust)(Plan&), const std::function<bool(std::int64_t)>& open) {
    call_.fill(5, kFirstLength);
    open_channel(open);
    Call left = run_adjusted(call_, adjust);
    EXPECT_EQ(left.counts.waited, 0u);
    EXPECT_GE(left.counts.exact, 2u);
    return left;
  }

  // The rows of one head, and one state.
  static std::vector<std::byte> out_of(const Call& call, std::int64_t n, std::int64_t head) {
    const std::int64_t first = n == 0 ? 0 : kFirstLength;
    const std::int64_t end = n == 0 ? kFirstLength : kTokens;
    std::vector<std::byte> rows;
    for (std::int64_t t = first; t < end; ++t) {
      const auto* row = call.out.data() + (t * kHeads + head) * kDim * 2;
      rows.insert(rows.end(), row, row + kDim * 2);
    }
    return rows;
  }
  static std::vector<std::byte> state_of(const Call& call, std::int64_t n, std::int64_t head) {
    constexpr std::int64_t kBytes = kDim * kDim * 4;
    const auto* state = call.state.data() + (n * kHeads + head) * kBytes;
    return {state, state + kBytes};
  }
  static void expect_same_chain(const Call& a, const Call& b, std::int64_t n, std::int64_t head) {
    EXPECT_EQ(out_of(a, n, head), out_of(b, n, head)) << "sequence " << n << ", head " << head;
    EXPECT_EQ(state_of(a, n, head), state_of(b, n, head)) << "sequence " << n << ", head " << head;
  }

  DeviceCall call_;
};

TEST_F(FewChains, AreFusedWhereEveryCutIsProven) {
  const Call both = run_both(call_);
  EXPECT_EQ(both.counts.replayed, 7u);
  EXPECT_EQ(both.counts.waited, 0u);
  EXPECT_EQ(both.counts.exact, 0u);
  const Call fused = run_planned(call_, Algorithm::kFused, Unproven::kWait);
  EXPECT_EQ(both.out, fused.out);
  EXPECT_EQ(both.state, fused.state);
}

TEST_F(FewChains, AreLeftToTwoKernelsWhereNoneIs) {
  open_channel([](std::int64_t) { return true; });
  const Call both = run_both(call_);
  EXPECT_EQ(both.counts.replayed, 2u);  // the shorter sequence
  EXPECT_EQ(both.counts.waited, 0u);
  EXPECT_EQ(both.counts.exact, 5u);
  const Call exact = run_two_kernels(call_);
  for (std::int64_t head = 0; head < kHeads; ++head) expect_same_chain(both, exact, 1, head);
}

TEST_F(FewChains, AreJudgedOneByOne) {
  const Call proven = run_both(call_);
  for (const std::int64_t slow : {0, 1}) {
    call_.fill(5, kFirstLength);
    open_channel([slow](std::int64_t head) { return head == slow; });
    const Call both = run_both(call_);
    EXPECT_EQ(both.counts.exact, slow == 0 ? 2u : 3u);
    EXPECT_EQ(both.counts.replayed, slow == 0 ? 5u : 4u);
    const Call exact = run_two_kernels(call_);
    expect_same_chain(both, exact, 1, slow);
    // The neighbour's bits do not know.
    for (std::int64_t n = 0; n < 2; ++n) expect_same_chain(both, proven, n, 1 - slow);
  }
}

// A chain that is left must find its initial state untouched.
class FewChainsInPlace : public FewChains, public testing::WithParamInterface<Unproven> {};

TEST_P(FewChainsInPlace, UpdateTheirStates) {
  const auto run_left = [this] {
    switch (GetParam()) {
      case Unproven::kSplit:
        return run_with_split(call_);
      case Unproven::kSegments:
        return run_with_segments(call_);
      default:
        return run_both(call_);
    }
  };
  open_channel([](std::int64_t head) { return head == 0; });
  std::vector<float> values(call_.state.bytes() / sizeof(float));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) / 97.0f;
  DeviceBuffer initial(call_.state.bytes());
  initial.write(values.data());
  call_.initial = initial.data();
  const Call apart = run_left();
  call_.state.write(values.data());
  call_.initial = call_.state.data();
  const Call in_place = run_left();
  EXPECT_EQ(in_place.counts.exact, 2u);
  EXPECT_EQ(in_place.out, apart.out);
  EXPECT_EQ(in_place.state, apart.state);
}

INSTANTIATE_TEST_SUITE_P(Kernels, FewChainsInPlace,
                         testing::Values(Unproven::kTwoKernels, Unproven::kSplit,
                                         Unproven::kSegments));

// Whose bits are those of blocks that have all values.
TEST_F(FewChains, AreLeftToTheSplitForm) {
  const Call proven = run_proven(leave_to_split);
  for (const std::int64_t slow : {0, 1, 2}) {
    const Call left =
        run_slow(leave_to_split, [slow](std::int64_t head) { return slow == 2 || head == slow; });
    const Call exact = run_plan(call_, plan_for(call_, Algorithm::kFused, Cuts::kExact));
    for (std::int64_t head = 0; head < kHeads; ++head) {
      if (slow == 2 || head == slow) {
        expect_same_chain(left, exact, 1, head);
      } else {
        for (std::int64_t n = 0; n < 2; ++n) expect_same_chain(left, proven, n, head);
      }
    }
  }
}

// Of all gates in one word: what the others need changes no bit of a chain.
TEST_F(FewChains, AreComputedInSegments) {
  const Call proven = run_proven(leave_to_segments);
  const Call all = run_slow(leave_to_segments, [](std::int64_t) { return true; });
  EXPECT_EQ(all.counts.exact, 5u);
  for (const std::int64_t slow : {0, 1}) {
    const Call left =
        run_slow(leave_to_segments, [slow](std::int64_t head) { return head == slow; });
    expect_same_chain(left, all, 1, slow);
    for (std::int64_t n = 0; n < 2; ++n) expect_same_chain(left, proven, n, 1 - slow);
  }
}

// Nor does it matter how many blocks share the jobs, or which of them comes first: fewer than there
// are jobs of a kind, or more.
TEST_F(FewChains, HaveTheBitsOfTheirSegmentsOnAnyBlocks) {
  open_channel([](std::int64_t) { return true; });
  const Call expected = run_with_segments(call_);
  for (const int blocks : {5, 12, 40}) {
    Plan plan = plan_for(call_, Algorithm::kFused);
    plan.config.multiprocessors = blocks;
    leave_to_segments(plan);
    const Call call = run_plan(call_, plan);
    SCOPED_TRACE(std::to_string(blocks) + " blocks, " + std::to_string(call.counts.exact) +
                 " parts");
    EXPECT_GE(call.counts.exact, 2u);
    for (std::int64_t head = 0; head < kHeads; ++head) expect_same_chain(call, expected, 1, head);
  }
}

TEST_F(FewChains, AreFusedAloneOrNotAtAllWhenAsked) {
  const auto config = [this](const PlanOptions& options) {
    const Result<Plan> plan = make_plan(call_.problem(), options);
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    return plan.ok() ? plan->config : Config();
  };
  PlanOptions options = {
      .backend = BackendKind::kCuda, .multiprocessors = kMultiprocessors, .v_panel = 128};
  EXPECT_EQ(config(options).algorithm, Algorithm::kFused);
  EXPECT_NE(config(options).unproven, Unproven::kWait);
  options.algorithm = Algorithm::kFused;
  EXPECT_EQ(config(options).unproven, Unproven::kWait);
}

}  // namespace
}  // namespace flash_kda

namespace flash_kda::verification {
namespace {

Case packed(const char* name, std::vector<std::int64_t> lengths) {
  Case c;
  c.name = name;
  c.lengths = std::move(lengths);
  Problem& p = c.problem;
  p.tokens = std::accumulate(c.lengths.begin(), c.lengths.end(), std::int64_t{0});
  p.num_sequences = static_cast<std::int64_t>(c.lengths.size());
  p.qk_heads = 1;
  p.v_heads = 2;
  p.head_dim_k = p.head_dim_v = 128;
  p.out_dtype = DType::kBF16;
  c.memory.initial = InitialState::kGiven;
  return c;
}

std::vector<Case> few_chain_cases() {
  std::vector<Case> all;
  const auto add = [&](const char* name, std::vector<std::int64_t> lengths,
                       const std::function<void(Case&)>& change) {
    all.push_back(packed(name, std::move(lengths)));
    change(all.back());
  };
  add("published", {620}, [](Case&) {});
  add("slow", {620, 0, 900}, [](Case& c) { c.inputs.gate = GateInput::kSlow; });
  add("open", {620, 500}, [](Case& c) { c.inputs.gate = GateInput::kOpen; });
  add("alternating", {577, 600}, [](Case& c) { c.inputs.gate = GateInput::kAlternating; });
  add("in_place", {0, 620, 900}, [](Case& c) { c.memory.final = FinalState::kInPlace; });
  add("slow_in_place", {0, 620, 900}, [](Case& c) {
    c.inputs.gate = GateInput::kSlow;
    c.memory.final = FinalState::kInPlace;
  });
  add("softplus_masked", {700, 450}, [](Case& c) {
    c.problem.gate.kind = GateKind::kSoftplus;
    c.memory.initial = InitialState::kMasked;
  });
  add("log_strided_bf16_states", {700, 450}, [](Case& c) {
    c.problem.gate.kind = GateKind::kLog;
    c.memory.tokens = TokenLayout::kStrided;
    c.problem.state.dtype = DType::kBF16;
    c.problem.state.layout = StateLayout::kKV;
  });
  add("pool", {700, 450}, [](Case& c) {
    c.problem.state.storage = StateStorage::kPool;
    c.problem.state.pool_slots = 5;
    c.inputs.gate = GateInput::kSlow;
  });
  add("misaligned", {700, 450}, [](Case& c) { c.memory.misaligned = true; });
  add("checkpoints", {700, 450},
      [](Case& c) { c.problem.checkpoints = {.kind = CheckpointKind::kEvery, .every = 96}; });
  add("slow_checkpoints", {700, 450}, [](Case& c) {
    c.problem.checkpoints = {.kind = CheckpointKind::kEvery, .every = 150};
    c.inputs.gate = GateInput::kSlow;
  });
  add("fixed", {}, [](Case& c) {
    c.problem.num_sequences.reset();
    c.problem.batch = 2;
    c.problem.tokens = 600;
  });
  return all;
}

// The same as chains enough for the plan to leave those without proof to the split form: of gates
// that this takes.
std::vector<Case> many_chain_cases() {
  std::vector<Case> all;
  for (Case& c : few_chain_cases()) {
    if (!cuda::sm90::is_bounded(c.problem.gate)) continue;
    const std::int64_t sequences = c.problem.sequences();
    c.problem.qk_heads = 4;
    c.problem.v_heads = sequences == 1 ? 32 : 16;
    all.push_back(std::move(c));
  }
  return all;
}

class ManyChainsTable : public testing::TestWithParam<Case> {};

TEST_P(ManyChainsTable, MatchesTheDefinition) {
  const VerifyRow row =
      run_case(GetParam(), BackendKind::kCuda, Precision::kBF16,
               {.algorithm = Algorithm::kFused, .multiprocessors = 100, .adjust = leave_to_split});
  EXPECT_EQ(row.config.unproven, Unproven::kSplit) << to_string(row.config);
  EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

INSTANTIATE_TEST_SUITE_P(All, ManyChainsTable, testing::ValuesIn(many_chain_cases()),
                         [](const auto& parameter) { return parameter.param.name; });

// Of chains without proof, or of all.
class SegmentsTable : public testing::TestWithParam<Case> {
 protected:
  static void expect_match(const VerifyOptions& options) {
    const VerifyRow row = run_case(GetParam(), BackendKind::kCuda, Precision::kBF16, options);
    EXPECT_EQ(row.config.unproven, Unproven::kSegments) << to_string(row.config);
    EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
    for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
  }
};

TEST_P(SegmentsTable, MatchesTheDefinition) {
  expect_match(
      {.algorithm = Algorithm::kFused, .multiprocessors = 12, .adjust = leave_to_segments});
}
TEST_P(SegmentsTable, MatchesTheDefinitionWithoutProofs) {
  expect_match({.algorithm = Algorithm::kFused,
                .multiprocessors = 12,
                .cuts = Cuts::kExact,
                .adjust = leave_to_segments});
}

std::vector<Case> segment_cases() {
  std::vector<Case> all;
  for (Case& c : few_chain_cases()) {
    if (!cuda::sm90::is_bounded(c.problem.gate)) continue;
    if (c.problem.checkpoints.kind == CheckpointKind::kNone) all.push_back(std::move(c));
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, SegmentsTable, testing::ValuesIn(segment_cases()),
                         [](const auto& parameter) { return parameter.param.name; });

class FewChainsTable : public testing::TestWithParam<Case> {};

TEST_P(FewChainsTable, MatchesTheDefinition) {
  const VerifyRow row = run_case(
      GetParam(), BackendKind::kCuda, Precision::kBF16,
      {.algorithm = Algorithm::kFused, .multiprocessors = 12, .adjust = leave_to_two_kernels});
  EXPECT_EQ(row.config.unproven, Unproven::kTwoKernels) << to_string(row.config);
  EXPECT_TRUE(row.outcome == Outcome::kPassed) << row.detail;
  for (const std::string& stray : row.stray_writes) ADD_FAILURE() << stray;
}

INSTANTIATE_TEST_SUITE_P(All, FewChainsTable, testing::ValuesIn(few_chain_cases()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace flash_kda::verification

namespace flash_kda::cuda::sm90 {
namespace {

constexpr DeviceLimits kH200 = {.multiprocessors = 132, .capability = 90};

Problem chains(std::int64_t tokens, std::int64_t heads) {
  Problem p;
  p.tokens = tokens;
  p.qk_heads = p.v_heads = heads;
  p.head_dim_k = p.head_dim_v = 128;
  return p;
}

// As the backend plans.
Config plan_of(const Problem& p, const PlanOptions& options = {},
               const DeviceLimits& device = kH200) {
  const Result<Config> config = choose_fused(p, options, device, choose_config(p, options, device));
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : Config();
}
bool takes(Unproven form, const Problem& p, const PlanOptions& options = {}) {
  const Config config = plan_of(p, options);
  return config.algorithm == Algorithm::kFused && config.unproven == form;
}
bool prefers_segments(const Problem& p, const PlanOptions& options = {}) {
  return takes(Unproven::kSegments, p, options);
}
// Of a gate that neither the split form nor segments take.
Problem general_chains(std::int64_t tokens, std::int64_t heads) {
  Problem p = chains(tokens, heads);
  p.gate.kind = GateKind::kSoftplus;
  return p;
}
bool prefers_both(const Problem& p, const PlanOptions& options = {}) {
  return takes(Unproven::kTwoKernels, p, options);
}

// On an H200, with 8 heads of 8192 tokens and no proof: 0.155 ms in segments, 0.19 by two kernels,
// 0.30 in the split form.
TEST(SegmentsPlan, TakesFewLongChains) {
  for (const auto& [tokens, heads] : {std::pair{8192, 4},
                                      {8192, 8},
                                      {8192, 16},
                                      {4096, 8},
                                      {4096, 12},
                                      {65536, 8},
                                      {1 << 20, 1}}) {
    EXPECT_TRUE(prefers_segments(chains(tokens, heads))) << tokens << " x " << heads;
    // Without proofs all chains are cut into segments.
    const Config exact = plan_of(chains(tokens, heads), {.cuts = Cuts::kExact});
    EXPECT_EQ(exact.unproven, Unproven::kSegments) << tokens << " x " << heads;
    EXPECT_EQ(exact.warm_up_tokens, 0);
    EXPECT_GT(exact.segment_tokens, 0);
  }
  for (const auto& [tokens, heads] : {std::pair{1024, 4}, {2048, 12}, {8192, 32}}) {
    EXPECT_FALSE(prefers_segments(chains(tokens, heads))) << tokens << " x " << heads;
  }
  // Nor where a checkpoint is kept, or for other gates.
  Problem p = chains(8192, 8);
  p.checkpoints = {.kind = CheckpointKind::kEvery, .every = 512};
  EXPECT_FALSE(prefers_segments(p));
  EXPECT_FALSE(prefers_segments(general_chains(8192, 8)));
}

// Keys or betas of which nothing can be proven.
TEST(SegmentsPlan, ProvesNothingWhereKeysDoNotContract) {
  Problem p = chains(8192, 8);
  p.qk_norm = QkNorm::kNone;
  EXPECT_TRUE(prefers_segments(p));
  EXPECT_EQ(plan_of(p).warm_up_tokens, 0);
}

TEST(SegmentsPlan, HasASlotForEverySegmentThatOthersFollow) {
  Problem packed = chains(1000, 3);
  packed.num_sequences = 5;
  for (const Problem& p : {chains(8192, 8), chains(33, 1), packed}) {
    Config config = plan_of(p, {.algorithm = Algorithm::kFused});
    config = leave_to_segments(config, p);
    for (const std::int64_t chunks : {1, 2, 3, 7}) {
      config.segment_tokens = chunks * kChunk;
      const SegmentCounts counts = count_segments(p, config);
      const HandoverLayout layout = lay_out_handover(p, config);
      EXPECT_GE(layout.bytes, layout.segment_maps + counts.slots * kDim * kDim * sizeof(float));
      EXPECT_EQ(kDim % counts.parts, 0);
      // A chain of n chunks has ceil(n / L) - 2 of them; those of packed ones may be any.
      const std::int64_t n = p.is_varlen() ? 0 : (p.tokens + kChunk - 1) / kChunk;
      const std::int64_t least =
          p.v_heads * std::max<std::int64_t>((n + chunks - 1) / chunks - 2, 0);
      EXPECT_GE(counts.slots, least);
    }
  }
}

TEST(FewChainsPlan, TakesBothWhereReplayedSharesAreShort) {
  for (const auto& [tokens, heads] : {std::pair{8192, 4}, {8192, 8}, {65536, 8}, {1 << 20, 1}}) {
    EXPECT_TRUE(prefers_both(general_chains(tokens, heads))) << tokens << " x " << heads;
  }
  // A chain of 4 chunks is no longer than a share of 2, the least, with its replay.
  EXPECT_FALSE(prefers_both(chains(128, 4)));
  EXPECT_FALSE(prefers_both(general_chains(8192, 32)));
  EXPECT_FALSE(prefers_both(general_chains(8192, 4), {.cuts = Cuts::kExact}));
}

// What the proof of a replay asks for.
TEST(FewChainsPlan, AsksForKeysAndBetasThatContract) {
  Problem p = general_chains(8192, 4);
  p.qk_norm = QkNorm::kNone;
  EXPECT_FALSE(prefers_both(p));
  p = general_chains(8192, 4);
  p.beta_range = BetaRange::kDoubled;
  EXPECT_FALSE(prefers_both(p));
  p = general_chains(8192, 4);
  p.beta_form = BetaForm::kActivated;
  EXPECT_FALSE(prefers_both(p));
}

TEST(FewChainsPlan, KeepsTheTwoKernelsPlanAndWorkspace) {
  const Problem p = general_chains(8192, 4);
  const Config alone = choose_config(p, {}, kH200);
  const Config both = plan_of(p);
  const Config part = two_kernel_part(both);
  EXPECT_EQ(part.algorithm, alone.algorithm);
  EXPECT_EQ(part.chunk_size, alone.chunk_size);
  EXPECT_EQ(part.v_panel, alone.v_panel);
  EXPECT_EQ(part.segment_tokens, alone.segment_tokens);
  EXPECT_EQ(fused_workspace_bytes(p, both),
            lay_out_handover(p, both).bytes + lay_out_workspace(p, alone).bytes);
}

// From about 32 chains of 8192 tokens on, and of fewer short ones, those without proof go to pairs
// of multiprocessors, as far as one word tells them; where nothing can be proven, all do.
TEST(SplitPlan, TakesChainsThatHaveToStayWhole) {
  for (const auto& [tokens, heads] : {std::pair{2048, 16}, {2048, 12}, {1024, 4}}) {
    EXPECT_EQ(plan_of(chains(tokens, heads)).unproven, Unproven::kSplit)
        << tokens << " x " << heads;
  }
  for (const std::int64_t heads : {32, 48, 64}) {
    const Config config = plan_of(chains(8192, heads));
    EXPECT_EQ(config.unproven, Unproven::kSplit) << heads;
    EXPECT_EQ(config.v_panel, 128) << heads;
    const Config part = split_part(config);
    EXPECT_TRUE(is_split(part));
    EXPECT_EQ(count_blocks(chains(8192, heads), part), heads);
    EXPECT_EQ(fused_workspace_bytes(chains(8192, heads), config),
              lay_out_handover(chains(8192, heads), config).bytes);
  }
  EXPECT_EQ(plan_of(chains(8192, 65)).unproven, Unproven::kWait);
  // Blocks come in pairs.
  const Config odd = plan_of(chains(8192, 32), {.multiprocessors = 131});
  EXPECT_EQ(odd.unproven, Unproven::kSplit);
  EXPECT_EQ(count_blocks(chains(8192, 32), odd), 130);
  for (const std::int64_t heads : {32, 64}) {
    const Config config = plan_of(chains(8192, heads), {.cuts = Cuts::kExact});
    EXPECT_TRUE(is_split(config)) << to_string(config);
    EXPECT_EQ(count_blocks(chains(8192, heads), config), heads);
  }
  // Short ones are not worth a proof.
  EXPECT_TRUE(is_split(plan_of(chains(256, 16))));
  EXPECT_EQ(plan_of(chains(256, 16)).warm_up_tokens, 0);
  EXPECT_FALSE(may_cut_chains(chains(256, 16), plan_of(chains(256, 16))));
  EXPECT_FALSE(is_split(plan_of(chains(256, 67))));
  // Not in two rounds of pairs, where one round of blocks would do.
  constexpr DeviceLimits kH20 = {.multiprocessors = 78, .capability = 90};
  EXPECT_EQ(plan_of(chains(8192, 32), {}, kH20).unproven, Unproven::kSplit);
  EXPECT_EQ(plan_of(chains(8192, 64), {}, kH20).unproven, Unproven::kWait);
  // More chains keep enough multiprocessors busy, each on its own.
  EXPECT_FALSE(is_split(plan_of(chains(8192, 96), {.cuts = Cuts::kExact})));
}

TEST(SplitPlan, IsNotForOtherGatesNorOneMultiprocessor) {
  Problem p = chains(8192, 32);
  p.gate.kind = GateKind::kSoftplus;
  EXPECT_EQ(plan_of(p).unproven, Unproven::kWait);
  EXPECT_FALSE(is_split(plan_of(p, {.cuts = Cuts::kExact})));
  const auto refusal = [](const Problem& problem, const PlanOptions& options) {
    const Result<Config> config = choose_fused(problem, options, kH200, Config());
    return config.ok() ? std::string() : config.status().message();
  };
  EXPECT_EQ(refusal(p, {.v_panel = 64}),
            "v_panel 64: gate: expected a lower bound of -5 or above, got softplus");
  p = chains(8192, 32);
  EXPECT_EQ(refusal(p, {.multiprocessors = 1, .v_panel = 64}),
            "v_panel 64: multiprocessors: expected 2 at least, got 1");
  EXPECT_EQ(refusal(p, {.algorithm = Algorithm::kChunked, .v_panel = 64}),
            "v_panel: expected algorithm fused or auto for 64, got chunked");
  EXPECT_EQ(plan_of(p, {.v_panel = 128}).unproven, Unproven::kWait);
  EXPECT_TRUE(is_split(plan_of(chains(8192, 1), {.v_panel = 64})));
}

}  // namespace
}  // namespace flash_kda::cuda::sm90
