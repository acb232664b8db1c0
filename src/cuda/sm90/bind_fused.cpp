#include "cuda/sm90/bind_fused.hpp"

#include <algorithm>

#include "cuda/bind_params.hpp"
#include "cuda/sm90/fused_plan.hpp"

namespace flash_kda::cuda::sm90 {
namespace {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

// Through the runtime, so that the library does not link the driver.
EncodeTiled find_encode_tiled() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry,
                                                             12000, cudaEnableDefault, &found);
#else
  const cudaError_t error =
      cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found);
#endif
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<EncodeTiled>(entry);
}

constexpr cuuint64_t kHalfBytes = 128;  // 64 channels

// [B, T, heads, 128] as boxes of [64 channels][32 tokens][`halves`] of one head. False: TMA cannot
// address the tensor.
bool encode_map(const TensorView& view, const Problem& p, EncodeTiled encode, cuuint32_t halves,
                CUtensorMap& map) {
  const std::int64_t extents[3] = {p.batch, p.tokens, view.shape[2]};
  cuuint64_t pitch[3];
  for (int dim = 0; dim < 3; ++dim) {
    const std::int64_t bytes = view.strides[dim] * 2;
    const bool single = extents[dim] <= 1;
    if (!single && (bytes <= 0 || bytes % 16 != 0)) return false;
    pitch[dim] = single ? 2 * kHalfBytes : static_cast<cuuint64_t>(bytes);
  }
  const auto extent = [&](int dim) {
    return static_cast<cuuint64_t>(std::max<std::int64_t>(extents[dim], 1));
  };
  const cuuint64_t dims[5] = {kHalfBytes / 2, extent(1), 2, extent(2), extent(0)};
  const cuuint64_t strides[4] = {pitch[1], kHalfBytes, pitch[2], pitch[0]};
  const cuuint32_t box[5] = {kHalfBytes / 2, kChunk, halves, 1, 1};
  const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 5, view.data, dims, strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace

FusedParams bind_fused(const Plan& plan, const Tensors& t, std::byte* workspace) {
  const Problem& p = plan.problem;
  const RecurrenceParams recurrence = bind_recurrence(plan, t, nullptr);
  FusedParams params{};
  params.sequences = recurrence.sequences;
  params.states = recurrence.states;
  params.inputs = bind_prepare(plan, t, nullptr).inputs;
  params.v = recurrence.v;
  params.out = recurrence.out;
  // Rows are read four values at a time where no box can be used.
  for (RowTensor* rows : {&params.inputs.q, &params.inputs.k, &params.inputs.g}) {
    rows->alignment = Alignment::kElement;
  }
  if (may_cut_chains(p, plan.config)) {
    const HandoverLayout layout = lay_out_handover(p, plan.config);
    const bool waits = plan.config.unproven == Unproven::kWait;
    auto* unproven = reinterpret_cast<unsigned long long*>(workspace + layout.unproven);
    params.handover = {.states = reinterpret_cast<float*>(workspace + layout.states),
                       .sent = reinterpret_cast<std::uint32_t*>(workspace + layout.sent),
                       .shares = reinterpret_cast<Share*>(workspace + layout.shares),
                       .begun = reinterpret_cast<std::uint32_t*>(workspace + layout.begun),
                       .counts = reinterpret_cast<CutCounts*>(workspace + layout.counts),
                       .unproven = waits ? nullptr : unproven};
    params.states_in_place = params.states.initial.data == params.states.final.data ? 1 : 0;
    params.max_warm_up = plan.config.warm_up_tokens / kChunk;
  }
  params.items = static_cast<std::int32_t>(p.sequences() * p.v_heads);

  static const EncodeTiled encode = find_encode_tiled();
  const bool boxes = encode != nullptr;
  params.loads = boxes && encode_map(t.q, p, encode, 1, params.q_map) &&
                         encode_map(t.k, p, encode, 1, params.k_map) &&
                         encode_map(t.g, p, encode, 2, params.g_map) &&
                         encode_map(t.v, p, encode, 2, params.v_map)
                     ? Transfer::kBox
                     : Transfer::kElements;
  params.stores = boxes && encode_map(t.out, p, encode, 2, params.out_map) ? Transfer::kBox
                                                                           : Transfer::kElements;
  return params;
}

}  // namespace flash_kda::cuda::sm90
