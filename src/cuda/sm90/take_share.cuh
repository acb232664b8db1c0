// A block of the fused kernel takes a share of the work that find_shares.cu has laid out.
//
// Blocks are numbered as they begin, so that whoever waits for a state waits for a block that runs:
// no block has to be resident for another to make progress. Parts right of a cut are done last and
// wait only for parts left of one, so no circle closes.
#pragma once

#include "cuda/common/async_copy.cuh"
#include "cuda/sm90/work.cuh"

namespace flash_kda::cuda::sm90 {

struct TakeScratch {
  ShareScratch sorting;
  std::int32_t block;
  CutCounts counts;
  unsigned long long unproven;
};

// Rounds that this block has when chains are taken in turns, in alternating direction.
__device__ __forceinline__ int count_turns(int items) {
  const int blocks = static_cast<int>(gridDim.x);
  const int block = static_cast<int>(blockIdx.x);
  const int full = items / blocks;
  const int position = full % 2 == 0 ? block : blocks - 1 - block;
  return full + (position < items % blocks ? 1 : 0);
}

// Chains with a cut that is not proven, if they are left to the two kernels: no part of theirs is
// run here. `own` is the share of block number threadIdx.x. The first block tells the kernels after
// this one, and counts.
__device__ __forceinline__ void leave_unproven(const FusedParams& p, const Share& own,
                                               TakeScratch& scratch, const std::uint16_t* order,
                                               Share& share) {
  const bool cut = own.tail_skip > 0;
  const bool proven = own.tail_source != Source::kBlock;
  const bool leaves = p.handover.unproven != nullptr && share.layout == Layout::kReplayed;
  const bool left = leaves && cut && !proven;
  const int place = own.begin - 1;
  const bool head = __syncthreads_or(left && share.head_chunks > 0 && place == share.end);
  const bool tail = __syncthreads_or(left && share.tail_skip > 0 && place == share.begin - 1);
  if (share.block == 0) {
    unsigned long long bit = 0;
    if (cut && leaves) {
      const WorkItem chain = make_chain(p, order, place);
      bit = 1ull << (chain.n * p.inputs.v_heads + chain.head);
    }
    if (left) atomicOr(&scratch.unproven, bit);
    __syncthreads();
    if ((scratch.unproven & bit) != 0) {
      atomicAdd(&scratch.counts.exact, 1u);
    } else if (cut) {
      atomicAdd(proven ? &scratch.counts.replayed : &scratch.counts.waited, 1u);
    }
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (share.end < share.begin) {  // both ends in one chain
    if (head) share.rounds = 0;
  } else {
    if (head) share.head_chunks = 0;
    share.rounds -= (head ? 1 : 0) + (tail ? 1 : 0);
  }
  if (share.block != 0) return;
  *p.handover.counts = scratch.counts;
  if (p.handover.unproven != nullptr) store_release(p.handover.unproven, scratch.unproven);
}

// By all threads of the block; `share` and `order` are read after the next block-wide barrier.
__device__ __forceinline__ void take_share(const FusedParams& p, TakeScratch& scratch,
                                           std::uint16_t* order, Share& share) {
  const int thread = static_cast<int>(threadIdx.x);
  if (is_sorted(p.sequences)) sort_sequences(p.sequences, scratch.sorting, order);
  if (p.handover.states == nullptr) {
    if (thread != 0) return;
    share = {};
    share.rounds = count_turns(p.items);
    return;
  }
  Share own = {};  // of block number `thread`
  if (thread < static_cast<int>(gridDim.x)) own = p.handover.shares[thread];
  if (thread == 0) {
    scratch.block = static_cast<std::int32_t>(atomicAdd(p.handover.begun, 1u));
    scratch.counts = {};
    scratch.unproven = 0;
  }
  __syncthreads();
  if (thread == scratch.block) {
    if (own.layout == Layout::kWhole) own.rounds = count_turns(p.items);
    share = own;
    share.block = thread;
  }
  __syncthreads();
  leave_unproven(p, own, scratch, order, share);
}

}  // namespace flash_kda::cuda::sm90
