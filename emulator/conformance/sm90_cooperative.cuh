// SM90 cooperative GEMMs: two consumer warpgroups share a tile; clusters multicast A and B.
#pragma once

#include "sm90_gemm.cuh"

namespace emulator_conformance {
namespace cooperative {

using cute::_1;
using cute::_128;
using cute::_2;
using cute::_64;
using cute::Shape;
using Cooperative = cutlass::gemm::KernelTmaWarpSpecializedCooperative;
using Epilogue = cutlass::epilogue::TmaWarpSpecializedCooperative;

using F16MnMajorMulticast =
    Sm90Gemm<Sm90Config<cutlass::half_t, cutlass::half_t, Major::kMn, Major::kMn,
                        Shape<_128, _64, _64>, Shape<_2, _1, _1>, Cooperative, Epilogue>>;
using Bf16KMajorMulticastB =
    Sm90Gemm<Sm90Config<cutlass::bfloat16_t, cutlass::bfloat16_t, Major::kK, Major::kK,
                        Shape<_128, _128, _64>, Shape<_1, _2, _1>, Cooperative, Epilogue>>;

inline std::vector<GemmImplementation> all() {
  return {{"cooperative_f16_mnmn_128x64x64_cluster2x1", ElementType::kF16, ElementType::kF16,
           Major::kMn, Major::kMn, 24, F16MnMajorMulticast::run},
          {"cooperative_bf16_kk_128x128x64_cluster1x2", ElementType::kBf16, ElementType::kBf16,
           Major::kK, Major::kK, 24, Bf16KMajorMulticastB::run}};
}

}  // namespace cooperative
}  // namespace emulator_conformance
