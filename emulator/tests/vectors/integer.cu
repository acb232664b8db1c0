// Kernels of vectors/integer.inc.
#include "support/vector_kernels.cuh"

namespace emulator_tests {
namespace {
#include "vectors/integer.inc"
}  // namespace

#include "support/vector_kernel_list.cuh"
extern const VectorKernelEntry kIntegerKernels[];
const VectorKernelEntry kIntegerKernels[] = {
#include "vectors/integer.inc"
};

}  // namespace emulator_tests
