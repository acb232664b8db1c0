// Models of vectors/predicate.inc and their comparison with the kernels.
#include <cmath>

#include "host_model/integer.hpp"
#include "support/vector_models.hpp"
#include "support/vector_test.hpp"

namespace emulator_tests {

extern const VectorKernelEntry kPredicateKernels[];

namespace {

using namespace host_model;

uint32_t short_collatz_steps(uint32_t n) {
  uint32_t steps = 0;
  for (; n > 1; ++steps) n = (n % 2 == 0 ? n : 3 * n + 1) / 2;
  return steps;
}

const VectorModelEntry kPredicateModels[] = {
#include "vectors/predicate.inc"
};

INSTANTIATE_TEST_SUITE_P(Predicate, VectorTest,
                         testing::ValuesIn(vector_cases(kPredicateModels, kPredicateKernels)),
                         vector_case_name);

}  // namespace
}  // namespace emulator_tests
