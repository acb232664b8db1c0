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

// Thread k owns column k of the block's rows.
template <int kK>
__global__ void __launch_bounds__(kK) merge_kernel(const __grid_constant__ RecurrenceParams p) {
  __shared__ float entry[kMergeRows][kK];
  wait_for_previous_kernel();
  release_next_kernel();

  const int blocks_per_head = p.head_dim_v / kMergeRows;
  const std::int64_t pair = blockIdx.x / blocks_per_head;
  const std::int64_t v_begin = (blockIdx.x - pair * blocks_per_head) * kMergeRows;
  const std::int64_t n = pair / p.v_heads;
  const std::int64_t head = pair - n * p.v_heads;
  const std::int64_t base = segment_base(p.sequences, p.segment_chunks, n);
  const int chunks = place_of_sequence(p.sequences, n).chunks();
  const int segments = chunks == 0 ? 1 : (chunks + p.segment_chunks - 1) / p.segment_chunks;
  const int column = static_cast<int>(threadIdx.x);

  float row[kMergeRows] = {};
  const StatePlace initial = initial_place(p.states, n, head);
  if (initial.data != nullptr) {
    for (int v = 0; v < kMergeRows; ++v) row[v] = load_state_scalar(initial, v_begin + v, column);
  }
  for (int s = 0; s < segments; ++s) {
    float* out = p.segment_entry + ((base + s) * p.v_heads + head) * p.head_dim_v * kK +
                 v_begin * kK + column;
    for (int v = 0; v < kMergeRows; ++v) out[v * kK] = row[v];
    if (s + 1 == segments) break;

    for (int v = 0; v < kMergeRows; ++v) entry[v][column] = row[v];
    __syncthreads();  // every column of the entry state is there
    const float* summary =
        p.segment_summary + ((base + s) * p.v_heads + head) * (p.head_dim_v + kK) * kK + column;
    for (int v = 0; v < kMergeRows; ++v) row[v] = summary[(v_begin + v) * kK];
    const float* transition = summary + static_cast<std::int64_t>(p.head_dim_v) * kK;
#pragma unroll 4
    for (int k = 0; k < kK; ++k) {
      const float m = transition[k * kK];
      for (int v = 0; v < kMergeRows; ++v) row[v] += entry[v][k] * m;
    }
    __syncthreads();  // all have read the entry state before it is overwritten
  }
}

}  // namespace

cudaError_t launch_merge(const RecurrenceParams& params, int head_dim_k,
                         const LaunchContext& context) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(params.sequences.num_sequences * params.v_heads *
                                          (params.head_dim_v / kMergeRows)));
  shape.block = dim3(static_cast<unsigned>(head_dim_k));
  return head_dim_k == 128 ? launch(merge_kernel<128>, shape, context, params)
                           : launch(merge_kernel<64>, shape, context, params);
}

}  // namespace flash_kda::cuda
