// The warps that turn raw k, q, g into the operands of the recurrence and of the scores, in place
// (E2 to E4); GateForm::kBounded.
//
// Decays of a chunk are referenced to one cumulative log2 decay R of each channel: keys and queries
// are stored as k 2^(G_i - R) and q 2^(G_i - R), and keys once more as k 2^(R - G_i). Products of
// the two kinds are the scores, whose diagonal is the squared length of the keys; the recurrence
// takes its state to R and on to the end of the chunk.
//
// The eight warps share every chunk, 16 channels each, and do not wait for each other. A step is 8
// channels of 32 tokens and stays in the fragments of mma.sync from load to store.
#pragma once

#include "cuda/sm90/decays.cuh"
#include "cuda/sm90/smem_plan.cuh"

namespace flash_kda::cuda::sm90 {

inline constexpr int kSteps = 2;  // of a warp and chunk
static_assert(kPrepareWarps * kSteps * 8 == kDim);

// As far as R reaches back, in log2 units, before it stays behind the end of the chunk
// (docs/numerics.md).
inline constexpr float kDeepestEnd = 104.0f;

// 8 channels of 32 tokens: raw keys and queries of tokens l / 4 + 8 i at channels 2 t and 2 t + 1,
// and their sums of decays since the start of their sub-chunk, in units of the gate.
struct ChannelStep {
  std::uint32_t k[4], q[4];
  float sums[2][4];
};

// R and the rest of the chunk's decay of channels 2 t and 2 t + 1, and G of token 15; log2.
struct References {
  float r[2];
  float middle[2];
  float rest[2];  // of token 31, from R
};

__device__ __forceinline__ References choose_references(int lane, const float (&sums)[2][4],
                                                        float unit) {
  References at;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    at.middle[i] = from_last_quad(lane, sums[0][2 + i]) * unit;
    const float end = fmaf(from_last_quad(lane, sums[1][2 + i]), unit, at.middle[i]);
    at.r[i] = fmaxf(end, fminf(at.middle[i], -kDeepestEnd));
    at.rest[i] = end - at.r[i];
  }
  return at;
}

// One warp's part of a chunk.
struct Preparer {
  int lane;
  BoundedGate gate;
  float unit;
  std::uint32_t stage;
  std::uint32_t biases;  // of this lane's channel of step 0
  std::uint32_t keys;    // this lane's row of step 0, of keys; the queries' is kHalfTile behind
  std::uint32_t gates;   // and of the gate
  int first_piece;       // groups of 8 channels before the warp's

  __device__ __forceinline__ Preparer(int lane, float unit, std::uint32_t stage,
                                      std::uint32_t board, int part)
      : lane(lane),
        gate(load_shared(board + BoardPlan::kSlope)),
        unit(unit),
        stage(stage),
        biases(board + BoardPlan::kBias + 32 * kSteps * part + 4 * (lane / 4)),
        first_piece(kSteps * part) {
    const std::uint32_t row = stage + token_piece(lane, first_piece % 8);
    keys = row + StagePlan::kKeys + first_piece / 8 * kPairedHalf;
    gates = row + StagePlan::kGate + first_piece / 8 * kHalfTile;
  }

  // A step further is another 16-byte piece of the row: the swizzle is an exclusive or, and the
  // number of a warp's first piece is even.
  static_assert(kSteps == 2);
  static __device__ __forceinline__ std::uint32_t at_step(std::uint32_t row, int step) {
    return row ^ (step << 4);
  }

  // `tiles`: of the gate, transposed: two tokens of channel l / 4 in each.
  __device__ __forceinline__ void load_gates(int step, std::uint32_t (&tiles)[4],
                                             float& bias) const {
    load_tiles_transposed(tiles, at_step(gates, step));
    bias = load_shared(biases + 32 * step);
  }
  __device__ __forceinline__ void load(int step, const std::uint32_t (&ones)[4],
                                       const std::uint32_t (&tiles)[4], float bias,
                                       ChannelStep& x) const {
    const std::uint32_t at = at_step(keys, step);
    load_tiles(x.k, at);
    load_tiles(x.q, at + StagePlan::kQuery - StagePlan::kKeys);
    std::uint32_t decays[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      decays[r] = pack_f16(gate.activate(low_bf16(tiles[r]), bias),
                           gate.activate(high_bf16(tiles[r]), bias));
    }
    multiply_f16(x.sums[0], ones, decays[0], decays[1]);
    multiply_f16(x.sums[1], ones, decays[2], decays[3]);
  }

  __device__ __forceinline__ void store(int step, const ChannelStep& x) const {
    const References at = choose_references(lane, x.sums, unit);
    std::uint32_t k_rel[4];
    std::uint32_t q_rel[4];
    std::uint32_t k_down[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      float up[2];
      float down[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float from = r < 2 ? -at.r[i] : at.middle[i] - at.r[i];
        const float bits = fmaf(x.sums[r / 2][2 * (r % 2) + i], unit, from);
        up[i] = exp2_approx(bits);
        down[i] = exp2_approx(-bits);
      }
      const float k[2] = {low_bf16(x.k[r]), high_bf16(x.k[r])};
      k_rel[r] = pack_bf16(k[0] * up[0], k[1] * up[1]);
      k_down[r] = pack_bf16(k[0] * down[0], k[1] * down[1]);
      q_rel[r] = pack_bf16(low_bf16(x.q[r]) * up[0], high_bf16(x.q[r]) * up[1]);
    }
    const std::uint32_t here = at_step(keys, step);
    store_tiles(here, k_rel);
    store_tiles(here + StagePlan::kQuery - StagePlan::kKeys, q_rel);
    store_tiles(at_step(gates, step), k_down);
    store_factors(step, at);
  }

  // Lanes 0 to 3 have the factors to R, lanes 4 to 7 those from there to the end.
  __device__ __forceinline__ void store_factors(int step, const References& at) const {
    const float left = exp2_approx(lane < 4 ? at.r[0] : at.rest[0]);
    const float right = exp2_approx(lane < 4 ? at.r[1] : at.rest[1]);
    if (lane < 8) {
      store_shared_2(stage + (lane < 4 ? StagePlan::kGamma : StagePlan::kRest) +
                         lane % 4 * kGammaPitch + (first_piece + step) * 8,
                     left, right);
    }
  }
};

// Every chunk that the block sees; `part` of 8.
__device__ __forceinline__ void run_prepare(const FusedParams& p, std::uint32_t shared, int part) {
  const float unit = BoundedGate::unit(p.inputs);
  std::uint32_t ones[4];
  make_lower_ones(ones);
  // Two of them are constants, of which ptxas makes copies for every product, 12 moves a step,
  // unless it does not know them: a zero that it cannot see through.
  const std::uint32_t zero = static_cast<std::uint32_t>(fresh_lane()) / 32;
#pragma unroll
  for (int r = 0; r < 4; ++r) ones[r] += zero;
  std::uint32_t count = 0;
#pragma unroll 1
  for (;; ++count) {
    const Turn<kStages> turn(count);
    // Until q has been summed and may be overwritten, and the rows past a tail are blanked. The
    // scalars have waited for the boxes, and what they saw then is seen here.
    wait_at(shared + SharedPlan::kNormed + 8 * turn.slot, turn.parity);
    const std::uint32_t board = shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes;
    if (load_shared(board + BoardPlan::kExists) == 0.0f) break;
    const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
    const Preparer preparer(fresh_lane(), unit, stage, board, part);
    std::uint32_t tiles[kSteps][4];
    float bias[kSteps];
#pragma unroll
    for (int step = 0; step < kSteps; ++step) preparer.load_gates(step, tiles[step], bias[step]);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      ChannelStep x;
      preparer.load(step, ones, tiles[step], bias[step], x);
      __syncwarp();  // every lane has read its rows
      preparer.store(step, x);
    }
    publish_to_async_proxy();
    warp_arrive(shared + SharedPlan::kStored + 8 * turn.slot);
  }
  // As many more as the recurrence looks ahead, which do not exist. Once the chunks before them in
  // their stages are given back: some of these may still be in the hands of slower warps, and the
  // recurrence has to have seen them stored before the barrier goes on.
  if (lane_index() == 0) block_chunks() = count;
  for (std::uint32_t c = count; c < count + kScoresAhead; ++c) {
    const Turn<kStages> turn(c);
    wait_at(shared + SharedPlan::kEmpty + 8 * turn.slot, turn.parity ^ 1);
    warp_arrive(shared + SharedPlan::kStored + 8 * turn.slot);
  }
}

}  // namespace flash_kda::cuda::sm90
