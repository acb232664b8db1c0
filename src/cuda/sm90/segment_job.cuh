// What a block is at, of a kernel that computes chains in segments (segments.cuh).
#pragma once

#include <cstdint>

#include "cuda/sm90/smem_plan.cuh"

namespace flash_kda::cuda::sm90 {

enum class JobKind : std::int32_t {
  kShare,      // the block's share, before all jobs
  kNone,       // the line is over
  kSummaries,  // one or two items: F, then M
  kMerge,      // no items
  kRerun,      // one item
};

// What a block is at.
struct SegmentJob {
  JobKind kind;
  std::int32_t chain;     // bit in the set of those that are left
  std::int32_t slot;      // of the chain's first segment
  std::int32_t segments;  // of the chain
  std::int32_t part;      // kMerge
};
__device__ __forceinline__ SegmentJob& block_job() {
  static_assert(sizeof(SegmentJob) <= ScorePlan::kBytes);  // where the general form has scores
  return *reinterpret_cast<SegmentJob*>(shared_block + SharedPlan::kScore);
}

}  // namespace flash_kda::cuda::sm90
