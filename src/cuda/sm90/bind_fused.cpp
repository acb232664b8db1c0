#include "cuda/sm90/bind_fused.hpp"

#include <algorithm>
#include <iterator>

#include "cuda/bind_params.hpp"
#include "cuda/sm90/checkpoint_layout.hpp"
#include "cuda/sm90/fused_plan.hpp"
#include "fmt/format.h"

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

// What TMA can address (CUDA driver API, cuTensorMapEncodeTiled): addresses and strides in
// multiples of 16 bytes, strides positive and below 2^40. Callers may have others.
bool can_be_boxed(const TensorView& view, const Problem& p) {
  if (p.tokens == 0 || reinterpret_cast<std::uintptr_t>(view.data) % 16 != 0) return false;
  constexpr std::int64_t kMaxStride = std::int64_t{1} << 40;
  const std::int64_t extents[3] = {p.batch, p.tokens, view.shape[2]};
  for (int dim = 0; dim < 3; ++dim) {
    const std::int64_t stride = view.strides[dim];
    if (extents[dim] <= 1) continue;
    if (stride <= 0 || stride % 8 != 0 || stride >= kMaxStride / 2) return false;
  }
  return true;
}

// A tensor and where its map goes.
struct Boxed {
  const char* name;
  const TensorView& view;
  cuuint32_t halves;
  CUtensorMap& map;
};

// [B, T, heads, 128] as boxes of [64 channels][32 tokens][`halves`] of one head.
Status encode_map(const Boxed& tensor, const Problem& p) {
  static const EncodeTiled encode = find_encode_tiled();
  if (encode == nullptr) {
    return {StatusCode::kDeviceError,
            "cuTensorMapEncodeTiled: not found in the driver, which CUDA 12.0 or newer has"};
  }
  const TensorView& view = tensor.view;
  const std::int64_t extents[3] = {p.batch, p.tokens, view.shape[2]};
  const auto extent = [&](int dim) { return static_cast<cuuint64_t>(extents[dim]); };
  cuuint64_t pitch[3];
  for (int dim = 0; dim < 3; ++dim) {
    pitch[dim] =
        extents[dim] <= 1 ? 2 * kHalfBytes : static_cast<cuuint64_t>(view.strides[dim] * 2);
  }
  const cuuint64_t dims[5] = {kHalfBytes / 2, extent(1), 2, extent(2), extent(0)};
  const cuuint64_t strides[4] = {pitch[1], kHalfBytes, pitch[2], pitch[0]};
  const cuuint32_t box[5] = {kHalfBytes / 2, kChunk, tensor.halves, 1, 1};
  const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  const CUresult result =
      encode(&tensor.map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 5, view.data, dims, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result == CUDA_SUCCESS) return {};
  return {StatusCode::kDeviceError, fmt::format("{}: cuTensorMapEncodeTiled: CUresult {}",
                                                tensor.name, static_cast<int>(result))};
}

// Halves of a row of values that a block loads and stores.
cuuint32_t value_halves(const Config& config) { return is_split(config) ? 1 : 2; }
Boxed boxed_values(const Config& config, const Tensors& t, FusedParams& params) {
  return {"v", t.v, value_halves(config), params.v_map};
}
Boxed boxed_out(const Config& config, const Tensors& t, FusedParams& params) {
  return {"out", t.out, value_halves(config), params.out_map};
}

Status encode_maps(const Plan& plan, const Tensors& t, FusedParams& params) {
  const Problem& p = plan.problem;
  const Boxed inputs[] = {{"q", t.q, 1, params.q_map},
                          {"k", t.k, 1, params.k_map},
                          {"g", t.g, 2, params.g_map},
                          boxed_values(plan.config, t, params)};
  const Boxed out = boxed_out(plan.config, t, params);
  const auto is_boxed = [&](const Boxed& tensor) { return can_be_boxed(tensor.view, p); };
  const bool loads = std::all_of(std::begin(inputs), std::end(inputs), is_boxed);
  const bool stores = is_boxed(out);
  params.loads = loads ? Transfer::kBox : Transfer::kElements;
  params.stores = stores ? Transfer::kBox : Transfer::kElements;
  Status status;
  for (const Boxed& tensor : inputs) {
    if (loads && status.ok()) status = encode_map(tensor, p);
  }
  if (stores && status.ok()) status = encode_map(out, p);
  return status;
}

Segments bind_segments(const Plan& plan, const HandoverLayout& layout, std::byte* workspace) {
  const SegmentCounts counts = count_segments(plan.problem, plan.config);
  return {.states = reinterpret_cast<float*>(workspace + layout.segment_states),
          .maps = reinterpret_cast<float*>(workspace + layout.segment_maps),
          .taken = reinterpret_cast<std::uint32_t*>(workspace + layout.taken),
          .done = reinterpret_cast<std::uint32_t*>(workspace + layout.done),
          .merged = reinterpret_cast<std::uint32_t*>(workspace + layout.merged),
          .chunks = static_cast<std::int32_t>(counts.chunks),
          .parts = static_cast<std::int32_t>(counts.parts),
          .rows = static_cast<std::int32_t>(kDim / counts.parts)};
}

}  // namespace

Result<FusedParams> bind_fused(const Plan& plan, const Tensors& t, std::byte* workspace) {
  const Problem& p = plan.problem;
  const CheckpointLayout layout = lay_out_checkpoints(p, plan.config);
  const RecurrenceParams recurrence = bind_recurrence(plan, t, workspace + layout.rows);
  FusedParams params{};
  params.sequences = recurrence.sequences;
  params.states = recurrence.states;
  params.checkpoints = recurrence.checkpoints;
  if (may_leave_grid(p.checkpoints)) {
    params.kept_states = reinterpret_cast<float*>(workspace + layout.kept_states);
  }
  params.inputs = bind_prepare(plan, t, nullptr).inputs;
  params.v = recurrence.v;
  params.out = recurrence.out;
  // Rows are read four values at a time where no box can be used.
  for (RowTensor* rows : {&params.inputs.q, &params.inputs.k, &params.inputs.g}) {
    rows->alignment = Alignment::kElement;
  }
  if (may_cut_chains(p, plan.config)) {
    const HandoverLayout handover = lay_out_handover(p, plan.config);
    const bool leaves = plan.config.unproven == Unproven::kTwoKernels;
    auto* unproven = reinterpret_cast<unsigned long long*>(workspace + handover.unproven);
    params.handover = {.states = reinterpret_cast<float*>(workspace + handover.states),
                       .sent = reinterpret_cast<std::uint32_t*>(workspace + handover.sent),
                       .shares = reinterpret_cast<Share*>(workspace + handover.shares),
                       .cuts = reinterpret_cast<CutPlace*>(workspace + handover.cuts),
                       .begun = reinterpret_cast<std::uint32_t*>(workspace + handover.begun),
                       .ended = reinterpret_cast<std::uint32_t*>(workspace + handover.ended),
                       .counts = reinterpret_cast<CutCounts*>(workspace + handover.counts),
                       .unproven = leaves ? unproven : nullptr};
    params.unproven = plan.config.unproven;
    params.states_in_place = params.states.initial.data == params.states.final.data ? 1 : 0;
    params.max_warm_up = static_cast<std::int32_t>(max_warm_up(plan.config));
    params.proves = plan.config.warm_up_tokens > 0 ? 1 : 0;
    if (plan.config.unproven == Unproven::kSegments) {
      params.segments = bind_segments(plan, handover, workspace);
    }
    if (!p.is_varlen()) params.balance = balance_equal_chains(p, plan.config);
  }
  params.items = static_cast<std::int32_t>(p.sequences() * p.v_heads);

  if (Status status = encode_maps(plan, t, params); !status.ok()) return status;
  return params;
}

Result<FusedThenSplitParams> bind_both(const FusedParams& fused, const Plan& plan,
                                       const Tensors& t) {
  FusedThenSplitParams both{.fused = fused, .split = fused};
  FusedParams& params = both.split;
  params.handover = {};
  params.max_warm_up = 0;
  const Config split = split_part(plan.config);
  Status status;
  if (params.loads == Transfer::kBox) {
    status = encode_map(boxed_values(split, t, params), plan.problem);
  }
  if (params.stores == Transfer::kBox && status.ok()) {
    status = encode_map(boxed_out(split, t, params), plan.problem);
  }
  if (!status.ok()) return status;
  return both;
}

}  // namespace flash_kda::cuda::sm90
