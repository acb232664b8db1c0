// Kernels of vectors/wgmma.cu.
#pragma once

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

enum class WgmmaInput { kF16, kBf16, kTf32 };
enum class WgmmaAccumulator { kF32, kF16 };
enum class WgmmaSource { kShared, kRegisters };
enum class OperandMajor { kK, kMn };

struct WgmmaArguments {
  const uint8_t* image;  // copied to the start of shared memory
  uint32_t image_bytes;
  uint64_t descriptor_a;  // address fields are relative to the image
  uint64_t descriptor_b;
  const uint32_t* a_registers;  // [4][128 threads]
  uint32_t* accumulators;       // [128 threads][register groups * 4]
  uint32_t scale_d;             // 0: D = A * B, else D += A * B
};

using WgmmaKernel = void (*)(WgmmaArguments arguments);

struct WgmmaVariant {
  const char* name;
  WgmmaKernel kernel;
  int n;
  WgmmaInput input;
  WgmmaAccumulator accumulator;
  WgmmaSource source;
  OperandMajor a_major;
  OperandMajor b_major;
  int sign_a;
  int sign_b;
};

extern const WgmmaVariant kWgmmaVariants[];
extern const int kWgmmaVariantCount;

}  // namespace emulator_tests
