// prepare: the part of a chunk that does not depend on the state, for all chunks at once. One block
// builds the image of one chunk of one value head and writes it to the workspace.
#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/common/async_copy.cuh"
#include "cuda/two_kernel/launch.hpp"
#include "cuda/two_kernel/prepare_stages.cuh"
#include "cuda/two_kernel/row_io.cuh"
#include "cuda/two_kernel/sequence.cuh"

namespace flash_kda::cuda {
namespace {

// This thread's column pair of the chunk's rows. Rows past the end of the chunk read as zero: no
// decay, no key, no beta, hence no effect. One branch for all rows: they shall be on their way
// together.
__device__ __forceinline__ void load_rows(const RowTensor& tensor, const ChunkPlace& place,
                                          std::int64_t head, std::uint32_t (&rows)[kChunk]) {
  const auto* first = static_cast<const std::uint16_t*>(tensor.data) +
                      row_start(tensor, place.batch_row, place.first, head) + 2 * threadIdx.x;
  if (tensor.alignment == Alignment::kVector) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      const auto* at = reinterpret_cast<const std::uint32_t*>(first + i * tensor.token_stride);
      rows[i] = i < place.count ? *at : 0;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const auto* at = first + i * tensor.token_stride;
    rows[i] = i < place.count ? at[0] | static_cast<std::uint32_t>(at[1]) << 16 : 0;
  }
}

// Of a bf16 or fp32 tensor.
__device__ __forceinline__ void load_rows_f32(const RowTensor& tensor, const ChunkPlace& place,
                                              std::int64_t head, float2 (&rows)[kChunk]) {
  if (tensor.dtype == DType::kBF16) {
    std::uint32_t pairs[kChunk];
    load_rows(tensor, place, head, pairs);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) rows[i] = {low_bf16(pairs[i]), high_bf16(pairs[i])};
    return;
  }
  const auto* first = static_cast<const float*>(tensor.data) +
                      row_start(tensor, place.batch_row, place.first, head) + 2 * threadIdx.x;
  const bool vector = tensor.alignment == Alignment::kVector;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const auto* at = first + i * tensor.token_stride;
    rows[i] = {0.0f, 0.0f};
    if (i < place.count)
      rows[i] = vector ? *reinterpret_cast<const float2*>(at) : float2{at[0], at[1]};
  }
}

// E2 for one kind of gate.
template <GateKind kKind>
__device__ __forceinline__ void activate_rows(const GateHead& gate, float2 bias, int count,
                                              float2 (&g)[kChunk]) {
#pragma unroll
  for (int i = 0; i < kChunk; ++i) {
    const bool inside = i < count;
    g[i].x = inside ? floor_decay(activate_gate<kKind>(gate, g[i].x + bias.x)) : 0.0f;
    g[i].y = inside ? floor_decay(activate_gate<kKind>(gate, g[i].y + bias.y)) : 0.0f;
  }
}

template <int kK>
__device__ __forceinline__ void activate_decay(const TokenInputs& in, const ChunkPlace& place,
                                               std::int64_t head, float2 (&g)[kChunk]) {
  const GateHead gate = make_gate_head(in, head);
  const float2 bias = {load_bias(in, head * kK + 2 * threadIdx.x),
                       load_bias(in, head * kK + 2 * threadIdx.x + 1)};
  switch (in.gate.kind) {
    case GateKind::kLowerBound:
      return activate_rows<GateKind::kLowerBound>(gate, bias, place.count, g);
    case GateKind::kSoftplus:
      return activate_rows<GateKind::kSoftplus>(gate, bias, place.count, g);
    default:
      return activate_rows<GateKind::kLog>(gate, bias, place.count, g);
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
__device__ __forceinline__ void build_image(const PrepareParams& p, std::int64_t image,
                                            PrepareStorage<kK>& shared) {
  const TokenInputs& in = p.inputs;
  const std::int64_t slot = image / in.v_heads;
  const int head = static_cast<int>(image - slot * in.v_heads);
  const ChunkPlace place =
      slot < p.checkpoints.first_side_slot
          ? place_of_chunk(p.sequences, slot)
          : place_of_side_chunk(p.sequences, p.checkpoints, slot - p.checkpoints.first_side_slot);
  if (place.count == 0) return;  // the line of places has gaps
  if (!has_chain(p.chains, place.n, in.v_heads, head)) return;

  std::uint32_t q[kChunk];
  std::uint32_t k[kChunk];
  float2 g[kChunk];
  load_rows(in.q, place, head / in.heads_per_qk_head, q);
  load_rows(in.k, place, head / in.heads_per_qk_head, k);
  load_rows_f32(in.g, place, head, g);
  load_chunk_beta<kK>(in, place, head, shared);
  activate_decay<kK>(in, place, head, g);

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
  store_image<kK>(shared, p.images + image * ChunkImage<kK>::kBytes);
}

template <int kK>
__global__ void __launch_bounds__(kK / 2) prepare_kernel(const __grid_constant__ PrepareParams p) {
  __shared__ PrepareStorage<kK> shared;
  wait_for_previous_kernel();
  build_image<kK>(p, blockIdx.x, shared);
  // Late: blocks of the recurrence that wait here would hold half of the registers meanwhile.
  release_next_kernel();
}

// For p.chains alone. Mostly there are none, and even empty blocks take time: 4,096 of them 3.5 us.
// So blocks are about as many as an H200 runs at once, and take many images; a kernel of its own,
// because the loop costs 40 registers. A prime: a multiple of the heads would give each block the
// images of one head, and half of the blocks nothing where every second head is to be done (4 % of
// the call).
inline constexpr std::int64_t kBlocksForSome = 787;
static_assert(kBlocksForSome <= std::int64_t{6} * 132);

__global__ void __launch_bounds__(64) prepare_some_kernel(const __grid_constant__ PrepareParams p) {
  __shared__ PrepareStorage<128> shared;
  if (!begin_chains(p.chains)) return;
  for (std::int64_t image = blockIdx.x; image < p.image_places; image += gridDim.x) {
    build_image<128>(p, image, shared);
    __syncthreads();  // the image is stored
  }
  release_next_kernel();
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
  const std::int64_t images = slots * params.inputs.v_heads;
  shape.grid = dim3(static_cast<unsigned>(images));
  shape.block = dim3(static_cast<unsigned>(head_dim_k / 2));
  if (params.chains != nullptr) {
    shape.grid = dim3(static_cast<unsigned>(std::min(images, kBlocksForSome)));
    PrepareParams counted = params;
    counted.image_places = images;
    return launch(prepare_some_kernel, shape, context, counted);
  }
  return head_dim_k == 128 ? launch(prepare_kernel<128>, shape, context, params)
                           : launch(prepare_kernel<64>, shape, context, params);
}

}  // namespace flash_kda::cuda
