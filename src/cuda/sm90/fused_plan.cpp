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
static_assert(kMinItems <= kMaxLeft);
// Cycles of a chunk on an H200: 1.80 us, by 96 and 64 heads of 8192 tokens, at 1.75 GHz.
constexpr double kChunkCycles = 3150;
// The same of the split form's two blocks, and what a call of either form takes beside its chunks:
// within 4 % of what calls of the split form with 128 to 65,536 tokens and 4 to 32 heads take.
constexpr double kSplitChunkCycles = 1980;
constexpr double kStartCycles = 17500;
// Chains this short, in chunks, are over before it would be known whether parts of them can be
// replayed, and every one has its pair of multiprocessors: 128 and 256 tokens of 4 and 16 heads
// take 15 to 20 us in the split form, and 23 to 28 in the best of the others.
constexpr std::int64_t kShortChain = 8;
// Of the two kernels, what choose_split does not know: prepare, per token and head, of one
// multiprocessor (0.43 ms for 96 heads of 8192 tokens on 132), and what comes once.
constexpr double kPrepareCycles = 127;
constexpr double kTwoKernelStartCycles = 30000;
// How much longer than by two kernels chains without proof may take in the launch of the others:
// where there are none, those four launches take 7 us of 40 to 65, which such a call does not
// have.
constexpr double kInLaunchMayTake = 1.25;
// Of chains in segments: what comes once, and a step of a merge, in which kMergeRows rows go from
// segment to segment. Within 9 % of what 1 to 24 heads of 4096 tokens to a million take, for every
// number of segments that was tried; shorter ones take up to 15 us less.
constexpr double kSegmentStartCycles = 66500;
constexpr double kMergeStepCycles = 3600;
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

// How a chain of the mean length is cut into segments.
struct Segmentation {
  std::int64_t chunks;  // of a segment
  double cycles;        // of the call
};
// Blocks that merge a chain: as many as there are for each, with a power of two of value rows.
std::int64_t count_merge_parts(const Problem& p, std::int64_t blocks) {
  std::int64_t parts = kMaxMergeParts;
  while (parts > kMinMergeParts && parts * count_items(p) > blocks) parts /= 2;
  return parts;
}
// More segments shorten what is computed side by side, and lengthen what is merged one by one.
Segmentation choose_segments(const Problem& p, std::int64_t blocks) {
  const std::int64_t chunks = std::max<std::int64_t>((mean_tokens(p) + kChunk - 1) / kChunk, 1);
  const std::int64_t rows = kMaxMergeParts / count_merge_parts(p, blocks);
  // One for each block; of two, the second would only wait for the first.
  const std::int64_t items = std::max<std::int64_t>(count_items(p), 1);
  const std::int64_t most = std::max<std::int64_t>(blocks / items, 3);
  Segmentation best{.chunks = chunks, .cycles = std::numeric_limits<double>::infinity()};
  for (std::int64_t segments = 3; segments <= most; ++segments) {
    const std::int64_t length = (chunks + segments) / (segments + 1);
    const std::int64_t rounds = (items * (segments - 1) + blocks - 1) / blocks;
    const double merges = static_cast<double>((segments - 2) * rows) * kMergeStepCycles;
    const double cycles =
        kSegmentStartCycles + static_cast<double>(3 * length * rounds) * kChunkCycles + merges;
    if (cycles < best.cycles) best = {length, cycles};
  }
  return best;
}

std::int64_t limit_blocks(const PlanOptions& options, const DeviceLimits& device) {
  // A thread of a block reads the share of each block.
  const std::int64_t most = std::min(device.multiprocessors, kThreads);
  return options.multiprocessors > 0 ? std::min<std::int64_t>(options.multiprocessors, most) : most;
}

std::size_t align_up(std::size_t bytes) { return (bytes + 127) / 128 * 128; }

// Blocks that have work of their own, or clusters.
std::int64_t count_shares(const Config& config) {
  return is_split(config) ? config.multiprocessors / 2 : config.multiprocessors;
}

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

// Whether chunks of 32 tokens suit the problem.
bool suits_chunks(const Problem& p) { return mean_tokens(p) >= kMinTokens && has_few_detours(p); }

// Cycles of the busiest of `shares` blocks or clusters, if no part of a chain is replayed.
double exact_cycles(const Problem& p, std::int64_t shares, double cycles_of_chunk) {
  const std::int64_t cost = cost_of_chain(mean_tokens(p));
  const std::int64_t whole = (count_items(p) + shares - 1) / shares * cost;
  const Balance balance = balance_chains(p, shares, /*max_warm_up=*/0);
  return static_cast<double>(balance.layout == Layout::kCut ? balance.share : whole) *
         cycles_of_chunk;
}
double fused_cycles(const Problem& p, std::int64_t multiprocessors) {
  return kStartCycles + exact_cycles(p, multiprocessors, kChunkCycles);
}
double split_cycles(const Problem& p, std::int64_t multiprocessors) {
  return kStartCycles + exact_cycles(p, multiprocessors / 2, kSplitChunkCycles);
}
double two_kernel_cycles(const Problem& p, const DeviceLimits& device) {
  const auto tokens = static_cast<double>(p.batch * p.tokens * p.v_heads);
  return kTwoKernelStartCycles + choose_split(p, device).cycles +
         tokens * kPrepareCycles / device.multiprocessors;
}

// Whether a call may take the split form for its chains, or for those without proof: bits of one
// word, and as many rounds as a block lists.
bool may_split(const Problem& p, const PlanOptions& options, const DeviceLimits& device) {
  return options.v_panel == 0 && why_not_split(p, options, device).empty();
}
bool may_leave_to_split(const Problem& p, const PlanOptions& options, const DeviceLimits& device) {
  const std::int64_t clusters = limit_blocks(options, device) / 2;
  return may_split(p, options, device) && count_items(p) <= kMaxLeft &&
         count_items(p) <= clusters * kListedItems;
}

bool may_leave_to_segments(const Problem& p, const PlanOptions& options,
                           const DeviceLimits& device) {
  if (options.v_panel != 0 && options.v_panel != kDim) return false;
  const std::int64_t blocks = limit_blocks(options, device);
  return is_bounded(p.gate) && p.checkpoints.kind == CheckpointKind::kNone &&
         why_not_fused(p, device).empty() && count_items(p) <= kMaxLeft &&
         balance_chains(p, blocks, kMaxWarmUp).layout == Layout::kReplayed;
}

// Whether replays of proven parts, with what the launches for other chains cost, are predicted to
// take less than `cycles`.
bool replays_pay(const Problem& p, const PlanOptions& options, const DeviceLimits& device,
                 double cycles) {
  if (options.cuts != Cuts::kAuto || !contracts_state(p)) return false;
  const Balance balance = balance_chains(p, limit_blocks(options, device), kMaxWarmUp);
  if (balance.layout != Layout::kReplayed) return false;
  const std::int64_t chunks = balance.share + kReplayCost + kExtraLaunches;
  return static_cast<double>(chunks) * kChunkCycles < cycles;
}

Config fused_config(const Problem& p, const PlanOptions& options, const DeviceLimits& device,
                    std::int64_t v_panel = kDim) {
  Config config;
  config.backend = BackendKind::kCuda;
  config.threads = 1;
  config.target = v_panel == kDim ? "sm_90a fused" : "sm_90a fused, split";
  config.precision = Precision::kBF16;
  config.algorithm = Algorithm::kFused;
  config.chunk_size = kChunk;
  config.v_panel = v_panel;
  config.work_items = count_items(p);
  config.multiprocessors = static_cast<int>(limit_blocks(options, device));
  if (options.cuts == Cuts::kAuto && contracts_state(p))
    config.warm_up_tokens = kMaxWarmUp * kChunk;
  config.reason = fmt::format("{} chains on {} {}{}", config.work_items, count_shares(config),
                              is_split(config) ? "pairs of multiprocessors" : "multiprocessors",
                              may_cut_chains(p, config) ? ", cut into equal shares" : "");
  return config;
}

// Of many chains: what is fastest where all is proven, or, if nothing can be, whatever the gates.
Config config_of_many(const Problem& p, const PlanOptions& options, const DeviceLimits& device) {
  const Config fused = fused_config(p, options, device);
  // Two blocks take more together than one does, where all are busy a tenth: for more than that.
  const bool splits =
      may_split(p, options, device) &&
      split_cycles(p, fused.multiprocessors) < 0.9 * fused_cycles(p, fused.multiprocessors);
  if (!splits) return fused;
  if (fused.warm_up_tokens == 0) return fused_config(p, options, device, kSplitPanel);
  const bool leaves = may_cut_chains(p, fused) && may_leave_to_split(p, options, device);
  return leaves ? leave_to_split(fused) : fused;
}

// What computes few chains without proof.
struct Exact {
  Unproven form;
  double cycles;
};
Exact choose_exact(const Problem& p, const PlanOptions& options, const DeviceLimits& device,
                   double weight_of_two_kernels) {
  const std::int64_t blocks = limit_blocks(options, device);
  Exact best = {Unproven::kTwoKernels, weight_of_two_kernels * two_kernel_cycles(p, device)};
  const auto consider = [&](Unproven form, double cycles) {
    if (cycles < best.cycles) best = {form, cycles};
  };
  if (may_split(p, options, device)) consider(Unproven::kSplit, split_cycles(p, blocks));
  if (may_leave_to_segments(p, options, device)) {
    consider(Unproven::kSegments, choose_segments(p, blocks).cycles);
  }
  return best;
}

// Of few chains.
Config config_of_few(const Problem& p, const PlanOptions& options, const DeviceLimits& device,
                     const Config& two_kernels) {
  const Exact alone = choose_exact(p, options, device, /*weight_of_two_kernels=*/1.0);
  if (replays_pay(p, options, device, alone.cycles)) {
    const Config fused = fused_config(p, options, device);
    switch (choose_exact(p, options, device, kInLaunchMayTake).form) {
      case Unproven::kSegments:
        return leave_to_segments(fused, p);
      case Unproven::kSplit:
        if (may_leave_to_split(p, options, device)) return leave_to_split(fused);
        break;
      default:
        break;
    }
    return leave_to_two_kernels(fused, two_kernels);
  }
  switch (alone.form) {
    case Unproven::kSegments: {
      PlanOptions exact = options;
      exact.cuts = Cuts::kExact;
      return leave_to_segments(fused_config(p, exact, device), p);
    }
    case Unproven::kSplit:
      return fused_config(p, options, device, kSplitPanel);
    default:
      return two_kernels;
  }
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

std::string why_not_split(const Problem& p, const PlanOptions& options,
                          const DeviceLimits& device) {
  if (std::string reason = why_not_fused(p, device); !reason.empty()) return reason;
  if (!is_bounded(p.gate)) {
    return fmt::format("gate: expected a lower bound of {} or above, got {}", kBoundedLimit,
                       p.gate.kind == GateKind::kLowerBound ? fmt::format("{}", p.gate.lower_bound)
                                                            : std::string(to_string(p.gate.kind)));
  }
  if (limit_blocks(options, device) < 2) return "multiprocessors: expected 2 at least, got 1";
  return "";
}

Result<Config> choose_fused(const Problem& p, const PlanOptions& options,
                            const DeviceLimits& device, const Config& two_kernels) {
  const bool asks_split = options.v_panel == kSplitPanel;
  const bool asked = options.algorithm == Algorithm::kFused;
  if (asks_split && !asked && options.algorithm != Algorithm::kAuto) {
    return Status::unsupported(
        fmt::format("v_panel: expected algorithm fused or auto for {}, got {}", kSplitPanel,
                    to_string(options.algorithm)));
  }
  if (asked || asks_split) {
    const std::string reason =
        asks_split ? why_not_split(p, options, device) : why_not_fused(p, device);
    if (!reason.empty()) {
      return Status::unsupported(asks_split ? fmt::format("v_panel {}: {}", kSplitPanel, reason)
                                            : fmt::format("algorithm fused: {}", reason));
    }
    return fused_config(p, options, device, asks_split ? kSplitPanel : kDim);
  }
  if (options.algorithm != Algorithm::kAuto || two_kernels.algorithm != Algorithm::kChunked ||
      !why_not_fused(p, device).empty() || !suits_chunks(p)) {
    return two_kernels;
  }
  const std::int64_t pairs = limit_blocks(options, device) / 2;
  if (may_split(p, options, device) && count_items(p) <= pairs &&
      mean_tokens(p) <= kShortChain * kChunk) {
    PlanOptions whole = options;
    whole.cuts = Cuts::kExact;
    return fused_config(p, whole, device, kSplitPanel);
  }
  return count_items(p) >= kMinItems ? config_of_many(p, options, device)
                                     : config_of_few(p, options, device, two_kernels);
}

Config leave_to_two_kernels(Config config, const Config& two_kernels) {
  config.target += ", two-kernel";
  config.unproven = Unproven::kTwoKernels;
  config.v_panel = two_kernels.v_panel;
  config.segment_tokens = two_kernels.segment_tokens;
  const std::string pieces =
      config.segment_tokens > 0 ? fmt::format(", cut every {} tokens", config.segment_tokens) : "";
  config.reason += fmt::format("; chains without proof of their replays by two kernels{}", pieces);
  return config;
}

Config leave_to_split(Config config) {
  config.multiprocessors -= config.multiprocessors % 2;
  config.target += ", split";
  config.unproven = Unproven::kSplit;
  config.reason += "; chains without proof of their replays by pairs of multiprocessors";
  return config;
}

Config leave_to_segments(Config config, const Problem& p) {
  config.target += ", segments";
  config.unproven = Unproven::kSegments;
  config.segment_tokens = choose_segments(p, config.multiprocessors).chunks * kChunk;
  config.reason += fmt::format("; chains without proof of their replays in segments of {} tokens",
                               config.segment_tokens);
  return config;
}

Config two_kernel_part(const Config& both) {
  Config config = both;
  config.algorithm = Algorithm::kChunked;
  config.chunk_size = cuda::kChunk;
  return config;
}

bool is_split(const Config& config) {
  return config.algorithm == Algorithm::kFused && config.unproven != Unproven::kTwoKernels &&
         config.v_panel == kSplitPanel;
}

Config split_part(const Config& both) {
  Config config = both;
  config.v_panel = kSplitPanel;
  config.unproven = Unproven::kWait;
  config.warm_up_tokens = 0;
  return config;
}

int count_blocks(const Problem& p, const Config& config) {
  const std::int64_t shares = count_shares(config);
  const std::int64_t blocks = may_cut_chains(p, config) ? shares : std::min(count_items(p), shares);
  // Pairs of blocks take what is left.
  return static_cast<int>(config.unproven == Unproven::kSplit ? blocks + blocks % 2 : blocks);
}

HandoverLayout lay_out_handover(const Problem& p, const Config& config) {
  HandoverLayout layout;
  if (count_items(p) <= count_shares(config) && max_warm_up(config) == 0) return layout;
  const auto blocks = static_cast<std::size_t>(count_shares(config));
  layout.sent = blocks * kHandoverFloats * sizeof(float);
  layout.shares = layout.sent + blocks * kHandoverFlags * sizeof(std::uint32_t);
  layout.cuts = layout.shares + blocks * sizeof(Share);
  layout.unproven = align_up(layout.cuts + blocks * sizeof(CutPlace));
  layout.begun = layout.unproven + sizeof(*Handover::unproven);
  layout.ended = layout.begun + sizeof(*Handover::begun);
  layout.counts = layout.ended + sizeof(*Handover::ended);
  layout.bytes = align_up(layout.counts + sizeof(CutCounts));
  if (config.unproven != Unproven::kSegments) return layout;
  const auto slots = static_cast<std::size_t>(count_segments(p, config).slots);
  layout.segment_states = layout.bytes;
  layout.segment_maps = layout.segment_states + slots * kHandoverFloats * sizeof(float);
  layout.taken = layout.segment_maps + slots * kHandoverFloats * sizeof(float);
  layout.done = layout.taken + sizeof(*Segments::taken);
  layout.merged = layout.done + kMaxLeft * sizeof(*Segments::done);
  layout.bytes = align_up(layout.merged + kMaxLeft * sizeof(*Segments::merged));
  return layout;
}

SegmentCounts count_segments(const Problem& p, const Config& config) {
  SegmentCounts counts{.chunks = config.segment_tokens / kChunk,
                       .slots = 0,
                       .parts = count_merge_parts(p, config.multiprocessors)};
  // A chain of n chunks has ceil(n / L) - 2 segments that others follow, or none: at most n / L.
  const std::int64_t chunks = p.is_varlen() ? p.tokens / kChunk + p.sequences()
                                            : (p.tokens + kChunk - 1) / kChunk * p.sequences();
  counts.slots = p.v_heads * (chunks / counts.chunks);
  return counts;
}

std::int64_t max_warm_up(const Config& config) {
  return config.unproven == Unproven::kSegments ? kMaxWarmUp : config.warm_up_tokens / kChunk;
}

std::size_t fused_workspace_bytes(const Problem& p, const Config& config) {
  const std::size_t bytes = align_up(lay_out_checkpoints(p, config).bytes);
  if (config.unproven != Unproven::kTwoKernels) return bytes;
  return bytes + lay_out_workspace(p, two_kernel_part(config)).bytes;
}

Balance balance_equal_chains(const Problem& p, const Config& config) {
  return balance_chains(p, count_shares(config), max_warm_up(config));
}

bool may_cut_chains(const Problem& p, const Config& config) {
  if (lay_out_handover(p, config).bytes == 0) return false;
  if (p.is_varlen()) return p.sequences() <= kMaxSorted;
  return balance_equal_chains(p, config).layout != Layout::kWhole;
}

}  // namespace flash_kda::cuda::sm90
