// A block of the fused kernel before its roles begin.
#pragma once

#include "cuda/sm90/begin_block.cuh"
#include "cuda/sm90/rehearsal.cuh"

namespace flash_kda::cuda::sm90 {

template <GateForm kForm>
__device__ __forceinline__ void init_fused_barriers(std::uint32_t shared) {
  // Warps that write a chunk's Akk: those with rows of keys.
  constexpr int kScoreWarps = kForm == GateForm::kBounded ? 2 : 1;
  constexpr int kRecurrenceWarps = 8;
  init_barriers(shared, SharedPlan::kRehearsed, 1, kRehearsedArrivals);
  init_barriers(shared, SharedPlan::kPassed, 1, 1);
  init_barriers(shared, SharedPlan::kWritten, 1, kRecurrenceWarps);
  init_barriers(shared, SharedPlan::kRaw, kStages, 1);
  init_barriers(shared, SharedPlan::kNormed, kStages, 2);
  init_barriers(shared, SharedPlan::kStored, kStages, kPrepareWarps);
  init_barriers(shared, SharedPlan::kReady, kStages, 3);
  init_barriers(shared, SharedPlan::kEmpty, kStages, kRecurrenceWarps);
  init_barriers(shared, SharedPlan::kScoreFull, kPairs, kScoreWarps);
  init_barriers(shared, SharedPlan::kScoreEmpty, kPairs, 1);
  init_barriers(shared, SharedPlan::kOutFull, 2, kRecurrenceWarps);
  init_barriers(shared, SharedPlan::kOutEmpty, 2, 1);
  publish_barriers();
  arrive_at(shared + SharedPlan::kPassed);
}

// The upper right quarters of the score tiles stay zero for good: no chunk writes them again.
__device__ __forceinline__ void clear_inverses(std::uint32_t shared) {
  clear_stages<StagePlan::kInverse, StagePlan::kGamma>(shared + SharedPlan::kStage, kStages);
}

// Everything before the roles. What does not depend on the kernel in front comes first: it is still
// running on other multiprocessors.
template <GateForm kForm, Keeps kKeeps>
__device__ __forceinline__ void begin_fused_block(const FusedParams& p) {
  const std::uint32_t shared = shared_address(shared_block);
  if (threadIdx.x == 0) {
    init_meeting(shared);
    init_fused_barriers<kForm>(shared);
    block_chunks() = ~0u;  // until prepare has seen the last
  }
  if (threadIdx.x == 32) prefetch_maps(p);
  clear_inverses(shared);
  if constexpr (kRehearses<kForm, kKeeps>) clear_rehearsed(shared);
  wait_for_previous_kernel();
  static_assert(sizeof(TakeScratch) <= StagePlan::kInverse);  // cleared above by other threads
  take_share(p, *reinterpret_cast<TakeScratch*>(shared_block), block_order(), block_share());
  __syncthreads();
  list_items(p, block_order());
  publish_to_async_proxy();  // TMA and wgmma use what was written here
  __syncthreads();
  release_next_kernel();  // which looks at once for chains that are left to it
}

}  // namespace flash_kda::cuda::sm90
