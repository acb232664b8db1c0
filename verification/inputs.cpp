#include "verification/inputs.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "reference/element_io.hpp"
#include "verification/inputs_draw.hpp"

namespace flash_kda::verification {
namespace {

constexpr std::int64_t kPaddingRows = 5;
constexpr std::int64_t kPitchGap = 24;  // elements; keeps 16-byte alignment of bf16 rows

using Fill = std::function<double(TokenIndex)>;

void fill_tokens(const TensorView& view, std::int64_t batch, std::int64_t tokens,
                 const Fill& fill) {
  const std::int64_t dim = view.rank == 4 ? view.shape[3] : 1;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t h = 0; h < view.shape[2]; ++h) {
        const std::int64_t offset = reference::offset_of_row(view, b, t, h);
        for (std::int64_t c = 0; c < dim; ++c) {
          reference::store_element(view.data, view.dtype, offset + c, fill({b, t, h, c}));
        }
      }
    }
  }
}

// Strides of [B, rows, heads, dim] for a layout; `gap` differs per tensor so that no two tensors
// can be read with each other's strides unnoticed.
std::array<std::int64_t, 3> token_strides(TokenLayout layout, std::int64_t rows, std::int64_t heads,
                                          std::int64_t dim, std::int64_t gap) {
  switch (layout) {
    case TokenLayout::kStrided: {
      const std::int64_t head = dim + gap;
      const std::int64_t token = heads * head + 2 * gap;
      return {rows * token + 3 * gap, token, head};
    }
    case TokenLayout::kHeadMajor:
      return {heads * rows * dim, dim, rows * dim};
    case TokenLayout::kPacked:
    case TokenLayout::kPaddedRows:
      break;
  }
  return {rows * heads * dim, heads * dim, dim};
}

}  // namespace

CaseData::CaseData(const Case& c, std::uint64_t seed) : case_(c), problem_(c.problem), seed_(seed) {
  add_token_tensors();
  add_gate_parameters();
  add_states();
  add_checkpoints();
  for (GuardedBuffer& buffer : buffers_) buffer.take_snapshot();
}

GuardedBuffer& CaseData::new_buffer(std::string name, std::size_t bytes, DType dtype) {
  const std::size_t misalignment = case_.memory.misaligned ? size_of(dtype) : 0;
  return buffers_.emplace_back(std::move(name), bytes, misalignment);
}

TensorView CaseData::token_tensor(std::string name, DType dtype, std::int64_t heads,
                                  std::int64_t dim) {
  const bool padded = case_.memory.tokens == TokenLayout::kPaddedRows;
  const std::int64_t rows = problem_.tokens + (padded ? kPaddingRows : 0);
  const std::int64_t gap = kPitchGap * (1 + static_cast<std::int64_t>(buffers_.size()));
  const auto strides = token_strides(case_.memory.tokens, rows, heads, dim, gap);
  const std::int64_t elements = problem_.batch * std::max(strides[0], heads * rows * dim);
  GuardedBuffer& buffer =
      new_buffer(std::move(name), static_cast<std::size_t>(elements) * size_of(dtype), dtype);
  TensorView view{.data = buffer.data(), .dtype = dtype, .rank = 4};
  view.shape = {problem_.batch, rows, heads, dim};
  view.strides = {strides[0], strides[1], strides[2], 1};
  return view;
}

void CaseData::add_token_tensors() {
  const Problem& p = problem_;
  const Draw draw(case_, seed_);
  tensors_.q = token_tensor("q", p.qkv_dtype, p.qk_heads, p.head_dim_k);
  tensors_.k = token_tensor("k", p.qkv_dtype, p.qk_heads, p.head_dim_k);
  tensors_.v = token_tensor("v", p.qkv_dtype, p.v_heads, p.head_dim_v);
  tensors_.g = token_tensor("g", p.gate_dtype, p.v_heads, p.head_dim_k);
  tensors_.beta = token_tensor("beta", p.beta_dtype, p.v_heads, 1);
  tensors_.beta.rank = 3;
  // A [.., HV] tensor must have its last dimension contiguous; only the token pitch is free.
  if (tensors_.beta.strides[2] != 1) {
    const std::int64_t token = p.v_heads + (case_.memory.tokens == TokenLayout::kStrided ? 3 : 0);
    tensors_.beta.strides = {tensors_.beta.shape[1] * token, token, 1};
  }
  tensors_.out = token_tensor("out", p.out_dtype, p.v_heads, p.head_dim_v);
  // Rows that no sequence owns stay NaN, also below problem.tokens.
  std::int64_t tokens = p.tokens;
  if (p.is_varlen()) {
    std::vector<std::int64_t> cu_seqlens{0};
    for (const std::int64_t length : case_.lengths) {
      cu_seqlens.push_back(cu_seqlens.back() + length);
    }
    tokens = cu_seqlens.back();
    tensors_.cu_seqlens =
        index_tensor("cu_seqlens", case_.memory.index_dtype, {p.sequences() + 1}, cu_seqlens);
  }
  fill_tokens(tensors_.q, p.batch, tokens, [&](TokenIndex i) { return draw.q(i); });
  fill_tokens(tensors_.k, p.batch, tokens, [&](TokenIndex i) { return draw.k(i); });
  fill_tokens(tensors_.v, p.batch, tokens, [&](TokenIndex i) { return draw.v(i); });
  fill_tokens(tensors_.g, p.batch, tokens, [&](TokenIndex i) { return draw.g(i); });
  fill_tokens(tensors_.beta, p.batch, tokens, [&](TokenIndex i) { return draw.beta(i); });
}

void CaseData::add_gate_parameters() {
  if (!case_.inputs.has_gate_parameters || problem_.gate.kind == GateKind::kLog) return;
  const Draw draw(case_, seed_);
  const auto vector = [&](const char* name, std::int64_t count, auto&& value) {
    GuardedBuffer& buffer =
        new_buffer(name, static_cast<std::size_t>(count) * sizeof(float), DType::kF32);
    for (std::int64_t i = 0; i < count; ++i) {
      reference::store_element(buffer.data(), DType::kF32, i, value(i));
    }
    return TensorView::contiguous(buffer.data(), DType::kF32, {count});
  };
  tensors_.A_log = vector("A_log", problem_.v_heads, [&](std::int64_t i) { return draw.A_log(i); });
  tensors_.dt_bias = vector("dt_bias", problem_.v_heads * problem_.head_dim_k,
                            [&](std::int64_t i) { return draw.dt_bias(i); });
}

TensorView CaseData::index_tensor(std::string name, DType dtype, std::vector<std::int64_t> shape,
                                  const std::vector<std::int64_t>& values) {
  GuardedBuffer& buffer = new_buffer(std::move(name), values.size() * size_of(dtype), dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kU8) {
      reinterpret_cast<std::uint8_t*>(buffer.data())[i] = static_cast<std::uint8_t>(values[i]);
    } else if (dtype == DType::kI32) {
      reinterpret_cast<std::int32_t*>(buffer.data())[i] = static_cast<std::int32_t>(values[i]);
    } else {
      reinterpret_cast<std::int64_t*>(buffer.data())[i] = values[i];
    }
  }
  if (shape.size() == 1) return TensorView::contiguous(buffer.data(), dtype, {shape[0]});
  return TensorView::contiguous(buffer.data(), dtype, {shape[0], shape[1]});
}

// [slots, HV, V, K] or [slots, HV, K, V], with a free slot pitch where the case wants one.
TensorView CaseData::state_tensor(std::string name, std::int64_t slots) {
  const bool v_first = problem_.state.layout == StateLayout::kVK;
  const std::int64_t rows = v_first ? problem_.head_dim_v : problem_.head_dim_k;
  const std::int64_t cols = v_first ? problem_.head_dim_k : problem_.head_dim_v;
  const std::int64_t pitch =
      problem_.v_heads * rows * cols + (case_.memory.strided_states ? kPitchGap : 0);
  GuardedBuffer& buffer = new_buffer(
      std::move(name), static_cast<std::size_t>(slots * pitch) * size_of(problem_.state.dtype),
      problem_.state.dtype);
  TensorView view = TensorView::contiguous(buffer.data(), problem_.state.dtype,
                                           {slots, problem_.v_heads, rows, cols});
  view.strides[0] = pitch;
  return view;
}

void CaseData::add_states() {
  const Problem& p = problem_;
  const std::int64_t n = p.sequences();
  const bool has_initial = case_.memory.initial != InitialState::kAbsent;
  const auto fill = [&](const TensorView& view, std::int64_t slot) {
    const Draw draw(case_, seed_);
    const std::int64_t count = p.v_heads * p.head_dim_k * p.head_dim_v;
    for (std::int64_t i = 0; i < count; ++i) {
      reference::store_element(view.data, view.dtype, slot * view.strides[0] + i,
                               draw.state(slot * count + i));
    }
  };
  if (case_.memory.initial == InitialState::kMasked) {
    std::vector<std::int64_t> mask(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 2 == 0 ? 1 : 0;
    tensors_.has_initial_state = index_tensor("has_initial_state", DType::kU8, {n}, mask);
  }
  if (p.state.storage == StateStorage::kPool) {
    tensors_.state_pool = state_tensor("state_pool", p.state.pool_slots);
    std::vector<std::int64_t> slots(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      // Back to front with gaps, and none for every 3rd sequence.
      slots[static_cast<std::size_t>(i)] = i % 3 == 1 ? -1 : p.state.pool_slots - 1 - i;
      if (i % 3 != 1) fill(*tensors_.state_pool, p.state.pool_slots - 1 - i);
    }
    tensors_.state_indices = index_tensor("state_indices", case_.memory.index_dtype, {n}, slots);
    return;
  }
  if (has_initial) {
    tensors_.initial_state = state_tensor("initial_state", n);
    for (std::int64_t i = 0; i < n; ++i) fill(*tensors_.initial_state, i);
  }
  if (case_.memory.final == FinalState::kInPlace) {
    tensors_.final_state = tensors_.initial_state;
  } else if (case_.memory.final == FinalState::kSeparate) {
    tensors_.final_state = state_tensor("final_state", n);
  }
}

void CaseData::add_checkpoints() {
  const Problem& p = problem_;
  const CheckpointSpec& spec = p.checkpoints;
  if (spec.kind == CheckpointKind::kNone) return;
  std::int64_t rows = p.sequences() * spec.max_offsets;
  if (spec.kind == CheckpointKind::kEvery) {
    rows = p.is_varlen() ? 0 : p.sequences() * (p.tokens / spec.every);
    for (const std::int64_t length : case_.lengths) rows += length / spec.every;
  } else {
    tensors_.checkpoint_offsets =
        index_tensor("checkpoint_offsets", case_.memory.index_dtype,
                     {p.sequences(), spec.max_offsets}, case_.checkpoint_offsets);
  }
  tensors_.checkpoints = checkpoint_tensor(rows);
  if (spec.destination == StateStorage::kDense) return;
  std::vector<std::int64_t> slots(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) {
    slots[static_cast<std::size_t>(i)] = i % 4 == 2 ? -1 : spec.pool_slots - 1 - i;
  }
  const bool every = spec.kind == CheckpointKind::kEvery;
  tensors_.checkpoint_slots =
      index_tensor("checkpoint_slots", case_.memory.index_dtype,
                   every ? std::vector<std::int64_t>{rows}
                         : std::vector<std::int64_t>{p.sequences(), spec.max_offsets},
                   slots);
}

TensorView CaseData::checkpoint_tensor(std::int64_t rows) {
  const CheckpointSpec& spec = problem_.checkpoints;
  if (spec.destination == StateStorage::kPool) return state_tensor("checkpoints", spec.pool_slots);
  TensorView flat = state_tensor("checkpoints", rows);
  if (spec.kind == CheckpointKind::kEvery) return flat;
  TensorView view = flat;  // [N * max_offsets, ...] seen as [N, max_offsets, ...]
  view.rank = 5;
  view.shape = {problem_.sequences(), spec.max_offsets, flat.shape[1], flat.shape[2],
                flat.shape[3]};
  view.strides = {spec.max_offsets * flat.strides[0], flat.strides[0], flat.strides[1],
                  flat.strides[2], flat.strides[3]};
  return view;
}

Workspace CaseData::make_workspace(std::size_t bytes) {
  GuardedBuffer& buffer = buffers_.emplace_back("workspace", bytes, 0);
  buffer.take_snapshot();
  buffer.allow_all();
  return {buffer.data(), bytes};
}

void CaseData::allow(const void* address, std::size_t count) {
  for (GuardedBuffer& buffer : buffers_) {
    if (buffer.contains(address)) buffer.allow_change(address, count);
  }
}

void CaseData::allow_state(const StatePlace& place) {
  if (!place) return;
  const std::size_t bytes = size_of(place.dtype);
  const bool v_first = place.k_stride == 1;
  for (std::int64_t h = 0; h < problem_.v_heads; ++h) {
    const std::int64_t rows = v_first ? problem_.head_dim_v : problem_.head_dim_k;
    const std::int64_t cols = v_first ? problem_.head_dim_k : problem_.head_dim_v;
    for (std::int64_t row = 0; row < rows; ++row) {
      allow(v_first ? place.address(h, 0, row) : place.address(h, row, 0),
            static_cast<std::size_t>(cols) * bytes);
    }
  }
}

void CaseData::expect_changes_at_results() {
  const TensorView& out = tensors_.out;
  for (const SequencePlaces& s : find_places(problem_, tensors_)) {
    for (std::int64_t t = s.bos; t < s.bos + s.length; ++t) {
      for (std::int64_t h = 0; h < problem_.v_heads; ++h) {
        const std::int64_t offset = reference::offset_of_row(out, s.batch_row, t, h);
        allow(static_cast<std::byte*>(out.data) +
                  offset * static_cast<std::int64_t>(size_of(out.dtype)),
              static_cast<std::size_t>(problem_.head_dim_v) * size_of(out.dtype));
      }
    }
    allow_state(s.final);
    for (const CheckpointPlace& c : s.checkpoints) allow_state(c.place);
  }
}

std::vector<std::string> CaseData::stray_writes() const {
  std::vector<std::string> all;
  for (const GuardedBuffer& buffer : buffers_) {
    if (std::string stray = buffer.stray_writes(); !stray.empty()) all.push_back(stray);
  }
  return all;
}

}  // namespace flash_kda::verification
