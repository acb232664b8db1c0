// Kernels of vectors/program.cu: control flow, calls, memory spaces and barriers as compilers and
// kernel authors use them.
#pragma once

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

inline constexpr int kTableEntries = 16;

struct WideParameter {
  uint32_t word[64];
};

EMULATOR_KERNEL void special_registers(uint32_t* out);
EMULATOR_KERNEL void divergent_control_flow(const uint32_t* in, uint32_t* out);
EMULATOR_KERNEL void early_exit_then_barrier(uint32_t* out, uint32_t survivors);
EMULATOR_KERNEL void switch_statement(const uint32_t* in, uint32_t* out);
EMULATOR_KERNEL void device_calls(const uint32_t* in, uint32_t* out);
EMULATOR_KERNEL void local_arrays(const uint32_t* in, uint32_t* out);
EMULATOR_KERNEL void wide_parameter(const EMULATOR_GRID_CONSTANT WideParameter parameter,
                                    const uint32_t* index, uint32_t* out);
EMULATOR_KERNEL void module_variables(const uint32_t* index, uint32_t* out);
EMULATOR_KERNEL void barrier_reductions(const uint32_t* in, uint32_t* out);
EMULATOR_KERNEL void named_barrier_pipeline(uint32_t* out, int rounds);
EMULATOR_KERNEL void register_reallocation(uint32_t* out);
EMULATOR_KERNEL void too_many_registers(uint32_t* out);
EMULATOR_KERNEL void clocks(uint64_t* out);
EMULATOR_KERNEL void wgmma_ring(float* out, int rounds);
EMULATOR_KERNEL void math_library(const float* in, float* out);

}  // namespace emulator_tests
