// cuTensorMapEncodeTiled, with the rules of the driver API's documentation and a reason for every
// refusal.
#include "exec/tensor_map.hpp"

#include <cuda.h>

#include "exec/error.hpp"
#include "rt/driver.hpp"
#include "rt/state.hpp"

namespace emulator::rt {
namespace {

constexpr u8 kElementBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
constexpr u32 kElementTypes = sizeof kElementBytes;

CUresult refuse(const std::string& why) {
  explain("cuTensorMapEncodeTiled: " + why);
  return CUDA_ERROR_INVALID_VALUE;
}

struct Arguments {
  CUtensorMapDataType type;
  u32 rank;
  void* address;
  const cuuint64_t* dims;
  const cuuint64_t* strides;
  const cuuint32_t* box;
  const cuuint32_t* traversal;
  CUtensorMapInterleave interleave;
  CUtensorMapSwizzle swizzle;
  CUtensorMapFloatOOBfill fill;
};

// Empty: all well.
std::string check_dimensions(const Arguments& a) {
  for (u32 d = 0; d < a.rank; ++d) {
    if (a.dims[d] == 0 || a.dims[d] > (1ull << 32))
      return format_text("globalDim[%u] = %llu, expected 1..2^32", d,
                         static_cast<unsigned long long>(a.dims[d]));
    if (a.box[d] == 0 || a.box[d] > 256)
      return format_text("boxDim[%u] = %u, expected 1..256", d, a.box[d]);
    if (a.traversal[d] == 0 || a.traversal[d] > 8)
      return format_text("elementStrides[%u] = %u, expected 1..8", d, a.traversal[d]);
    if (d == 0) continue;
    // Strides need not grow: the manual says so, but the driver takes any order, and libraries rely
    // on it for tensors whose outer dimensions are permuted.
    const u64 stride = a.strides[d - 1];
    if (stride % 16 || stride >= (1ull << 40))
      return format_text("globalStrides[%u] = %llu, expected a multiple of 16 below 2^40", d - 1,
                         static_cast<unsigned long long>(stride));
  }
  return "";
}

std::string check_box(const Arguments& a) {
  const u32 inner = a.box[0] * kElementBytes[a.type];
  if (inner % 16) return format_text("inner box of %u bytes, expected a multiple of 16", inner);
  const u32 spans[] = {0, 32, 64, 128};
  const u32 span = a.swizzle <= CU_TENSOR_MAP_SWIZZLE_128B ? spans[a.swizzle] : 0;
  if (span && inner > span)
    return format_text("inner box of %u bytes exceeds the swizzle span of %u", inner, span);
  return "";
}

}  // namespace

CUresult CUDAAPI encode_tiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank,
                              void* address, const cuuint64_t* dims, const cuuint64_t* strides,
                              const cuuint32_t* box, const cuuint32_t* traversal,
                              CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                              CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  const Arguments a{type, rank, address, dims, strides, box, traversal, interleave, swizzle, fill};
  if (!out || reinterpret_cast<u64>(out) % 64)
    return refuse("tensorMap is not aligned to 64 bytes");
  if (static_cast<u32>(type) >= kElementTypes) return refuse("this data type is not supported");
  if (rank < 1 || rank > 5) return refuse(format_text("rank %u, expected 1..5", rank));
  if (reinterpret_cast<u64>(address) % 16)
    return refuse("globalAddress is not aligned to 16 bytes");
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE)
    return refuse("interleaved layouts are not supported");
  if (swizzle > CU_TENSOR_MAP_SWIZZLE_128B) return refuse("this swizzle is not supported");
  if (fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA &&
      type < CU_TENSOR_MAP_DATA_TYPE_FLOAT16)
    return refuse("NaN fill of an integer type");
  if (const std::string why = check_dimensions(a); !why.empty()) return refuse(why);
  if (const std::string why = check_box(a); !why.empty()) return refuse(why);
  TensorMap t{};
  t.base = reinterpret_cast<u64>(address);
  t.magic = TensorMap::kMagic;
  t.rank = static_cast<u8>(rank);
  t.element_bytes = kElementBytes[type];
  t.element = static_cast<TensorElement>(type);
  t.swizzle = static_cast<u8>(swizzle);
  t.nan_fill = fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
  for (u32 d = 0; d < rank; ++d) {
    t.dim[d] = static_cast<u32>(std::min<u64>(dims[d], 0xffffffff));
    t.box[d] = static_cast<u16>(box[d]);
    t.traversal[d] = static_cast<u8>(traversal[d]);
    if (d) t.stride[d - 1] = strides[d - 1];
  }
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &t, sizeof t);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI replace_address(CUtensorMap* map, void* address) {
  auto* t = reinterpret_cast<TensorMap*>(map);
  if (t->magic != TensorMap::kMagic || reinterpret_cast<u64>(address) % 16)
    return CUDA_ERROR_INVALID_VALUE;
  t->base = reinterpret_cast<u64>(address);
  return CUDA_SUCCESS;
}

}  // namespace emulator::rt

extern "C" CUresult CUDAAPI cuTensorMapEncodeTiled(
    CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* address,
    const cuuint64_t* dims, const cuuint64_t* strides, const cuuint32_t* box,
    const cuuint32_t* traversal, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  return emulator::rt::encode_tiled(out, type, rank, address, dims, strides, box, traversal,
                                    interleave, swizzle, promotion, fill);
}
extern "C" CUresult CUDAAPI cuTensorMapReplaceAddress(CUtensorMap* map, void* address) {
  return emulator::rt::replace_address(map, address);
}
