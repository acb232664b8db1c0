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
// A chunk is mostly enough for the proof, and always for the published gates: its windows first,
// then those of all others at once. The first are short, since their tokens follow one another and
// every call waits for them.
inline constexpr int kFirstWindow = kWindow / 2;
inline constexpr int kOtherTokens = (kMaxWarmUp - 1) * kChunk;
static_assert(kChunk <= kOtherTokens && kOtherTokens / kWindow <= kThreads / 32);
static_assert(kChunk / kFirstWindow <= kThreads / 32);

// Tokens backwards from a cut, where stages will be.
struct WarmUpScratch {
  float4 alpha[kOtherTokens][32];  // by lane
  uint2 key[kOtherTokens][32];     // bf16, absolute values
  float4 scalars[kOtherTokens];    // slowest decay, beta, norm factor of the key
  float norms[kThreads / 32];      // of windows
};

struct SumOfWarp {
  __device__ __forceinline__ float operator()(float x) const {
#pragma unroll
    for (int other = 16; other > 0; other /= 2) x += __shfl_xor_sync(0xffffffffu, x, other);
    return x;
  }
};

// At least the sum over a warp of values that are not negative, at most 2^-8 of it more; NaN if one
// is NaN. Two products with ones: half the time of five exchanges between lanes. tf32 has 10 bits,
// and what is cut off twice, 2^-10 each, is added before.
struct BoundOfSum {
  __device__ __forceinline__ float operator()(float x) const {
    constexpr std::uint32_t kOne = 0x3f800000;
    constexpr std::uint32_t kOnes[4] = {kOne, kOne, kOne, kOne};
    float of_four[4] = {};  // of lanes 8 t .. 8 t + 3, and of the next four
    multiply(of_four, kOnes, cut_off(x), 0);
    const std::uint32_t left = cut_off(of_four[0]);
    const std::uint32_t right = cut_off(of_four[1]);
    float sum[4] = {};
    multiply(sum, {left, left, right, right}, kOne, kOne);
    return sum[0] * (1.0f + 0x1p-8f);
  }

 private:
  static __device__ __forceinline__ std::uint32_t cut_off(float x) {
    return __float_as_uint(x) & ~0x1fffu;
  }
  static __device__ __forceinline__ void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                                  std::uint32_t b0, std::uint32_t b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

// Growth and NaN become an infinite decay factor, which no bound survives.
template <GateKind kKind>
__device__ __forceinline__ float decay_for_bound(const GateHead& gate, float x) {
  const float decay = floor_decay(activate_gate<kKind>(gate, x));
  return decay <= 0.0f ? exp2_approx(decay) : INFINITY;
}

// Tokens of a warp whose loads are in flight together, in registers: four channels a lane.
inline constexpr int kBatch = kChunk / (kThreads / 32);
struct RawTokens {
  uint2 gates[kBatch];
  uint2 keys[kBatch];
  float betas[kBatch];
};

// Tokens from end - 1 - first backwards, a token of every warp apart; past the last of `tokens`
// that one again. One branch for all loads: they shall be on their way together.
template <Alignment kAlignment>
__device__ __forceinline__ void load_quads(const FusedParams& p, const WorkItem& chain, int end,
                                           int first, int tokens, RawTokens& raw) {
  RowTensor g = p.inputs.g;
  RowTensor k = p.inputs.k;
  g.alignment = k.alignment = kAlignment;
  const int qk_head = chain.head / p.inputs.heads_per_qk_head;
  const int channel = lane_index() * kLaneChannels;
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
    const int token = end - 1 - min(first + j * (kThreads / 32), tokens - 1);
    raw.gates[j] = load_quad(g, row_start(g, chain.batch_row, token, chain.head) + channel);
    raw.keys[j] = load_quad(k, row_start(k, chain.batch_row, token, qk_head) + channel);
  }
}
template <DType kType>
__device__ __forceinline__ void load_betas(const FusedParams& p, const WorkItem& chain, int end,
                                           int first, int tokens, RawTokens& raw) {
  RowTensor beta = p.inputs.beta;
  beta.dtype = kType;
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
    const int token = end - 1 - min(first + j * (kThreads / 32), tokens - 1);
    raw.betas[j] = load_scalar(beta, row_start(beta, chain.batch_row, token, chain.head));
  }
}
__device__ __forceinline__ void load_tokens(const FusedParams& p, const WorkItem& chain, int end,
                                            int first, int tokens, RawTokens& raw) {
  if (p.loads == Transfer::kBox) {
    load_quads<Alignment::kVector>(p, chain, end, first, tokens, raw);
  } else {
    load_quads<Alignment::kElement>(p, chain, end, first, tokens, raw);
  }
  if (p.inputs.beta.dtype == DType::kF32) {
    load_betas<DType::kF32>(p, chain, end, first, tokens, raw);
  } else {
    load_betas<DType::kBF16>(p, chain, end, first, tokens, raw);
  }
}

// To places first, first + 16, ... of the scratch.
template <GateKind kKind>
__device__ __forceinline__ void store_effects(const FusedParams& p, const GateHead& gate,
                                              const float (&bias)[kLaneChannels],
                                              const RawTokens& raw, int first, int tokens,
                                              WarmUpScratch& scratch) {
  const int lane = lane_index();
#pragma unroll
  for (int j = 0; j < kBatch; ++j) {
    const int place = first + j * (kThreads / 32);
    if (place >= tokens) break;
    const uint2 g = raw.gates[j];
    const float4 alpha = {decay_for_bound<kKind>(gate, low_bf16(g.x) + bias[0]),
                          decay_for_bound<kKind>(gate, high_bf16(g.x) + bias[1]),
                          decay_for_bound<kKind>(gate, low_bf16(g.y) + bias[2]),
                          decay_for_bound<kKind>(gate, high_bf16(g.y) + bias[3])};
    const uint2 k = {raw.keys[j].x & 0x7fff7fffu, raw.keys[j].y & 0x7fff7fffu};
    const float squares = low_bf16(k.x) * low_bf16(k.x) + high_bf16(k.x) * high_bf16(k.x) +
                          low_bf16(k.y) * low_bf16(k.y) + high_bf16(k.y) * high_bf16(k.y);
    scratch.alpha[place][lane] = alpha;
    scratch.key[place][lane] = k;
    const float norm = rsqrt_approx(SumOfWarp()(squares) + 1e-6f);
    // Neither negative nor NaN: their order is that of their bits.
    const float slowest = fmaxf(fmaxf(alpha.x, alpha.y), fmaxf(alpha.z, alpha.w));
    const unsigned bits = __reduce_max_sync(0xffffffffu, __float_as_uint(slowest));
    if (lane == 0) {
      const float beta = activate_beta(p.inputs.beta_form, p.inputs.beta_range, raw.betas[j]);
      scratch.scalars[place] = {__uint_as_float(bits), beta, norm, 0.0f};
    }
  }
}

// Tokens end - 1, end - 2, ... to places 0, 1, ... of the scratch. A warp a token.
__device__ __forceinline__ void prepare_tokens(const FusedParams& p, const WorkItem& chain, int end,
                                               int tokens, WarmUpScratch& scratch) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  RawTokens raw;
  load_tokens(p, chain, end, warp, tokens, raw);  // first of all: everything else waits for it
  const std::int64_t channel =
      static_cast<std::int64_t>(chain.head) * kDim + lane_index() * kLaneChannels;
  float bias[kLaneChannels];
#pragma unroll
  for (int i = 0; i < kLaneChannels; ++i) bias[i] = load_bias(p.inputs, channel + i);
  const GateHead gate = make_gate_head(p.inputs, chain.head);
  constexpr int kStep = kBatch * (kThreads / 32);
#pragma unroll 1
  for (int first = warp; first < tokens; first += kStep) {
    RawTokens next = {};
    if (first + kStep < tokens) load_tokens(p, chain, end, first + kStep, tokens, next);
    switch (p.inputs.gate.kind) {
      case GateKind::kLowerBound:
        store_effects<GateKind::kLowerBound>(p, gate, bias, raw, first, tokens, scratch);
        break;
      case GateKind::kSoftplus:
        store_effects<GateKind::kSoftplus>(p, gate, bias, raw, first, tokens, scratch);
        break;
      default:
        store_effects<GateKind::kLog>(p, gate, bias, raw, first, tokens, scratch);
    }
    raw = next;
  }
}

__device__ __forceinline__ TokenEffect<kLaneChannels> load_effect(const WarmUpScratch& scratch,
                                                                  int place) {
  const int lane = lane_index();
  const float4 alpha = scratch.alpha[place][lane];
  const uint2 key = scratch.key[place][lane];
  const float4 scalars = scratch.scalars[place];
  const float norm = scalars.z;
  return {.alpha = {alpha.x, alpha.y, alpha.z, alpha.w},
          .key = {norm * low_bf16(key.x), norm * high_bf16(key.x), norm * low_bf16(key.y),
                  norm * high_bf16(key.y)},
          .slowest = scalars.x,
          .beta = scalars.y};
}

// A bound of what a window of so many tokens, the last one at place `end`, keeps of a state. By a
// warp: a chain of sums over the channels, while the next token is loaded.
__device__ __forceinline__ float bound_window(const WarmUpScratch& scratch, int end, int tokens) {
  auto bound = begin_window<kLaneChannels>();
  TokenEffect<kLaneChannels> token = load_effect(scratch, end + tokens - 1);
#pragma unroll 2
  for (int i = tokens - 1; i >= 0; --i) {
    const auto next = load_effect(scratch, end + max(i - 1, 0));
    carry_bound(token, BoundOfSum(), bound);
    token = next;
  }
  return end_window(BoundOfSum(), bound);
}

// The number of chunks before token `cut` of a chain over which no more than kWarmUpLeft of any
// state is left, or 0 if `chunks` are not enough for a proof. By all threads.
__device__ __forceinline__ int find_warm_up(const FusedParams& p, const WorkItem& chain, int cut,
                                            int chunks, WarmUpScratch& scratch) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  float left = 1.0f;
  int done = 0;  // chunks
#pragma unroll 1
  while (done < chunks) {
    const int more = done == 0 ? 1 : chunks - 1;
    const int window = done == 0 ? kFirstWindow : kWindow;
    prepare_tokens(p, chain, cut - done * kChunk, more * kChunk, scratch);
    __syncthreads();
    if (warp < more * kChunk / window) {
      const float norm = bound_window(scratch, warp * window, window);
      if (lane_index() == 0) scratch.norms[warp] = norm;
    }
    __syncthreads();
    const int windows_of_chunk = kChunk / window;
    for (int chunk = 0; chunk < more; ++chunk) {
      for (int i = 0; i < windows_of_chunk; ++i) {
        left *= scratch.norms[chunk * windows_of_chunk + i];
      }
      if (left <= kWarmUpLeft) return done + chunk + 1;
    }
    if (!(left <= kHopelessLeft)) return 0;
    done += more;
  }
  return 0;
}

// Decides for the tail of a share. By all threads; complete for all of them.
__device__ __forceinline__ void decide_warm_up(const FusedParams& p, WarmUpScratch& scratch,
                                               const std::uint16_t* order, Share& share) {
  static_assert(sizeof(WarmUpScratch) <= SharedPlan::kPartial);
  if (share.layout != Layout::kReplayed || share.tail_skip == 0) return;
  const WorkItem chain = make_chain(p, order, share.begin - 1);
  const int cut = chain.first + share.tail_skip * kChunk;
  const int chunks =
      p.proves != 0 ? find_warm_up(p, chain, cut, min(share.tail_skip, p.max_warm_up), scratch) : 0;
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
