// The stages of prepare, E1 to E7 for one chunk of one value head. A block has K / 2 threads;
// thread p owns the columns 2p and 2p + 1 of all C tokens, so that sums along time stay in one
// thread.
//
// The decays inside a chunk are referenced to its 8th token (r): a product of 2^(g_cum_i - r) and
// 2^(r - g_cum_j) then never exceeds 2^(8 * 13) in either factor, for every gate.
#pragma once

#include <cstdint>

#include "cuda/common/fast_math.cuh"
#include "cuda/common/mma.cuh"
#include "cuda/two_kernel/chunk_image.cuh"
#include "cuda/two_kernel/gates.cuh"

namespace flash_kda::cuda {

inline constexpr int kReferenceToken = kChunk / 2 - 1;

template <int kK>
struct PrepareStorage {
  static constexpr int kWarps = kK / 64;
  alignas(16) std::byte image[ChunkImage<kK>::kBytes];
  alignas(16) std::byte k_score[ChunkImage<kK>::kTileBytes];    // k_i * 2^(g_cum_i - r)
  alignas(16) std::byte q_score[ChunkImage<kK>::kTileBytes];    // scale * q_i * 2^(g_cum_i - r)
  alignas(16) std::byte k_inverse[ChunkImage<kK>::kTileBytes];  // k_i * 2^(r - g_cum_i)
  alignas(16) float score_kk[kChunk][kChunk];                   // beta_i * L_ij, j < i
  float partial_sums[kWarps][2 * kChunk];
  float norm[2 * kChunk];  // factors of q (with the output scale), then of k

  __device__ float* beta() { return reinterpret_cast<float*>(image + ChunkImage<kK>::kBeta); }
};

// One step of sum_rows_over_warp: exchanges halves between lanes kHalf apart.
template <int kHalf>
__device__ __forceinline__ void fold_rows(float (&values)[32]) {
  const bool upper = (threadIdx.x & kHalf) != 0;
#pragma unroll
  for (int i = 0; i < kHalf; ++i) {
    const float kept = upper ? values[i + kHalf] : values[i];
    const float sent = upper ? values[i] : values[i + kHalf];
    values[i] = kept + __shfl_xor_sync(0xffffffffu, sent, kHalf);
  }
}

// Sums 32 values over the warp; lane l receives the sum of values[l]. 31 shuffles: each step halves
// the values that a lane still carries.
__device__ __forceinline__ float sum_rows_over_warp(float (&values)[32]) {
  fold_rows<16>(values);
  fold_rows<8>(values);
  fold_rows<4>(values);
  fold_rows<2>(values);
  fold_rows<1>(values);
  return values[0];
}

// E1, first half: this thread's part of sum q^2 and sum k^2, summed over its warp.
template <int kK>
__device__ __forceinline__ void sum_squares(const std::uint32_t (&q)[kChunk],
                                            const std::uint32_t (&k)[kChunk],
                                            PrepareStorage<kK>& shared) {
  float squares[2 * kChunk];
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    squares[i] = low_bf16(q[i]) * low_bf16(q[i]) + high_bf16(q[i]) * high_bf16(q[i]);
    squares[kChunk + i] = low_bf16(k[i]) * low_bf16(k[i]) + high_bf16(k[i]) * high_bf16(k[i]);
  }
  const float row_sum = sum_rows_over_warp(squares);
  shared.partial_sums[threadIdx.x / 32][threadIdx.x % 32] = row_sum;
}

// E1, second half: thread t < 2 C turns the sum of row t into its factor.
template <int kK>
__device__ __forceinline__ void normalize_qk(QkNorm norm, float scale, PrepareStorage<kK>& shared) {
  const int row = static_cast<int>(threadIdx.x);
  if (row >= 2 * kChunk) return;
  float factor = 1.0f;
  if (norm == QkNorm::kL2) {
    float sum = 0.0f;
    for (int warp = 0; warp < PrepareStorage<kK>::kWarps; ++warp) {
      sum += shared.partial_sums[warp][row];
    }
    factor = rsqrt_approx(sum + 1e-6f);
  }
  shared.norm[row] = row < kChunk ? scale * factor : factor;
}

// E3: inclusive sum along the chunk, in place.
__device__ __forceinline__ void cumsum_decay(float2 (&g)[kChunk]) {
#pragma unroll
  for (int i = 1; i < kChunk; ++i) {
    g[i].x += g[i - 1].x;
    g[i].y += g[i - 1].y;
  }
}

// E4: the decayed keys and queries of this thread's two columns.
template <int kK>
__device__ __forceinline__ void apply_decay(const std::uint32_t (&q)[kChunk],
                                            const std::uint32_t (&k)[kChunk],
                                            const float2 (&g_cum)[kChunk],
                                            PrepareStorage<kK>& shared) {
  using Image = ChunkImage<kK>;
  const int pair = static_cast<int>(threadIdx.x);
  const float2 reference = g_cum[kReferenceToken];
  const float2 last = g_cum[kChunk - 1];
  const float2 from_start = {exp2_approx(reference.x), exp2_approx(reference.y)};
  const float2 to_end = {exp2_approx(last.x - reference.x), exp2_approx(last.y - reference.y)};
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const float2 up = {exp2_approx(g_cum[i].x - reference.x),
                       exp2_approx(g_cum[i].y - reference.y)};
    const float2 down = {exp2_approx(reference.x - g_cum[i].x),
                         exp2_approx(reference.y - g_cum[i].y)};
    const float norm_q = shared.norm[i];
    const float norm_k = shared.norm[kChunk + i];
    const float2 qn = {low_bf16(q[i]) * norm_q, high_bf16(q[i]) * norm_q};
    const float2 kn = {low_bf16(k[i]) * norm_k, high_bf16(k[i]) * norm_k};
    const float2 q_up = {qn.x * up.x, qn.y * up.y};
    const float2 k_up = {kn.x * up.x, kn.y * up.y};
    const float2 k_down = {kn.x * down.x, kn.y * down.y};

    const int at = Image::tile_offset(i, pair / 4) + (pair % 4) * 4;
    const auto store = [at](std::byte* tile, float x, float y) {
      *reinterpret_cast<std::uint32_t*>(tile + at) = pack_bf16(x, y);
    };
    store(shared.q_score, q_up.x, q_up.y);
    store(shared.k_score, k_up.x, k_up.y);
    store(shared.k_inverse, k_down.x, k_down.y);
    store(shared.image + Image::kQGamma, q_up.x * from_start.x, q_up.y * from_start.y);
    store(shared.image + Image::kKGamma, k_up.x * from_start.x, k_up.y * from_start.y);
    store(shared.image + Image::kKToEnd, k_down.x * to_end.x, k_down.y * to_end.y);
  }
  auto* gamma_last = reinterpret_cast<float*>(shared.image + Image::kGammaLast);
  *reinterpret_cast<float2*>(gamma_last + Image::gamma_index(2 * pair)) = {exp2_approx(last.x),
                                                                           exp2_approx(last.y)};
}

// All 16 x 16 dot products of the rows of two [C, K] tiles, by one warp.
template <int kK>
__device__ __forceinline__ void score_tile(const std::byte* rows, const std::byte* columns,
                                           Accumulator (&score)[2]) {
  using Image = ChunkImage<kK>;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const std::uint32_t row_base = shared_address(rows);
  const std::uint32_t column_base = shared_address(columns);
  const int a_row = lane % 16;
  const int b_row = lane % 8 + (lane / 16) * 8;
#pragma unroll
  for (int step = 0; step < kK / 16; ++step) {
    OperandA a;
    OperandB b;
    load_tiles(a.a, row_base + Image::tile_offset(a_row, 2 * step + lane / 16));
    load_tiles(b.b, column_base + Image::tile_offset(b_row, 2 * step + (lane / 8) % 2));
    multiply_add(score, a, b);
  }
}

// E5: beta_i * L_ij below the diagonal. Entries above it are products of factors that grow, perhaps
// infinite: selected away, never multiplied by zero.
template <int kK>
__device__ __forceinline__ void score_kk(PrepareStorage<kK>& shared) {
  Accumulator score[2];
  score_tile<kK>(shared.k_score, shared.k_inverse, score);
  const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = lane / 4 + 8 * half;
      const int j = 8 * tile + 2 * (lane % 4);
      const float beta = shared.beta()[i];
      const float2 pair = {j < i ? beta * score[tile].d[2 * half] : 0.0f,
                           j + 1 < i ? beta * score[tile].d[2 * half + 1] : 0.0f};
      *reinterpret_cast<float2*>(&shared.score_kk[i][j]) = pair;
    }
  }
}

// E6: the decayed products of queries with the keys up to their own token.
template <int kK>
__device__ __forceinline__ void score_qk(PrepareStorage<kK>& shared) {
  using Image = ChunkImage<kK>;
  Accumulator score[2];
  score_tile<kK>(shared.q_score, shared.k_inverse, score);
  const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = lane / 4 + 8 * half;
      const int j = 8 * tile + 2 * (lane % 4);
      const std::uint32_t pair = pack_bf16(j <= i ? score[tile].d[2 * half] : 0.0f,
                                           j + 1 <= i ? score[tile].d[2 * half + 1] : 0.0f);
      const int at = Image::kScoreQk + Image::square_offset(i, tile) + (lane % 4) * 4;
      *reinterpret_cast<std::uint32_t*>(shared.image + at) = pair;
    }
  }
}

// E7: (I + diag(beta) L)^-1 by forward substitution in fp32, lane j < C one column.
template <int kK>
__device__ __forceinline__ void invert_unit_lower(PrepareStorage<kK>& shared) {
  using Image = ChunkImage<kK>;
  const int column = static_cast<int>(threadIdx.x) & 31;
  if (column >= kChunk) return;
  float x[kChunk];
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    x[i] = i == column ? 1.0f : 0.0f;
#pragma unroll
    for (int j = 0; j < i; ++j) x[i] -= shared.score_kk[i][j] * x[j];
  }
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const int at = Image::kInverse + Image::square_offset(i, column / 8) + (column % 8) * 2;
    *reinterpret_cast<std::uint16_t*>(shared.image + at) = to_bf16_bits(x[i]);
  }
}

}  // namespace flash_kda::cuda
