// Cutting chains over blocks changes no bit: states are handed over in fp32.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cuda/sm90/balance.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "cuda/sm90/params.hpp"
#include "tests/cuda/device_call.hpp"
#include "verification/inputs.hpp"

namespace flash_kda {
namespace {

using verification::Case;
using verification::CaseData;

struct Results {
  std::vector<std::uint16_t> out;
  std::vector<float> final_state;
};

Results run_on(int multiprocessors, const Case& c, const CaseData& data, int v_panel = 128) {
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
                                          .multiprocessors = multiprocessors,
                                          .cuts = Cuts::kExact,
                                          .v_panel = v_panel});
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

void expect_same(const Results& a, const Results& b, int multiprocessors) {
  EXPECT_EQ(a.out, b.out) << multiprocessors << " multiprocessors";
  EXPECT_EQ(
      std::memcmp(a.final_state.data(), b.final_state.data(), a.final_state.size() * sizeof(float)),
      0)
      << multiprocessors << " multiprocessors";
}

TEST_P(FusedCut, ChangesNoBit) {
  const Case& c = GetParam().c;
  const CaseData data(c, /*seed=*/8);
  const Results whole = run_on(0, c, data);
  for (const int multiprocessors : GetParam().multiprocessors) {
    expect_same(whole, run_on(multiprocessors, c, data), multiprocessors);
  }
}

// Nor does it if two blocks share a chain, or parts of one; an odd multiprocessor stays idle.
TEST_P(FusedCut, ChangesNoBitInTheSplitForm) {
  const Case& c = GetParam().c;
  const CaseData data(c, /*seed=*/8);
  const Results whole = run_on(0, c, data);
  expect_same(whole, run_on(0, c, data, 64), 132);
  for (const int clusters : GetParam().multiprocessors) {
    const int multiprocessors = 2 * clusters + clusters % 2;
    expect_same(whole, run_on(multiprocessors, c, data, 64), multiprocessors);
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

// Two sequences of 760 and 190 tokens, two heads: chains that cost 26, 26, 8 and 8, in line, shared
// by 8 blocks of 9. Cuts lie 9, 18, then 1, 10, 19, then 2, then 3 chunks into them.
struct Replayed {
  std::vector<std::byte> out, state;
  cuda::sm90::CutCounts counts;
};

Replayed run_replayed(const DeviceCall& call, Cuts cuts) {
  Replayed result;
  const Result<Plan> plan = make_plan(call.problem(), {.backend = BackendKind::kCuda,
                                                       .algorithm = Algorithm::kFused,
                                                       .multiprocessors = 8,
                                                       .cuts = cuts});
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return result;
  DeviceBuffer workspace(plan->workspace_bytes + 1);
  EXPECT_EQ(cudaMemset(workspace.data(), 0xff, workspace.bytes()), cudaSuccess);
  const Status status =
      run(*plan, call.tensors(), {workspace.data(), plan->workspace_bytes}, nullptr);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  result.out = call.out.read();
  result.state = call.state.read();
  const cuda::sm90::HandoverLayout layout =
      cuda::sm90::lay_out_handover(plan->problem, plan->config);
  if (layout.bytes == 0) return result;  // no cuts
  std::memcpy(&result.counts, workspace.read().data() + layout.counts, sizeof(result.counts));
  return result;
}

// All values of channel 5 of head 0, or of every channel, in `g`.
void set_gates(DeviceCall& call, std::uint16_t bf16, bool all_channels) {
  std::vector<std::uint16_t> g(call.g.bytes() / 2);
  const std::vector<std::byte> bytes = call.g.read();
  std::memcpy(g.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (all_channels || i % (2 * 128) == 5) g[i] = bf16;
  }
  call.g.write(g.data());
}

constexpr std::int32_t kFirstLength = 190;
constexpr std::int64_t kReplayTokens = 950;

double difference_of_states(const Replayed& a, const Replayed& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.state.size(); i += sizeof(float)) {
    float x, y;
    std::memcpy(&x, &a.state[i], sizeof(x));
    std::memcpy(&y, &b.state[i], sizeof(y));
    difference += (double{x} - y) * (double{x} - y);
    norm += double{y} * y;
  }
  return std::sqrt(difference / norm);
}

TEST(FusedReplay, StartsFromZeroWhereGatesDecay) {
  DeviceCall call(kReplayTokens, 128);
  call.fill(5, kFirstLength);
  const Replayed exact = run_replayed(call, Cuts::kExact);
  EXPECT_EQ(exact.counts.replayed, 0u);
  const Replayed replayed = run_replayed(call, Cuts::kAuto);
  EXPECT_EQ(replayed.counts.replayed, 7u);
  EXPECT_EQ(replayed.counts.waited, 0u);
  // 2^-20 of the state from before the replay, and the bf16 roundings that this turns round: 2^-9
  // of few elements.
  EXPECT_LE(difference_of_states(replayed, exact), 0x1p-10);
}

// Whoever writes a final state must not be ahead of who reads the initial one.
TEST(FusedReplay, UpdatesStatesInPlace) {
  DeviceCall apart(kReplayTokens, 128);
  apart.fill(5, kFirstLength);
  DeviceCall in_place(kReplayTokens, 128);
  in_place.fill(5, kFirstLength);
  std::vector<float> values(apart.state.bytes() / sizeof(float));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) / 97.0f;
  DeviceBuffer initial(apart.state.bytes());
  initial.write(values.data());
  in_place.state.write(values.data());
  apart.initial = initial.data();
  in_place.initial = in_place.state.data();
  const Replayed want = run_replayed(apart, Cuts::kAuto);
  const Replayed got = run_replayed(in_place, Cuts::kAuto);
  EXPECT_EQ(got.counts.replayed, 7u);
  EXPECT_EQ(got.out, want.out);
  EXPECT_EQ(got.state, want.state);
}

// One channel that hardly decays is enough, and then the bits are those of whole chains.
TEST(FusedReplay, WaitsForTheStateWhereAChannelIsSlow) {
  DeviceCall call(kReplayTokens, 128);
  call.fill(5, kFirstLength);
  constexpr std::uint16_t kMinus30 = 0xc1f0;  // sigmoid: 1e-13
  set_gates(call, kMinus30, true);
  const Replayed exact = run_replayed(call, Cuts::kExact);
  const Replayed waited = run_replayed(call, Cuts::kAuto);
  EXPECT_EQ(waited.counts.replayed, 3u);  // from the start: at most 8 chunks lie before the cut
  EXPECT_EQ(waited.counts.waited, 4u);
  EXPECT_EQ(waited.out, exact.out);
  EXPECT_EQ(waited.state, exact.state);

  call.fill(5, kFirstLength);
  set_gates(call, kMinus30, false);
  const Replayed mixed = run_replayed(call, Cuts::kAuto);
  EXPECT_EQ(mixed.counts.replayed, 5u);
  EXPECT_EQ(mixed.counts.waited, 2u);
}

// In every token some channel is open, so the product of the slowest decays is 1. What was in that
// channel decays with the next token all the same.
TEST(FusedReplay, StartsFromZeroWhereChannelsTakeTurns) {
  DeviceCall call(kReplayTokens, 128);
  call.fill(5, kFirstLength);
  std::vector<std::uint16_t> g(call.g.bytes() / 2);
  constexpr std::uint16_t kMinus30 = 0xc1f0;  // sigmoid: 1e-13
  for (std::size_t i = 0; i < g.size(); ++i) {
    const std::size_t token = i / (2 * 128);
    g[i] = i % 128 == (11 * token) % 128 ? kMinus30 : 0;
  }
  call.g.write(g.data());
  const Replayed exact = run_replayed(call, Cuts::kExact);
  const Replayed replayed = run_replayed(call, Cuts::kAuto);
  EXPECT_EQ(replayed.counts.replayed, 7u);
  EXPECT_EQ(replayed.counts.waited, 0u);
  EXPECT_LE(difference_of_states(replayed, exact), 0x1p-10);
}

// Eight chunks of one decay a token: 2^-20 is reached at 20 / 256 bits a token, -0.05415 nats, and
// the rounding that a window allows for, 2^-10 of it, asks for 2^-20.02: -0.05422.
TEST(FusedReplay, DrawsTheLineAtTwoToTheMinus20) {
  for (const auto& [bf16, replayed] : {std::pair<std::uint16_t, std::uint32_t>{0xbd5f, 7u},
                                       std::pair<std::uint16_t, std::uint32_t>{0xbd5e, 1u}}) {
    DeviceCall call(1000, 128);
    call.gate.kind = GateKind::kLog;
    call.fill(6, 0);              // costs of 34, 34, 2, 2: one cut lies within the first 8 chunks
    set_gates(call, bf16, true);  // -0.05444, -0.05420
    EXPECT_EQ(run_replayed(call, Cuts::kAuto).counts.replayed, replayed) << bf16;
  }
}

// The chunks before could prove it, but of one that keeps half of a state nobody looks at them. A
// half of 32 tokens of one decay: -0.0217 nats.
TEST(FusedReplay, LooksNoFurtherWhereTheLastChunkKeepsHalf) {
  const auto ends_at_cut = [](std::size_t chunk, std::size_t head) {
    return head == 0 ? (chunk + 1) % 9 == 0 : (chunk + 8) % 9 == 0;  // 9, 18, 27; 2, 11, 20, 29
  };
  for (const auto& [bf16, replayed] : {std::pair<std::uint16_t, std::uint32_t>{0xbcb4, 7u},
                                       std::pair<std::uint16_t, std::uint32_t>{0xbcb0, 1u}}) {
    DeviceCall call(1000, 128);
    call.gate.kind = GateKind::kLog;
    call.fill(6, 0);
    std::vector<std::uint16_t> g(call.g.bytes() / 2);
    constexpr std::uint16_t kMinus1 = 0xbf80;
    for (std::size_t i = 0; i < g.size(); ++i) {
      g[i] = ends_at_cut(i / 256 / cuda::sm90::kChunk, i / 128 % 2) ? bf16 : kMinus1;
    }
    call.g.write(g.data());
    EXPECT_EQ(run_replayed(call, Cuts::kAuto).counts.replayed, replayed) << bf16;
  }
}

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

Config fused_config(const Problem& p, PlanOptions options, const DeviceLimits& device) {
  options.algorithm = Algorithm::kFused;
  const Result<Config> config = choose_fused(p, options, device, Config());
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *config : Config();
}

TEST(FusedPlan, CutsOnlyWhatCannotHaveItsOwnMultiprocessor) {
  const Problem p = chains(8192, 96);
  const Config on_h200 = fused_config(p, {.cuts = Cuts::kExact}, kH200);
  EXPECT_FALSE(may_cut_chains(p, on_h200));
  EXPECT_EQ(lay_out_handover(p, on_h200).bytes, 0u);
  EXPECT_EQ(count_blocks(p, on_h200), 96);
  const Config on_h20 = fused_config(p, {}, kH20);
  EXPECT_TRUE(may_cut_chains(p, on_h20));
  EXPECT_EQ(count_blocks(p, on_h20), 78);
  EXPECT_TRUE(may_cut_chains(p, fused_config(p, {}, kH200)));  // with replays
  EXPECT_FALSE(may_cut_chains(chains(8192, 132), on_h200));    // one each
  EXPECT_FALSE(may_cut_chains(chains(8192, 264), on_h200));    // two each
}

TEST(FusedPlan, KeepsToTheMultiprocessorsAskedFor) {
  const Problem p = chains(8192, 96);
  EXPECT_EQ(fused_config(p, {.multiprocessors = 40}, kH200).multiprocessors, 40);
  EXPECT_EQ(fused_config(p, {.multiprocessors = 400}, kH200).multiprocessors, 132);
}

TEST(FusedPlan, CutsWhereItPays) {
  // total, longest, busiest block without cuts, blocks, chunks of warm-up
  EXPECT_EQ(choose_balance(1000, 300, 600, 10, 0).layout, Layout::kCut);
  EXPECT_EQ(choose_balance(1000, 300, 600, 10, 0).share, 300);
  EXPECT_EQ(choose_balance(1001, 30, 120, 10, 0).share, 101);
  EXPECT_EQ(choose_balance(1001, 30, 105, 10, 0).layout, Layout::kWhole);
  EXPECT_EQ(choose_balance(1000, 300, 600, 10, 4).layout, Layout::kReplayed);
  EXPECT_EQ(choose_balance(1000, 300, 600, 10, 4).share, 100);
  EXPECT_EQ(choose_balance(10, 10, 10, 10, 4).share, 2);
  EXPECT_EQ(choose_balance(4, 4, 4, 10, 4).layout, Layout::kWhole);
}

}  // namespace
}  // namespace flash_kda::cuda::sm90
