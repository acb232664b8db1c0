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

__device__ __forceinline__ WorkItem make_item(const FusedParams& p, int index) {
  const int n = index / p.inputs.v_heads;
  const SequencePlace place = place_of_sequence(p.sequences, n);
  return {n, index - n * p.inputs.v_heads, static_cast<std::int32_t>(place.batch_row),
          static_cast<std::int32_t>(place.first), place.length};
}

// Calls visit(item) for the items of this block, in the same order in every role.
template <typename Visit>
__device__ __forceinline__ void for_items(const FusedParams& p, Visit visit) {
  for (int index = static_cast<int>(blockIdx.x); index < p.items;
       index += static_cast<int>(gridDim.x)) {
    visit(make_item(p, index));
  }
}

__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) & 31; }

// One arrival for the whole warp, after what its lanes wrote.
__device__ __forceinline__ void warp_arrive(std::uint32_t barrier) {
  __syncwarp();
  if (lane_index() == 0) arrive_at(barrier);
}

}  // namespace flash_kda::cuda::sm90
