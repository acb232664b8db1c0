// Kernels of vectors/predicate.inc.
#include "support/vector_kernels.cuh"

namespace emulator_tests {
namespace {
#include "vectors/predicate.inc"
}  // namespace

#include "support/vector_kernel_list.cuh"
extern const VectorKernelEntry kPredicateKernels[];
const VectorKernelEntry kPredicateKernels[] = {
#include "vectors/predicate.inc"
};

}  // namespace emulator_tests
