// Counters of the handover, set to zero before every launch of the fused kernel: the workspace
// comes with any content, and a call may have been aborted. A kernel of its own, because a block
// cannot tell a counter of this launch from one of the last.
#include <cuda_runtime.h>

#include "cuda/common/async_copy.cuh"
#include "cuda/sm90/params.hpp"

namespace flash_kda::cuda::sm90 {
namespace {

struct ClearParams {
  Handover handover;
  std::int32_t flags;
};

__global__ void __launch_bounds__(kThreads)
    clear_handover_kernel(const __grid_constant__ ClearParams p) {
  wait_for_previous_kernel();
  release_next_kernel();
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i < p.flags) p.handover.sent[i] = 0;
  if (i == 0) {
    *p.handover.begun = 0;
    *p.handover.counts = {};
  }
}

}  // namespace

cudaError_t launch_clear_handover(const Handover& handover, int blocks,
                                  const LaunchContext& context) {
  const ClearParams params = {handover, blocks * kHandoverFlags};
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>((params.flags + kThreads - 1) / kThreads));
  shape.block = dim3(kThreads);
  return launch(clear_handover_kernel, shape, context, params);
}

}  // namespace flash_kda::cuda::sm90
