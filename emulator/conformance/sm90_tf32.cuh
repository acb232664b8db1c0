// SM90 tf32 GEMMs. Shared memory operands of tf32 wgmma must be K-major, so the MN-major A goes
// through registers: this is the RS form of the instruction.
#pragma once

#include "sm90_gemm.cuh"

namespace emulator_conformance {
namespace tf32 {

using cute::_1;
using cute::_32;
using cute::_64;
using cute::Shape;
using WarpSpecialized = cutlass::gemm::KernelTmaWarpSpecialized;
using Epilogue = cutlass::epilogue::TmaWarpSpecialized;

using KMajor =
    Sm90Gemm<Sm90Config<cutlass::tfloat32_t, float, Major::kK, Major::kK, Shape<_64, _64, _32>,
                        Shape<_1, _1, _1>, WarpSpecialized, Epilogue>>;
using MnMajorA =
    Sm90Gemm<Sm90Config<cutlass::tfloat32_t, float, Major::kMn, Major::kK, Shape<_64, _64, _32>,
                        Shape<_1, _1, _1>, WarpSpecialized, Epilogue>>;

inline std::vector<GemmImplementation> all() {
  return {{"warpspecialized_tf32_kk_64x64x32", ElementType::kTf32, ElementType::kF32, Major::kK,
           Major::kK, 24, KMajor::run},
          {"warpspecialized_tf32_mnk_64x64x32_rs", ElementType::kTf32, ElementType::kF32,
           Major::kMn, Major::kK, 24, MnMajorA::run}};
}

}  // namespace tf32
}  // namespace emulator_conformance
