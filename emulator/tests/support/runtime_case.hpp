// Kernels of runtime/runtime.cu.
#pragma once

#include <cstdint>

#include "launch.hpp"

namespace emulator_tests {

EMULATOR_KERNEL void fill(int* out, int value, int count);
EMULATOR_KERNEL void add_to(int* out, int value, int count);
EMULATOR_KERNEL void saxpy(float a, const float* x, float* y, int count);

// All CTAs meet `rounds` times at a barrier in global memory (zeroed by the caller); then out[cta]
// holds what CTA (cta + 1) mod ctas wrote in the last round. Deadlocks unless all CTAs are
// resident.
EMULATOR_KERNEL void global_barrier(unsigned* arrived, int* mailbox, int* out, int rounds);
EMULATOR_KERNEL void cooperative_groups_sync(int* data, int* out, int rounds);

// Programmatic dependent launch: the first kernel lets the second start before it writes.
EMULATOR_KERNEL void dependent_producer(int* out, int count);
EMULATOR_KERNEL void dependent_consumer(const int* in, int* out, int count);

EMULATOR_KERNEL void use_shared_memory(int* out, int words);

EMULATOR_KERNEL void print_lines(int number, const char* text);
EMULATOR_KERNEL void write_symbol_sum(int* out);

// Faults.
EMULATOR_KERNEL void store_to(int* address, int value);
EMULATOR_KERNEL void store_misaligned(char* base);
EMULATOR_KERNEL void store_shared_out_of_bounds(int index);
EMULATOR_KERNEL void trap_now();
EMULATOR_KERNEL void assert_positive(int value);
EMULATOR_KERNEL void wait_forever(int* out);
EMULATOR_KERNEL void spin_on_flag(volatile int* flag);

// Host-side access to module variables goes through the runtime by symbol, which only nvcc's host
// code can name.
cudaError_t copy_to_symbols(const int (&constant_values)[8], int device_value);
cudaError_t copy_from_symbol(int* device_value);
cudaError_t address_of_symbol(void** address, size_t* bytes);

}  // namespace emulator_tests
