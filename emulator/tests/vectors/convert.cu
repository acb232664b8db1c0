// Kernels of vectors/convert.inc.
#include "support/vector_kernels.cuh"

namespace emulator_tests {
namespace {
#include "vectors/convert.inc"
}  // namespace

#include "support/vector_kernel_list.cuh"
extern const VectorKernelEntry kConvertKernels[];
const VectorKernelEntry kConvertKernels[] = {
#include "vectors/convert.inc"
};

}  // namespace emulator_tests
