// Models of vectors/convert.inc and their comparison with the kernels.
#include <cmath>

#include "host_model/integer.hpp"
#include "support/vector_models.hpp"
#include "support/vector_test.hpp"

namespace emulator_tests {

extern const VectorKernelEntry kConvertKernels[];

namespace {

using namespace host_model;

const VectorModelEntry kConvertModels[] = {
#include "vectors/convert.inc"
};

INSTANTIATE_TEST_SUITE_P(Convert, VectorTest,
                         testing::ValuesIn(vector_cases(kConvertModels, kConvertKernels)),
                         vector_case_name);

}  // namespace
}  // namespace emulator_tests
