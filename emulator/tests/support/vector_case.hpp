// One instruction under test: its PTX text, a kernel that runs it once per thread on a row of
// operands, and a host function that says what must come out.
//
// A table file (vectors/*.inc) lists the instructions. It is included twice: by a .cu file with
// vector_kernels.cuh, where each line becomes a kernel, and by a .cpp file with vector_models.hpp,
// where the same line becomes a model.
#pragma once

#include <cstdint>

namespace emulator_tests {

struct Operands {
  uint64_t value[3];
};

using VectorKernel = void (*)(const Operands* in, uint64_t* out, int count);

// How a register is read: decides its width, the values it is fed and when two results agree.
enum class Kind {
  kNone,
  kB16,
  kB32,
  kB64,
  kShift,  // 32-bit shift amount, mostly 0..70
  kByte,   // 32-bit register with 0..255, mostly 0..70
  kF16,
  kBf16,
  kF16x2,
  kBf16x2,
  kTf32,
  kF32,
  kF64,
  kUnitF32,  // float in the range of interest of approximate functions
  kUnitF16,
  kUnitF16x2,
  kUnitBf16,
  kUnitBf16x2,
};

struct VectorKernelEntry {
  const char* name;
  VectorKernel kernel;
};

using ExactModel = uint64_t (*)(uint64_t a, uint64_t b, uint64_t c);
// For approximate instructions: |result - value| <= relative * |value| + absolute.
using RealModel = double (*)(double a, double b, double c);

struct ErrorBound {
  double relative = 0;
  double absolute = 0;
};

struct VectorModelEntry {
  const char* name;
  const char* text;
  Kind result;
  Kind operand[3];
  ExactModel exact;
  RealModel real;
  ErrorBound bound;
};

}  // namespace emulator_tests
