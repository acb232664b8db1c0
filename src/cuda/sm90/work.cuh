// The list of work: every role of a block walks it on its own, so nothing has to be handed round.
#pragma once

#include <cstdint>

#include "cuda/sm90/params.hpp"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda::sm90 {

// One sequence of one value head.
struct WorkItem {
  std::int32_t n;
  std::int32_t head;
  std::int32_t batch_row;
  std::int32_t first;   // token within the row
  std::int32_t length;  // tokens

  __device__ int chunks() const { return (length + kChunk - 1) / kChunk; }
  // Tokens of chunk c that exist.
  __device__ int tokens(int c) const {
    const int left = length - c * kChunk;
    return left < kChunk ? left : kChunk;
  }
};

__device__ __forceinline__ bool is_sorted(const SequenceMap& map) {
  return map.cu_seqlens.data != nullptr && map.num_sequences <= kMaxSorted;
}

// Ranks packed sequences by length, longest first, into `order`; equal ones keep their order. By
// the whole block; `lengths` is room for N integers.
__device__ __forceinline__ void sort_sequences(const SequenceMap& map, std::int32_t* lengths,
                                               std::uint16_t* order) {
  const int count = static_cast<int>(map.num_sequences);
  const int n = static_cast<int>(threadIdx.x);
  static_assert(kMaxSorted <= kThreads);
  if (n < count) lengths[n] = place_of_sequence(map, n).length;
  __syncthreads();
  if (n >= count) return;
  int rank = 0;
  for (int i = 0; i < count; ++i) {
    rank += lengths[i] > lengths[n] || (lengths[i] == lengths[n] && i < n) ? 1 : 0;
  }
  order[rank] = static_cast<std::uint16_t>(n);
}

// `place`: position in the list of items, in which the heads of a sequence are neighbours.
__device__ __forceinline__ WorkItem make_item(const FusedParams& p, const std::uint16_t* order,
                                              int place) {
  int n = place / p.inputs.v_heads;
  const int head = place - n * p.inputs.v_heads;
  if (is_sorted(p.sequences)) n = order[n];
  const SequencePlace sequence = place_of_sequence(p.sequences, n);
  return {n, head, static_cast<std::int32_t>(sequence.batch_row),
          static_cast<std::int32_t>(sequence.first), sequence.length};
}

// The item of this block in round `round`, or one past the list. Blocks take turns in alternating
// direction, so that who got the longest of one round gets the shortest of the next. The block's
// index is read anew at every call, so that a caller short of registers need not keep the result.
__device__ __forceinline__ int place_in_round(int round) {
  int block;
  asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(block));
  const int blocks = static_cast<int>(gridDim.x);
  return round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
}

// Calls visit(round) for the rounds in which this block has an item, the same in every role. Only
// the last round can be short.
template <typename Visit>
__device__ __forceinline__ void for_rounds(const FusedParams& p, Visit visit) {
  for (int round = 0; place_in_round(round) < p.items; ++round) visit(round);
}

template <typename Visit>
__device__ __forceinline__ void for_items(const FusedParams& p, const std::uint16_t* order,
                                          Visit visit) {
  for_rounds(p, [&](int round) { visit(make_item(p, order, place_in_round(round))); });
}

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) & 31; }

// One arrival for the whole warp, after what its lanes wrote.
__device__ __forceinline__ void warp_arrive(std::uint32_t barrier) {
  __syncwarp();
  if (lane_index() == 0) arrive_at(barrier);
}

}  // namespace flash_kda::cuda::sm90
