// Kernels of vectors/memory.inc.
#include "support/memory_case.hpp"

#define MEMORY(name, text)                                                                 \
  __global__ void name(const uint8_t* in, uint8_t* out) {                                  \
    __shared__ __align__(32) uint8_t slots[::emulator_tests::kMemoryThreads * 32];         \
    const unsigned slot =                                                                  \
        static_cast<unsigned>(__cvta_generic_to_shared(slots + threadIdx.x * 32));         \
    asm volatile(text ::"l"(in + threadIdx.x * 32), "l"(out + threadIdx.x * 32), "r"(slot) \
                 : "memory");                                                              \
  }
#define COPY(name, bytes, text) MEMORY(name, text)
#define FROM_BYTES(name, bytes, text, model) MEMORY(name, text)

namespace emulator_tests {
namespace {
#include "vectors/memory.inc"
}  // namespace

#undef COPY
#undef FROM_BYTES
#define COPY(name, ...) name,
#define FROM_BYTES(name, ...) name,
extern const MemoryKernel kMemoryKernels[];
const MemoryKernel kMemoryKernels[] = {
#include "vectors/memory.inc"
};

}  // namespace emulator_tests
