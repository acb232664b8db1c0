// In front of the fused kernel where chains may be cut: who does what, which parts may start from
// zero, and zeroed counters, since the workspace comes with any content. A kernel of its own,
// because whether a chain is cut by proven cuts alone has to be known to all blocks before they
// begin.
#include <cuda_runtime.h>

#include "cuda/common/async_copy.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/warm_up.cuh"

namespace flash_kda::cuda::sm90 {
namespace {

// By all threads of a block.
__device__ __forceinline__ void clear_counters(const Segments& s) {
  if (threadIdx.x == 0) *s.taken = 0;
  if (threadIdx.x < kMaxLeft) s.done[threadIdx.x] = s.merged[threadIdx.x] = 0;
}

__global__ void __launch_bounds__(kThreads, 1)
    find_shares_kernel(const __grid_constant__ FusedParams p) {
  wait_for_previous_kernel();
  release_next_kernel();
  // Until the fused kernel knows better, for the kernels after it (begin_chains).
  if (p.handover.unproven != nullptr && blockIdx.x == 0 && threadIdx.x == 0) {
    *p.handover.unproven = ~0ull;
  }
  Share share = find_share(p, *reinterpret_cast<ShareScratch*>(shared_block), block_order());
  decide_warm_up(p, *reinterpret_cast<WarmUpScratch*>(shared_block), block_order(), share);
  const int thread = static_cast<int>(threadIdx.x);
  if (p.unproven == Unproven::kSegments && blockIdx.x == 0) clear_counters(p.segments);
  if (thread < kHandoverFlags) p.handover.sent[blockIdx.x * kHandoverFlags + thread] = 0;
  if (thread != 0) return;
  p.handover.shares[blockIdx.x] = share;
  CutPlace cut;
  if (share.tail_skip > 0) {
    const std::uint32_t proven = share.tail_source != Source::kBlock ? 1 : 0;
    cut.bits = static_cast<std::uint32_t>(share.begin - 1) << 1 | proven;
  }
  p.handover.cuts[blockIdx.x] = cut;
  if (blockIdx.x == 0) *p.handover.begun = *p.handover.ended = 0;
}

}  // namespace

cudaError_t launch_find_shares(const FusedParams& params, int blocks,
                               const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks));
  shape.block = dim3(kThreads);
  shape.shared_bytes = SharedPlan::kBytes;
  return launch(find_shares_kernel, shape, context, params);
}

}  // namespace flash_kda::cuda::sm90
