// Models of vectors/half.inc and their comparison with the kernels.
#include <cmath>

#include "host_model/integer.hpp"
#include "support/vector_models.hpp"
#include "support/vector_test.hpp"

namespace emulator_tests {

extern const VectorKernelEntry kHalfKernels[];

namespace {

using namespace host_model;

const VectorModelEntry kHalfModels[] = {
#include "vectors/half.inc"
};

INSTANTIATE_TEST_SUITE_P(Half, VectorTest,
                         testing::ValuesIn(vector_cases(kHalfModels, kHalfKernels)),
                         vector_case_name);

}  // namespace
}  // namespace emulator_tests
