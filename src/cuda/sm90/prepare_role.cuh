// The warpgroup that turns raw k, q, g into the operands of the recurrence, in place (E2 to E6);
// GateForm::kBounded.
//
// Decays of a chunk are referenced to one cumulative log2 decay R of each channel: keys and queries
// are stored as beta n^2 k 2^(G_i - R) and q 2^(G_i - R), and keys once more as k 2^(R - G_i).
// Products of the two kinds are the scores; the recurrence takes its state to R and on to the end
// of the chunk.
//
// The four warps share every chunk, 32 channels each. A step is 16 channels of 32 tokens and stays
// in the fragments of mma.sync from load to store.
#pragma once

#include "cuda/sm90/decays.cuh"
#include "cuda/sm90/scores.cuh"
#include "cuda/sm90/wgmma.cuh"

namespace flash_kda::cuda::sm90 {

inline constexpr int kPrepareBarrier = 3;  // named barrier of the warpgroup
inline constexpr int kSteps = 2;           // of a warp and chunk

// As far as R reaches back, in log2 units, before it stays behind the end of the chunk
// (docs/numerics.md).
inline constexpr float kDeepestEnd = 104.0f;

// 16 channels of 32 tokens, raw; sums are those of each sub-chunk.
struct ChannelStep {
  std::uint32_t k[2][4], q[2][4];
  float sums[2][8];
};

// R and the rest of the chunk's decay, in units of `unit`, of channels 2 t, 2 t + 1, 8 + 2 t, 9 + 2
// t.
struct References {
  float r[4];
  float middle[4];  // G of token 15
  float rest[4];    // G of token 31 - R
};

__device__ __forceinline__ References choose_references(const float (&sums)[2][8], float deepest) {
  References at;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int last = 4 * (i / 2) + 2 + i % 2;
    at.middle[i] = from_last_quad(sums[0][last]);
    const float end = at.middle[i] + from_last_quad(sums[1][last]);
    at.r[i] = fminf(end, fmaxf(at.middle[i], deepest));
    at.rest[i] = end - at.r[i];
  }
  return at;
}

struct Preparer {
  const Gate<GateForm::kBounded>& gate;
  std::uint32_t stage;
  std::uint32_t half;  // offset of the warp's half of keys and queries
  int group;           // the warp's first 16 channels of all 128

  __device__ __forceinline__ std::uint32_t place(int step) const {
    const std::uint32_t lane = static_cast<std::uint32_t>(lane_index());
    return token_piece(lane % 16, 2 * ((group + step) % 4) + lane / 16);
  }
  __device__ __forceinline__ std::uint32_t keys() const {
    return stage + StagePlan::kKeys + half * kPairedHalf;
  }
  __device__ __forceinline__ std::uint32_t query() const {
    return stage + StagePlan::kQuery + half * kPairedHalf;
  }
  __device__ __forceinline__ std::uint32_t gates() const {
    return stage + StagePlan::kGate + half * kHalfTile;
  }

  __device__ __forceinline__ void load(int step, const std::uint32_t (&ones)[4], std::uint32_t bias,
                                       ChannelStep& x) const {
    const std::uint32_t at = place(step);
    std::uint32_t tiles[2][4];
#pragma unroll
    for (int sub = 0; sub < 2; ++sub) {
      load_tiles_transposed(tiles[sub], gates() + at + sub * (kSub * 128));
      load_tiles(x.k[sub], keys() + at + sub * (kSub * 128));
      load_tiles(x.q[sub], query() + at + sub * (kSub * 128));
    }
#pragma unroll
    for (int sub = 0; sub < 2; ++sub) {
      cumsum_decay(gate, ones, tiles[sub], bias + 64 * step, x.sums[sub]);
    }
  }

  // Returns whether a channel of this step decays after R. `key_scale`: of tokens l / 4, and 8, 16,
  // 24 further.
  __device__ __forceinline__ bool store(int step, const ChannelStep& x,
                                        const float (&key_scale)[4]) const {
    const References at = choose_references(x.sums, -kDeepestEnd / gate.unit);
    const std::uint32_t here = place(step);
#pragma unroll
    for (int sub = 0; sub < 2; ++sub) {
      std::uint32_t k_rel[4];
      std::uint32_t q_rel[4];
      std::uint32_t k_down[4];
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int h = r / 2;
        float up[2];
        float down[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int channel = 2 * h + i;
          const float before = sub == 0 ? 0.0f : at.middle[channel];
          const float from = (before - at.r[channel]) * gate.unit;
          const float bits = fmaf(x.sums[sub][4 * h + 2 * (r % 2) + i], gate.unit, from);
          up[i] = exp2_approx(bits);
          down[i] = exp2_approx(-bits);
        }
        const float k[2] = {low_bf16(x.k[sub][r]), high_bf16(x.k[sub][r])};
        const float scale = key_scale[2 * sub + r % 2];
        k_rel[r] = pack_bf16(k[0] * scale * up[0], k[1] * scale * up[1]);
        k_down[r] = pack_bf16(k[0] * down[0], k[1] * down[1]);
        q_rel[r] = pack_bf16(low_bf16(x.q[sub][r]) * up[0], high_bf16(x.q[sub][r]) * up[1]);
      }
      store_tiles(keys() + here + sub * (kSub * 128), k_rel);
      store_tiles(query() + here + sub * (kSub * 128), q_rel);
      store_tiles(gates() + here + sub * (kSub * 128), k_down);
    }
    return store_factors(step, at);
  }

  // Lanes 0 to 3 have the factors to R, lanes 4 to 7 those from there to the end.
  __device__ __forceinline__ bool store_factors(int step, const References& at) const {
    const int lane = lane_index();
    float factor[4];
    bool has_rest = false;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      factor[i] = exp2_approx((lane < 4 ? at.r[i] : at.rest[i]) * gate.unit);
      has_rest = has_rest || at.rest[i] != 0.0f;
    }
    if (lane < 8) {
      const std::uint32_t column = lane % 4 * kGammaPitch + (group + step) * 16;
      store_shared_4(stage + (lane < 4 ? StagePlan::kGamma : StagePlan::kRest) + column, factor[0],
                     factor[1], factor[2], factor[3]);
    }
    return has_rest;
  }
};

// Scores of a chunk, still being multiplied while the next chunk's gates are computed. Rows 0-31:
// keys with keys, rows 32-63: queries with keys; 32 columns.
struct PendingScores {
  float score[16] = {};
  std::uint32_t count = 0;  // chunks seen; the last of them is pending

  __device__ __forceinline__ void start(std::uint32_t stage) {
    pin(score);
    begin_products();
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const std::uint32_t step = (k % 4) * 32;
      const std::uint32_t keys = StagePlan::kKeys + (k / 4) * kPairedHalf + step;
      const std::uint32_t down = StagePlan::kGate + (k / 4) * kHalfTile + step;
      multiply_shared_32(score, describe(kTokensByChannels, stage, keys),
                         describe(kTokensByChannels, stage, down), k > 0);
    }
    commit_products();
    ++count;
  }

  __device__ __forceinline__ void finish(std::uint32_t shared, int warp) {
    wait_products<0>();
    pin(score);
    if (count == 0) return;
    const Turn<kStages> turn(count - 1);
    const Turn<kPairs> score_turn(count - 1);
    const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
    if (warp >= 2) {
      store_query_scores(score, warp % 2, stage);
      publish_to_async_proxy();
      warp_arrive(shared + SharedPlan::kReady + 8 * turn.slot);
    } else {
      wait_at(shared + SharedPlan::kScoreEmpty + 8 * score_turn.slot, score_turn.parity ^ 1);
      store_key_scores(score, warp,
                       shared + SharedPlan::kScore + score_turn.slot * ScorePlan::kBytes, stage);
      warp_arrive(shared + SharedPlan::kScoreFull + 8 * score_turn.slot);
    }
  }
};

__device__ __forceinline__ void prepare_chunk(const Gate<GateForm::kBounded>& gate,
                                              const std::uint32_t (&ones)[4], std::uint32_t shared,
                                              int warp, int tokens, PendingScores& pending) {
  const Turn<kStages> turn(pending.count);
  const std::uint32_t stage =
      make_uniform(shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes);
  wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
  const std::uint32_t normed = shared + SharedPlan::kNormed + 8 * turn.slot;
  if (tokens < kChunk) wait_at(normed, turn.parity);  // until the tail's rows are blanked
  const Preparer preparer = {gate, stage, static_cast<std::uint32_t>(warp / 2), kSteps * warp};
  float key_scale[4] = {};
  bool has_rest = false;
  // Rolled up: the loops of all roles together have to fit the instruction cache.
#pragma unroll 1
  for (int i = 0; i < kSteps; ++i) {
    ChannelStep x;
    preparer.load(i, ones, shared + SharedPlan::kBias + warp * 256, x);
    if (i == 0) {
      pending.finish(shared, warp);
      wait_at(normed, turn.parity);  // k and q must have been summed
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        key_scale[j] = load_shared(stage + StagePlan::kKeyScale + 32 * j + 4 * (lane_index() / 4));
      }
    }
    __syncwarp();  // every lane has read its rows
    has_rest |= preparer.store(i, x, key_scale);
  }
  const bool any_rest = __any_sync(0xffffffffu, has_rest) != 0;
  if (lane_index() == 0) {
    store_shared(stage + StagePlan::kHasRest + 4 * warp, any_rest ? 1.0f : 0.0f);
  }
  publish_to_async_proxy();
  sync_threads(kPrepareBarrier, kWarpgroup);
  pending.start(stage);
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_prepare(const FusedParams& p, std::uint32_t shared) {
  const int warp = (static_cast<int>(threadIdx.x) / 32) % 4;
  const int lane = lane_index();
  std::uint32_t ones[4];
  make_lower_ones(ones);
  PendingScores pending;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    const Gate<GateForm::kBounded> gate(p.inputs, item.head);
    __syncwarp();  // the biases of the last item have been read
    const std::int64_t channel = static_cast<std::int64_t>(item.head) * kDim + 32 * warp + lane;
    store_shared(shared + SharedPlan::kBias + warp * 256 + 4 * lane,
                 gate.bias(load_bias(p.inputs, channel)));
    __syncwarp();
#pragma unroll 1
    for (int left = item.length; left > 0; left -= kChunk) {
      prepare_chunk(gate, ones, shared, warp, left, pending);
    }
  });
  pending.finish(shared, warp);
}

}  // namespace flash_kda::cuda::sm90
