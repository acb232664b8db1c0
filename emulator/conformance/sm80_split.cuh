// SM80 GEMMs that share output tiles between CTAs: serial split-K (a semaphore per tile) and
// stream-K (partial sums and flags in a workspace).
#pragma once

#include "sm80_gemm.cuh"

namespace emulator_conformance {
namespace split {

template <int kM, int kN, int kK>
using Shape = cutlass::gemm::GemmShape<kM, kN, kK>;

using SplitK = Sm80Gemm<cutlass::bfloat16_t, float, float, Major::kK, Major::kK, Shape<64, 64, 32>,
                        Shape<32, 32, 32>, Shape<16, 8, 16>, 3>;
using StreamK = Sm80Gemm<cutlass::half_t, float, float, Major::kK, Major::kMn, Shape<64, 64, 32>,
                         Shape<32, 32, 32>, Shape<16, 8, 16>, 3,
                         cutlass::gemm::threadblock::ThreadblockSwizzleStreamK>;

inline cudaError_t run_split_k(const GemmProblem& problem) { return SplitK::run_split(problem, 3); }

inline std::vector<GemmImplementation> all() {
  return {{"split_k3_bf16_kk_64x64x32", ElementType::kBf16, ElementType::kF32, Major::kK, Major::kK,
           24, run_split_k},
          {"stream_k_f16_kmn_64x64x32", ElementType::kF16, ElementType::kF32, Major::kK, Major::kMn,
           24, StreamK::run}};
}

}  // namespace split
}  // namespace emulator_conformance
