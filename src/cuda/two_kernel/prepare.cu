// prepare: the part of a chunk that does not depend on the state, for all chunks at once. One block
// builds the image of one chunk of one value head and writes it to the workspace.
#include <cuda_runtime.h>

#include "cuda/common/async_copy.cuh"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/prepare_stages.cuh"
#include "cuda/two_kernel/row_io.cuh"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda {
namespace {

// Rows past the end of the chunk read as zero: no decay, no key, no beta, hence no effect.
__device__ __forceinline__ void load_rows(const RowTensor& tensor, const ChunkPlace& place,
                                          std::int64_t head, std::uint32_t (&rows)[kChunk]) {
  const std::int64_t first = row_start(tensor, place.batch_row, place.first, head);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    rows[i] = i < place.count
                  ? load_pair(tensor, first + i * tensor.token_stride + 2 * threadIdx.x)
                  : 0;
  }
}

__device__ __forceinline__ void load_decay(const PrepareParams& p, const ChunkPlace& place,
                                           std::int64_t head, float2 (&g)[kChunk]) {
  const std::int64_t first = row_start(p.g, place.batch_row, place.first, head);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    g[i] = i < place.count
               ? load_pair_f32(p.g, first + i * p.g.token_stride + 2 * threadIdx.x)
               : float2{0.0f, 0.0f};
  }
  const float a_log = p.A_log != nullptr ? p.A_log[head * p.A_log_stride] : 0.0f;
  float2 bias = {0.0f, 0.0f};
  if (p.dt_bias != nullptr && p.gate.kind != GateKind::kLog) {
    const float* row = p.dt_bias + head * p.dt_bias_head_stride + 2 * threadIdx.x;
    bias = {row[0], row[1]};
  }
  const GateHead gate = make_gate_head(p.gate, a_log);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const bool inside = i < place.count;
    g[i].x = inside ? floor_decay(activate_gate(gate, g[i].x + bias.x)) : 0.0f;
    g[i].y = inside ? floor_decay(activate_gate(gate, g[i].y + bias.y)) : 0.0f;
  }
}

template <int kK>
__device__ __forceinline__ void load_beta(const PrepareParams& p, const ChunkPlace& place,
                                          std::int64_t head, PrepareStorage<kK>& shared) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kChunk) return;
  float beta = 0.0f;
  if (i < place.count) {
    const std::int64_t at = row_start(p.beta, place.batch_row, place.first + i, head);
    beta = activate_beta(p.beta_form, p.beta_range, load_scalar(p.beta, at));
  }
  shared.scalars.beta[i] = beta;
}

template <int kK>
__device__ __forceinline__ void store_image(const PrepareStorage<kK>& shared, std::byte* image) {
  const auto* from = reinterpret_cast<const uint4*>(shared.image);
  auto* to = reinterpret_cast<uint4*>(image);
  for (int i = static_cast<int>(threadIdx.x); i < ChunkImage<kK>::kBytes / 16; i += kK / 2) {
    to[i] = from[i];
  }
}

template <int kK>
__global__ void __launch_bounds__(kK / 2) prepare_kernel(const __grid_constant__ PrepareParams p) {
  __shared__ PrepareStorage<kK> shared;
  wait_for_previous_kernel();
  release_next_kernel();

  const std::int64_t slot = blockIdx.x / p.v_heads;
  const int head = static_cast<int>(blockIdx.x - slot * p.v_heads);
  const ChunkPlace place =
      slot < p.checkpoints.first_side_slot
          ? place_of_chunk(p.sequences, slot)
          : place_of_side_chunk(p.sequences, p.checkpoints, slot - p.checkpoints.first_side_slot);
  if (place.count == 0) return;

  std::uint32_t q[kChunk];
  std::uint32_t k[kChunk];
  float2 g[kChunk];
  load_rows(p.q, place, head / p.heads_per_qk_head, q);
  load_rows(p.k, place, head / p.heads_per_qk_head, k);
  load_decay(p, place, head, g);
  load_beta<kK>(p, place, head, shared);

  sum_squares<kK>(q, k, shared);
  cumsum_decay(g);
  __syncthreads();  // partial sums of squares, from every warp
  normalize_qk<kK>(p.qk_norm, p.scale, shared);
  __syncthreads();  // norms, from the first warp
  apply_decay<kK>(q, k, g, shared);
  __syncthreads();  // decayed tiles, from every warp

  // Two warps share the products of a chunk when there are two.
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (warp == 0) {
    score_kk<kK>(shared);
    __syncwarp();  // rows of score_kk come from other lanes
    invert_unit_lower<kK>(shared);
  }
  if (warp == PrepareStorage<kK>::kWarps - 1) score_qk<kK>(shared);
  __syncthreads();  // the image is complete
  store_image<kK>(shared, p.images + static_cast<std::int64_t>(blockIdx.x) * ChunkImage<kK>::kBytes);
}

}  // namespace

cudaError_t launch_prepare(const PrepareParams& params, int head_dim_k, std::int64_t slots,
                           const LaunchContext& context) {
  if (slots == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(slots * params.v_heads));
  shape.block = dim3(static_cast<unsigned>(head_dim_k / 2));
  return head_dim_k == 128 ? launch(prepare_kernel<128>, shape, context, params)
                           : launch(prepare_kernel<64>, shape, context, params);
}

}  // namespace flash_kda::cuda
