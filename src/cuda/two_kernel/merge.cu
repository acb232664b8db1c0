// merge_segments (E14): walks the segments of a sequence in order and writes the state before each,
//   entry[s + 1] = entry[s] M_s + S_ext_s,
// in fp32 throughout: the transitions are chained, and their rounding would compound.
#include <cuda_runtime.h>

#include "cuda/common/async_copy.cuh"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/segments.cuh"

namespace flash_kda::cuda {
namespace {

// Value rows of a block. Few, so that even one head spreads over V / 8 multiprocessors.
inline constexpr int kMergeRows = 8;
// Threads that share a column: each sums over a part of K, whose transition entries it loads at
// once. The walk is a chain of trips to L2, one a segment instead of one a row.
inline constexpr int kParts = 4;

template <int kK>
struct MergeStorage {
  float entry[kMergeRows][kK];
  float sums[kParts][kMergeRows][kK];
};

// Thread (part, column) multiplies rows [part K / kParts, ...) of the transition, then owns the
// rows v = part, part + kParts, ... of the state.
template <int kK>
__global__ void __launch_bounds__(kParts* kK)
    merge_kernel(const __grid_constant__ RecurrenceParams p) {
  constexpr int kDepth = kK / kParts;
  __shared__ MergeStorage<kK> shared;
  if (!begin_chains(p.chains)) return;

  const int blocks_per_head = p.head_dim_v / kMergeRows;
  const std::int64_t pair = blockIdx.x / blocks_per_head;
  const std::int64_t v_begin = (blockIdx.x - pair * blocks_per_head) * kMergeRows;
  const std::int64_t n = pair / p.v_heads;
  const std::int64_t head = pair - n * p.v_heads;
  if (!has_chain(p.chains, n, p.v_heads, head)) return;
  const std::int64_t base = segment_base(p.sequences, p.segment_chunks, n);
  const int chunks = place_of_sequence(p.sequences, n).chunks();
  const int segments = chunks == 0 ? 1 : (chunks + p.segment_chunks - 1) / p.segment_chunks;
  const int column = static_cast<int>(threadIdx.x) % kK;
  const int part = static_cast<int>(threadIdx.x) / kK;

  const std::int64_t entry_pitch = static_cast<std::int64_t>(p.v_heads) * p.head_dim_v * kK;
  const std::int64_t summary_pitch =
      static_cast<std::int64_t>(p.v_heads) * (p.head_dim_v + kK) * kK;
  float* out = p.segment_entry + base * entry_pitch + (head * p.head_dim_v + v_begin) * kK + column;
  const float* summary =
      p.segment_summary + base * summary_pitch + head * (p.head_dim_v + kK) * kK + column;
  const float* transition =
      summary + (static_cast<std::int64_t>(p.head_dim_v) + part * kDepth) * kK;

  const StatePlace initial = initial_place(p.states, n, head);
  for (int v = part; v < kMergeRows; v += kParts) {
    const float value =
        initial.data != nullptr ? load_state_scalar(initial, v_begin + v, column) : 0.0f;
    shared.entry[v][column] = value;
    out[v * kK] = value;
  }
  for (int s = 0; s + 1 < segments; ++s) {
    float m[kDepth];
#pragma unroll
    for (int k = 0; k < kDepth; ++k) m[k] = transition[k * kK];
    float own[kMergeRows / kParts];
#pragma unroll
    for (int i = 0; i < kMergeRows / kParts; ++i) {
      own[i] = summary[(v_begin + part + i * kParts) * kK];
    }
    __syncthreads();  // every column of the entry state is there
#pragma unroll
    for (int v = 0; v < kMergeRows; ++v) {
      float sum = 0.0f;
#pragma unroll
      for (int k = 0; k < kDepth; ++k) sum += shared.entry[v][part * kDepth + k] * m[k];
      shared.sums[part][v][column] = sum;
    }
    __syncthreads();  // all sums are there, and all have read the entry state
    out += entry_pitch;
    summary += summary_pitch;
    transition += summary_pitch;
#pragma unroll
    for (int i = 0; i < kMergeRows / kParts; ++i) {
      const int v = part + i * kParts;
#pragma unroll
      for (int other = 0; other < kParts; ++other) own[i] += shared.sums[other][v][column];
      shared.entry[v][column] = own[i];
      out[v * kK] = own[i];
    }
  }
  release_next_kernel();
}

}  // namespace

cudaError_t launch_merge(const RecurrenceParams& params, int head_dim_k,
                         const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(params.sequences.num_sequences * params.v_heads *
                                          (params.head_dim_v / kMergeRows)));
  shape.block = dim3(static_cast<unsigned>(kParts * head_dim_k));
  return head_dim_k == 128 ? launch(merge_kernel<128>, shape, context, params)
                           : launch(merge_kernel<64>, shape, context, params);
}

}  // namespace flash_kda::cuda
