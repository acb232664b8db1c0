// The warp that inverts I + Akk (E7), 32 x 32, and multiplies its rows with n
// and its columns with 1 / n (smem_plan.cuh).
//
//   | A     |-1   |  A^-1                      |
//   | L   D |   = | -D^-1 L A^-1         D^-1  |
//
// from 8 to 16 and from 16 to 32. The four inverses of 8 x 8 by forward substitution in fp32, a
// lane a column: a power series would overflow fp16 for keys that repeat (docs/numerics.md, E7).
// The corners are fp16 products. Substitution of 16 x 16 took 1.7 times the instructions, most of
// them waiting, and made this warp the slowest of the block.
#pragma once

#include "cuda/sm90/scores.cuh"

namespace flash_kda::cuda::sm90 {

// kGeneral: Akk as prepare has stored it. Address of a ScorePlan.
struct StoredAkk {
  std::uint32_t score;
};

// kBounded: Akk_ij = beta_i n_i n_j s_ij from products s of keys that are not normalised, the
// factors of tokens and the address of a RawScorePlan.
struct RawAkk {
  std::uint32_t scores;
  std::uint32_t factors;  // of the stage: kNorm and kValueScale, beta n
};

// Factors of the keys of a chunk, a lane a token.
__device__ __forceinline__ void store_key_factors(int lane, std::uint32_t scores,
                                                  std::uint32_t stage, NormRule rule) {
  const std::uint32_t token = stage + 4 * lane;
  const float diagonal = load_shared(raw_score(scores, lane, lane / 2) + lane % 2 * 4);
  KeyFactors(diagonal, load_shared(token + StagePlan::kBeta), rule).store(token);
}

// Column lane % 8 of the inverse of diagonal block lane / 8.
__device__ __forceinline__ void substitute(int lane, StoredAkk akk, float (&x)[8]) {
  const int block = lane / 8;
  const int column = lane % 8;
  const std::uint32_t first = akk.score + ScorePlan::kDiagonal + block % 2 * (8 * 128);
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = i == column ? 1.0f : 0.0f;
#pragma unroll
  for (int solved = 0; solved < 8; solved += 4) {
#pragma unroll
    for (int i = solved + 1; i < 8; ++i) {
      const std::uint32_t piece = block / 2 * 4 + block % 2 * 2 + solved / 4;
      const float4 row = load_shared_4(first + i * 128 + ((piece ^ i) << 4));
      x[i] -= row.x * x[solved];
      if (solved + 1 < i) x[i] -= row.y * x[solved + 1];
      if (solved + 2 < i) x[i] -= row.z * x[solved + 2];
      if (solved + 3 < i) x[i] -= row.w * x[solved + 3];
    }
  }
}
__device__ __forceinline__ void load_eight(std::uint32_t address, float (&x)[8]) {
  const float4 low = load_shared_4(address);
  const float4 high = load_shared_4(address + 16);
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}
// x_i = e_i - beta_i n_i sum_j s_ij (n_j x_j).
__device__ __forceinline__ void substitute(int lane, RawAkk akk, float (&x)[8]) {
  const int block = lane / 8;
  const int column = lane % 8;
  const std::uint32_t first = akk.scores + block * (8 * RawScorePlan::kRow);
  float norm[8];
  float scale[8];
  load_eight(akk.factors + StagePlan::kNorm + 32 * block, norm);
  load_eight(akk.factors + StagePlan::kValueScale + 32 * block, scale);
  float sum[8] = {};
  float scaled[8];  // n_j x_j
  const auto solve = [&](int i) {
    x[i] = fmaf(-scale[i], sum[i], i == column ? 1.0f : 0.0f);
    scaled[i] = norm[i] * x[i];
  };
  solve(0);
#pragma unroll
  for (int solved = 0; solved < 8; solved += 4) {
#pragma unroll
    for (int i = solved + 1; i < 8; ++i) {
      const std::uint32_t piece = 2 * block + solved / 4;
      const float4 row = load_shared_4(first + i * RawScorePlan::kRow + ((piece ^ i) << 4));
      sum[i] = fmaf(row.x, scaled[solved], sum[i]);
      if (solved + 1 < i) sum[i] = fmaf(row.y, scaled[solved + 1], sum[i]);
      if (solved + 2 < i) sum[i] = fmaf(row.z, scaled[solved + 2], sum[i]);
      if (solved + 3 < i) sum[i] = fmaf(row.w, scaled[solved + 3], sum[i]);
      if (i <= solved + 4) solve(i);
    }
  }
}

// The four inverses of 8 x 8, fp16 tiles of mma.sync.
struct SmallInverses {
  std::uint32_t block[4];
  std::uint32_t transposed[4];
};
template <typename Akk>
__device__ __forceinline__ SmallInverses invert_small(int lane, Akk akk, std::uint32_t columns) {
  const std::uint32_t mine = columns + 16 * lane;
  {
    float x[8];
    substitute(lane, akk, x);
    store_shared_bits(mine, {pack_f16(x[0], x[1]), pack_f16(x[2], x[3]), pack_f16(x[4], x[5]),
                             pack_f16(x[6], x[7])});
  }
  __syncwarp();
  SmallInverses small;
  load_tiles(small.transposed, mine);
  load_tiles_transposed(small.block, mine);
  __syncwarp();  // read, before the next chunk's are stored
  return small;
}

// Rows 8-15 and columns 0-7 of both diagonal blocks of 16 x 16, as right operands that are L^T.
struct SmallLower {
  std::uint32_t of[2];
};
__device__ __forceinline__ SmallLower load_small_lower(int lane, StoredAkk akk) {
  const int row = lane / 4;
  const int t = lane % 4;
  const std::uint32_t at = akk.score + ScorePlan::kDiagonal + (8 + row) * 128 + t % 2 * 8;
  const float2 left = load_shared_2(at + ((t / 2 ^ row) << 4));
  const float2 right = load_shared_2(at + ((4 + t / 2 ^ row) << 4));
  return {{pack_f16(left.x, left.y), pack_f16(right.x, right.y)}};
}
// A pair of neighbours in row `row` times the factors of the row and the two columns, fp16.
__device__ __forceinline__ std::uint32_t pack_scaled(RawAkk akk, std::uint32_t row, std::uint32_t i,
                                                     float scale, float2 norms) {
  const float2 s = load_shared_2(raw_score(akk.scores, row, i));
  return pack_f16(s.x * (scale * norms.x), s.y * (scale * norms.y));
}
__device__ __forceinline__ SmallLower load_small_lower(int lane, RawAkk akk) {
  SmallLower lower;
#pragma unroll
  for (int sub = 0; sub < 2; ++sub) {
    const std::uint32_t row = kSub * sub + 8 + lane / 4;
    const float scale = load_shared(akk.factors + StagePlan::kValueScale + 4 * row);
    const float2 norms =
        load_shared_2(akk.factors + StagePlan::kNorm + 4 * kSub * sub + 8 * (lane % 4));
    lower.of[sub] = pack_scaled(akk, row, 8 * sub + lane % 4, scale, norms);
  }
  return lower;
}

// Rows 16-31 and columns 0-15, as right operands that are L^T: rows 0-7 and 8-15 of columns 0-7,
// then of columns 8-15.
__device__ __forceinline__ void load_lower(int lane, StoredAkk akk, std::uint32_t (&lower)[4]) {
  load_tiles(lower, akk.score + ScorePlan::kLower + block_piece(lane % 16, lane / 16));
}
__device__ __forceinline__ void load_lower(int lane, RawAkk akk, std::uint32_t (&lower)[4]) {
  const float4 norms = load_columns(lane, akk.factors + StagePlan::kNorm);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint32_t row = kSub + 8 * half + lane / 4;
    const float scale = load_shared(akk.factors + StagePlan::kValueScale + 4 * row);
    lower[half] = pack_scaled(akk, row, lane % 4, scale, {norms.x, norms.y});
    lower[half + 2] = pack_scaled(akk, row, 4 + lane % 4, scale, {norms.z, norms.w});
  }
}

// The corners of both inverses of 16 x 16: -D^-1 L A^-1 of 8 x 8 blocks, fp16 tiles.
struct SmallCorners {
  std::uint32_t of[2];
};
__device__ __forceinline__ SmallCorners multiply_small_corners(const SmallLower& lower,
                                                               const SmallInverses& small) {
  // Both at once, as block diagonals. (L A^-1)^T = A^-T L^T, whose accumulators are the right
  // operand of the next product.
  const std::uint32_t a_transposed[4] = {small.transposed[0], 0, 0, small.transposed[2]};
  float product[4];
  multiply_f16(product, a_transposed, lower.of[0], lower.of[1]);
  const std::uint32_t d[4] = {small.block[1], 0, 0, small.block[3]};
  float corner[4];
  multiply_f16(corner, d, pack_f16(product[0], product[1]), pack_f16(product[2], product[3]));
  return {{pack_f16(-corner[0], -corner[1]), pack_f16(-corner[2], -corner[3])}};
}

// Stores a 16 x 16 block, given as four accumulator-like pairs, with the factors of the lane's rows
// (l / 4 and l / 4 + 8) and columns (2 t, 2 t + 1, 8 + 2 t, 9 + 2 t).
struct BlockScale {
  float2 rows;
  float4 columns;
};
__device__ __forceinline__ BlockScale load_block_scale(int lane, std::uint32_t rows,
                                                       std::uint32_t columns) {
  const std::uint32_t at = rows + 4 * (lane / 4);
  return {{load_shared(at), load_shared(at + 32)}, load_columns(lane, columns)};
}
__device__ __forceinline__ void store_block(int lane, std::uint32_t address, const float2 (&x)[4],
                                            const BlockScale& s) {
  const std::uint32_t tiles[4] = {
      pack_bf16(x[0].x * (s.rows.x * s.columns.x), x[0].y * (s.rows.x * s.columns.y)),
      pack_bf16(x[1].x * (s.rows.y * s.columns.x), x[1].y * (s.rows.y * s.columns.y)),
      pack_bf16(x[2].x * (s.rows.x * s.columns.z), x[2].y * (s.rows.x * s.columns.w)),
      pack_bf16(x[3].x * (s.rows.y * s.columns.z), x[3].y * (s.rows.y * s.columns.w))};
  store_tiles(address, tiles);
}
__device__ __forceinline__ void store_diagonal(int lane, std::uint32_t address,
                                               const std::uint32_t (&x)[4],
                                               const BlockScale& scale) {
  const float2 pairs[4] = {unpack_f16(x[0]), unpack_f16(x[1]), unpack_f16(x[2]), unpack_f16(x[3])};
  store_block(lane, address, pairs, scale);
}

template <typename Akk>
__device__ __forceinline__ void invert_unit_lower(int lane, Akk akk, std::uint32_t columns,
                                                  std::uint32_t stage) {
  const std::uint32_t row = lane % 16;
  const std::uint32_t piece = lane / 16;
  const std::uint32_t out = stage + StagePlan::kInverse;
  const std::uint32_t norm = stage + StagePlan::kNorm;
  const std::uint32_t length = stage + StagePlan::kLength;
  const SmallInverses small = invert_small(lane, akk, columns);
  const SmallCorners corners = multiply_small_corners(load_small_lower(lane, akk), small);
  const std::uint32_t a_inverse[4] = {small.block[0], corners.of[0], 0, small.block[1]};
  const std::uint32_t d_inverse[4] = {small.block[2], corners.of[1], 0, small.block[3]};
  store_diagonal(lane, out + score_piece(row, piece), a_inverse,
                 load_block_scale(lane, norm, length));
  store_diagonal(lane, out + score_piece(16 + row, 2 + piece), d_inverse,
                 load_block_scale(lane, norm + 4 * kSub, length + 4 * kSub));
  // As above: (L A^-1)^T first.
  float product[8];
  {
    const std::uint32_t a_transposed[4] = {small.transposed[0], 0, transpose_tile(corners.of[0]),
                                           small.transposed[1]};
    std::uint32_t lower[4];
    load_lower(lane, akk, lower);
    multiply_f16(product, a_transposed, lower[0], lower[2]);
    multiply_f16(product + 4, a_transposed, lower[1], lower[3]);
  }
  float corner[8];
  multiply_f16(corner, d_inverse, pack_f16(product[0], product[1]),
               pack_f16(product[4], product[5]));
  multiply_f16(corner + 4, d_inverse, pack_f16(product[2], product[3]),
               pack_f16(product[6], product[7]));
  const float2 pairs[4] = {{-corner[0], -corner[1]},
                           {-corner[2], -corner[3]},
                           {-corner[4], -corner[5]},
                           {-corner[6], -corner[7]}};
  store_block(lane, out + score_piece(16 + row, piece), pairs,
              load_block_scale(lane, norm + 4 * kSub, length));
}

// kBounded, of one chunk: the factors of its keys, then the inverse.
__device__ __forceinline__ void invert_raw(int lane, NormRule rule, RawAkk akk,
                                           std::uint32_t columns) {
  store_key_factors(lane, akk.scores, akk.factors, rule);
  __syncwarp();
  invert_unit_lower(lane, akk, columns, akk.factors);
}

template <GateForm kForm, Keeps kKeeps>
__device__ __forceinline__ void run_inverse(const FusedParams& p, std::uint32_t shared) {
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<kStages> turn(count);
      const Turn<kPairs> pair(count);
      const int lane = fresh_lane();
      wait_at(shared + SharedPlan::kScoreFull + 8 * pair.slot, pair.parity);
      const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
      const std::uint32_t columns = shared + SharedPlan::kColumns;
      if constexpr (kForm == GateForm::kBounded) {
        invert_raw(lane, NormRule(p.inputs.qk_norm),
                   {shared + SharedPlan::kRawScore + pair.slot * RawScorePlan::kBytes, stage},
                   columns);
      } else {
        invert_unit_lower(lane,
                          StoredAkk{shared + SharedPlan::kScore + pair.slot * ScorePlan::kBytes},
                          columns, stage);
      }
      publish_to_async_proxy();
      __syncwarp();
      if (lane == 0) {
        arrive_at(shared + SharedPlan::kScoreEmpty + 8 * pair.slot);
        arrive_at(shared + SharedPlan::kReady + 8 * turn.slot);
      }
      __syncwarp();
    }
  });
}

}  // namespace flash_kda::cuda::sm90
