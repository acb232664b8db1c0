// Scores of a chunk (E5, E6) from the registers of prepare warps to shared memory. Under kGeneral a
// pair of warps, each of which has summed over its 64 channels, adds up its halves first.
#pragma once

#include "cuda/sm90/pieces.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/smem_plan.cuh"

namespace flash_kda::cuda::sm90 {

// 16 x 16 blocks as two accumulator tiles each; index: row block, column block.
struct Scores {
  float kk00[8] = {}, kk11[8] = {}, kk10[8] = {};
  float qk00[8] = {}, qk11[8] = {}, qk10[8] = {};
};

// Calls visit(block, index of its first half-KiB in the exchange buffer).
template <typename Visit>
__device__ __forceinline__ void for_blocks(Scores& s, Visit visit) {
  visit(s.kk00, 0);
  visit(s.kk11, 2);
  visit(s.kk10, 4);
  visit(s.qk00, 6);
  visit(s.qk11, 8);
  visit(s.qk10, 10);
}

__device__ __forceinline__ void send_scores(Scores& s, std::uint32_t buffer) {
  const std::uint32_t at = buffer + lane_index() * 16;
  for_blocks(s, [at](float(&x)[8], int index) {
    store_shared_4(at + index * 512, x[0], x[1], x[2], x[3]);
    store_shared_4(at + index * 512 + 512, x[4], x[5], x[6], x[7]);
  });
}

__device__ __forceinline__ void receive_scores(Scores& s, std::uint32_t buffer) {
  const std::uint32_t at = buffer + lane_index() * 16;
  for_blocks(s, [at](float(&x)[8], int index) {
    const float4 a = load_shared_4(at + index * 512);
    const float4 b = load_shared_4(at + index * 512 + 512);
    x[0] += a.x, x[1] += a.y, x[2] += a.z, x[3] += a.w;
    x[4] += b.x, x[5] += b.y, x[6] += b.z, x[7] += b.w;
  });
}

enum class Triangle { kWithDiagonal, kWhole };

// Entries above the diagonal are products of factors that grow, perhaps infinite: selected away,
// never multiplied by zero.
template <Triangle kTriangle>
__device__ __forceinline__ float keep_lower(float x, int row, int column) {
  if constexpr (kTriangle == Triangle::kWithDiagonal) return column <= row ? x : 0.0f;
  return x;
}

// A diagonal block of Akk, fp32, into columns 16 `block` of the inverse's input, which does not
// read what lies above the diagonal or on it.
__device__ __forceinline__ void store_diagonal_kk(int lane, std::uint32_t diagonal, int block,
                                                  const float (&x)[8], float2 beta,
                                                  const float4& norm) {
  const int row = lane / 4;
  const int t = lane % 4;
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    const std::uint32_t piece = block * 4 + 2 * tile + t / 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float scale = half == 0 ? beta.x : beta.y;
      const float2 columns = tile == 0 ? float2{norm.x, norm.y} : float2{norm.z, norm.w};
      const float* pair = x + 4 * tile + 2 * half;
      store_shared_2(diagonal + (row + 8 * half) * 128 + ((piece ^ (row & 7)) << 4) + (t % 2) * 8,
                     pair[0] * (scale * columns.x), pair[1] * (scale * columns.y));
    }
  }
}

// The block of Akk below the diagonal, fp16.
__device__ __forceinline__ void store_lower_kk(int lane, std::uint32_t lower, const float (&x)[8],
                                               float2 beta, const float4& norm) {
  const std::uint32_t tiles[4] = {pack_f16(x[0] * (beta.x * norm.x), x[1] * (beta.x * norm.y)),
                                  pack_f16(x[2] * (beta.y * norm.x), x[3] * (beta.y * norm.y)),
                                  pack_f16(x[4] * (beta.x * norm.z), x[5] * (beta.x * norm.w)),
                                  pack_f16(x[6] * (beta.y * norm.z), x[7] * (beta.y * norm.w))};
  store_tiles(lower + block_piece(lane % 16, lane / 16), tiles);
}

// A block of Aqk, bf16.
template <Triangle kTriangle>
__device__ __forceinline__ void store_qk(int lane, std::uint32_t address, const float (&x)[8]) {
  const int row = lane / 4;
  const int column = 2 * (lane % 4);
  std::uint32_t tiles[4];
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int i = row + 8 * (r % 2);
    const int j = column + 8 * (r / 2);
    const float* pair = x + 4 * (r / 2) + 2 * (r % 2);
    tiles[r] =
        pack_bf16(keep_lower<kTriangle>(pair[0], i, j), keep_lower<kTriangle>(pair[1], i, j + 1));
  }
  store_tiles(address, tiles);
}

// Factors of the lane's columns in a 16-column block: 2 t, 2 t + 1, 8 + 2 t, 9 + 2 t.
__device__ __forceinline__ float4 load_columns(int lane, std::uint32_t factors) {
  const std::uint32_t at = factors + 8 * (lane % 4);
  const float2 left = load_shared_2(at);
  const float2 right = load_shared_2(at + 32);
  return {left.x, left.y, right.x, right.y};
}

// The diagonal of a 16 x 16 block: elements l / 4 and l / 4 + 8, to all lanes of the quad.
__device__ __forceinline__ float2 read_diagonal(int lane, const float (&x)[8]) {
  const int row = lane / 4;
  const float upper = row % 2 == 0 ? x[0] : x[1];
  const float lower = row % 2 == 0 ? x[6] : x[7];
  const int owner = 4 * row + row / 2;
  return {__shfl_sync(0xffffffffu, upper, owner), __shfl_sync(0xffffffffu, lower, owner)};
}

// The norm factor of a key of squared length x is rsqrt(slope x + offset): 1 where keys are taken
// as they are. A branch instead would be taken out of the loop over chunks, and that doubled.
struct NormRule {
  float slope;
  float offset;

  __device__ __forceinline__ explicit NormRule(QkNorm qk_norm)
      : slope(qk_norm == QkNorm::kL2 ? 1.0f : 0.0f),
        offset(qk_norm == QkNorm::kL2 ? 1e-6f : 1.0f) {}
};

// What others need of a key (E1), from its element of the diagonal of K_rel K_down^T, where the
// decays cancel. Its roundings are those of the keys that the state is multiplied with, so a key
// that was just written is read back with exactly beta (docs/numerics.md, E1).
struct KeyFactors {
  float norm;       // n
  float length;     // 1 / n
  float beta_norm;  // beta n

  __device__ __forceinline__ KeyFactors(float diagonal, float beta, NormRule rule) {
    const float square = fmaf(diagonal, rule.slope, rule.offset);
    norm = rsqrt_approx(square);
    length = square * norm;
    beta_norm = beta * norm;
  }
  // `token`: the stage, 4 bytes a token further.
  __device__ __forceinline__ void store(std::uint32_t token) const {
    store_shared(token + StagePlan::kNorm, norm);
    store_shared(token + StagePlan::kLength, length);
    store_shared(token + StagePlan::kValueScale, beta_norm);
    store_shared(token + StagePlan::kKeyScale, beta_norm * norm);
  }
};

// Stores the factors of the keys of sub-chunk `sub` and returns beta n of tokens l / 4 and l / 4 +
// 8, whose elements of the diagonal the lane has. kGeneral.
__device__ __forceinline__ float2 store_block_factors(int lane, float2 diagonal, int sub,
                                                      std::uint32_t stage, NormRule rule) {
  const std::uint32_t row = stage + 64 * sub + 4 * (lane / 4);
  const KeyFactors upper(diagonal.x, load_shared(row + StagePlan::kBeta), rule);
  const KeyFactors lower(diagonal.y, load_shared(row + StagePlan::kBeta + 32), rule);
  const int t = lane % 4;
  if (t < 2) {
    KeyFactors mine = lower;
    if (t == 0) mine = upper;
    mine.store(row + 32 * t);
  }
  return {upper.beta_norm, lower.beta_norm};
}

// Akk from scores of keys that are not normalised.
__device__ __forceinline__ void store_all_kk(int lane, const Scores& s, std::uint32_t score,
                                             std::uint32_t stage, NormRule rule) {
  const float2 upper = store_block_factors(lane, read_diagonal(lane, s.kk00), 0, stage, rule);
  const float2 lower = store_block_factors(lane, read_diagonal(lane, s.kk11), 1, stage, rule);
  __syncwarp();
  const float4 left = load_columns(lane, stage + StagePlan::kNorm);
  const float4 right = load_columns(lane, stage + StagePlan::kNorm + 4 * kSub);
  store_diagonal_kk(lane, score + ScorePlan::kDiagonal, 0, s.kk00, upper, left);
  store_diagonal_kk(lane, score + ScorePlan::kDiagonal, 1, s.kk11, lower, right);
  store_lower_kk(lane, score + ScorePlan::kLower, s.kk10, lower, left);
}

__device__ __forceinline__ void store_all_qk(int lane, const Scores& s, std::uint32_t stage) {
  const std::uint32_t out = stage + StagePlan::kScoreQk;
  const std::uint32_t row = lane % 16;
  const std::uint32_t piece = lane / 16;
  store_qk<Triangle::kWithDiagonal>(lane, out + score_piece(row, piece), s.qk00);
  store_qk<Triangle::kWithDiagonal>(lane, out + score_piece(16 + row, 2 + piece), s.qk11);
  store_qk<Triangle::kWhole>(lane, out + score_piece(16 + row, piece), s.qk10);
}

// Where the scores of row `row` and columns 2 i, 2 i + 1 lie in RawScorePlan.
__device__ __forceinline__ std::uint32_t raw_score(std::uint32_t scores, std::uint32_t row,
                                                   std::uint32_t i) {
  return scores + row * RawScorePlan::kRow + ((i / 2 ^ row % 8) << 4) + i % 2 * 8;
}

// Under kBounded a warp has 16 rows of a chunk's scores, sub-chunk `sub` of them, and all columns,
// as accumulators of wgmma: columns 0-15 in the first eight. Rows of the first sub-chunk see the
// second only above the diagonal. Keys with keys go as they are to the warp that inverts them.
__device__ __forceinline__ void store_key_scores(int lane, const float (&x)[16], int sub,
                                                 std::uint32_t scores) {
  const int tiles = sub == 0 ? 2 : 4;
  const std::uint32_t row = 16 * sub + lane / 4;
#pragma unroll
  for (int tile = 0; tile < 4; ++tile) {
    if (tile >= tiles) break;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      store_shared_2(raw_score(scores, row + 8 * half, 4 * tile + lane % 4), x[4 * tile + 2 * half],
                     x[4 * tile + 2 * half + 1]);
    }
  }
}

__device__ __forceinline__ void store_query_scores(int lane, const float (&x)[16], int sub,
                                                   std::uint32_t stage) {
  const float(&left)[8] = reinterpret_cast<const float(&)[8]>(x[0]);
  const float(&right)[8] = reinterpret_cast<const float(&)[8]>(x[8]);
  const std::uint32_t out = stage + StagePlan::kScoreQk;
  const std::uint32_t row = lane % 16;
  const std::uint32_t piece = lane / 16;
  if (sub == 0) return store_qk<Triangle::kWithDiagonal>(lane, out + score_piece(row, piece), left);
  store_qk<Triangle::kWhole>(lane, out + score_piece(16 + row, piece), left);
  store_qk<Triangle::kWithDiagonal>(lane, out + score_piece(16 + row, 2 + piece), right);
}

}  // namespace flash_kda::cuda::sm90
