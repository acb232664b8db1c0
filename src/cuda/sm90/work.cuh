// The list of work: every role of a block walks it on its own, so nothing has to be handed round.
#pragma once

#include <cstdint>

#include "cuda/sm90/params.hpp"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/share.cuh"
#include "cuda/sm90/smem_plan.cuh"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda::sm90 {

// Where the state goes after the last chunk of a piece of work. Of segments (segments.cuh): to the
// segment's slot, as a state or as what becomes of any state (then all values count as zero), or
// nowhere, where another block knows it already.
enum class Sink : std::int32_t { kCaller, kBlock, kSegment, kMap, kNowhere };

// One sequence of one value head, or a part of it.
struct alignas(16) WorkItem {
  std::int32_t n;
  std::int32_t head;
  std::int32_t batch_row;
  std::int32_t first;   // token within the row
  std::int32_t begin;   // tokens of the sequence before it
  std::int32_t length;  // tokens
  Source source;
  Sink sink;
  std::int32_t replay;  // first chunks, whose outputs another block writes
  std::int32_t slot;    // of a segment
  std::int32_t chain;   // of a segment: its bit in a set of chains

  __device__ int chunks() const { return (length + kChunk - 1) / kChunk; }
  // Tokens of chunk c that exist.
  __device__ int tokens(int c) const {
    const int left = length - c * kChunk;
    return left < kChunk ? left : kChunk;
  }
};

// Read anew at every call, so that a caller short of registers need not keep what is made of it.
__device__ __forceinline__ int block_index() {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  return block;
}
__device__ __forceinline__ int block_count() {
  int blocks;
  asm volatile("mov.u32 %0, %%nctaid.x;" : "=r"(blocks));
  return blocks;
}

// Position of the chain of round `round` in the list, in which the heads of a sequence are
// neighbours, for `blocks` that take chains in turns. Directions alternate, so that who got the
// longest of one round gets the shortest of the next.
__device__ __forceinline__ int place_in_round(int round, int block, int blocks) {
  return round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
}
// Rounds that one of them has.
__device__ __forceinline__ int count_rounds(int items, int block, int blocks) {
  const int full = items / blocks;
  const int position = place_in_round(full, block, blocks) - full * blocks;
  return full + (position < items % blocks ? 1 : 0);
}

// All of sequence n for one head.
__device__ __forceinline__ WorkItem whole_chain(const FusedParams& p, int n, int head) {
  const SequencePlace sequence = place_of_sequence(p.sequences, n);
  return {n,
          head,
          static_cast<std::int32_t>(sequence.batch_row),
          static_cast<std::int32_t>(sequence.first),
          0,
          sequence.length,
          Source::kCaller,
          Sink::kCaller,
          0,
          0,
          0};
}

// The chain of a bit in a set of those that are left.
__device__ __forceinline__ WorkItem chain_of_bit(const FusedParams& p, int chain) {
  const int n = chain / p.inputs.v_heads;
  return whole_chain(p, n, chain - n * p.inputs.v_heads);
}

__device__ __forceinline__ WorkItem make_chain(const FusedParams& p, const std::uint16_t* order,
                                               int place) {
  // A division less where there is but one: every role of every block begins with this.
  int n = p.sequences.num_sequences == 1 ? 0 : place / p.inputs.v_heads;
  const int head = place - n * p.inputs.v_heads;
  if (is_sorted(p.sequences)) n = order[n];
  return whole_chain(p, n, head);
}

// What this block does in round `round` (share.cuh), found from cu_seqlens.
__device__ __forceinline__ WorkItem find_item(const FusedParams& p, const std::uint16_t* order,
                                              int round) {
  const Share& share = block_share();
  if (share.layout == Layout::kWhole) {
    return make_chain(p, order, place_in_round(round, block_index(), block_count()));
  }
  const bool is_between = share.end < share.begin;  // both ends in one chain
  const bool is_head = is_between || (round == 0 && share.head_chunks > 0);
  const int whole = share.begin + round - (share.head_chunks > 0 ? 1 : 0);
  const bool is_tail = is_between || (!is_head && whole >= share.end);
  const int place = is_tail ? share.begin - 1 : is_head ? share.end : whole;
  WorkItem item = make_chain(p, order, place);
  if (is_head) {
    item.length = share.head_chunks * kChunk;
    item.sink = Sink::kBlock;
  }
  if (is_tail) {
    const int skipped = (share.tail_skip - share.tail_replay) * kChunk;
    item.first += skipped;
    item.begin = skipped;
    item.length -= skipped;
    item.source = share.tail_source;
    item.replay = share.tail_replay;
  }
  return item;
}

// The first rounds, found by as many threads before the roles begin. Each role would otherwise wait
// for cu_seqlens at the begin of every piece of work, and the recurrence at its end too.
__device__ __forceinline__ WorkItem& listed_item(int round) {
  static_assert(sizeof(WorkItem) == SharedPlan::kItemBytes);
  return reinterpret_cast<WorkItem*>(shared_block + SharedPlan::kItems)[round];
}
// By all threads, once the share is there; the list is read after the next block-wide barrier.
__device__ __forceinline__ void list_items(const FusedParams& p, const std::uint16_t* order) {
  const int round = static_cast<int>(threadIdx.x);
  if (round < kListedItems && round < block_share().rounds) {
    listed_item(round) = find_item(p, order, round);
  }
}
__device__ __forceinline__ WorkItem make_item(const FusedParams& p, const std::uint16_t* order,
                                              int round) {
  return round < kListedItems ? listed_item(round) : find_item(p, order, round);
}

// Calls visit(round) for every piece of work of this block, the same in every role.
template <typename Visit>
__device__ __forceinline__ void for_rounds(Visit visit) {
  for (int round = 0; round < block_share().rounds; ++round) visit(round);
}

// This thread in the block, and among those of the recurrence. Read anew at every call: what is
// made of it at the ends of a chain would otherwise be kept, and spilled, through the loop over
// chunks.
__device__ __forceinline__ int fresh_thread() {
  int thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
}
__device__ __forceinline__ int recurrence_thread() { return fresh_thread() - 2 * kWarpgroup; }

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) & 31; }

// The same, as if it were another number every time: what is made of it in a loop is then made
// there anew. ptxas would otherwise make all of it before the loop, find no registers, and load it
// from local memory, for which shared memory leaves hardly any cache: 500 cycles.
__device__ __forceinline__ int fresh_lane() {
  int lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

// One arrival for the whole warp, after what its lanes wrote.
__device__ __forceinline__ void warp_arrive(std::uint32_t barrier) {
  __syncwarp();
  if (lane_index() == 0) arrive_at(barrier);
}

}  // namespace flash_kda::cuda::sm90
