// Packing of two bf16 values in one 32-bit register, the unit in which fragments travel.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace flash_kda::cuda {

// Rounds to nearest even; `low` lands in bits 0..15, the lower address.
__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// bf16 is the upper half of an fp32, so widening is a shift or a mask.
__device__ __forceinline__ float low_bf16(std::uint32_t packed) {
  return __uint_as_float(packed << 16);
}
__device__ __forceinline__ float high_bf16(std::uint32_t packed) {
  return __uint_as_float(packed & 0xffff0000u);
}

__device__ __forceinline__ std::uint16_t to_bf16_bits(float value) {
  return static_cast<std::uint16_t>(pack_bf16(value, 0.0f));
}

}  // namespace flash_kda::cuda
