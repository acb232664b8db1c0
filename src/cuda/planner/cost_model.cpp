#include "cuda/planner/cost_model.hpp"

#include <algorithm>

#include "cuda/two_kernel/params.hpp"
#include "fmt/format.h"

namespace flash_kda::cuda {
namespace {

// Measured on an H200 at 1.8 GHz, 2026-11-23 (benchmarks/results/h200.json holds the later runs).
// One chunk of a block that has a multiprocessor to itself: 144 blocks of four warps take 77 us for
// 57 chunks, 96 blocks of eight take 722 us for 512. The chain of 8 dependent products, packing,
// barriers and shared loads, not the tensor cores.
constexpr double kChunkLatency = 2430;
// One chunk of one warp when blocks fill the multiprocessors: 768 blocks of eight warps, 64 chunks
// each, take 0.45 ms.
constexpr double kCyclesPerWarp = 270;
// A summary carries V + K rows and skips the queries: 36 of 52 instructions.
constexpr double kSummaryShare = 36.0 / 52.0;
constexpr double kMergeStep = 4000;     // one segment of merge_kernel, mostly latency
constexpr double kLaunchCycles = 5000;  // of an extra kernel in the stream
constexpr double kMinGain = 0.8;
constexpr std::int64_t kMinSegmentChunks = 16;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Cycles of `blocks` equal blocks of `chunks` chunks. Blocks that share a multiprocessor share its
// tensor cores; fewer warps than schedulers leave latency exposed.
double pass_cycles(std::int64_t blocks, std::int64_t warps, double chunks, double share,
                   const DeviceLimits& device) {
  const std::int64_t resident = divide_up(blocks, device.multiprocessors);
  const double busy = static_cast<double>(resident * warps) * kCyclesPerWarp * share * chunks;
  return std::max(kChunkLatency * share * chunks, busy);
}

}  // namespace

double predict_cycles(const Problem& p, const DeviceLimits& device, std::int64_t warps,
                      std::int64_t segment_chunks) {
  const std::int64_t n = std::max<std::int64_t>(p.sequences(), 1);
  const std::int64_t length = p.is_varlen() ? divide_up(p.tokens, n) : p.tokens;
  const std::int64_t chunks = std::max<std::int64_t>(divide_up(length, kChunk), 1);
  const std::int64_t v_blocks = p.head_dim_v / (16 * warps);
  const std::int64_t heads = n * p.v_heads;
  if (segment_chunks == 0) {
    return pass_cycles(heads * v_blocks, warps, static_cast<double>(chunks), 1.0, device);
  }
  const std::int64_t segments = divide_up(chunks, segment_chunks);
  const auto length_of_segment = static_cast<double>(segment_chunks);
  const std::int64_t summary_blocks = (p.head_dim_v + p.head_dim_k) / (16 * warps);
  const double summaries = pass_cycles(heads * (segments - 1) * summary_blocks, warps,
                                       length_of_segment, kSummaryShare, device);
  const double merge =
      kMergeStep * static_cast<double>(segments) *
      static_cast<double>(divide_up(heads * p.head_dim_v / 8, 8 * device.multiprocessors));
  const double outputs =
      pass_cycles(heads * segments * v_blocks, warps, length_of_segment, 1.0, device);
  return summaries + merge + outputs + 2 * kLaunchCycles;
}

Split choose_split(const Problem& p, const DeviceLimits& device) {
  const std::int64_t n = std::max<std::int64_t>(p.sequences(), 1);
  const std::int64_t most_warps = p.head_dim_v / 16;
  Split best;
  best.warps = most_warps;
  best.cycles = predict_cycles(p, device, most_warps, 0);
  // Half a head per block when every half finds its own multiprocessor; below four warps a block
  // would only leave schedulers idle.
  if (most_warps == 8 && 2 * n * p.v_heads <= device.multiprocessors) {
    best.warps = 4;
    best.cycles = predict_cycles(p, device, 4, 0);
  }
  const double whole = best.cycles;
  const std::int64_t chunks = divide_up(p.is_varlen() ? divide_up(p.tokens, n) : p.tokens, kChunk);
  for (std::int64_t power = kMinSegmentChunks; 2 * power <= chunks; power *= 2) {
    for (const std::int64_t length : {power, power + power / 2}) {
      const double cycles = predict_cycles(p, device, 4, length);
      if (cycles < std::min(best.cycles, kMinGain * whole)) {
        best = {.warps = 4, .segment_chunks = length, .cycles = cycles, .reason = ""};
      }
    }
  }
  best.reason =
      best.segment_chunks > 0
          ? fmt::format("{} sequences of {} heads leave multiprocessors idle: cut every {} tokens",
                        p.sequences(), p.v_heads, best.segment_chunks * kChunk)
          : fmt::format("{} heads on {} multiprocessors: {} value rows a block",
                        p.sequences() * p.v_heads, device.multiprocessors, best.warps * 16);
  return best;
}

}  // namespace flash_kda::cuda
