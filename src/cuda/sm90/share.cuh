// What every block of the fused kernel has to do, found by a block in front.
//
// With chains in line as balance.hpp says, block b has the costs [b M, (b + 1) M). It runs, in this
// order: the first chunks of the chain that its right end cuts, the whole chains, the last chunks
// of the chain that its left end cuts.
#pragma once

#include <cstdint>

#include "cuda/sm90/balance.hpp"
#include "cuda/sm90/params.hpp"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda::sm90 {

// Where a position on the line falls: the first chain that does not begin before it, and how many
// chunks of the one before that lie left of it if it is cut, 0 if not.
struct LinePlace {
  std::int32_t place;
  std::int32_t chunks;
};

// Chain `place` starts `offset` before the position and costs `cost`.
__device__ __forceinline__ LinePlace cut_chain(std::int64_t place, std::int64_t offset,
                                               std::int64_t cost) {
  const auto at = static_cast<std::int32_t>(place);
  if (offset == 0) return {at, 0};
  if (offset + kChainCost >= cost) return {at + 1, 0};  // all chunks lie to the left
  return {at + 1, static_cast<std::int32_t>(offset)};
}

// The scratch of all this, where stages will be.
struct ShareScratch {
  std::int32_t lengths[kMaxSorted];  // of sequences, in tokens
  std::int32_t costs[kMaxSorted];    // of a chain, by rank
  std::int64_t warp_sums[kThreads / 32];
  unsigned long long whole;  // cost of the busiest block without cuts
  LinePlace ends[2];
};

__device__ __forceinline__ bool is_sorted(const SequenceMap& map) {
  return map.cu_seqlens.data != nullptr && map.num_sequences <= kMaxSorted;
}

// Ranks packed sequences by length, longest first, into `order`; equal ones keep their order.
__device__ __forceinline__ void sort_sequences(const SequenceMap& map, ShareScratch& scratch,
                                               std::uint16_t* order) {
  const int count = static_cast<int>(map.num_sequences);
  const int n = static_cast<int>(threadIdx.x);
  static_assert(kMaxSorted <= kThreads);
  if (n < count) scratch.lengths[n] = place_of_sequence(map, n).length;
  __syncthreads();
  if (n >= count) return;
  const std::int32_t length = scratch.lengths[n];
  int rank = 0;
  for (int i = 0; i < count; ++i) {
    rank += scratch.lengths[i] > length || (scratch.lengths[i] == length && i < n) ? 1 : 0;
  }
  order[rank] = static_cast<std::uint16_t>(n);
  scratch.costs[rank] = static_cast<std::int32_t>(cost_of_chain(length));
}

// Sum of the values of the threads before this one, and of all.
struct Prefix {
  std::int64_t before;
  std::int64_t total;
};
__device__ __forceinline__ Prefix sum_before(std::int64_t value, std::int64_t* warp_sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  std::int64_t inclusive = value;
  for (int step = 1; step < 32; step *= 2) {
    const std::int64_t other = __shfl_up_sync(0xffffffffu, inclusive, step);
    if (lane >= step) inclusive += other;
  }
  if (lane == 31) warp_sums[warp] = inclusive;
  __syncthreads();
  Prefix prefix = {inclusive - value, 0};
  for (int w = 0; w < kThreads / 32; ++w) {
    if (w < warp) prefix.before += warp_sums[w];
    prefix.total += warp_sums[w];
  }
  return prefix;
}

// Position `at` of a line of chains of one length.
__device__ __forceinline__ LinePlace cut_equal_chains(std::int64_t at, std::int64_t items,
                                                      std::int64_t cost) {
  const std::int64_t total = cost * items;
  at = at < total ? at : total;
  if (total >> 32 != 0) return cut_chain(at / cost, at % cost, cost);
  const auto short_at = static_cast<std::uint32_t>(at);
  const auto short_cost = static_cast<std::uint32_t>(cost);
  return cut_chain(short_at / short_cost, short_at % short_cost, cost);
}

// Of packed sequences, ranked before; a thread has the chains of one sequence.
__device__ __forceinline__ Layout cut_packed_chains(const FusedParams& p, ShareScratch& scratch) {
  const auto rank = static_cast<std::int64_t>(threadIdx.x);
  const std::int64_t blocks = gridDim.x;
  const std::int64_t heads = p.inputs.v_heads;
  const bool exists = rank < p.sequences.num_sequences;
  const std::int64_t cost = exists ? scratch.costs[rank] : 0;
  // Without cuts, round r takes as long as its longest chain.
  std::int64_t whole = 0;
  for (std::int64_t place = rank * blocks; place < p.items; place += kThreads * blocks) {
    whole += scratch.costs[place / heads];
  }
  atomicAdd(&scratch.whole, static_cast<unsigned long long>(whole));
  const Prefix line = sum_before(cost * heads, scratch.warp_sums);  // has a barrier
  const Balance balance =
      choose_balance(line.total, scratch.costs[0], static_cast<std::int64_t>(scratch.whole), blocks,
                     p.max_warm_up);
  for (int end = 0; end < 2; ++end) {
    std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) + end) * balance.share;
    at = at < line.total ? at : line.total;
    const std::int64_t offset = at - line.before;
    if (exists && offset >= 0 && offset < cost * heads) {
      scratch.ends[end] = cut_chain(rank * heads + offset / cost, offset % cost, cost);
    } else if (threadIdx.x == 0 && at == line.total) {
      scratch.ends[end] = {p.items, 0};
    }
  }
  return balance.layout;
}

__device__ __forceinline__ Share make_share(Layout layout, const LinePlace& left,
                                            const LinePlace& right) {
  Share share = {};
  share.layout = layout;
  if (layout == Layout::kWhole) return share;
  share.begin = left.place;
  share.end = right.place - (right.chunks > 0 ? 1 : 0);
  share.head_chunks = right.chunks;
  share.tail_skip = left.chunks;
  share.rounds = share.end - share.begin + (right.chunks > 0 ? 1 : 0) + (left.chunks > 0 ? 1 : 0);
  share.tail_source = Source::kBlock;
  share.block = static_cast<std::int32_t>(blockIdx.x);
  return share;
}

// Of block number blockIdx.x, by and for all of its threads; `order` is complete too. Chains of one
// length need neither memory nor barriers: the host has laid them.
__device__ __forceinline__ Share find_share(const FusedParams& p, ShareScratch& scratch,
                                            std::uint16_t* order) {
  if (p.sequences.cu_seqlens.data == nullptr) {
    if (p.balance.layout == Layout::kWhole) return make_share(Layout::kWhole, {}, {});
    const std::int64_t cost = cost_of_chain(p.sequences.tokens);
    const std::int64_t at = blockIdx.x * p.balance.share;
    return make_share(p.balance.layout, cut_equal_chains(at, p.items, cost),
                      cut_equal_chains(at + p.balance.share, p.items, cost));
  }
  if (threadIdx.x == 0) scratch.whole = 0;
  sort_sequences(p.sequences, scratch, order);
  __syncthreads();
  const Layout layout = cut_packed_chains(p, scratch);
  __syncthreads();
  const Share share = make_share(layout, scratch.ends[0], scratch.ends[1]);
  __syncthreads();  // the scratch may be written again
  return share;
}

}  // namespace flash_kda::cuda::sm90
