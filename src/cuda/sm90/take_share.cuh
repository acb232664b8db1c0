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
};

// Of this block, when all chains are taken in turns.
__device__ __forceinline__ int count_own_rounds(const FusedParams& p) {
  return count_rounds(p.items, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x));
}

// The chain of a cut in a set of chains; of no cut, no bit.
__device__ __forceinline__ unsigned long long bit_of_cut(const FusedParams& p, CutPlace cut,
                                                         const std::uint16_t* order) {
  if (!cut.exists()) return 0;
  const WorkItem chain = make_chain(p, order, cut.place());
  return 1ull << (chain.n * p.inputs.v_heads + chain.head);
}

// What one block tells: the kernels after this one which chains are left to them, and whoever asks
// how many parts were replayed, waited or were left. `cut`: that of block number threadIdx.x.
// By all threads.
__device__ __forceinline__ void tell_cuts(const FusedParams& p, CutPlace cut, bool leaves,
                                          const std::uint16_t* order) {
  CutCounts counts;
  counts.replayed = static_cast<unsigned>(__syncthreads_count(cut.is_proven()));
  counts.waited = static_cast<unsigned>(__syncthreads_count(cut.is_unproven()));
  unsigned long long chains = 0;
  if (leaves && counts.waited > 0) {
    chains = block_left();
    const bool is_left = (chains & bit_of_cut(p, cut, order)) != 0;
    counts.exact = static_cast<unsigned>(__syncthreads_count(is_left));
    counts.replayed = static_cast<unsigned>(__syncthreads_count(cut.exists() && !is_left));
    counts.waited = 0;
  }
  if (threadIdx.x != 0) return;
  *p.handover.counts = counts;
  if (p.handover.unproven != nullptr) store_release(p.handover.unproven, chains);
}

// A chain with a cut that is not proven is left to what comes after: no part of it is run in this
// share. By all threads, of which each has one of all cuts; has a barrier at its end.
__device__ __forceinline__ void leave_unproven(const FusedParams& p, CutPlace cut,
                                               const std::uint16_t* order, TakeScratch& scratch,
                                               Share& share) {
  if (cut.is_unproven()) {
    atomicOr(&block_left(), bit_of_cut(p, cut, order));
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

// Whether shares go by the order in which blocks begin. Where nobody waits for another block, any
// will do, and none has to be asked for.
__device__ __forceinline__ bool goes_by_begin(const FusedParams& p) {
  return p.unproven == Unproven::kWait || p.states_in_place != 0 ||
         p.balance.layout != Layout::kReplayed;
}

// The share of this block, read after a barrier.
template <int kBlocksOfShare>
__device__ __forceinline__ void load_share(const FusedParams& p, TakeScratch& scratch,
                                           Share& share) {
  const int thread = static_cast<int>(threadIdx.x);
  if (!goes_by_begin(p)) {
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
  if (own.layout == Layout::kWhole) own.rounds = count_own_rounds(p);
  share = own;
  share.block = thread;
}

// Where this block's cluster comes when clusters take what is left in turns: first those that have
// nothing else to do, both of their shares being within one chain that is left. As they are
// numbered where shares are not. By all threads.
__device__ __forceinline__ int find_turn(const FusedParams& p, const std::uint16_t* order) {
  const int own = static_cast<int>(blockIdx.x) / 2;
  if (goes_by_begin(p)) return own;
  const int cluster = static_cast<int>(threadIdx.x);
  bool is_free = false;
  if (2 * cluster + 2 < static_cast<int>(gridDim.x)) {
    const CutPlace* cuts = p.handover.cuts + 2 * cluster;
    is_free = cuts[0].exists() && cuts[1].exists() && cuts[2].exists() &&
              cuts[0].place() == cuts[1].place() && cuts[1].place() == cuts[2].place() &&
              (block_left() & bit_of_cut(p, cuts[0], order)) != 0;
  }
  const int free = __syncthreads_count(is_free);
  const int before = __syncthreads_count(is_free && cluster < own);
  const bool own_is_free = __syncthreads_or(is_free && cluster == own) != 0;
  return own_is_free ? before : free + own - before;
}

// By all threads of the block, or of both blocks of a cluster that share the work of one; `share`
// and `order` are read after the next block-wide barrier.
template <int kBlocksOfShare = 1>
__device__ __forceinline__ void take_share(const FusedParams& p, TakeScratch& scratch,
                                           std::uint16_t* order, Share& share) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) block_left() = 0;
  if (is_sorted(p.sequences)) sort_sequences(p.sequences, scratch.sorting, order);
  if (p.handover.states == nullptr) {
    if (thread == 0) {
      share = {};
      share.rounds = count_own_rounds(p);
    }
    return;
  }
  CutPlace cut;
  if (thread < static_cast<int>(gridDim.x)) cut = p.handover.cuts[thread];
  if (thread == 0) {
    scratch.leaves_head = scratch.leaves_tail = 0;
  }
  load_share<kBlocksOfShare>(p, scratch, share);
  const bool all_proven = __syncthreads_or(cut.is_unproven()) == 0;
  const bool leaves = p.unproven != Unproven::kWait && share.layout == Layout::kReplayed;
  if (leaves && !all_proven) {
    leave_unproven(p, cut, order, scratch, share);
    if (p.unproven == Unproven::kSplit) {
      const int turn = find_turn(p, order);
      if (thread == 0) block_turn() = turn;
    }
  }
  // The last block has least to do.
  const bool tells = kBlocksOfShare == 1 || cluster_rank() == 0;
  if (share.block == static_cast<int>(gridDim.x) - 1 && tells) tell_cuts(p, cut, leaves, order);
}

}  // namespace flash_kda::cuda::sm90
