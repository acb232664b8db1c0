// Models of vectors/integer.inc and their comparison with the kernels.
#include "host_model/integer.hpp"

#include <cmath>

#include "support/vector_models.hpp"
#include "support/vector_test.hpp"

namespace emulator_tests {

extern const VectorKernelEntry kIntegerKernels[];

namespace {

using namespace host_model;

const VectorModelEntry kIntegerModels[] = {
#include "vectors/integer.inc"
};

INSTANTIATE_TEST_SUITE_P(Integer, VectorTest,
                         testing::ValuesIn(vector_cases(kIntegerModels, kIntegerKernels)),
                         vector_case_name);

}  // namespace
}  // namespace emulator_tests
