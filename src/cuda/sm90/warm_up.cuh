// Whether the part of a chain after a cut may start from zero, some chunks early, instead of from
// the state of the part before: decided from the gates of those chunks alone (docs/numerics.md).
#pragma once

#include "cuda/sm90/work.cuh"
#include "cuda/two_kernel/gates.cuh"
#include "cuda/two_kernel/row_io.cuh"

namespace flash_kda::cuda::sm90 {

// The slowest decay of a token, log2: at least that of every channel. By a warp, four channels a
// lane. Growth and NaN count as no decay at all.
__device__ __forceinline__ float slowest_decay(const FusedParams& p, const WorkItem& item,
                                               const GateHead& gate, int token) {
  const int channel = lane_index() * 4;
  const std::int64_t bias_at = static_cast<std::int64_t>(item.head) * kDim + channel;
  const uint2 raw =
      load_quad(p.inputs.g, row_start(p.inputs.g, item.batch_row, token, item.head) + channel);
  const float x[4] = {low_bf16(raw.x), high_bf16(raw.x), low_bf16(raw.y), high_bf16(raw.y)};
  float slowest = -INFINITY;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float decay = floor_decay(activate_gate(gate, x[i] + load_bias(p.inputs, bias_at + i)));
    slowest = fmaxf(slowest, decay <= 0.0f ? decay : INFINITY);
  }
  for (int other = 16; other > 0; other /= 2) {
    slowest = fmaxf(slowest, __shfl_xor_sync(0xffffffffu, slowest, other));
  }
  return slowest;
}

// Decides for the tail of this block, after find_share and a barrier. `decays`: scratch of
// kMaxWarmUp * kChunk floats. By all threads; the share is read after the next block-wide barrier.
__device__ __forceinline__ void decide_warm_up(const FusedParams& p, float* decays,
                                               const std::uint16_t* order, Share& share) {
  if (share.layout == Layout::kWhole || share.tail_skip == 0) return;
  if (share.layout == Layout::kCut) {
    if (threadIdx.x == 0) atomicAdd(&p.handover.counts->waited, 1u);
    return;
  }
  const WorkItem chain = make_chain(p, order, share.begin - 1);
  const GateHead gate = make_gate_head(p.inputs, chain.head);
  const int tokens = min(share.tail_skip, p.max_warm_up) * kChunk;
  const int cut = chain.first + share.tail_skip * kChunk;
  for (int i = static_cast<int>(threadIdx.x) / 32; i < tokens; i += kThreads / 32) {
    const float slowest = slowest_decay(p, chain, gate, cut - 1 - i);
    if (lane_index() == 0) decays[i] = slowest;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  float sum = 0.0f;
  int chunks = 0;
  while (chunks * kChunk < tokens && !(sum <= kWarmUpLog2)) {
    for (int i = 0; i < kChunk; ++i) sum += decays[chunks * kChunk + i];
    ++chunks;
  }
  if (sum <= kWarmUpLog2) {
    share.tail_source = Source::kZero;
    share.tail_replay = chunks;
  } else if (share.tail_skip <= p.max_warm_up) {
    // Everything before the cut is so short that it may be computed twice.
    share.tail_source = Source::kCaller;
    share.tail_replay = share.tail_skip;
  }
  atomicAdd(share.tail_source == Source::kBlock ? &p.handover.counts->waited
                                                : &p.handover.counts->replayed,
            1u);
}

}  // namespace flash_kda::cuda::sm90
