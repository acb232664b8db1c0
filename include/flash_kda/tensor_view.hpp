// A tensor of the caller: pointer, type, shape, strides. The library owns none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "flash_kda/export.h"

namespace flash_kda {

enum class DType : std::int32_t { kF32, kBF16, kF16, kI32, kI64, kU8 };

// "f32", "bf16", ...
FLASH_KDA_API const char* to_string(DType dtype);
FLASH_KDA_API std::size_t size_of(DType dtype);

inline constexpr int kMaxRank = 6;

struct FLASH_KDA_API TensorView {
  void* data = nullptr;  // may be null where the tensor has no element
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<std::int64_t, kMaxRank> shape{};
  std::array<std::int64_t, kMaxRank> strides{};  // in elements, not bytes; may be 0 or negative

  // Row-major without gaps: the last dimension has stride 1.
  static TensorView contiguous(void* data, DType dtype, std::initializer_list<std::int64_t> shape);

  // Saturates at the largest int64_t.
  std::int64_t num_elements() const;
};

}  // namespace flash_kda
