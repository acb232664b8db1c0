// Turns the lines of a vector table into kernels; see vector_case.hpp.
#pragma once

#include "vector_case.hpp"

#define REGISTER_TYPE_kB16 unsigned short
#define REGISTER_TYPE_kB32 unsigned
#define REGISTER_TYPE_kB64 unsigned long long
#define REGISTER_TYPE_kShift unsigned
#define REGISTER_TYPE_kByte unsigned
#define REGISTER_TYPE_kF16 unsigned short
#define REGISTER_TYPE_kBf16 unsigned short
#define REGISTER_TYPE_kF16x2 unsigned
#define REGISTER_TYPE_kBf16x2 unsigned
#define REGISTER_TYPE_kTf32 unsigned
#define REGISTER_TYPE_kF32 unsigned
#define REGISTER_TYPE_kF64 unsigned long long
#define REGISTER_TYPE_kUnitF32 unsigned
#define REGISTER_TYPE_kUnitF16 unsigned short
#define REGISTER_TYPE_kUnitF16x2 unsigned
#define REGISTER_TYPE_kUnitBf16 unsigned short
#define REGISTER_TYPE_kUnitBf16x2 unsigned

#define CONSTRAINT_kB16 "h"
#define CONSTRAINT_kB32 "r"
#define CONSTRAINT_kB64 "l"
#define CONSTRAINT_kShift "r"
#define CONSTRAINT_kByte "r"
#define CONSTRAINT_kF16 "h"
#define CONSTRAINT_kBf16 "h"
#define CONSTRAINT_kF16x2 "r"
#define CONSTRAINT_kBf16x2 "r"
#define CONSTRAINT_kTf32 "r"
#define CONSTRAINT_kF32 "r"
#define CONSTRAINT_kF64 "l"
#define CONSTRAINT_kUnitF32 "r"
#define CONSTRAINT_kUnitF16 "h"
#define CONSTRAINT_kUnitF16x2 "r"
#define CONSTRAINT_kUnitBf16 "h"
#define CONSTRAINT_kUnitBf16x2 "r"

#define VECTOR_PROLOGUE                                \
  const int i = blockIdx.x * blockDim.x + threadIdx.x; \
  if (i >= count) return;

#define OP1(name, text, result, a, ...)                                                  \
  __global__ void name(const ::emulator_tests::Operands* in, uint64_t* out, int count) { \
    VECTOR_PROLOGUE                                                                      \
    const REGISTER_TYPE_##a x = static_cast<REGISTER_TYPE_##a>(in[i].value[0]);          \
    REGISTER_TYPE_##result d;                                                            \
    asm volatile(text : "=" CONSTRAINT_##result(d) : CONSTRAINT_##a(x));                 \
    out[i] = d;                                                                          \
  }

#define OP2(name, text, result, a, b, ...)                                                  \
  __global__ void name(const ::emulator_tests::Operands* in, uint64_t* out, int count) {    \
    VECTOR_PROLOGUE                                                                         \
    const REGISTER_TYPE_##a x = static_cast<REGISTER_TYPE_##a>(in[i].value[0]);             \
    const REGISTER_TYPE_##b y = static_cast<REGISTER_TYPE_##b>(in[i].value[1]);             \
    REGISTER_TYPE_##result d;                                                               \
    asm volatile(text : "=" CONSTRAINT_##result(d) : CONSTRAINT_##a(x), CONSTRAINT_##b(y)); \
    out[i] = d;                                                                             \
  }

#define OP3(name, text, result, a, b, c, ...)                                            \
  __global__ void name(const ::emulator_tests::Operands* in, uint64_t* out, int count) { \
    VECTOR_PROLOGUE                                                                      \
    const REGISTER_TYPE_##a x = static_cast<REGISTER_TYPE_##a>(in[i].value[0]);          \
    const REGISTER_TYPE_##b y = static_cast<REGISTER_TYPE_##b>(in[i].value[1]);          \
    const REGISTER_TYPE_##c z = static_cast<REGISTER_TYPE_##c>(in[i].value[2]);          \
    REGISTER_TYPE_##result d;                                                            \
    asm volatile(text                                                                    \
                 : "=" CONSTRAINT_##result(d)                                            \
                 : CONSTRAINT_##a(x), CONSTRAINT_##b(y), CONSTRAINT_##c(z));             \
    out[i] = d;                                                                          \
  }

#define NEAR1(name, text, result, a, relative, absolute, ...) OP1(name, text, result, a)
#define NEAR2(name, text, result, a, b, relative, absolute, ...) OP2(name, text, result, a, b)
