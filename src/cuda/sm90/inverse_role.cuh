// The warp that inverts I + Akk (E7), 32 x 32, and multiplies its rows with n
// and its columns with 1 / n (smem_plan.cuh).
//
//   I + Akk = | A     |    inverse = |  A^-1                      |
//             | L10 D |              | -D^-1 L10 A^-1   D^-1      |
//
// A^-1 and D^-1 by forward substitution in fp32, a lane a column: a power series would overflow
// fp16 for keys that repeat (docs/numerics.md, E7). The corner takes two products of 16 x 16.
#pragma once

#include "cuda/sm90/scores.cuh"

namespace flash_kda::cuda::sm90 {

// Column lane % 16 of A^-1 (lanes 0-15) or D^-1 (lanes 16-31). Four solved rows at a time are
// subtracted from all rows below: a row at a time would be one chain of 120 dependent products.
__device__ __forceinline__ void substitute(std::uint32_t diagonal, float (&x)[kSub]) {
  const int lane = lane_index();
  const int column = lane % kSub;
  const std::uint32_t half = static_cast<std::uint32_t>(lane / kSub);
#pragma unroll
  for (int i = 0; i < kSub; ++i) x[i] = i == column ? 1.0f : 0.0f;
#pragma unroll
  for (int solved = 0; solved < kSub; solved += 4) {
#pragma unroll
    for (int i = solved + 1; i < kSub; ++i) {
      const std::uint32_t piece = (half * 4 + solved / 4) ^ (i & 7);
      const float4 row = load_shared_4(diagonal + i * 128 + piece * 16);
      x[i] -= row.x * x[solved];
      if (solved + 1 < i) x[i] -= row.y * x[solved + 1];
      if (solved + 2 < i) x[i] -= row.z * x[solved + 2];
      if (solved + 3 < i) x[i] -= row.w * x[solved + 3];
    }
  }
}

// Columns as rows of [32][16] fp16.
__device__ __forceinline__ void store_columns(std::uint32_t columns, const float (&x)[kSub]) {
  const int lane = lane_index();
#pragma unroll
  for (int piece = 0; piece < 2; ++piece) {
    const float* y = x + 8 * piece;
    store_shared_bits(
        columns + block_piece(lane, piece),
        {pack_f16(y[0], y[1]), pack_f16(y[2], y[3]), pack_f16(y[4], y[5]), pack_f16(y[6], y[7])});
  }
}

// Stores a 16 x 16 block, given as four accumulator-like pairs, with the factors of the lane's rows
// (l / 4 and l / 4 + 8) and columns (2 t, 2 t + 1, 8 + 2 t, 9 + 2 t).
struct BlockScale {
  float2 rows;
  float4 columns;
};
__device__ __forceinline__ BlockScale load_block_scale(std::uint32_t rows, std::uint32_t columns) {
  const std::uint32_t at = rows + 4 * (lane_index() / 4);
  return {{load_shared(at), load_shared(at + 32)}, load_columns(columns)};
}
__device__ __forceinline__ void store_block(std::uint32_t address, const float2 (&x)[4],
                                            const BlockScale& s) {
  const std::uint32_t tiles[4] = {
      pack_bf16(x[0].x * (s.rows.x * s.columns.x), x[0].y * (s.rows.x * s.columns.y)),
      pack_bf16(x[1].x * (s.rows.y * s.columns.x), x[1].y * (s.rows.y * s.columns.y)),
      pack_bf16(x[2].x * (s.rows.x * s.columns.z), x[2].y * (s.rows.x * s.columns.w)),
      pack_bf16(x[3].x * (s.rows.y * s.columns.z), x[3].y * (s.rows.y * s.columns.w))};
  store_tiles(address, tiles);
}
__device__ __forceinline__ void store_diagonal(std::uint32_t address, const std::uint32_t (&x)[4],
                                               const BlockScale& scale) {
  const float2 pairs[4] = {unpack_f16(x[0]), unpack_f16(x[1]), unpack_f16(x[2]), unpack_f16(x[3])};
  store_block(address, pairs, scale);
}

__device__ __forceinline__ void invert_unit_lower(std::uint32_t score, std::uint32_t columns,
                                                  std::uint32_t stage) {
  const int lane = lane_index();
  {
    float x[kSub];
    substitute(score + ScorePlan::kDiagonal, x);
    store_columns(columns, x);
  }
  __syncwarp();
  const std::uint32_t out = stage + StagePlan::kInverse;
  const std::uint32_t row = lane % 16;
  const std::uint32_t piece = lane / 16;
  const std::uint32_t transposed = block_piece((lane / 16) * 8 + lane % 8, lane / 8 % 2);
  const std::uint32_t straight = block_piece(row, piece);
  const std::uint32_t norm = stage + StagePlan::kNorm;
  const std::uint32_t length = stage + StagePlan::kLength;
  std::uint32_t d_inverse[4];
  {
    std::uint32_t a_inverse[4];
    load_tiles_transposed(a_inverse, columns + transposed);
    store_diagonal(out + score_piece(row, piece), a_inverse, load_block_scale(norm, length));
    load_tiles_transposed(d_inverse, columns + 512 + transposed);
    store_diagonal(out + score_piece(16 + row, 2 + piece), d_inverse,
                   load_block_scale(norm + 4 * kSub, length + 4 * kSub));
  }
  // (L10 A^-1)^T = A^-T L10^T, whose accumulators are the right operand of the next product.
  float product[8];
  {
    std::uint32_t a_transposed[4];
    std::uint32_t lower[4];
    load_tiles(a_transposed, columns + straight);
    load_tiles(lower, score + ScorePlan::kLower + straight);
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
  store_block(out + score_piece(16 + row, piece), pairs, load_block_scale(norm + 4 * kSub, length));
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_inverse(const FusedParams& p, std::uint32_t shared) {
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<kStages> turn(count);
      const Turn<kPairs> pair(count);
      wait_at(shared + SharedPlan::kScoreFull + 8 * pair.slot, pair.parity);
      invert_unit_lower(shared + SharedPlan::kScore + pair.slot * ScorePlan::kBytes,
                        shared + SharedPlan::kColumns,
                        shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes);
      publish_to_async_proxy();
      __syncwarp();
      if (lane_index() == 0) {
        arrive_at(shared + SharedPlan::kScoreEmpty + 8 * pair.slot);
        arrive_at(shared + SharedPlan::kReady + 8 * turn.slot);
      }
      __syncwarp();
    }
  });
}

}  // namespace flash_kda::cuda::sm90
