// What a CUTLASS GEMM looks like to the conformance test: a name, element types, layouts and a
// function that runs it on device pointers. Free of CUTLASS, so the test itself compiles fast.
#pragma once

#include <cuda_runtime_api.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace emulator_conformance {

enum class ElementType { kBf16, kF16, kTf32, kF32 };
enum class Major { kK, kMn };

struct GemmShape {
  int m;
  int n;
  int k;
};

// D = alpha * A * B + beta * C. All matrices are packed. A is [m][k] when K-major and [k][m] when
// MN-major, B is [n][k] or [k][n]; C and D are [m][n].
struct GemmProblem {
  GemmShape shape;
  const void* a;
  const void* b;
  const void* c;
  void* d;
  float alpha;
  float beta;
};

struct GemmImplementation {
  std::string name;
  ElementType element_ab;
  ElementType element_cd;
  Major a_major;
  Major b_major;
  // Bits of the significand that the multiplier keeps in the running sum.
  int accumulator_bits;
  cudaError_t (*run)(const GemmProblem& problem);
};

std::vector<GemmImplementation> sm90_two_warpgroup_gemms();
std::vector<GemmImplementation> sm90_tf32_stream_k_gemms();

// Those of the program at hand.
std::vector<GemmImplementation> all_gemms();

inline std::vector<GemmImplementation> concatenate(
    std::initializer_list<std::vector<GemmImplementation> (*)()> lists) {
  std::vector<GemmImplementation> all;
  for (auto* list : lists) {
    for (GemmImplementation& gemm : list()) all.push_back(std::move(gemm));
  }
  return all;
}

}  // namespace emulator_conformance
