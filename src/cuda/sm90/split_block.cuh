// A block of the split form before its roles begin.
#pragma once

#include "cuda/sm90/begin_block.cuh"
#include "cuda/sm90/split_roles.cuh"

namespace flash_kda::cuda::sm90 {

__device__ __forceinline__ void init_split_barriers(std::uint32_t shared) {
  constexpr int kRecurrenceWarps = kWarpgroup / 32;
  init_barriers(shared, SharedPlan::kRaw, kOwnStages, 1);
  init_barriers(shared, SharedPlan::kNormed, kOwnStages, 2);
  init_barriers(shared, SharedPlan::kStored, kOwnStages, kPrepareWarps);
  init_barriers(shared, SharedPlan::kReady, kOwnStages, 3);
  init_barriers(shared, SplitPlan::kSentReady, kSentStages, 1);
  init_barriers(shared, SplitPlan::kValueFull, kValueSlots, 1);
  init_barriers(shared, SharedPlan::kEmpty, kOwnStages, 2);
  init_barriers(shared, SharedPlan::kScoreFull, kPairs, 2);
  init_barriers(shared, SharedPlan::kScoreEmpty, kPairs, 1);
  init_barriers(shared, SplitPlan::kOutFull, kOutSlots, kRecurrenceWarps);
  init_barriers(shared, SplitPlan::kOutEmpty, kOutSlots, 1);
  init_barriers(shared, SharedPlan::kWritten, 1, kRecurrenceWarps);
  publish_barriers();
}

// What the blocks of a cluster do to their stages before one writes to the other.
__device__ __forceinline__ void begin_split_stages(std::uint32_t shared) {
  if (threadIdx.x == 0) init_split_barriers(shared);
  // The upper right quarters of the score tiles stay zero for good: nobody writes them again.
  clear_stages<StagePlan::kInverse, StagePlan::kGamma, SplitPlan::kStageBytes>(
      shared + SplitPlan::kStage, kOwnStages);
}

// Whether the recurrence of this thread's warpgroup, one of two, is that of a block of `rank`: its
// threads are those that have the same values in the other form. The other one loads.
__device__ __forceinline__ bool has_values(int recurrence, int rank) { return recurrence == rank; }

}  // namespace flash_kda::cuda::sm90
