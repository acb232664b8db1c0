// Makes a CUtensorMap through the runtime's door to the driver, as CUTLASS does.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "host_model/tensor_map.hpp"

namespace emulator_tests {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

inline EncodeTiled encode_tiled_entry() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry,
                                                              12000, cudaEnableDefault, &result);
  return status == cudaSuccess ? reinterpret_cast<EncodeTiled>(entry) : nullptr;
}

struct EncodeOptions {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  CUtensorMapFloatOOBfill fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
};

inline CUresult encode(CUtensorMap* map, const host_model::TensorDescription& tensor, void* base,
                       const EncodeOptions& options) {
  cuuint64_t dimension[5];
  cuuint64_t stride[5] = {};
  cuuint32_t box[5];
  cuuint32_t element_stride[5];
  for (int d = 0; d < 5; ++d) {
    dimension[d] = static_cast<cuuint64_t>(tensor.dimension[d]);
    if (d > 0) stride[d - 1] = static_cast<cuuint64_t>(tensor.stride_bytes[d]);
    box[d] = static_cast<cuuint32_t>(tensor.box[d]);
    element_stride[d] = static_cast<cuuint32_t>(tensor.element_stride[d]);
  }
  const CUtensorMapSwizzle swizzle = tensor.swizzle_bytes == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                                     : tensor.swizzle_bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                                     : tensor.swizzle_bytes == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                                                  : CU_TENSOR_MAP_SWIZZLE_NONE;
  const EncodeTiled entry = encode_tiled_entry();
  if (entry == nullptr) return CUDA_ERROR_NOT_FOUND;
  return entry(map, options.type, static_cast<cuuint32_t>(tensor.rank), base, dimension, stride,
               box, element_stride, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
               CU_TENSOR_MAP_L2_PROMOTION_L2_128B, options.fill);
}

}  // namespace emulator_tests
