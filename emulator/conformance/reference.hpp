// Host side of the conformance test: packing of inputs, the reference product and its error bound.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm_case.hpp"

namespace emulator_conformance {

// A matrix of values that its element type represents exactly, and the same in device form.
struct Matrix {
  std::vector<double> values;
  std::vector<uint8_t> bytes;
};

enum class Values {
  kSmallIntegers,  // every sum is exact, so results must match bit by bit
  kReals,
};

int element_bytes(ElementType type);
Matrix make_matrix(ElementType type, size_t count, Values values, uint64_t seed);

// Rounds to nearest even in `type`, returning the value and its bits.
double round_to(ElementType type, double value);
std::vector<double> decode(ElementType type, const std::vector<uint8_t>& bytes);

struct Reference {
  std::vector<double> values;     // in [m][n]
  std::vector<double> tolerance;  // 0 where the result must be exact
};

Reference reference_gemm(const GemmImplementation& gemm, GemmShape shape, const Matrix& a,
                         const Matrix& b, const Matrix& c, double alpha, double beta,
                         Values values);

}  // namespace emulator_conformance
