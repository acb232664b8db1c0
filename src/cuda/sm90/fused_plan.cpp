#include "cuda/sm90/fused_plan.hpp"

#include <algorithm>
#include <limits>

#include "cuda/planner/cost_model.hpp"
#include "cuda/sm90/checkpoint_layout.hpp"
#include "cuda/sm90/config.hpp"
#include "cuda/sm90/params.hpp"
#include "fmt/format.h"

namespace flash_kda::cuda::sm90 {
namespace {

// With fewer chains most multiprocessors idle where parts have to wait: a sequence of 8192 tokens
// is then 257 chunks in a row, about 0.48 ms on an H200 whatever the number of heads, and the two
// kernels take 0.43 ms for 24 heads, 0.53 for 32 (BENCHMARK_H200.md).
constexpr std::int64_t kMinItems = 32;
static_assert(kMinItems <= 64, "chains left to the two kernels are bits of one word");
// Cycles of a chunk on an H200: 1.80 us, by 96 and 64 heads of 8192 tokens, at 1.75 GHz.
constexpr double kChunkCycles = 3150;
// What the kernel in front and empty launches of the two kernels cost, in chunks: 5 us.
constexpr std::int64_t kExtraLaunches = 3;
// Chunks of 32 would be mostly padding below: on an H200, 64 sequences of 63 tokens with 32 heads
// take 0.20 ms, two kernels 0.25; of 7 tokens 0.16 against 0.13.
constexpr std::int64_t kMinTokens = kChunk;
// A checkpoint off the chunk grid is computed in a chunk of its own: closer, most chunks would be.
constexpr std::int64_t kMinBetweenDetours = 2 * kChunk;

std::int64_t count_items(const Problem& p) { return p.sequences() * p.v_heads; }

std::int64_t mean_tokens(const Problem& p) {
  return p.is_varlen() ? p.tokens / std::max<std::int64_t>(p.sequences(), 1) : p.tokens;
}

// Of chains of the mean length.
Balance balance_chains(const Problem& p, std::int64_t blocks, std::int64_t max_warm_up) {
  const std::int64_t items = count_items(p);
  const std::int64_t cost = cost_of_chain(mean_tokens(p));
  const std::int64_t whole = (items + blocks - 1) / blocks * cost;
  return choose_balance(items * cost, cost, whole, blocks, max_warm_up);
}

std::int64_t limit_blocks(const PlanOptions& options, const DeviceLimits& device) {
  // A thread of a block reads the share of each block.
  const std::int64_t most = std::min(device.multiprocessors, kThreads);
  return options.multiprocessors > 0 ? std::min<std::int64_t>(options.multiprocessors, most) : most;
}

std::size_t align_up(std::size_t bytes) { return (bytes + 127) / 128 * 128; }

// Whether a token's own transition, I - beta k k^T, never lengthens a state (docs/numerics.md). Of
// activated betas the values would have to be read.
bool contracts_state(const Problem& p) {
  return p.qk_norm == QkNorm::kL2 && p.beta_form == BetaForm::kLogits &&
         p.beta_range == BetaRange::kUnit;
}

// Whether checkpoints off the chunk grid, if there are any, are far apart.
bool has_few_detours(const Problem& p) {
  switch (p.checkpoints.kind) {
    case CheckpointKind::kNone:
      return true;
    case CheckpointKind::kEvery:
      return p.checkpoints.every % kChunk == 0 || p.checkpoints.every >= kMinBetweenDetours;
    case CheckpointKind::kOffsets:
      return mean_tokens(p) / p.checkpoints.max_offsets >= kMinBetweenDetours;
  }
  return false;
}

}  // namespace

std::string why_not_fused(const Problem& p, const DeviceLimits& device) {
#if defined(FLASH_KDA_HAVE_SM90)
  if (device.capability != 90) {
    return fmt::format("compute capability: expected 9.0, got {}.{}", device.capability / 10,
                       device.capability % 10);
  }
#else
  return "the library was built without the code for compute capability 9.0";
#endif
  if (p.head_dim_k != kDim || p.head_dim_v != kDim) {
    return fmt::format("head_dim_k, head_dim_v: expected {0}, {0}, got {1}, {2}", kDim,
                       p.head_dim_k, p.head_dim_v);
  }
  if (p.gate_dtype != DType::kBF16) {
    return fmt::format("gate_dtype: expected bf16, got {}", to_string(p.gate_dtype));
  }
  if (p.out_dtype != DType::kBF16) {
    return fmt::format("out_dtype: expected bf16, got {}", to_string(p.out_dtype));
  }
  constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max() - 2 * kChunk;
  if (p.tokens > kMax || p.sequences() > kMax / std::max<std::int64_t>(p.v_heads, 1)) {
    return fmt::format("sequences: {} of {} heads and {} tokens exceed 32-bit indices",
                       p.sequences(), p.v_heads, p.tokens);
  }
  return "";
}

bool prefers_fused(const Problem& p) {
  return count_items(p) >= kMinItems && mean_tokens(p) >= kMinTokens && has_few_detours(p);
}

bool prefers_both(const Problem& p, const PlanOptions& options, const DeviceLimits& device) {
  if (options.cuts != Cuts::kAuto || !contracts_state(p) || count_items(p) >= kMinItems ||
      mean_tokens(p) < kMinTokens || !has_few_detours(p)) {
    return false;
  }
  const Balance balance = balance_chains(p, limit_blocks(options, device), kMaxWarmUp);
  if (balance.layout != Layout::kReplayed) return false;
  const std::int64_t chunks = balance.share + kReplayCost + kExtraLaunches;
  return static_cast<double>(chunks) * kChunkCycles < choose_split(p, device).cycles;
}

Config fused_config(const Problem& p, const PlanOptions& options, const DeviceLimits& device) {
  Config config;
  config.backend = BackendKind::kCuda;
  config.threads = 1;
  config.target = "sm_90a fused";
  config.precision = Precision::kBF16;
  config.algorithm = Algorithm::kFused;
  config.chunk_size = kChunk;
  config.v_panel = kDim;
  config.work_items = count_items(p);
  config.multiprocessors = static_cast<int>(limit_blocks(options, device));
  if (options.cuts == Cuts::kAuto && contracts_state(p))
    config.warm_up_tokens = kMaxWarmUp * kChunk;
  config.reason =
      fmt::format("{} chains on {} multiprocessors{}", config.work_items, config.multiprocessors,
                  may_cut_chains(p, config) ? ", cut into equal shares" : "");
  return config;
}

Config config_of_both(const Problem& p, const PlanOptions& options, const DeviceLimits& device,
                      const Config& two_kernels) {
  Config config = fused_config(p, options, device);
  config.target = "sm_90a fused, two-kernel";
  config.unproven = Unproven::kTwoKernels;
  config.v_panel = two_kernels.v_panel;
  config.segment_tokens = two_kernels.segment_tokens;
  const std::string pieces =
      config.segment_tokens > 0 ? fmt::format(", cut every {} tokens", config.segment_tokens) : "";
  config.reason += fmt::format("; chains without proof of their replays by two kernels{}", pieces);
  return config;
}

Config two_kernel_part(const Config& both) {
  Config config = both;
  config.algorithm = Algorithm::kChunked;
  config.chunk_size = cuda::kChunk;
  return config;
}

int count_blocks(const Problem& p, const Config& config) {
  if (may_cut_chains(p, config)) return config.multiprocessors;
  return static_cast<int>(std::min<std::int64_t>(count_items(p), config.multiprocessors));
}

HandoverLayout lay_out_handover(const Problem& p, const Config& config) {
  HandoverLayout layout;
  if (count_items(p) <= config.multiprocessors && config.warm_up_tokens == 0) return layout;
  const auto blocks = static_cast<std::size_t>(config.multiprocessors);
  layout.sent = blocks * kHandoverFloats * sizeof(float);
  layout.shares = layout.sent + blocks * kHandoverFlags * sizeof(std::uint32_t);
  layout.cuts = layout.shares + blocks * sizeof(Share);
  layout.unproven = align_up(layout.cuts + blocks * sizeof(CutPlace));
  layout.begun = layout.unproven + sizeof(*Handover::unproven);
  layout.ended = layout.begun + sizeof(*Handover::begun);
  layout.counts = layout.ended + sizeof(*Handover::ended);
  layout.bytes = align_up(layout.counts + sizeof(CutCounts));
  return layout;
}

std::size_t fused_workspace_bytes(const Problem& p, const Config& config) {
  const std::size_t bytes = align_up(lay_out_checkpoints(p, config).bytes);
  if (config.unproven == Unproven::kWait) return bytes;
  return bytes + lay_out_workspace(p, two_kernel_part(config)).bytes;
}

Balance balance_equal_chains(const Problem& p, const Config& config) {
  return balance_chains(p, config.multiprocessors, config.warm_up_tokens / kChunk);
}

bool may_cut_chains(const Problem& p, const Config& config) {
  if (lay_out_handover(p, config).bytes == 0) return false;
  if (p.is_varlen()) return p.sequences() <= kMaxSorted;
  return balance_equal_chains(p, config).layout != Layout::kWhole;
}

}  // namespace flash_kda::cuda::sm90
