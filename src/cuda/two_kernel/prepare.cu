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
    rows[i] =
        i < place.count ? load_pair(tensor, first + i * tensor.token_stride + 2 * threadIdx.x) : 0;
  }
}

template <int kK>
__device__ __forceinline__ void load_decay(const TokenInputs& in, const ChunkPlace& place,
                                           std::int64_t head, float2 (&g)[kChunk]) {
  const std::int64_t first = row_start(in.g, place.batch_row, place.first, head);
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    g[i] = i < place.count ? load_pair_f32(in.g, first + i * in.g.token_stride + 2 * threadIdx.x)
                           : float2{0.0f, 0.0f};
  }
  const GateHead gate = make_gate_head(in, head);
  const float2 bias = {load_bias(in, head * kK + 2 * threadIdx.x),
                       load_bias(in, head * kK + 2 * threadIdx.x + 1)};
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const bool inside = i < place.count;
    g[i].x = inside ? floor_decay(activate_gate(gate, g[i].x + bias.x)) : 0.0f;
    g[i].y = inside ? floor_decay(activate_gate(gate, g[i].y + bias.y)) : 0.0f;
  }
}

template <int kK>
__device__ __forceinline__ void load_chunk_beta(const TokenInputs& in, const ChunkPlace& place,
                                                std::int64_t head, PrepareStorage<kK>& shared) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= kChunk) return;
  shared.beta()[i] = i < place.count ? load_beta(in, place.batch_row, place.first + i, head) : 0.0f;
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

  const TokenInputs& in = p.inputs;
  const std::int64_t slot = blockIdx.x / in.v_heads;
  const int head = static_cast<int>(blockIdx.x - slot * in.v_heads);
  const ChunkPlace place =
      slot < p.checkpoints.first_side_slot
          ? place_of_chunk(p.sequences, slot)
          : place_of_side_chunk(p.sequences, p.checkpoints, slot - p.checkpoints.first_side_slot);
  if (place.count == 0) return;  // the line of places has gaps

  std::uint32_t q[kChunk];
  std::uint32_t k[kChunk];
  float2 g[kChunk];
  load_rows(in.q, place, head / in.heads_per_qk_head, q);
  load_rows(in.k, place, head / in.heads_per_qk_head, k);
  load_decay<kK>(in, place, head, g);
  load_chunk_beta<kK>(in, place, head, shared);

  sum_squares<kK>(q, k, shared);
  cumsum_decay(g);
  __syncthreads();  // partial sums of squares, from every warp
  normalize_qk<kK>(in.qk_norm, in.scale, shared);
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
  store_image<kK>(shared,
                  p.images + static_cast<std::int64_t>(blockIdx.x) * ChunkImage<kK>::kBytes);
}

}  // namespace

bool kernels_wait_for_predecessors() {
  cudaFuncAttributes attributes{};
  const auto* kernel = reinterpret_cast<const void*>(&prepare_kernel<128>);
  return cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 90;
}

cudaError_t launch_prepare(const PrepareParams& params, int head_dim_k, std::int64_t slots,
                           const LaunchContext& context) {
  if (slots == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(slots * params.inputs.v_heads));
  shape.block = dim3(static_cast<unsigned>(head_dim_k / 2));
  return head_dim_k == 128 ? launch(prepare_kernel<128>, shape, context, params)
                           : launch(prepare_kernel<64>, shape, context, params);
}

}  // namespace flash_kda::cuda
