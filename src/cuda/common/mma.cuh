// Warp-wide matrix instructions on 8x8 tiles of 16-bit elements.
//
// In every fragment, lane l holds row l / 4 and the column pair 2 (l % 4), 2 (l % 4) + 1 of a tile:
//   accumulator of m16n8 (fp32):  d[0..1] row r, d[2..3] row r + 8
//   operand A of m16n8k16:        a[0] row r, k 0-7;  a[1] row r + 8, k 0-7;  a[2], a[3] k 8-15
// so two neighbouring accumulator tiles, rounded, are one A operand (pack_operand): the result of
// one product feeds the next without leaving the registers.
#pragma once

#include <cstdint>

#include "cuda/common/bits.cuh"

namespace flash_kda::cuda {

// An fp32 accumulator tile of 16 rows and 8 columns.
struct Accumulator {
  float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
};

// Operand A: 16 rows, 16 columns (k).
struct OperandA {
  std::uint32_t a[4];
};

// Two operands B side by side: 16 k, columns 0-7 in b[0..1] and columns 8-15 in b[2..3].
struct OperandB {
  std::uint32_t b[4];
};

__device__ __forceinline__ OperandA pack_operand(const Accumulator& left,
                                                 const Accumulator& right) {
  return {{pack_bf16(left.d[0], left.d[1]), pack_bf16(left.d[2], left.d[3]),
           pack_bf16(right.d[0], right.d[1]), pack_bf16(right.d[2], right.d[3])}};
}

// acc += a * b, bf16 products, fp32 sums.
__device__ __forceinline__ void multiply_add(Accumulator& acc, const OperandA& a, std::uint32_t b0,
                                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(acc.d[0]), "+f"(acc.d[1]), "+f"(acc.d[2]), "+f"(acc.d[3])
      : "r"(a.a[0]), "r"(a.a[1]), "r"(a.a[2]), "r"(a.a[3]), "r"(b0), "r"(b1));
}

// Sixteen columns at once.
__device__ __forceinline__ void multiply_add(Accumulator (&acc)[2], const OperandA& a,
                                             const OperandB& b) {
  multiply_add(acc[0], a, b.b[0], b.b[1]);
  multiply_add(acc[1], a, b.b[2], b.b[3]);
}

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four 8x8 tiles; lanes 8 i .. 8 i + 7 give the row addresses of tile i.
__device__ __forceinline__ void load_tiles(std::uint32_t (&tiles)[4], std::uint32_t row_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(row_address)
               : "memory");
}

__device__ __forceinline__ void load_tiles_transposed(std::uint32_t (&tiles)[4],
                                                      std::uint32_t row_address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(row_address)
               : "memory");
}

// Transposes one 8x8 tile that lies across the warp.
__device__ __forceinline__ std::uint32_t transpose_tile(std::uint32_t tile) {
  std::uint32_t transposed;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(tile));
  return transposed;
}

}  // namespace flash_kda::cuda
