// The chunk image: everything that the recurrence needs to know of one chunk of one value head, in
// one contiguous block, each part in the order and swizzle in which ldmatrix reads it without bank
// conflicts. prepare builds it in shared memory and copies it out; the recurrence copies it in.
//
//   k_gamma     bf16 [C, K]  k_i * 2^(g_cum_i)                  E4
//   q_gamma     bf16 [C, K]  scale * q_i * 2^(g_cum_i)          E4
//   k_to_end    bf16 [C, K]  k_i * 2^(g_cum_last - g_cum_i)     E4
//   inverse     bf16 [C, C]  (I + diag(beta) L)^-1              E7
//   score_qk    bf16 [C, C]  scale * (q_i . k_j) decayed, j <= i  E6
//   beta        fp32 [C]
//   gamma_last  fp32 [K]     2^(g_cum_last)
//
// beta stays apart from the inverse, whose diagonal is then 1 and exact in bf16: the largest part
// of every delta value is spared a rounding that all V columns would share.
#pragma once

#include <cstdint>

#include "cuda/two_kernel/params.hpp"

namespace flash_kda::cuda {

template <int kK>
struct ChunkImage {
  static constexpr int kTileBytes = kChunk * kK * 2;
  static constexpr int kSquareBytes = kChunk * kChunk * 2;

  static constexpr int kKGamma = 0;
  static constexpr int kQGamma = kKGamma + kTileBytes;
  static constexpr int kKToEnd = kQGamma + kTileBytes;
  static constexpr int kInverse = kKToEnd + kTileBytes;
  static constexpr int kScoreQk = kInverse + kSquareBytes;
  static constexpr int kBeta = kScoreQk + kSquareBytes;
  static constexpr int kGammaLast = kBeta + kChunk * 4;
  static constexpr int kBytes = kGammaLast + kK * 4;  // 13888 for K = 128, 7488 for K = 64
  static_assert(kBytes % 16 == 0, "copied in units of 16 bytes");

  // Byte of 16-byte unit `unit` of row `row` in a [C, K] tile. Rows are a multiple of 128 bytes
  // apart; exchanging units by the row's number spreads 8 rows over all 32 banks.
  static __host__ __device__ constexpr int tile_offset(int row, int unit) {
    return row * kK * 2 + ((unit ^ (row & 7)) * 16);
  }

  // The same for a [C, C] matrix, whose rows are 32 bytes apart: four rows fill the banks.
  static __host__ __device__ constexpr int square_offset(int row, int unit) {
    return row * kChunk * 2 + ((unit ^ ((row >> 2) & 1)) * 16);
  }

  // Index of column k in gamma_last: the columns 16 j + {2c, 2c+1, 8+2c, 9+2c} that lane c of a
  // quad owns in two accumulator tiles lie together, one 16-byte load.
  static __host__ __device__ constexpr int gamma_index(int k) {
    return (k & ~15) + ((k & 7) >> 1) * 4 + ((k >> 3) & 1) * 2 + (k & 1);
  }
};

}  // namespace flash_kda::cuda
