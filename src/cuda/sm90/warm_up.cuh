// Whether the part of a chain after a cut may start from zero, some chunks early, instead of from
// the state of the part before: decided from the gates of those chunks alone (docs/numerics.md).
#pragma once

#include "cuda/sm90/work.cuh"
#include "cuda/two_kernel/gates.cuh"
#include "cuda/two_kernel/row_io.cuh"

namespace flash_kda::cuda::sm90 {

// The slowest decay of each of the `tokens` before a cut, log2, counted backwards from it: at least
// that of every channel. A warp a token, four channels a lane. Growth and NaN count as no decay.
__device__ __forceinline__ void find_slowest_decays(const FusedParams& p, const WorkItem& chain,
                                                    int cut, int tokens, float* decays) {
  constexpr int kWarps = kThreads / 32;
  constexpr int kBatch = 4;  // loads of a warp in flight
  const GateHead gate = make_gate_head(p.inputs, chain.head);
  RowTensor g = p.inputs.g;
  if (p.loads == Transfer::kBox) g.alignment = Alignment::kVector;
  const int channel = lane_index() * 4;
  float bias[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    bias[i] = load_bias(p.inputs, static_cast<std::int64_t>(chain.head) * kDim + channel + i);
  }
#pragma unroll 1
  for (int first = static_cast<int>(threadIdx.x) / 32; first < tokens; first += kBatch * kWarps) {
    uint2 raw[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int token = cut - 1 - min(first + j * kWarps, tokens - 1);
      raw[j] = load_quad(g, row_start(g, chain.batch_row, token, chain.head) + channel);
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const float x[4] = {low_bf16(raw[j].x), high_bf16(raw[j].x), low_bf16(raw[j].y),
                          high_bf16(raw[j].y)};
      float slowest = -INFINITY;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float decay = floor_decay(activate_gate(gate, x[i] + bias[i]));
        slowest = fmaxf(slowest, decay <= 0.0f ? decay : INFINITY);
      }
      for (int other = 16; other > 0; other /= 2) {
        slowest = fmaxf(slowest, __shfl_xor_sync(0xffffffffu, slowest, other));
      }
      if (lane_index() == 0 && first + j * kWarps < tokens) decays[first + j * kWarps] = slowest;
    }
  }
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
  const int tokens = min(share.tail_skip, p.max_warm_up) * kChunk;
  find_slowest_decays(p, chain, chain.first + share.tail_skip * kChunk, tokens, decays);
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
