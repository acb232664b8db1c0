#include "cuda/bind_params.hpp"

#include <algorithm>
#include <limits>

namespace flash_kda::cuda {
namespace {

constexpr std::int64_t kVectorQuad = 4;  // values of v and out that a lane moves at once
constexpr std::int64_t kVectorPair = 2;  // values of q, k, g and states

// Vector access is possible where the base and every stride are multiples of `elements`.
Alignment alignment_of(const TensorView& view, std::int64_t elements) {
  const auto bytes = static_cast<std::uintptr_t>(elements) * size_of(view.dtype);
  if (reinterpret_cast<std::uintptr_t>(view.data) % bytes != 0) return Alignment::kElement;
  for (int dim = 0; dim + 1 < view.rank; ++dim) {
    if (view.shape[dim] > 1 && view.strides[dim] % elements != 0) return Alignment::kElement;
  }
  return Alignment::kVector;
}

RowTensor bind_rows(const TensorView& view, std::int64_t elements) {
  return {.data = view.data,
          .batch_stride = view.strides[0],
          .token_stride = view.strides[1],
          .head_stride = view.strides[2],
          .dtype = view.dtype,
          .alignment = alignment_of(view, elements)};
}

IndexTensor bind_index(const std::optional<TensorView>& view) {
  if (!view) return {};
  return {.data = view->data, .dtype = view->dtype, .columns = view->rank > 1 ? view->shape[1] : 1};
}

// [slots, HV, V, K] in either layout, or [N, max_offsets, HV, V, K].
StateTensor bind_states(const std::optional<TensorView>& view, StateLayout layout) {
  if (!view) return {};
  const int rank = view->rank;
  const bool v_first = layout == StateLayout::kVK;
  StateTensor states;
  states.data = view->data;
  states.dtype = view->dtype;
  states.slot_stride = view->strides[0];
  states.inner_slot_stride = rank == 5 ? view->strides[1] : 0;
  states.head_stride = view->strides[rank - 3];
  states.v_stride = view->strides[v_first ? rank - 2 : rank - 1];
  states.k_stride = view->strides[v_first ? rank - 1 : rank - 2];
  states.alignment = v_first ? alignment_of(*view, kVectorPair) : Alignment::kElement;
  return states;
}

SequenceMap bind_sequences(const Problem& p, const Tensors& t) {
  return {.cu_seqlens = bind_index(t.cu_seqlens),
          .tokens = p.tokens,
          .num_sequences = p.sequences(),
          .chunks_per_row = count_places(p, 0).chunks_per_row};
}

StateRouting bind_routing(const Problem& p, const Tensors& t) {
  StateRouting routing;
  const bool pool = p.state.storage == StateStorage::kPool;
  routing.initial = bind_states(pool ? t.state_pool : t.initial_state, p.state.layout);
  routing.final = bind_states(pool ? t.state_pool : t.final_state, p.state.layout);
  routing.indices = bind_index(t.state_indices);
  routing.slots = p.state.pool_slots;
  if (t.has_initial_state) {
    routing.has_initial = static_cast<const std::uint8_t*>(t.has_initial_state->data);
  }
  return routing;
}

// No sequence is longer than 2^31 tokens, so a wider interval means never.
std::int32_t bind_every(const Problem& p) {
  constexpr std::int64_t kNever = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::min(p.checkpoints.every, kNever));
}

CheckpointParams bind_checkpoints(const Plan& plan, const Tensors& t, std::byte* workspace) {
  const Problem& p = plan.problem;
  CheckpointParams checkpoints;
  checkpoints.kind = p.checkpoints.kind;
  const Places places = count_places(p, 0);
  checkpoints.first_side_slot = places.chunks;
  checkpoints.side_slots = places.side_chunks;
  if (checkpoints.kind == CheckpointKind::kNone) return checkpoints;
  checkpoints.states = bind_states(t.checkpoints, p.state.layout);
  checkpoints.slots = t.checkpoints->shape[0];
  checkpoints.offsets = bind_index(t.checkpoint_offsets);
  checkpoints.destinations = bind_index(t.checkpoint_slots);
  checkpoints.every = bind_every(p);
  checkpoints.max_offsets = static_cast<std::int32_t>(p.checkpoints.max_offsets);
  if (needs_checkpoint_rows(p)) {
    const WorkspaceLayout layout = lay_out_workspace(p, plan.config);
    checkpoints.row_base = reinterpret_cast<const std::int64_t*>(workspace + layout.row_base);
  }
  // A row beyond the list of destinations must not be read.
  checkpoints.rows =
      checkpoints.destinations.data != nullptr ? t.checkpoint_slots->shape[0] : checkpoints.slots;
  return checkpoints;
}

TokenInputs bind_inputs(const Problem& p, const Tensors& t) {
  TokenInputs in;
  in.q = bind_rows(t.q, kVectorPair);
  in.k = bind_rows(t.k, kVectorPair);
  in.g = bind_rows(t.g, kVectorPair);
  in.beta = {.data = t.beta.data,
             .batch_stride = t.beta.strides[0],
             .token_stride = t.beta.strides[1],
             .head_stride = t.beta.strides[2],
             .dtype = t.beta.dtype,
             .alignment = Alignment::kElement};
  if (t.A_log) in.A_log = static_cast<const float*>(t.A_log->data);
  if (t.dt_bias) in.dt_bias = static_cast<const float*>(t.dt_bias->data);
  in.v_heads = static_cast<std::int32_t>(p.v_heads);
  in.heads_per_qk_head = static_cast<std::int32_t>(p.v_heads / p.qk_heads);
  in.gate = p.gate;
  in.qk_norm = p.qk_norm;
  in.beta_form = p.beta_form;
  in.beta_range = p.beta_range;
  in.scale = p.effective_scale();
  return in;
}

}  // namespace

PrepareParams bind_prepare(const Plan& plan, const Tensors& t, std::byte* workspace) {
  return {.sequences = bind_sequences(plan.problem, t),
          .checkpoints = bind_checkpoints(plan, t, workspace),
          .inputs = bind_inputs(plan.problem, t),
          .images = workspace + lay_out_workspace(plan.problem, plan.config).images};
}

RecurrenceParams bind_recurrence(const Plan& plan, const Tensors& t, std::byte* workspace) {
  const Problem& p = plan.problem;
  const WorkspaceLayout layout = lay_out_workspace(p, plan.config);
  RecurrenceParams params;
  params.sequences = bind_sequences(p, t);
  params.states = bind_routing(p, t);
  params.checkpoints = bind_checkpoints(plan, t, workspace);
  params.v = bind_rows(t.v, kVectorQuad);
  params.out = bind_rows(t.out, kVectorQuad);
  params.v_heads = static_cast<std::int32_t>(p.v_heads);
  params.head_dim_v = static_cast<std::int32_t>(p.head_dim_v);
  params.images = workspace + layout.images;
  if (plan.config.segment_tokens > 0) {
    params.segment_chunks = static_cast<std::int32_t>(plan.config.segment_tokens / kChunk);
    params.segment_entry = reinterpret_cast<float*>(workspace + layout.segment_entry);
    params.segment_summary = reinterpret_cast<float*>(workspace + layout.segment_summary);
  }
  return params;
}

RecurrentParams bind_recurrent(const Plan& plan, const Tensors& t, std::byte* workspace) {
  const Problem& p = plan.problem;
  return {.sequences = bind_sequences(p, t),
          .states = bind_routing(p, t),
          .checkpoints = bind_checkpoints(plan, t, workspace),
          .inputs = bind_inputs(p, t),
          .v = bind_rows(t.v, 1),
          .out = bind_rows(t.out, 1),
          .head_dim_v = static_cast<std::int32_t>(p.head_dim_v)};
}

CheckpointRowsParams bind_checkpoint_rows(const Plan& plan, const Tensors& t,
                                          std::byte* workspace) {
  const WorkspaceLayout layout = lay_out_workspace(plan.problem, plan.config);
  return {.sequences = bind_sequences(plan.problem, t),
          .every = bind_every(plan.problem),
          .row_base = reinterpret_cast<std::int64_t*>(workspace + layout.row_base)};
}

}  // namespace flash_kda::cuda
