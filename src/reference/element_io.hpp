// Elements of the caller's tensors as doubles. Reading is exact; writing rounds to nearest even,
// bf16 and fp16 by way of fp32 (which can move a result by 2^-24 of itself across a tie, no more).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/number.hpp"
#include "flash_kda/tensor_view.hpp"

namespace flash_kda::reference {

// kF32, kBF16 or kF16. `index` counts elements from `data`.
inline double load_element(const void* data, DType dtype, std::int64_t index) {
  if (dtype == DType::kF32) return static_cast<const float*>(data)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[index];
  return dtype == DType::kBF16 ? bf16_to_float(bits) : fp16_to_float(bits);
}

inline void store_element(void* data, DType dtype, std::int64_t index, double value) {
  const auto rounded = static_cast<float>(value);
  if (dtype == DType::kF32) {
    static_cast<float*>(data)[index] = rounded;
  } else {
    static_cast<std::uint16_t*>(data)[index] =
        dtype == DType::kBF16 ? float_to_bf16(rounded) : float_to_fp16(rounded);
  }
}

// Offset in elements of [a, b, c, 0] in a token-wise tensor [B, T, heads, ...].
inline std::int64_t offset_of_row(const TensorView& view, std::int64_t batch, std::int64_t token,
                                  std::int64_t head) {
  return batch * view.strides[0] + token * view.strides[1] + head * view.strides[2];
}

}  // namespace flash_kda::reference
