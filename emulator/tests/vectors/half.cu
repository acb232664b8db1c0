// Kernels of vectors/half.inc.
#include "support/vector_kernels.cuh"

namespace emulator_tests {
namespace {
#include "vectors/half.inc"
}  // namespace

#include "support/vector_kernel_list.cuh"
extern const VectorKernelEntry kHalfKernels[];
const VectorKernelEntry kHalfKernels[] = {
#include "vectors/half.inc"
};

}  // namespace emulator_tests
