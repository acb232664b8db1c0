// Kernels of vectors/warp.inc; every one is run by whole warps.
#include "support/vector_kernels.cuh"

#define WARP(name, text, ...) OP3(name, text, kB32, kB32, kB32, kB32)

namespace emulator_tests {
namespace {
#include "vectors/warp.inc"
}  // namespace

#undef WARP
#define WARP(name, ...) {#name, name},
extern const VectorKernelEntry kWarpKernels[];
const VectorKernelEntry kWarpKernels[] = {
#include "vectors/warp.inc"
};

}  // namespace emulator_tests
