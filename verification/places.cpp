#include "verification/places.hpp"

#include "reference/element_io.hpp"

namespace flash_kda::verification {
namespace {

std::int64_t read_int(const TensorView& view, std::int64_t i) {
  if (view.dtype == DType::kU8) return static_cast<const std::uint8_t*>(view.data)[i];
  if (view.dtype == DType::kI32) return static_cast<const std::int32_t*>(view.data)[i];
  return static_cast<const std::int64_t*>(view.data)[i];
}

std::byte* advance(void* data, DType dtype, std::int64_t elements) {
  return static_cast<std::byte*>(data) + elements * static_cast<std::int64_t>(size_of(dtype));
}

// Slot `slot` of a tensor [..., HV, V, K] or [..., HV, K, V]; the stride of the slots is given.
StatePlace slot_of(const TensorView& view, StateLayout layout, std::int64_t slot,
                   std::int64_t slot_stride) {
  const auto last = static_cast<std::size_t>(view.rank - 1);
  const bool v_first = layout == StateLayout::kVK;
  return {.data = advance(view.data, view.dtype, slot * slot_stride),
          .dtype = view.dtype,
          .head_stride = view.strides[last - 2],
          .v_stride = view.strides[v_first ? last - 1 : last],
          .k_stride = view.strides[v_first ? last : last - 1]};
}

void find_states(const Problem& p, const Tensors& t, std::int64_t n, SequencePlaces& s) {
  if (p.state.storage == StateStorage::kPool) {
    const std::int64_t slot = read_int(*t.state_indices, n);
    if (slot >= 0) {
      s.final = slot_of(*t.state_pool, p.state.layout, slot, t.state_pool->strides[0]);
    }
    s.initial = s.final;
  } else {
    if (t.initial_state) {
      s.initial = slot_of(*t.initial_state, p.state.layout, n, t.initial_state->strides[0]);
    }
    if (t.final_state) {
      s.final = slot_of(*t.final_state, p.state.layout, n, t.final_state->strides[0]);
    }
  }
  if (t.has_initial_state && read_int(*t.has_initial_state, n) == 0) s.initial = {};
}

// Row `row` of the destination, or the slot that checkpoint_slots names for it.
StatePlace checkpoint_row(const Problem& p, const Tensors& t, std::int64_t row) {
  const TensorView& view = *t.checkpoints;
  if (p.checkpoints.destination == StateStorage::kPool) {
    const std::int64_t slot = read_int(*t.checkpoint_slots, row);
    return slot < 0 ? StatePlace{} : slot_of(view, p.state.layout, slot, view.strides[0]);
  }
  if (p.checkpoints.kind == CheckpointKind::kEvery) {
    return slot_of(view, p.state.layout, row, view.strides[0]);
  }
  const std::int64_t n = row / p.checkpoints.max_offsets;
  StatePlace place = slot_of(view, p.state.layout, n, view.strides[0]);
  place.data = advance(place.data, place.dtype, row % p.checkpoints.max_offsets * view.strides[1]);
  return place;
}

}  // namespace

void* StatePlace::address(std::int64_t v_head, std::int64_t k, std::int64_t v) const {
  return advance(data, dtype, v_head * head_stride + v * v_stride + k * k_stride);
}

double StatePlace::read(std::int64_t v_head, std::int64_t k, std::int64_t v) const {
  return reference::load_element(address(v_head, k, v), dtype, 0);
}

std::vector<SequencePlaces> find_places(const Problem& p, const Tensors& t) {
  std::vector<SequencePlaces> all(static_cast<std::size_t>(p.sequences()));
  std::int64_t every_row = 0;
  for (std::int64_t n = 0; n < p.sequences(); ++n) {
    SequencePlaces& s = all[static_cast<std::size_t>(n)];
    s.batch_row = p.is_varlen() ? 0 : n;
    s.bos = p.is_varlen() ? read_int(*t.cu_seqlens, n) : 0;
    s.length = p.is_varlen() ? read_int(*t.cu_seqlens, n + 1) - s.bos : p.tokens;
    find_states(p, t, n, s);
    if (p.checkpoints.kind == CheckpointKind::kEvery) {
      for (std::int64_t i = 1; i <= s.length / p.checkpoints.every; ++i) {
        s.checkpoints.push_back({i * p.checkpoints.every, checkpoint_row(p, t, every_row++)});
      }
    } else if (p.checkpoints.kind == CheckpointKind::kOffsets) {
      for (std::int64_t c = 0; c < p.checkpoints.max_offsets; ++c) {
        const std::int64_t row = n * p.checkpoints.max_offsets + c;
        const std::int64_t offset = read_int(*t.checkpoint_offsets, row);
        if (offset > 0) s.checkpoints.push_back({offset, checkpoint_row(p, t, row)});
      }
    }
  }
  return all;
}

double read_token(const TensorView& view, std::int64_t b, std::int64_t t, std::int64_t h,
                  std::int64_t c) {
  const std::int64_t last = view.rank == 4 ? c * view.strides[3] : 0;
  return reference::load_element(view.data, view.dtype,
                                 reference::offset_of_row(view, b, t, h) + last);
}

}  // namespace flash_kda::verification
