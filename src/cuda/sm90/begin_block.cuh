// What a block does before its roles, whichever form of the kernel it belongs to.
#pragma once

#include "cuda/sm90/take_share.cuh"

namespace flash_kda::cuda::sm90 {

__device__ __forceinline__ void init_barriers(std::uint32_t shared, int first, int count,
                                              int arrivals) {
  for (int i = 0; i < count; ++i) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared + first + 8 * i),
                 "r"(arrivals)
                 : "memory");
  }
}

// Those at [first, end), whose phases are all over, so that others may be there.
__device__ __forceinline__ void invalidate_barriers(std::uint32_t shared, int first, int end) {
  for (int at = first; at < end; at += 8) {
    asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(shared + at) : "memory");
  }
}

// All warps of a block of kBounded meet, each at the end of its role. Not by __syncthreads, which
// asks for one place in the code. `parity`: of the meetings before.
__device__ __forceinline__ void init_meeting(std::uint32_t shared) {
  init_barriers(shared, SharedPlan::kMeeting, 1, kThreadsOf<GateForm::kBounded> / 32);
}
__device__ __forceinline__ void meet_other_roles(std::uint32_t parity) {
  const std::uint32_t meeting = shared_address(shared_block) + SharedPlan::kMeeting;
  warp_arrive(meeting);
  wait_at(meeting, parity);
}

// The first box of each tensor would otherwise wait for its map.
__device__ __forceinline__ void prefetch_maps(const FusedParams& p) {
  if (p.loads == Transfer::kBox) {
    prefetch_map(p.k_map);
    prefetch_map(p.q_map);
    prefetch_map(p.g_map);
    prefetch_map(p.v_map);
  }
  if (p.stores == Transfer::kBox) prefetch_map(p.out_map);
}

}  // namespace flash_kda::cuda::sm90
