// The stages of the recurrence, E8 to E11, for one warp that owns 16 value rows of the state.
//
// The state S is kept as [V, K], value rows along the rows of the accumulators, so every product
// has the state or a [V, C] matrix as operand A, taken from registers, and a part of the chunk
// image as operand B. Warps exchange nothing.
#pragma once

#include <cstdint>

#include "cuda/common/mma.cuh"
#include "cuda/two_kernel/chunk_image.cuh"
#include "cuda/two_kernel/row_io.cuh"
#include "cuda/two_kernel/state_io.cuh"

namespace flash_kda::cuda {

// 16 value rows by C tokens; tile i holds tokens 8 i .. 8 i + 7.
using TokenTiles = Accumulator[2];

template <int kK>
using StateTiles = Accumulator[kK / 8];

// v of the tokens of one chunk, two tokens a lane: lane / 4 and lane / 4 + 8, four values each.
struct ValueRows {
  uint2 token[2] = {{0, 0}, {0, 0}};
};

// `at` is the element of the first token's first value row of this warp; tokens from `count` on
// read as zero.
__device__ __forceinline__ ValueRows load_values(const RowTensor& v, std::int64_t at, int count) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  ValueRows rows;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = lane / 4 + 8 * half;
    if (token < count) {
      rows.token[half] = load_quad(v, at + token * v.token_stride + 4 * (lane % 4));
    }
  }
  return rows;
}

// Multiplies operand A into one [C, K] tile of the image, one 16-column step.
template <int kK>
__device__ __forceinline__ void multiply_step(TokenTiles& acc, const OperandA& a,
                                              std::uint32_t tile, int step) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  OperandB b;
  load_tiles(b.b, tile + ChunkImage<kK>::tile_offset(lane % 8 + (lane / 16) * 8,
                                                     2 * step + (lane / 8) % 2));
  multiply_add(acc, a, b);
}

// Multiplies operand A by the transpose of one [C, C] matrix of the image.
template <int kK>
__device__ __forceinline__ void multiply_square(TokenTiles& acc, const OperandA& a,
                                                std::uint32_t square) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  OperandB b;
  load_tiles(b.b,
             square + ChunkImage<kK>::square_offset(lane % 8 + (lane / 16) * 8, (lane / 8) % 2));
  multiply_add(acc, a, b);
}

// S k_gamma^T and, when wanted, S q_gamma^T. The state is rounded to bf16 here and only here.
enum class Queries : int { kSkip, kMultiply };
template <int kK, Queries kQueries>
__device__ __forceinline__ void multiply_state(const StateTiles<kK>& state, std::uint32_t image,
                                               TokenTiles& by_keys, TokenTiles& by_queries) {
  using Image = ChunkImage<kK>;
#pragma unroll
  for (int step = 0; step < kK / 16; ++step) {
    const OperandA a = pack_operand(state[2 * step], state[2 * step + 1]);
    multiply_step<kK>(by_keys, a, image + Image::kKGamma, step);
    if constexpr (kQueries == Queries::kMultiply) {
      multiply_step<kK>(by_queries, a, image + Image::kQGamma, step);
    }
  }
}

// E8, E9: U^T = (V^T - S k_gamma^T) diag(beta) inverse^T, rounded to bf16 for the products that use
// it.
template <int kK>
__device__ __forceinline__ OperandA delta_values(const ValueRows& values, const TokenTiles& by_keys,
                                                 const std::byte* image) {
  using Image = ChunkImage<kK>;
  const auto* beta = reinterpret_cast<const float2*>(image + Image::kBeta);
  TokenTiles w;
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    const std::uint32_t lower = transpose_tile(values.token[tile].x);
    const std::uint32_t upper = transpose_tile(values.token[tile].y);
    const float2 b = beta[4 * tile + (threadIdx.x & 3)];
    w[tile].d[0] = b.x * (low_bf16(lower) - by_keys[tile].d[0]);
    w[tile].d[1] = b.y * (high_bf16(lower) - by_keys[tile].d[1]);
    w[tile].d[2] = b.x * (low_bf16(upper) - by_keys[tile].d[2]);
    w[tile].d[3] = b.y * (high_bf16(upper) - by_keys[tile].d[3]);
  }
  TokenTiles u;
  multiply_square<kK>(u, pack_operand(w[0], w[1]), shared_address(image + Image::kInverse));
  return pack_operand(u[0], u[1]);
}

// fp32 rows, element by element: a lane holds two tokens of two value rows.
__device__ __forceinline__ void store_output_f32(const TokenTiles& output, const RowTensor& out,
                                                 std::int64_t at, int count) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int token = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
    if (token >= count) continue;
    static_cast<float*>(out.data)[at + token * out.token_stride + value_row(i % 4 / 2)] =
        output[i / 4].d[i % 4];
  }
}

// bf16 rows: transposed in registers, so that a lane stores four values of one token at once.
__device__ __forceinline__ void store_output_bf16(const TokenTiles& output, const RowTensor& out,
                                                  std::int64_t at, int count) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
  for (int tile = 0; tile < 2; ++tile) {
    const Accumulator& o = output[tile];
    const uint2 quad = {transpose_tile(pack_bf16(o.d[0], o.d[1])),
                        transpose_tile(pack_bf16(o.d[2], o.d[3]))};
    const int token = lane / 4 + 8 * tile;
    if (token < count) {
      store_quad(out, at + token * out.token_stride + 4 * (lane % 4), quad);
    }
  }
}

// E10: O^T = S q_gamma^T + U^T score_qk^T, stored as rows of the tokens of the chunk.
template <int kK>
__device__ __forceinline__ void chunk_output(TokenTiles& by_queries, const OperandA& u,
                                             std::uint32_t image, const RowTensor& out,
                                             std::int64_t at, int count) {
  multiply_square<kK>(by_queries, u, image + ChunkImage<kK>::kScoreQk);
  if (out.dtype == DType::kF32) {
    store_output_f32(by_queries, out, at, count);
  } else {
    store_output_bf16(by_queries, out, at, count);
  }
}

// E11 for the 16 state columns of one step: S diag(gamma_last) + U^T k_to_end, in place.
template <int kK>
__device__ __forceinline__ void update_state_step(Accumulator& left, Accumulator& right,
                                                  const OperandA& u, const std::byte* image,
                                                  int step) {
  using Image = ChunkImage<kK>;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const auto* gamma_last = reinterpret_cast<const float*>(image + Image::kGammaLast);
  const float4 gamma = *reinterpret_cast<const float4*>(gamma_last + 16 * step + 4 * (lane % 4));
  left.d[0] *= gamma.x;
  left.d[1] *= gamma.y;
  left.d[2] *= gamma.x;
  left.d[3] *= gamma.y;
  right.d[0] *= gamma.z;
  right.d[1] *= gamma.w;
  right.d[2] *= gamma.z;
  right.d[3] *= gamma.w;
  OperandB b;
  load_tiles_transposed(b.b, shared_address(image + Image::kKToEnd) +
                                 Image::tile_offset(lane % 16, 2 * step + lane / 16));
  multiply_add(left, u, b.b[0], b.b[1]);
  multiply_add(right, u, b.b[2], b.b[3]);
}

template <int kK>
__device__ __forceinline__ void update_state(StateTiles<kK>& state, const OperandA& u,
                                             const std::byte* image) {
#pragma unroll
  for (int step = 0; step < kK / 16; ++step) {
    update_state_step<kK>(state[2 * step], state[2 * step + 1], u, image, step);
  }
}

}  // namespace flash_kda::cuda
