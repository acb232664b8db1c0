#pragma once

#include <cuda.h>

namespace emulator::rt {

CUresult CUDAAPI encode_tiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank,
                              void* address, const cuuint64_t* dims, const cuuint64_t* strides,
                              const cuuint32_t* box, const cuuint32_t* traversal,
                              CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                              CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill);
CUresult CUDAAPI replace_address(CUtensorMap* map, void* address);

}  // namespace emulator::rt
