// SM90 stream-K GEMM: CTAs share output tiles and reduce partial sums through global memory with
// flags between CTAs, so resident CTAs must interleave.
#pragma once

#include "sm90_gemm.cuh"

namespace emulator_conformance {
namespace stream_k {

using cute::_1;
using cute::_128;
using cute::_64;
using cute::Shape;

using StreamK = Sm90Gemm<
    Sm90Config<cutlass::half_t, float, Major::kK, Major::kK, Shape<_128, _64, _64>,
               Shape<_1, _1, _1>, cutlass::gemm::KernelTmaWarpSpecializedCooperative,
               cutlass::epilogue::TmaWarpSpecializedCooperative, cutlass::gemm::StreamKScheduler>>;

// A fixed split of K in three makes the reduction happen for every problem size.
inline cudaError_t run_split_k(const GemmProblem& problem) {
  auto arguments = StreamK::arguments(problem);
  arguments.scheduler.splits = 3;
  return run_device_gemm<StreamK::Device>(arguments);
}

inline std::vector<GemmImplementation> all() {
  return {{"stream_k_f16_kk_128x64x64", ElementType::kF16, ElementType::kF32, Major::kK, Major::kK,
           24, StreamK::run},
          {"split_k3_f16_kk_128x64x64", ElementType::kF16, ElementType::kF32, Major::kK, Major::kK,
           24, run_split_k}};
}

}  // namespace stream_k
}  // namespace emulator_conformance
