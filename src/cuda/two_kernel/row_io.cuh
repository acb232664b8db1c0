// Elements of the caller's [B, T, heads, columns] tensors. Vector forms are used where every row
// start is aligned for them, which the host has checked; the branch is uniform in a launch.
#pragma once

#include <cstdint>

#include "cuda/common/bits.cuh"
#include "cuda/two_kernel/params.hpp"

namespace flash_kda::cuda {

__device__ __forceinline__ std::int64_t row_start(const RowTensor& tensor, std::int64_t batch_row,
                                                  std::int64_t token, std::int64_t head) {
  return batch_row * tensor.batch_stride + token * tensor.token_stride + head * tensor.head_stride;
}

// Two neighbouring bf16 values.
__device__ __forceinline__ std::uint32_t load_pair(const RowTensor& tensor, std::int64_t at) {
  const auto* p = static_cast<const std::uint16_t*>(tensor.data) + at;
  if (tensor.alignment == Alignment::kVector) return *reinterpret_cast<const std::uint32_t*>(p);
  return p[0] | (static_cast<std::uint32_t>(p[1]) << 16);
}

// Two neighbouring values of a bf16 or fp32 tensor.
__device__ __forceinline__ float2 load_pair_f32(const RowTensor& tensor, std::int64_t at) {
  if (tensor.dtype == DType::kBF16) {
    const std::uint32_t pair = load_pair(tensor, at);
    return {low_bf16(pair), high_bf16(pair)};
  }
  const auto* p = static_cast<const float*>(tensor.data) + at;
  if (tensor.alignment == Alignment::kVector) return *reinterpret_cast<const float2*>(p);
  return {p[0], p[1]};
}

__device__ __forceinline__ float load_scalar(const RowTensor& tensor, std::int64_t at) {
  if (tensor.dtype == DType::kF32) return static_cast<const float*>(tensor.data)[at];
  return __uint_as_float(
      static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(tensor.data)[at]) << 16);
}

__device__ __forceinline__ void store_scalar(const RowTensor& tensor, std::int64_t at, float x) {
  if (tensor.dtype == DType::kF32) {
    static_cast<float*>(tensor.data)[at] = x;
  } else {
    static_cast<std::uint16_t*>(tensor.data)[at] = to_bf16_bits(x);
  }
}

// Four neighbouring bf16 values.
__device__ __forceinline__ uint2 load_quad(const RowTensor& tensor, std::int64_t at) {
  const auto* p = static_cast<const std::uint16_t*>(tensor.data) + at;
  if (tensor.alignment == Alignment::kVector) return *reinterpret_cast<const uint2*>(p);
  return {p[0] | (static_cast<std::uint32_t>(p[1]) << 16),
          p[2] | (static_cast<std::uint32_t>(p[3]) << 16)};
}

__device__ __forceinline__ void store_quad(const RowTensor& tensor, std::int64_t at, uint2 quad) {
  auto* p = static_cast<std::uint16_t*>(tensor.data) + at;
  if (tensor.alignment == Alignment::kVector) {
    *reinterpret_cast<uint2*>(p) = quad;
    return;
  }
  p[0] = static_cast<std::uint16_t>(quad.x);
  p[1] = static_cast<std::uint16_t>(quad.x >> 16);
  p[2] = static_cast<std::uint16_t>(quad.y);
  p[3] = static_cast<std::uint16_t>(quad.y >> 16);
}

}  // namespace flash_kda::cuda
