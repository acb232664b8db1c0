// Models of vectors/float.inc and their comparison with the kernels.
#include <cmath>

#include "host_model/integer.hpp"
#include "support/vector_models.hpp"
#include "support/vector_test.hpp"

namespace emulator_tests {

extern const VectorKernelEntry kFloatKernels[];

namespace {

using namespace host_model;

const VectorModelEntry kFloatModels[] = {
#include "vectors/float.inc"
};

INSTANTIATE_TEST_SUITE_P(Float, VectorTest,
                         testing::ValuesIn(vector_cases(kFloatModels, kFloatKernels)),
                         vector_case_name);

}  // namespace
}  // namespace emulator_tests
