#include "cuda/sm90/fused_plan.hpp"

#include <algorithm>
#include <limits>

#include "cuda/sm90/balance.hpp"
#include "cuda/sm90/config.hpp"
#include "fmt/format.h"

namespace flash_kda::cuda::sm90 {
namespace {

// With fewer chains most multiprocessors idle, and cutting sequences into segments, which the two
// kernels do, is worth its traffic. Measured on an H200 (BENCHMARK_H200.md): one sequence of 8192
// tokens takes 0.53 against 0.63 ms with 32 heads, 0.87 against 0.64 with 64; 4 of 2048 with 12
// heads (48 chains) 0.22 against 0.18.
constexpr std::int64_t kMinItems = 40;
// Chunks of 32 would be mostly padding below.
constexpr std::int64_t kMinTokens = 2 * kChunk;

std::int64_t count_items(const Problem& p) { return p.sequences() * p.v_heads; }

// Whether a token's own transition, I - beta k k^T, never lengthens a state (docs/numerics.md). Of
// activated betas the values would have to be read.
bool contracts_state(const Problem& p) {
  return p.qk_norm == QkNorm::kL2 && p.beta_form == BetaForm::kLogits &&
         p.beta_range == BetaRange::kUnit;
}

// Of a sequence of `mean` tokens, at least: a checkpoint off the chunk grid costs one more chunk.
std::int64_t tokens_between_detours(const Problem& p, std::int64_t mean) {
  switch (p.checkpoints.kind) {
    case CheckpointKind::kNone:
      return mean;
    case CheckpointKind::kEvery:
      return p.checkpoints.every % kChunk == 0 ? mean : p.checkpoints.every;
    case CheckpointKind::kOffsets:
      return mean / p.checkpoints.max_offsets;
  }
  return 0;
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
  const std::int64_t mean =
      p.is_varlen() ? p.tokens / std::max<std::int64_t>(p.sequences(), 1) : p.tokens;
  return count_items(p) >= kMinItems && mean >= kMinTokens &&
         tokens_between_detours(p, mean) >= kMinTokens;
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
  config.multiprocessors = options.multiprocessors > 0
                               ? std::min(options.multiprocessors, device.multiprocessors)
                               : device.multiprocessors;
  if (options.cuts == Cuts::kAuto && contracts_state(p))
    config.warm_up_tokens = kMaxWarmUp * kChunk;
  config.reason =
      fmt::format("{} chains on {} multiprocessors{}", config.work_items, config.multiprocessors,
                  may_cut_chains(p, config) ? ", cut into equal shares" : "");
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
  layout.begun = layout.sent + blocks * kHandoverFlags * sizeof(std::uint32_t);
  layout.counts = layout.begun + sizeof(std::uint32_t);
  layout.bytes = layout.begun + Plan::kWorkspaceAlignment;
  return layout;
}

bool may_cut_chains(const Problem& p, const Config& config) {
  const std::int64_t items = count_items(p);
  const std::int64_t blocks = config.multiprocessors;
  if (lay_out_handover(p, config).bytes == 0) return false;
  if (p.is_varlen()) return p.sequences() <= kMaxSorted;
  const std::int64_t cost = cost_of_chain(p.tokens);
  const std::int64_t whole = (items + blocks - 1) / blocks * cost;
  return choose_balance(items * cost, cost, whole, blocks, config.warm_up_tokens / kChunk).layout !=
         Layout::kWhole;
}

}  // namespace flash_kda::cuda::sm90
