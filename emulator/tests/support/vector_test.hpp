// Runs each instruction of a vector table over special and random operands and compares the
// results with the host model.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vector_case.hpp"

namespace emulator_tests {

struct VectorCase {
  VectorModelEntry model;
  VectorKernel kernel;
};

class VectorTest : public testing::TestWithParam<VectorCase> {};

std::string vector_case_name(const testing::TestParamInfo<VectorCase>& info);

// The two lists come from the same table, so entry i of one belongs to entry i of the other.
template <size_t kCount>
std::vector<VectorCase> vector_cases(const VectorModelEntry (&models)[kCount],
                                     const VectorKernelEntry* kernels) {
  std::vector<VectorCase> cases;
  for (size_t i = 0; i < kCount; ++i) cases.push_back({models[i], kernels[i].kernel});
  return cases;
}

}  // namespace emulator_tests
