// SM90 pingpong GEMMs: two consumer warpgroups take turns at the tensor cores, ordered by named
// mbarriers; one producer warp issues TMA.
#pragma once

#include "sm90_gemm.cuh"

namespace emulator_conformance {
namespace pingpong {

using cute::_1;
using cute::_128;
using cute::_2;
using cute::_32;
using cute::_64;
using cute::Shape;
using Pingpong = cutlass::gemm::KernelTmaWarpSpecializedPingpong;
using Epilogue = cutlass::epilogue::TmaWarpSpecialized;

using Bf16KMajor =
    Sm90Gemm<Sm90Config<cutlass::bfloat16_t, cutlass::bfloat16_t, Major::kK, Major::kK,
                        Shape<_64, _128, _64>, Shape<_1, _1, _1>, Pingpong, Epilogue>>;
// Tile K of 32 halves makes the K-major swizzle 64 bytes wide instead of 128.
using F16MixedMajorCluster =
    Sm90Gemm<Sm90Config<cutlass::half_t, float, Major::kK, Major::kMn, Shape<_64, _64, _32>,
                        Shape<_2, _2, _1>, Pingpong, Epilogue>>;

inline std::vector<GemmImplementation> all() {
  return {{"pingpong_bf16_kk_64x128x64", ElementType::kBf16, ElementType::kBf16, Major::kK,
           Major::kK, 24, Bf16KMajor::run},
          {"pingpong_f16_kmn_64x64x32_cluster2x2", ElementType::kF16, ElementType::kF32, Major::kK,
           Major::kMn, 24, F16MixedMajorCluster::run}};
}

}  // namespace pingpong
}  // namespace emulator_conformance
