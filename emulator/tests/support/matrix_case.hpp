// Kernels of vectors/matrix.cu. Fragments travel as 32-bit registers: register r of lane l is
// element r * 32 + l of its buffer.
#pragma once

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

// One warp loads matrices from the first bytes of shared memory (a copy of `in`), lane l giving the
// byte offset row_offset[l], and writes out its registers.
using LdmatrixKernel = void (*)(const uint8_t* in, const uint32_t* row_offset, uint32_t* out);
// The opposite: registers to shared memory, whose 1024 bytes are then dumped.
using StmatrixKernel = void (*)(const uint32_t* in, const uint32_t* row_offset, uint8_t* out);

struct MatrixVariant {
  const char* name;
  int matrices;
  bool transposed;
};
inline constexpr MatrixVariant kMatrixVariants[] = {{"x1", 1, false},      {"x2", 2, false},
                                                    {"x4", 4, false},      {"x1_trans", 1, true},
                                                    {"x2_trans", 2, true}, {"x4_trans", 4, true}};
extern const LdmatrixKernel kLdmatrix[6];
extern const StmatrixKernel kStmatrix[6];

EMULATOR_KERNEL void movmatrix_kernel(const uint32_t* in, uint32_t* out);

enum class MmaInput { kF16, kBf16, kTf32 };
enum class MmaAccumulator { kF32, kF16 };

// One warp: D = A * B + C.
using MmaKernel = void (*)(const uint32_t* a, const uint32_t* b, const uint32_t* c, uint32_t* d);

struct MmaVariant {
  const char* name;
  MmaKernel kernel;
  int k;
  MmaInput input;
  MmaAccumulator accumulator;
};
extern const MmaVariant kMmaVariants[];
inline constexpr int kMmaVariantCount = 8;

}  // namespace emulator_tests
