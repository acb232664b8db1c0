// The warps that turn raw k, q, g into the operands of the recurrence and of the scores, in place
// (E2 to E4); GateForm::kBounded.
//
// Decays of a chunk are referenced to one cumulative log2 decay R of each channel: keys and queries
// are stored as k 2^(G_i - R) and q 2^(G_i - R), and keys once more as k 2^(R - G_i). Products of
// the two kinds are the scores, whose diagonal is the squared length of the keys; the recurrence
// takes its state to R and on to the end of the chunk.
//
// The eight warps share every chunk, 16 channels each, and do not wait for each other. A step is 8
// channels of 32 tokens, of which a lane has eight tokens of one channel from load to store.
#pragma once

#include "cuda/sm90/decays.cuh"
#include "cuda/sm90/rehearsal.cuh"
#include "cuda/sm90/smem_plan.cuh"

namespace flash_kda::cuda::sm90 {

inline constexpr int kSteps = 2;  // of a warp and chunk
static_assert(kPrepareWarps * kSteps * 8 == kDim);

// As far as R reaches back, in log2 units, before it stays behind the end of the chunk
// (docs/numerics.md).
inline constexpr float kDeepestEnd = 104.0f;

// The token in row j of 8x8 tile m, j = lane % 8, m = lane / 8: transposed, tile m gives a lane
// tokens 8 t + 2 (t ^ m) and the next of channel l / 4, t = l % 4. So its four tiles are eight
// tokens in a row, and the rows of a tile still lie in different banks.
__device__ __forceinline__ std::uint32_t token_of_row(std::uint32_t lane) {
  return (lane & 6) * 4 + ((lane ^ (lane >> 2 & 6)) & 7);
}

// A lane's eight tokens of a channel: pair r is tokens 8 t + 2 (t ^ r) and the next.
struct ChannelDecays {
  float bits[4][2];  // log2 of the decay from R
  float r;           // R, log2
  float rest;        // from R to the end of the chunk
};

// E2, E3. `decays`: of the tokens, in units of `unit` bits.
__device__ __forceinline__ ChannelDecays sum_decays(std::uint32_t lane, const float (&decays)[4][2],
                                                    float unit) {
  const bool is_odd = (lane & 1) != 0;
  const bool is_high = (lane & 2) != 0;
  float pair[4];
#pragma unroll
  for (int r = 0; r < 4; ++r) pair[r] = decays[r][0] + decays[r][1];
  // Of each two pairs, and of each two of those, the later one is the lane's own where its bit is
  // set.
  const float left = pair[0] + pair[1];
  const float right = pair[2] + pair[3];
  const float until[4] = {pair[0] + (is_odd ? pair[1] : 0.0f), pair[1] + (is_odd ? 0.0f : pair[0]),
                          pair[2] + (is_odd ? pair[3] : 0.0f), pair[3] + (is_odd ? 0.0f : pair[2])};
  const float all = left + right;
  const float neighbour = __shfl_xor_sync(0xffffffffu, all, 1);
  const float sub_chunk = all + neighbour;
  const float other = __shfl_xor_sync(0xffffffffu, sub_chunk, 2);
  const float before = (is_odd ? neighbour : 0.0f) + (is_high ? other : 0.0f);

  const float middle = (is_high ? other : sub_chunk) * unit;
  const float end = (sub_chunk + other) * unit;
  ChannelDecays x;
  x.r = fmaxf(end, fminf(middle, -kDeepestEnd));
  x.rest = end - x.r;
  const float from_left = fmaf(before + (is_high ? right : 0.0f), unit, -x.r);
  const float from_right = fmaf(before + (is_high ? 0.0f : left), unit, -x.r);
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    x.bits[r][1] = fmaf(until[r], unit, r < 2 ? from_left : from_right);
    x.bits[r][0] = fmaf(-decays[r][1], unit, x.bits[r][1]);
  }
  return x;
}

// Where a lane finds its part of stage 0.
struct PreparePlace {
  std::uint32_t keys;     // its row of step 0; the queries' is kHalfTile behind
  std::uint32_t factors;  // lanes 4 c: to R, of channel c; lanes 4 c + 1: from there to the end

  __device__ __forceinline__ PreparePlace(std::uint32_t lane, std::uint32_t shared, int part) {
    const std::uint32_t piece = kSteps * part;  // groups of 8 channels before the warp's
    const std::uint32_t half = piece / 8;
    const std::uint32_t channel = lane / 4;
    const std::uint32_t stage = shared + SharedPlan::kStage;
    keys =
        stage + StagePlan::kKeys + half * kPairedHalf + token_piece(token_of_row(lane), piece % 8);
    factors = stage + (lane % 4 == 0 ? StagePlan::kGamma : StagePlan::kRest) +
              channel / 2 * kGammaPitch + piece * 8 + channel % 2 * 4;
  }
};

// One warp's part of a chunk.
struct Preparer {
  std::uint32_t lane;
  BoundedGate gate;
  float unit;
  std::uint32_t keys;     // as in PreparePlace, of the chunk's stage
  std::uint32_t gates;    // the lane's row of the gate, step 0
  std::uint32_t biases;   // of the lane's channel, step 0
  std::uint32_t factors;  // as in PreparePlace

  // `head`: slope and unit. `stage`: bytes from stage 0 to the chunk's. `thread`: of the block;
  // what follows from it is not kept from chunk to chunk, for want of registers.
  __device__ __forceinline__ Preparer(std::uint32_t thread, const PreparePlace& place, float2 head,
                                      std::uint32_t board, std::uint32_t stage)
      : lane(thread % 32), gate(head.x), unit(head.y) {
    const std::uint32_t half = thread / (4 * kWarpgroup);  // of the channels: of warps 16 to 19, 1
    keys = place.keys + stage;
    gates = keys + StagePlan::kGate - StagePlan::kKeys - half * (kPairedHalf - kHalfTile);
    biases = board + BoardPlan::kBias + half * BoardPlan::kBiasHalf + thread % kWarpgroup / 4 * 4;
    factors = place.factors + stage;
  }

  // A step further is another 16-byte piece of the row: the swizzle is an exclusive or, and the
  // number of a warp's first piece is even.
  static_assert(kSteps == 2);
  static __device__ __forceinline__ std::uint32_t at_step(std::uint32_t row, int step) {
    return row ^ (step << 4);
  }

  __device__ __forceinline__ void load_gates(int step, std::uint32_t (&tiles)[4],
                                             float& bias) const {
    load_tiles_transposed(tiles, at_step(gates, step));
    bias = load_shared(biases + BoardPlan::kBiasStep * step);
  }
  __device__ __forceinline__ ChannelDecays decays(const std::uint32_t (&tiles)[4],
                                                  float bias) const {
    float x[4][2];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      x[r][0] = gate.activate(low_bf16(tiles[r]), bias);
      x[r][1] = gate.activate(high_bf16(tiles[r]), bias);
    }
    return sum_decays(lane, x, unit);
  }

  __device__ __forceinline__ void store(int step, const ChannelDecays& x) const {
    const std::uint32_t here = at_step(keys, step);
    std::uint32_t k[4];
    std::uint32_t q[4];
    load_tiles_transposed(k, here);
    load_tiles_transposed(q, here + StagePlan::kQuery - StagePlan::kKeys);
    __syncwarp();  // every lane has read its rows
    std::uint32_t k_down[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      float up[2];
      float down[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        up[i] = exp2_approx(x.bits[r][i]);
        down[i] = exp2_approx(-x.bits[r][i]);
      }
      const float key[2] = {low_bf16(k[r]), high_bf16(k[r])};
      k[r] = pack_bf16(key[0] * up[0], key[1] * up[1]);
      k_down[r] = pack_bf16(key[0] * down[0], key[1] * down[1]);
      q[r] = pack_bf16(low_bf16(q[r]) * up[0], high_bf16(q[r]) * up[1]);
    }
    store_tiles_transposed(here, k);
    store_tiles_transposed(here + StagePlan::kQuery - StagePlan::kKeys, q);
    store_tiles_transposed(at_step(gates, step), k_down);
    store_factors(step, x);
  }

  __device__ __forceinline__ void store_factors(int step, const ChannelDecays& x) const {
    const float factor = exp2_approx((lane & 1) == 0 ? x.r : x.rest);
    if ((lane & 2) == 0) store_shared(factors + 8 * step, factor);
  }
};

// A warp's channels of a chunk, from raw to stored. The gates of both steps are loaded first.
__device__ __forceinline__ void prepare_chunk(const Preparer& preparer) {
  std::uint32_t tiles[kSteps][4];
  float bias[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) preparer.load_gates(step, tiles[step], bias[step]);
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    preparer.store(step, preparer.decays(tiles[step], bias[step]));
  }
  publish_to_async_proxy();
}

// Of a warp of warpgroup 1 or 4: its part of 8, read anew.
__device__ __forceinline__ int prepare_part() {
  const int warp = fresh_thread() / 32;
  return warp % 4 + (warp < 8 ? 0 : 4);
}

// Every chunk that the block sees; `part` of 8.
template <Keeps kKeeps>
__device__ __forceinline__ void run_prepare(std::uint32_t shared, int part,
                                            Pass pass = Pass::kFirst) {
  const PreparePlace place(fresh_lane(), shared, part);
  std::uint32_t count = first_count<GateForm::kBounded, kKeeps>(kPrepareRehearsal, pass);
#pragma unroll 1
  for (;; count = next_count(count)) {
    const Turn<kStages> turn(count);
    // Until q has been summed and may be overwritten, and the rows past a tail are blanked. The
    // scalars have waited for the boxes, and what they saw then is seen here.
    wait_at(awaited(count, shared, SharedPlan::kNormed + 8 * turn.slot), turn.parity);
    const std::uint32_t board = shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes;
    const float2 head = load_shared_2(board + BoardPlan::kSlope);
    if (head.x == 0.0f) break;
    prepare_chunk(Preparer(fresh_thread(), place, head, board, turn.slot * StagePlan::kBytes));
    warp_arrive(arrival(count, shared, SharedPlan::kStored + 8 * turn.slot));
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
