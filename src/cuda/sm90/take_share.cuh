// A block of the fused kernel takes a share of the work that find_shares.cu has laid out.
//
// Blocks are numbered as they begin, so that whoever waits for a state waits for a block that runs:
// no block has to be resident for another to make progress. Parts right of a cut are done last and
// wait only for parts left of one, so no circle closes.
#pragma once

#include "cuda/common/async_copy.cuh"
#include "cuda/sm90/cluster.cuh"
#include "cuda/sm90/work.cuh"

namespace flash_kda::cuda::sm90 {

struct TakeScratch {
  ShareScratch sorting;
  std::int32_t block;
  std::int32_t leaves_head, leaves_tail;  // whether the chain of this end is left
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

// What the first block tells: the kernels after this one which chains are left to them, and whoever
// asks how many parts were replayed, waited or were left. `cut`: that of block number threadIdx.x.
// By all threads.
__device__ __forceinline__ void tell_cuts(const FusedParams& p, CutPlace cut, bool leaves,
                                          TakeScratch& scratch, const std::uint16_t* order) {
  CutCounts counts;
  counts.replayed = static_cast<unsigned>(__syncthreads_count(cut.is_proven()));
  counts.waited = static_cast<unsigned>(__syncthreads_count(cut.is_unproven()));
  unsigned long long chains = 0;
  if (leaves && counts.waited > 0) {
    unsigned long long bit = 0;
    if (cut.exists()) {
      const WorkItem chain = make_chain(p, order, cut.place());
      bit = 1ull << (chain.n * p.inputs.v_heads + chain.head);
    }
    if (cut.is_unproven()) atomicOr(&scratch.unproven, bit);
    __syncthreads();
    chains = scratch.unproven;
    const bool is_left = (chains & bit) != 0;
    counts.exact = static_cast<unsigned>(__syncthreads_count(is_left));
    counts.replayed = static_cast<unsigned>(__syncthreads_count(cut.exists() && !is_left));
    counts.waited = 0;
  }
  if (threadIdx.x != 0) return;
  *p.handover.counts = counts;
  if (p.handover.unproven != nullptr) store_release(p.handover.unproven, chains);
}

// A chain with a cut that is not proven is left to the two kernels: no part of it is run here. By
// all threads, of which each has one of all cuts; has a barrier at its end.
__device__ __forceinline__ void leave_unproven(CutPlace cut, TakeScratch& scratch, Share& share) {
  if (cut.is_unproven()) {
    if (share.head_chunks > 0 && cut.place() == share.end) atomicOr(&scratch.leaves_head, 1);
    if (share.tail_skip > 0 && cut.place() == share.begin - 1) atomicOr(&scratch.leaves_tail, 1);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    const bool head = scratch.leaves_head != 0;
    if (share.end < share.begin) {  // both ends in one chain
      if (head) share.rounds = 0;
    } else {
      if (head) share.head_chunks = 0;
      share.rounds -= (head ? 1 : 0) + (scratch.leaves_tail != 0 ? 1 : 0);
    }
  }
  __syncthreads();
}

// By one thread: the next number, to `number` in all blocks that share the work of one.
template <int kBlocksOfShare>
__device__ __forceinline__ void take_number(const FusedParams& p, std::int32_t& number) {
  if constexpr (kBlocksOfShare == 1) {
    number = static_cast<std::int32_t>(atomicAdd(p.handover.begun, 1u));
  } else if (cluster_rank() == 0) {
    number = static_cast<std::int32_t>(atomicAdd(p.handover.begun, 1u));
    store_at_peer(in_peer(shared_address(&number)), static_cast<std::uint32_t>(number));
  }
}

// The share of this block, read after a barrier.
template <int kBlocksOfShare>
__device__ __forceinline__ void load_share(const FusedParams& p, TakeScratch& scratch,
                                           Share& share) {
  const int thread = static_cast<int>(threadIdx.x);
  // Where nobody waits for another block, any number will do, and none has to be asked for.
  const bool waits = p.handover.unproven == nullptr || p.states_in_place != 0 ||
                     p.balance.layout != Layout::kReplayed;
  if (!waits) {
    constexpr int kPieces = sizeof(Share) / sizeof(uint4);
    if (thread < kPieces) {
      reinterpret_cast<uint4*>(&share)[thread] =
          reinterpret_cast<const uint4*>(p.handover.shares + blockIdx.x)[thread];
    }
    return;
  }
  Share own = {};  // of block number `thread`
  if (thread < static_cast<int>(gridDim.x)) own = p.handover.shares[thread];
  if (thread == 0) take_number<kBlocksOfShare>(p, scratch.block);
  if constexpr (kBlocksOfShare == 1) {
    __syncthreads();
  } else {
    sync_cluster();
  }
  if (thread != scratch.block) return;
  if (own.layout == Layout::kWhole) own.rounds = count_turns(p.items);
  share = own;
  share.block = thread;
}

// By all threads of the block, or of both blocks of a cluster that share the work of one; `share`
// and `order` are read after the next block-wide barrier.
template <int kBlocksOfShare = 1>
__device__ __forceinline__ void take_share(const FusedParams& p, TakeScratch& scratch,
                                           std::uint16_t* order, Share& share) {
  const int thread = static_cast<int>(threadIdx.x);
  if (is_sorted(p.sequences)) sort_sequences(p.sequences, scratch.sorting, order);
  if (p.handover.states == nullptr) {
    if (thread == 0) {
      share = {};
      share.rounds = count_turns(p.items);
    }
    return;
  }
  CutPlace cut;
  if (thread < static_cast<int>(gridDim.x)) cut = p.handover.cuts[thread];
  if (thread == 0) {
    scratch.leaves_head = scratch.leaves_tail = 0;
    scratch.unproven = 0;
  }
  load_share<kBlocksOfShare>(p, scratch, share);
  const bool all_proven = __syncthreads_or(cut.is_unproven()) == 0;
  const bool leaves = p.handover.unproven != nullptr && share.layout == Layout::kReplayed;
  if (leaves && !all_proven) leave_unproven(cut, scratch, share);
  const bool tells = kBlocksOfShare == 1 || cluster_rank() == 0;
  if (share.block == 0 && tells) tell_cuts(p, cut, leaves, scratch, order);
}

}  // namespace flash_kda::cuda::sm90
