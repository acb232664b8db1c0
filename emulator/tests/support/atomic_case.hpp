// What the kernels of vectors/atomic.inc look like.
#pragma once

#include "launch.hpp"
#include "vector_case.hpp"

namespace emulator_tests {

inline constexpr int kAtomicThreads = 256;
inline constexpr int kContendedCells = 7;

enum class CellSpace { kGlobal, kShared };

using AtomicKernel = void (*)(const Operands* in, uint64_t* cells, uint64_t* old);

EMULATOR_KERNEL void contended_atomics(unsigned* global_cells, unsigned* shared_sums,
                                       unsigned* tickets, int cell_count);
EMULATOR_KERNEL void spin_lock_counter(int* lock, int* counter, int rounds);

}  // namespace emulator_tests
