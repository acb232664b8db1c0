// The warpgroups that turn raw k, q, g into the operands of the recurrence, in place (E1 to E6);
// GateForm::kBounded.
//
// Decays of a chunk are referenced to one cumulative log2 decay R of each channel: keys and queries
// are stored as k 2^(G_i - R) and q 2^(G_i - R), and keys once more as k 2^(R - G_i). Products of
// the two kinds are the scores, whose diagonal is the squared length of the keys; the recurrence
// takes its state to R and on to the end of the chunk.
//
// Two warpgroups take chunks in turns; the four warps of one share a chunk, 32 channels each. A
// step is 8 channels of 32 tokens and stays in the fragments of mma.sync from load to store.
#pragma once

#include "cuda/sm90/decays.cuh"
#include "cuda/sm90/scores.cuh"
#include "cuda/sm90/wgmma.cuh"

namespace flash_kda::cuda::sm90 {

inline constexpr int kPrepareBarrier = 3;  // named barriers of the two warpgroups: 3 and 4
inline constexpr int kSteps = 4;           // of a warp and chunk

// As far as R reaches back, in log2 units, before it stays behind the end of the chunk
// (docs/numerics.md).
inline constexpr float kDeepestEnd = 104.0f;

// 8 channels of 32 tokens: raw keys and queries of tokens l / 4 + 8 i at channels 2 t and 2 t + 1,
// and their sums of decays since the start of their sub-chunk, in units of the gate.
struct ChannelStep {
  std::uint32_t k[4], q[4];
  float sums[2][4];
};

// R and the rest of the chunk's decay, in units of the gate, of channels 2 t and 2 t + 1.
struct References {
  float r[2];
  float middle[2];  // G of token 15
  float rest[2];    // G of token 31 - R
};

__device__ __forceinline__ References choose_references(int lane, const float (&sums)[2][4],
                                                        float deepest) {
  References at;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    at.middle[i] = from_last_quad(lane, sums[0][2 + i]);
    const float end = at.middle[i] + from_last_quad(lane, sums[1][2 + i]);
    at.r[i] = fminf(end, fmaxf(at.middle[i], deepest));
    at.rest[i] = end - at.r[i];
  }
  return at;
}

// One warp's part of a chunk: `first_piece` counts groups of 8 channels.
struct Preparer {
  int lane;
  const Gate<GateForm::kBounded>& gate;
  std::uint32_t stage;
  int first_piece;

  // Offset of this lane's row of a step, in a half tile.
  __device__ __forceinline__ std::uint32_t place(int step) const {
    return token_piece(lane, (first_piece + step) % 8);
  }
  __device__ __forceinline__ std::uint32_t keys() const {
    return stage + StagePlan::kKeys + first_piece / 8 * kPairedHalf;
  }
  __device__ __forceinline__ std::uint32_t query() const {
    return stage + StagePlan::kQuery + first_piece / 8 * kPairedHalf;
  }
  __device__ __forceinline__ std::uint32_t gates() const {
    return stage + StagePlan::kGate + first_piece / 8 * kHalfTile;
  }

  // `bias`: of the warp's channels.
  __device__ __forceinline__ void load(int step, std::uint32_t biases, ChannelStep& x) const {
    std::uint32_t ones[4];
    make_lower_ones(ones);
    const std::uint32_t at = place(step);
    std::uint32_t tiles[4];  // of the gate, transposed: two tokens of channel l / 4 in each
    load_tiles_transposed(tiles, gates() + at);
    const float bias = load_shared(biases + 32 * step + 4 * (lane / 4));
    load_tiles(x.k, keys() + at);
    load_tiles(x.q, query() + at);
    std::uint32_t decays[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      decays[r] = pack_f16(gate.activate(low_bf16(tiles[r]), bias),
                           gate.activate(high_bf16(tiles[r]), bias));
    }
    multiply_f16(x.sums[0], ones, decays[0], decays[1]);
    multiply_f16(x.sums[1], ones, decays[2], decays[3]);
  }

  // Returns whether a channel of this step decays after R.
  __device__ __forceinline__ bool store(int step, const ChannelStep& x) const {
    const References at = choose_references(lane, x.sums, -kDeepestEnd / gate.unit);
    std::uint32_t k_rel[4];
    std::uint32_t q_rel[4];
    std::uint32_t k_down[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      float up[2];
      float down[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float before = r < 2 ? 0.0f : at.middle[i];
        const float from = (before - at.r[i]) * gate.unit;
        const float bits = fmaf(x.sums[r / 2][2 * (r % 2) + i], gate.unit, from);
        up[i] = exp2_approx(bits);
        down[i] = exp2_approx(-bits);
      }
      const float k[2] = {low_bf16(x.k[r]), high_bf16(x.k[r])};
      k_rel[r] = pack_bf16(k[0] * up[0], k[1] * up[1]);
      k_down[r] = pack_bf16(k[0] * down[0], k[1] * down[1]);
      q_rel[r] = pack_bf16(low_bf16(x.q[r]) * up[0], high_bf16(x.q[r]) * up[1]);
    }
    const std::uint32_t here = place(step);
    store_tiles(keys() + here, k_rel);
    store_tiles(query() + here, q_rel);
    store_tiles(gates() + here, k_down);
    return store_factors(step, at);
  }

  // Lanes 0 to 3 have the factors to R, lanes 4 to 7 those from there to the end.
  __device__ __forceinline__ bool store_factors(int step, const References& at) const {
    const float left = exp2_approx((lane < 4 ? at.r[0] : at.rest[0]) * gate.unit);
    const float right = exp2_approx((lane < 4 ? at.r[1] : at.rest[1]) * gate.unit);
    if (lane < 8) {
      store_shared_2(stage + (lane < 4 ? StagePlan::kGamma : StagePlan::kRest) +
                         lane % 4 * kGammaPitch + (first_piece + step) * 8,
                     left, right);
    }
    return at.rest[0] != 0.0f || at.rest[1] != 0.0f;
  }
};

// Where a chunk is, and the two buffers of scores, one for each warpgroup.
struct PreparedChunk {
  std::uint32_t shared;
  Turn<kStages> turn;
  Turn<kPairs> score_turn;

  __device__ __forceinline__ PreparedChunk(std::uint32_t shared_address, std::uint32_t count)
      : shared(shared_address), turn(count), score_turn(count) {}
  __device__ __forceinline__ std::uint32_t stage() const {
    return shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
  }
};

// E5, E6 of a chunk whose tiles are stored. Rows 0-31: keys with keys, rows 32-63: queries with
// keys; 32 columns. The other warpgroup has the scheduler while this one waits.
__device__ __forceinline__ void score_chunk(const PreparedChunk& chunk, int lane, int warp,
                                            QkNorm qk_norm) {
  const std::uint32_t stage = make_uniform(chunk.stage());
  float score[16];
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
  wait_products<0>();
  pin(score);
  if (warp >= 2) {
    store_query_scores(lane, score, warp % 2, stage);
    publish_to_async_proxy();
    warp_arrive(chunk.shared + SharedPlan::kReady + 8 * chunk.turn.slot);
  } else {
    const std::uint32_t slot = chunk.score_turn.slot;
    const float2 rows = store_key_factors(lane, score, warp, stage, NormRule(qk_norm));
    // Sub-chunk 1 meets the keys of sub-chunk 0.
    sync_threads(kScoreBarrier + static_cast<int>(slot), 64);
    wait_at(chunk.shared + SharedPlan::kScoreEmpty + 8 * slot, chunk.score_turn.parity ^ 1);
    store_key_scores(lane, score, warp, rows,
                     chunk.shared + SharedPlan::kScore + slot * ScorePlan::kBytes, stage);
    warp_arrive(chunk.shared + SharedPlan::kScoreFull + 8 * slot);
  }
}

__device__ __forceinline__ void prepare_chunk(const Gate<GateForm::kBounded>& gate,
                                              const PreparedChunk& chunk, std::uint32_t biases,
                                              int warp, QkNorm qk_norm) {
  wait_at(chunk.shared + SharedPlan::kRaw + 8 * chunk.turn.slot, chunk.turn.parity);
  // Until q has been summed and may be overwritten, and the rows past a tail are blanked.
  wait_at(chunk.shared + SharedPlan::kNormed + 8 * chunk.turn.slot, chunk.turn.parity);
  const int lane = fresh_lane();
  const Preparer preparer = {lane, gate, chunk.stage(), kSteps * warp};
  bool has_rest = false;
  // Rolled up: the loops of all roles together have to fit the instruction cache.
#pragma unroll 1
  for (int step = 0; step < kSteps; ++step) {
    ChannelStep x;
    preparer.load(step, biases, x);
    __syncwarp();  // every lane has read its rows
    has_rest |= preparer.store(step, x);
  }
  const bool any_rest = __any_sync(0xffffffffu, has_rest) != 0;
  if (lane == 0) {
    store_shared(chunk.stage() + StagePlan::kHasRest + 4 * warp, any_rest ? 1.0f : 0.0f);
  }
  publish_to_async_proxy();
  sync_threads(kPrepareBarrier + static_cast<int>(chunk.score_turn.slot), kWarpgroup);
  score_chunk(chunk, lane, warp, qk_norm);
}

// Warpgroup `group` of the two takes every second chunk of all that the block sees.
template <Keeps kKeeps>
__device__ __forceinline__ void run_prepare(const FusedParams& p, std::uint32_t shared, int group) {
  const int warp = (static_cast<int>(threadIdx.x) / 32) % 4;
  const std::uint32_t biases = shared + SharedPlan::kBias + (4 * group + warp) * 128;
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    const Gate<GateForm::kBounded> gate(p.inputs, item.head);
    __syncwarp();  // the biases of the last item have been read
    const std::int64_t channel =
        static_cast<std::int64_t>(item.head) * kDim + 32 * warp + lane_index();
    store_shared(biases + 4 * lane_index(), gate.bias(load_bias(p.inputs, channel)));
    __syncwarp();
    const std::uint32_t end = count + item.chunks();
    std::uint32_t c = count + ((count ^ group) & 1);
#pragma unroll 1
    for (; c < end; c += 2) {
      prepare_chunk(gate, PreparedChunk(shared, c), biases, warp, p.inputs.qk_norm);
    }
    count = end;
  });
}

}  // namespace flash_kda::cuda::sm90
