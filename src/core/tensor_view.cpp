#include "flash_kda/tensor_view.hpp"

#include <limits>

namespace flash_kda {

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBF16:
      return "bf16";
    case DType::kF16:
      return "f16";
    case DType::kI32:
      return "i32";
    case DType::kI64:
      return "i64";
    case DType::kU8:
      return "u8";
  }
  return "unknown dtype";
}

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    case DType::kI64:
      return 8;
    case DType::kU8:
      return 1;
  }
  return 0;
}

TensorView TensorView::contiguous(void* data, DType dtype,
                                  std::initializer_list<std::int64_t> shape) {
  TensorView view{.data = data, .dtype = dtype, .rank = static_cast<int>(shape.size())};
  int dim = 0;
  for (const std::int64_t extent : shape) view.shape[dim++] = extent;
  std::int64_t stride = 1;
  for (dim = view.rank - 1; dim >= 0; --dim) {
    view.strides[dim] = stride;
    stride *= view.shape[dim];
  }
  return view;
}

std::int64_t TensorView::num_elements() const {
  std::int64_t count = 1;
  bool overflow = false;
  for (int dim = 0; dim < rank; ++dim) {
    if (shape[dim] == 0) return 0;
    overflow |= __builtin_mul_overflow(count, shape[dim], &count);
  }
  return overflow ? std::numeric_limits<std::int64_t>::max() : count;
}

}  // namespace flash_kda
