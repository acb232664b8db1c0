// Kernels of vectors/tensor.cu. Boxes are loaded to and stored from the start of shared memory.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

struct BoxCorner {
  int coordinate[5];
};

// Loads the box at `corner` and dumps the bytes of shared memory.
using TensorLoadKernel = void (*)(const CUtensorMap map, BoxCorner corner, uint32_t box_bytes,
                                  uint8_t* out);
// Fills shared memory with `in` and stores (or reduces) the box at `corner`.
using TensorStoreKernel = void (*)(const CUtensorMap map, BoxCorner corner, uint32_t box_bytes,
                                   const uint8_t* in);

extern const TensorLoadKernel kTensorLoad[5];  // by rank - 1
extern const TensorLoadKernel kTensorLoadHinted[5];
extern const TensorStoreKernel kTensorStore[5];
extern const TensorStoreKernel kTensorReduceAdd[5];

// A cluster of two CTAs: each loads half of the rows (a box of its own) and multicasts it to both.
// Both CTAs dump everything.
EMULATOR_KERNEL void tensor_multicast(const EMULATOR_GRID_CONSTANT CUtensorMap map,
                                      uint32_t box_bytes, uint8_t* out);

// One warp edits a copy of `prototype` to describe `rows` x `columns` words at `data`, rows 256
// bytes apart, puts it into `edited` and loads its first box through it.
EMULATOR_KERNEL void tensor_map_edit(const EMULATOR_GRID_CONSTANT CUtensorMap prototype,
                                     CUtensorMap* edited, const uint32_t* data, uint32_t columns,
                                     uint32_t rows, uint32_t box_bytes, uint8_t* out);

}  // namespace emulator_tests
