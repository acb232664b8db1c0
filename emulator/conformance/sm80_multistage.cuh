// SM80 multistage GEMMs of each element type.
#pragma once

#include "sm80_gemm.cuh"

namespace emulator_conformance {
namespace multistage {

template <int kM, int kN, int kK>
using Shape = cutlass::gemm::GemmShape<kM, kN, kK>;

using F16 = Sm80Gemm<cutlass::half_t, cutlass::half_t, float, Major::kK, Major::kMn,
                     Shape<64, 64, 32>, Shape<32, 32, 32>, Shape<16, 8, 16>, 4>;
using F16Accumulate =
    Sm80Gemm<cutlass::half_t, cutlass::half_t, cutlass::half_t, Major::kK, Major::kK,
             Shape<64, 64, 32>, Shape<32, 32, 32>, Shape<16, 8, 16>, 3>;
using Bf16 = Sm80Gemm<cutlass::bfloat16_t, cutlass::bfloat16_t, float, Major::kMn, Major::kK,
                      Shape<128, 64, 32>, Shape<64, 32, 32>, Shape<16, 8, 16>, 3>;
using Tf32 = Sm80Gemm<cutlass::tfloat32_t, float, float, Major::kK, Major::kK, Shape<64, 64, 16>,
                      Shape<32, 32, 16>, Shape<16, 8, 8>, 4>;

inline std::vector<GemmImplementation> all() {
  return {{"multistage_f16_kmn_64x64x32", ElementType::kF16, ElementType::kF16, Major::kK,
           Major::kMn, 24, F16::run},
          {"multistage_f16_accumulate_f16_kk", ElementType::kF16, ElementType::kF16, Major::kK,
           Major::kK, 11, F16Accumulate::run},
          {"multistage_bf16_mnk_128x64x32", ElementType::kBf16, ElementType::kBf16, Major::kMn,
           Major::kK, 24, Bf16::run},
          {"multistage_tf32_kk_64x64x16", ElementType::kTf32, ElementType::kF32, Major::kK,
           Major::kK, 24, Tf32::run}};
}

}  // namespace multistage
}  // namespace emulator_conformance
