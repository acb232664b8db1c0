// Kernels of vectors/atomic.inc: each thread owns one cell, in global memory or in a copy of it in
// shared memory.
#include "support/atomic_case.hpp"
#include "support/vector_kernels.cuh"

#define REGISTER_TYPE_kPairF32 unsigned long long
#define REGISTER_TYPE_kQuadF16 unsigned long long
#define REGISTER_TYPE_kQuadBf16 unsigned long long
#define CONSTRAINT_kPairF32 "l"
#define CONSTRAINT_kQuadF16 "l"
#define CONSTRAINT_kQuadBf16 "l"

#define CELL(name, space, text, K, OUT, ...)                                                   \
  __global__ void name(const ::emulator_tests::Operands* in, uint64_t* cells, uint64_t* old) { \
    using Value = REGISTER_TYPE_##K;                                                           \
    __shared__ Value shared_cells[::emulator_tests::kAtomicThreads];                           \
    const int i = threadIdx.x;                                                                 \
    Value* global_cell = reinterpret_cast<Value*>(cells + i);                                  \
    shared_cells[i] = static_cast<Value>(in[i].value[0]);                                      \
    *global_cell = static_cast<Value>(in[i].value[0]);                                         \
    const uint64_t address = CELL_ADDRESS_##space;                                             \
    const Value y = static_cast<Value>(in[i].value[1]);                                        \
    const Value z = static_cast<Value>(in[i].value[2]);                                        \
    Value d = 0;                                                                               \
    asm volatile(text                                                                          \
                 : OUT CONSTRAINT_##K(d)                                                       \
                 : "l"(address), CONSTRAINT_##K(y), CONSTRAINT_##K(z)                          \
                 : "memory");                                                                  \
    old[i] = d;                                                                                \
    if (::emulator_tests::CellSpace::space == ::emulator_tests::CellSpace::kShared) {          \
      *global_cell = shared_cells[i];                                                          \
    }                                                                                          \
  }
#define CELL_ADDRESS_kGlobal reinterpret_cast<uint64_t>(global_cell)
#define CELL_ADDRESS_kShared static_cast<uint64_t>(__cvta_generic_to_shared(shared_cells + i))
#define ATOMIC(name, space, text, K, ...) CELL(name, space, text, K, "=")
#define REDUCTION(name, space, text, K, ...) CELL(name, space, text, K, "+")

namespace emulator_tests {
namespace {
#include "vectors/atomic.inc"
}  // namespace

#undef ATOMIC
#undef REDUCTION
#define ATOMIC(name, ...) name,
#define REDUCTION(name, ...) name,
extern const AtomicKernel kAtomicKernels[];
const AtomicKernel kAtomicKernels[] = {
#include "vectors/atomic.inc"
};

// Every thread adds to, or takes a ticket from, one of `cell_count` cells.
__global__ void contended_atomics(unsigned* global_cells, unsigned* shared_sums, unsigned* tickets,
                                  int cell_count) {
  __shared__ unsigned sums[kContendedCells];
  if (threadIdx.x < kContendedCells) sums[threadIdx.x] = 0;
  __syncthreads();
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int cell = thread % cell_count;
  tickets[thread] = atomicAdd(global_cells + cell, 1u);
  atomicAdd(sums + cell, static_cast<unsigned>(thread));
  __syncthreads();
  if (threadIdx.x < cell_count) atomicAdd(shared_sums + threadIdx.x, sums[threadIdx.x]);
}

// A lock of spinning threads: needs fair scheduling between CTAs and between the lanes of a warp.
__global__ void spin_lock_counter(int* lock, int* counter, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    bool done = false;
    while (!done) {
      if (atomicCAS(lock, 0, 1) == 0) {
        __threadfence();
        *reinterpret_cast<volatile int*>(counter) += 1;
        __threadfence();
        atomicExch(lock, 0);
        done = true;
      }
    }
  }
}

}  // namespace emulator_tests
