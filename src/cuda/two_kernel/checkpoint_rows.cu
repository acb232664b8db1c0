// Rows of a dense checkpoint tensor before each sequence: the running sum of floor(length / every).
// One block, whatever N; launched only for packed sequences with a checkpoint every n tokens.
#include <cuda_runtime.h>

#include "cuda/common/async_copy.cuh"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda {
namespace {

inline constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    checkpoint_rows_kernel(const __grid_constant__ CheckpointRowsParams p) {
  __shared__ std::int64_t warp_sums[kThreads / 32];
  wait_for_previous_kernel();
  release_next_kernel();

  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  std::int64_t before = 0;  // rows of the sequences of earlier rounds
  for (std::int64_t start = 0; start < p.sequences.num_sequences; start += kThreads) {
    const std::int64_t n = start + threadIdx.x;
    const bool exists = n < p.sequences.num_sequences;
    const std::int64_t rows = exists ? place_of_sequence(p.sequences, n).length / p.every : 0;
    std::int64_t inclusive = rows;
    for (int step = 1; step < 32; step *= 2) {
      const std::int64_t other = __shfl_up_sync(0xffffffffu, inclusive, step);
      if (lane >= step) inclusive += other;
    }
    if (lane == 31) warp_sums[warp] = inclusive;
    __syncthreads();  // sums of every warp
    std::int64_t earlier_warps = 0;
    std::int64_t round = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) earlier_warps += warp_sums[w];
      round += warp_sums[w];
    }
    if (exists) p.row_base[n] = before + earlier_warps + inclusive - rows;
    before += round;
    __syncthreads();  // sums are read before the next round overwrites them
  }
}

}  // namespace

cudaError_t launch_checkpoint_rows(const CheckpointRowsParams& params,
                                   const LaunchContext& context) {
  LaunchShape shape;
  shape.block = dim3(kThreads);
  return launch(checkpoint_rows_kernel, shape, context, params);
}

}  // namespace flash_kda::cuda
