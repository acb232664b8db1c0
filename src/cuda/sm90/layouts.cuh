// Where elements lie in shared memory. Units: bytes from the start of a region.
#pragma once

#include <cstdint>

#include "cuda/sm90/config.hpp"

namespace flash_kda::cuda::sm90 {

// A token tile: two halves of 64 channels, each 32 rows of 128 bytes, as TMA writes it with
// SWIZZLE_128B: the 16-byte piece p of row r lies at piece p ^ (r % 8). `piece` counts from 0 to 7.
inline constexpr std::uint32_t kHalfTile = kChunk * 128;
inline constexpr std::uint32_t kTokenTile = 2 * kHalfTile;
// Keys and queries alternate, K half 0, Q half 0, K half 1, Q half 1: the 64 rows of a left operand
// are then neighbours.
inline constexpr std::uint32_t kPairedHalf = 2 * kHalfTile;
__device__ __forceinline__ std::uint32_t token_piece(std::uint32_t row, std::uint32_t piece) {
  return row * 128 + ((piece ^ (row & 7)) << 4);
}

// A score tile: [32][32] bf16 with SWIZZLE_64B.
inline constexpr std::uint32_t kScoreTile = kChunk * kChunk * 2;
__device__ __forceinline__ std::uint32_t score_piece(std::uint32_t row, std::uint32_t piece) {
  return row * 64 + ((piece ^ ((row >> 1) & 3)) << 4);
}

// 16 columns of 16 bits; the swizzle spreads 8 rows over all banks.
__device__ __forceinline__ std::uint32_t block_piece(std::uint32_t row, std::uint32_t piece) {
  return row * 32 + ((piece ^ ((row >> 2) & 1)) << 4);
}

// gamma_last: lane t of a quad reads the pairs of columns 8 j + 2 t, j = 0 .. 15, as 128 contiguous
// bytes; the pitch puts the four lanes into different banks.
inline constexpr std::uint32_t kGammaPitch = 128 + 16;

// wgmma descriptors (PTX ISA, Asynchronous warpgroup level matrix, Shared memory matrix layout):
// bits 0-13 the address, 16-29 the leading and 32-45 the stride dimension's byte offset, all in
// units of 16 bytes, 62-63 the swizzle.
constexpr std::uint64_t make_layout(std::uint64_t swizzle, std::uint64_t leading_bytes,
                                    std::uint64_t stride_bytes) {
  return swizzle << 62 | stride_bytes >> 4 << 32 | leading_bytes >> 4 << 16;
}
inline constexpr std::uint64_t kSwizzle128 = 1;
inline constexpr std::uint64_t kSwizzle64 = 2;

// Token tile as [32 columns = tokens][64 channels], K-major: 8 rows are 1024 bytes. 16 channels
// further: + 32; the other half of the channels: + kPairedHalf, of the gate's tile + kHalfTile.
// Keys with the queries behind them are 64 rows of the same.
inline constexpr std::uint64_t kTokensByChannels = make_layout(kSwizzle128, 16, 1024);
// Token tile as [16 tokens][128 columns = channels], MN-major. 16 tokens further: + 2048.
inline constexpr std::uint64_t kChannelsByTokens = make_layout(kSwizzle128, kHalfTile, 1024);
// Score tile, K-major. 16 columns further: + 32.
inline constexpr std::uint64_t kScores = make_layout(kSwizzle64, 16, 512);

// The same value from all lanes, and known to be: descriptors are then made in uniform registers,
// which is where wgmma wants them, instead of being moved there one by one.
__device__ __forceinline__ std::uint32_t make_uniform(std::uint32_t x) {
  return __shfl_sync(0xffffffffu, x, 0);
}

// A matrix `offset` bytes into a stage. Shared memory ends below 2^18, so the sum stays inside the
// address field, and one addition makes a descriptor. In a cluster an address has the rank of its
// block above.
__device__ __forceinline__ std::uint64_t describe(std::uint64_t layout, std::uint32_t stage,
                                                  std::uint32_t offset) {
  const std::uint32_t low =
      (stage >> 4 & 0x3fffu) + (static_cast<std::uint32_t>(layout) + (offset >> 4));
  return (layout >> 32 << 32) | low;
}

}  // namespace flash_kda::cuda::sm90
