// Whether the part of a chain after a cut may start from zero, some chunks early, instead of from
// the state of the part before: decided from gates, keys and betas of those chunks alone
// (docs/numerics.md).
#pragma once

#include "cuda/sm90/state_bound.hpp"
#include "cuda/sm90/work.cuh"
#include "cuda/two_kernel/gates.cuh"
#include "cuda/two_kernel/row_io.cuh"

namespace flash_kda::cuda::sm90 {

inline constexpr int kLaneChannels = kDim / 32;
// Windows before a cut are numbered backwards. A chunk is mostly enough for the proof, and always
// for the published gates: a few windows first, then all others at once.
inline constexpr int kWindows = kMaxWarmUp * kChunk / kWindow;
inline constexpr int kFirstWindows = 4;
inline constexpr int kOtherWindows = kWindows - kFirstWindows;
inline constexpr int kWindowsPerChunk = kChunk / kWindow;
static_assert(kFirstWindows % kWindowsPerChunk == 0 && kOtherWindows <= kThreads / 32);

// Tokens backwards from a cut, where stages will be.
struct WarmUpScratch {
  float4 alpha[kOtherWindows * kWindow][32];  // by lane
  float4 key[kOtherWindows * kWindow][32];
  float2 scalars[kOtherWindows * kWindow];  // slowest decay, beta
  float norms[kWindows];
};

struct SumOfWarp {
  __device__ __forceinline__ float operator()(float x) const {
#pragma unroll
    for (int other = 16; other > 0; other /= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
    return x;
  }
};

// Growth and NaN become an infinite decay factor, which no bound survives.
__device__ __forceinline__ float decay_for_bound(const GateHead& gate, float x) {
  const float decay = floor_decay(activate_gate(gate, x));
  return decay <= 0.0f ? exp2_approx(decay) : INFINITY;
}

// Tokens end - 1, end - 2, ... to places 0, 1, ... of the scratch. A warp a token.
__device__ __forceinline__ void prepare_tokens(const FusedParams& p, const WorkItem& chain, int end,
                                               int tokens, WarmUpScratch& scratch) {
  constexpr int kWarps = kThreads / 32;
  constexpr int kBatch = 4;  // tokens of a warp whose loads are in flight
  const int lane = lane_index();
  const int qk_head = chain.head / p.inputs.heads_per_qk_head;
  const GateHead gate = make_gate_head(p.inputs, chain.head);
  RowTensor g = p.inputs.g;
  RowTensor k = p.inputs.k;
  if (p.loads == Transfer::kBox) g.alignment = k.alignment = Alignment::kVector;
  const int channel = lane * kLaneChannels;
  float bias[kLaneChannels];
#pragma unroll
  for (int i = 0; i < kLaneChannels; ++i) {
    bias[i] = load_bias(p.inputs, static_cast<std::int64_t>(chain.head) * kDim + channel + i);
  }
#pragma unroll 1
  for (int first = static_cast<int>(threadIdx.x) / 32; first < tokens; first += kBatch * kWarps) {
    uint2 gates[kBatch];
    uint2 keys[kBatch];
    float betas[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int token = end - 1 - min(first + j * kWarps, tokens - 1);
      gates[j] = load_quad(g, row_start(g, chain.batch_row, token, chain.head) + channel);
      keys[j] = load_quad(k, row_start(k, chain.batch_row, token, qk_head) + channel);
      betas[j] =
          load_scalar(p.inputs.beta, row_start(p.inputs.beta, chain.batch_row, token, chain.head));
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const float4 alpha = {decay_for_bound(gate, low_bf16(gates[j].x) + bias[0]),
                            decay_for_bound(gate, high_bf16(gates[j].x) + bias[1]),
                            decay_for_bound(gate, low_bf16(gates[j].y) + bias[2]),
                            decay_for_bound(gate, high_bf16(gates[j].y) + bias[3])};
      const float slowest = fmaxf(fmaxf(alpha.x, alpha.y), fmaxf(alpha.z, alpha.w));
      const float4 key = {fabsf(low_bf16(keys[j].x)), fabsf(high_bf16(keys[j].x)),
                          fabsf(low_bf16(keys[j].y)), fabsf(high_bf16(keys[j].y))};
      const float squares = key.x * key.x + key.y * key.y + key.z * key.z + key.w * key.w;
      const float norm = rsqrt_approx(SumOfWarp()(squares) + 1e-6f);
      const int place = first + j * kWarps;
      if (place >= tokens) break;
      scratch.alpha[place][lane] = alpha;
      scratch.key[place][lane] = {norm * key.x, norm * key.y, norm * key.z, norm * key.w};
      // Neither negative nor NaN: their order is that of their bits.
      const unsigned bits = __reduce_max_sync(0xffffffffu, __float_as_uint(slowest));
      if (lane == 0) {
        scratch.scalars[place] = {__uint_as_float(bits),
                                  activate_beta(p.inputs.beta_form, p.inputs.beta_range, betas[j])};
      }
    }
  }
}

// A bound of what the window keeps of a state. By a warp.
__device__ __forceinline__ float bound_window(const WarmUpScratch& scratch, int window) {
  const int lane = lane_index();
  auto bound = begin_window<kLaneChannels>();
#pragma unroll 2
  for (int i = kWindow - 1; i >= 0; --i) {
    const int place = window * kWindow + i;
    const float4 alpha = scratch.alpha[place][lane];
    const float4 key = scratch.key[place][lane];
    const float2 scalars = scratch.scalars[place];
    const TokenEffect<kLaneChannels> token = {.alpha = {alpha.x, alpha.y, alpha.z, alpha.w},
                                              .key = {key.x, key.y, key.z, key.w},
                                              .slowest = scalars.x,
                                              .beta = scalars.y};
    carry_bound(token, SumOfWarp(), bound);
  }
  return end_window(SumOfWarp(), bound);
}

// The number of chunks before token `cut` of a chain over which no more than kWarmUpLeft of any
// state is left, or 0 if `chunks` are not enough for a proof. By all threads.
__device__ __forceinline__ int find_warm_up(const FusedParams& p, const WorkItem& chain, int cut,
                                            int chunks, WarmUpScratch& scratch) {
  const int windows = chunks * kWindowsPerChunk;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  float left = 1.0f;
  int begin = 0;
#pragma unroll 1
  while (begin < windows) {
    const int count = min(begin == 0 ? kFirstWindows : kOtherWindows, windows - begin);
    prepare_tokens(p, chain, cut - begin * kWindow, count * kWindow, scratch);
    __syncthreads();
    if (warp < count) {
      const float norm = bound_window(scratch, warp);
      if (lane_index() == 0) scratch.norms[begin + warp] = norm;
    }
    __syncthreads();
    const int end = begin + count;
    while (begin < end) {
      for (int i = 0; i < kWindowsPerChunk; ++i) left *= scratch.norms[begin++];
      if (left <= kWarmUpLeft) return begin / kWindowsPerChunk;
    }
  }
  return 0;
}

// Decides for the tail of a share, after find_share and a barrier. By all threads; the share is
// complete for thread 0.
__device__ __forceinline__ void decide_warm_up(const FusedParams& p, WarmUpScratch& scratch,
                                               const std::uint16_t* order, Share& share) {
  static_assert(sizeof(WarmUpScratch) <= SharedPlan::kPartial);
  if (share.layout != Layout::kReplayed || share.tail_skip == 0) return;
  const WorkItem chain = make_chain(p, order, share.begin - 1);
  const int cut = chain.first + share.tail_skip * kChunk;
  const int chunks = find_warm_up(p, chain, cut, min(share.tail_skip, p.max_warm_up), scratch);
  if (threadIdx.x != 0) return;
  if (chunks > 0) {
    share.tail_source = Source::kZero;
    share.tail_replay = chunks;
  } else if (share.tail_skip <= p.max_warm_up) {
    // Everything before the cut is so short that it may be computed twice.
    share.tail_source = Source::kCaller;
    share.tail_replay = share.tail_skip;
  }
}

}  // namespace flash_kda::cuda::sm90
