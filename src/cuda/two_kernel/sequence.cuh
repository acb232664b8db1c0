// Where sequences, chunks and checkpoints lie. Values read from device tensors are clamped to the
// bounds that the host knows, so that bad ones give a wrong result, never a wild access.
#pragma once

#include <cstdint>

#include "cuda/common/async_copy.cuh"
#include "cuda/two_kernel/params.hpp"

namespace flash_kda::cuda {

__device__ __forceinline__ std::int64_t load_index(const IndexTensor& tensor, std::int64_t i,
                                                   std::int64_t j = 0) {
  const std::int64_t at = i * tensor.columns + j;
  return tensor.dtype == DType::kI64 ? static_cast<const std::int64_t*>(tensor.data)[at]
                                     : static_cast<const std::int32_t*>(tensor.data)[at];
}

__device__ __forceinline__ std::int64_t clamp_index(std::int64_t x, std::int64_t low,
                                                    std::int64_t high) {
  return x < low ? low : (x > high ? high : x);
}

__device__ __forceinline__ std::int64_t first_token(const SequenceMap& map, std::int64_t n) {
  return clamp_index(load_index(map.cu_seqlens, n), 0, map.tokens);
}

// By the first block of the last launch for no chain: it ends when the fused kernel has, whose
// blocks all run by now. To wait for the launch before instead, and that for the one before it,
// took 1 us for each.
__device__ __forceinline__ void wait_for_fused(FusedEnd end) {
  if (end.ended == nullptr || blockIdx.x != 0) return;
  while (threadIdx.x == 0 && load_acquire(end.ended) < end.blocks) __nanosleep(100);
  __syncthreads();
}

// Waits for the kernels before this one, and says whether there is anything to do. A launch for no
// chain passes at once: it lets the next kernel in and ends, but the last, of which `end` is given.
// Whoever has something to do releases the next one late (prepare.cu).
//
// The set may be read before the wait. It is all ones until it is written, once: from a kernel
// (find_shares.cu) for which the one that writes it has waited before it let this one in. A launch
// that finds it empty is followed by launches that find it so.
__device__ __forceinline__ bool begin_chains(ChainSet chains, FusedEnd end = {}) {
  if (chains == nullptr) {
    wait_for_previous_kernel();
    return true;
  }
  if (load_acquire(chains) == 0) {
    release_next_kernel();
    wait_for_fused(end);
    return false;
  }
  wait_for_previous_kernel();
  if (*chains != 0) return true;
  wait_for_fused(end);
  return false;
}

__device__ __forceinline__ bool has_chain(ChainSet chains, std::int64_t n, int v_heads,
                                          std::int64_t head) {
  return chains == nullptr || (*chains >> (n * v_heads + head) & 1) != 0;
}

struct SequencePlace {
  std::int64_t batch_row;
  std::int64_t first;       // token within the row
  std::int32_t length;      // tokens; the planner admits fewer than 2^31
  std::int64_t chunk_base;  // place of its first chunk

  __device__ int chunks() const { return (length + kChunk - 1) / kChunk; }
};

__device__ __forceinline__ SequencePlace place_of_sequence(const SequenceMap& map, std::int64_t n) {
  if (map.cu_seqlens.data == nullptr) {
    return {n, 0, static_cast<std::int32_t>(map.tokens), n * map.chunks_per_row};
  }
  const std::int64_t first = first_token(map, n);
  const std::int64_t end = clamp_index(first_token(map, n + 1), first, map.tokens);
  return {0, first, static_cast<std::int32_t>(end - first), first / kChunk + n};
}

// Largest n in [0, N) with base(n) <= place, for a base that never falls; 32 probes at a time by
// the whole warp, so N up to 1024 needs two rounds of loads.
template <typename Base>
__device__ __forceinline__ std::int64_t search_sequence(std::int64_t num_sequences,
                                                        std::int64_t place, Base base) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  std::int64_t low = 0;
  std::int64_t high = num_sequences;
  while (high - low > 1) {
    const std::int64_t step = (high - low + 31) / 32;
    const std::int64_t probe = low + step * (lane + 1);
    const bool reached = probe < high && base(probe) <= place;
    const int steps = __popc(__ballot_sync(0xffffffffu, reached));
    low += step * steps;
    high = high < low + step ? high : low + step;
  }
  return low;
}

// A run of at most C tokens of one sequence, starting on the chunk grid of that sequence.
struct ChunkPlace {
  std::int64_t n;
  std::int64_t batch_row;
  std::int64_t first;  // token within the row
  int count;           // tokens; 0: nothing lies here
};

__device__ __forceinline__ ChunkPlace place_of_chunk(const SequenceMap& map, std::int64_t slot) {
  std::int64_t n;
  if (map.cu_seqlens.data == nullptr) {
    n = slot / map.chunks_per_row;
  } else {
    n = search_sequence(map.num_sequences, slot,
                        [&](std::int64_t i) { return first_token(map, i) / kChunk + i; });
  }
  const SequencePlace sequence = place_of_sequence(map, n);
  const std::int64_t offset = (slot - sequence.chunk_base) * kChunk;
  const std::int64_t left = sequence.length - offset;
  const bool inside = offset >= 0 && left > 0;
  return {n, sequence.batch_row, sequence.first + offset,
          inside ? static_cast<int>(left < kChunk ? left : kChunk) : 0};
}

// Place of sequence n in the line of checkpoints taken every `every` tokens; leaves room like the
// chunk places do.
__device__ __forceinline__ std::int64_t every_base(const SequenceMap& map, std::int64_t every,
                                                   std::int64_t n) {
  if (map.cu_seqlens.data == nullptr) return n * (map.tokens / every);
  return first_token(map, n) / every;
}

// The e-th checkpoint of sequence n: tokens from the sequence's start, or 0 when it is not wanted.
__device__ __forceinline__ int checkpoint_offset(const CheckpointParams& checkpoints, int length,
                                                 std::int64_t n, std::int64_t e) {
  const std::int64_t offset = checkpoints.kind == CheckpointKind::kEvery
                                  ? (e + 1) * checkpoints.every
                                  : load_index(checkpoints.offsets, n, e);
  return offset > 0 && offset <= length ? static_cast<int>(offset) : 0;
}

// The shortened chunk that ends at a checkpoint which is not on the chunk grid.
__device__ __forceinline__ ChunkPlace place_of_side_chunk(const SequenceMap& map,
                                                          const CheckpointParams& checkpoints,
                                                          std::int64_t side_slot) {
  std::int64_t n;
  std::int64_t e;
  if (checkpoints.kind == CheckpointKind::kOffsets) {
    n = side_slot / checkpoints.max_offsets;
    e = side_slot - n * checkpoints.max_offsets;
  } else {
    n = search_sequence(map.num_sequences, side_slot,
                        [&](std::int64_t i) { return every_base(map, checkpoints.every, i); });
    e = side_slot - every_base(map, checkpoints.every, n);
  }
  const SequencePlace sequence = place_of_sequence(map, n);
  const int offset = checkpoint_offset(checkpoints, sequence.length, n, e);
  const int count = offset % kChunk;
  return {n, sequence.batch_row, sequence.first + offset - count, count};
}

}  // namespace flash_kda::cuda
