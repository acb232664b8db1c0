// Kernels of vectors/float.inc.
#include "support/vector_kernels.cuh"

namespace emulator_tests {
namespace {
#include "vectors/float.inc"
}  // namespace

#include "support/vector_kernel_list.cuh"
extern const VectorKernelEntry kFloatKernels[];
const VectorKernelEntry kFloatKernels[] = {
#include "vectors/float.inc"
};

}  // namespace emulator_tests
