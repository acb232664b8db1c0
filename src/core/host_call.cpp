#include "core/host_call.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "fmt/format.h"

namespace flash_kda {
namespace {

// What HostCall keeps at the head of the workspace, 8-byte words from the start.
struct HeadLayout {
  std::size_t row_base_words = 0;         // [N + 1] first checkpoint row of each sequence (kEvery)
  std::size_t state_slot_words = 0;       // one bit per slot of the state pool
  std::size_t checkpoint_slot_words = 0;  // one bit per slot of the checkpoint pool

  explicit HeadLayout(const Problem& p) {
    const auto words_of_bits = [](std::int64_t bits) {
      return static_cast<std::size_t>((bits + 63) / 64);
    };
    if (p.checkpoints.kind == CheckpointKind::kEvery) {
      row_base_words = static_cast<std::size_t>(p.sequences()) + 1;
    }
    if (p.state.storage == StateStorage::kPool)
      state_slot_words = words_of_bits(p.state.pool_slots);
    if (p.checkpoints.kind != CheckpointKind::kNone &&
        p.checkpoints.destination == StateStorage::kPool) {
      checkpoint_slot_words = words_of_bits(p.checkpoints.pool_slots);
    }
  }

  std::size_t bytes() const {
    const std::size_t words = row_base_words + state_slot_words + checkpoint_slot_words;
    constexpr std::size_t kAlign = Plan::kWorkspaceAlignment;
    return (words * sizeof(std::int64_t) + kAlign - 1) / kAlign * kAlign;
  }
};

std::int64_t read_index(const TensorView& view, std::int64_t i) {
  return view.dtype == DType::kI32 ? static_cast<const std::int32_t*>(view.data)[i]
                                   : static_cast<const std::int64_t*>(view.data)[i];
}

StateRef state_ref(const TensorView& view, StateLayout layout, std::int64_t slot,
                   std::int64_t v_head) {
  const int rank = view.rank;  // [.., HV, V, K] or [.., HV, K, V]
  const std::int64_t offset = slot * view.strides[0] + v_head * view.strides[rank - 3];
  StateRef ref{.data = static_cast<std::byte*>(view.data) +
                       offset * static_cast<std::int64_t>(size_of(view.dtype)),
               .dtype = view.dtype};
  const bool v_first = layout == StateLayout::kVK;
  ref.v_stride = view.strides[v_first ? rank - 2 : rank - 1];
  ref.k_stride = view.strides[v_first ? rank - 1 : rank - 2];
  return ref;
}

// The slots already taken, so that two writers never share one.
class SlotBitmap {
 public:
  SlotBitmap(std::uint64_t* words, std::size_t count) : words_(words) {
    if (count > 0) std::memset(words, 0, count * sizeof(std::uint64_t));
  }
  bool take(std::int64_t slot) {
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    std::uint64_t& word = words_[slot / 64];
    const bool fresh = (word & bit) == 0;
    word |= bit;
    return fresh;
  }

 private:
  std::uint64_t* words_;
};

Status take_slot(const char* name, std::int64_t i, std::int64_t slot, std::int64_t slots,
                 SlotBitmap& taken) {
  if (slot == -1) return {};
  if (slot < 0 || slot >= slots) {
    return Status::invalid_argument(
        fmt::format("{}[{}]: expected -1 or a slot below {}, got {}", name, i, slots, slot));
  }
  if (taken.take(slot)) return {};
  return Status::invalid_argument(
      fmt::format("{}[{}]: slot {} is written more than once in this call", name, i, slot));
}

Status check_cu_seqlens(const Problem& p, const TensorView& cu_seqlens) {
  std::int64_t previous = 0;
  for (std::int64_t i = 0; i <= p.sequences(); ++i) {
    const std::int64_t value = read_index(cu_seqlens, i);
    if (i == 0 && value != 0) {
      return Status::invalid_argument(fmt::format("cu_seqlens[0]: expected 0, got {}", value));
    }
    if (value < previous) {
      return Status::invalid_argument(fmt::format(
          "cu_seqlens[{}]: expected at least cu_seqlens[{}]={} (non-decreasing), got {}", i, i - 1,
          previous, value));
    }
    if (value > p.tokens) {
      return Status::invalid_argument(
          fmt::format("cu_seqlens[{}]: expected at most T={}, got {}", i, p.tokens, value));
    }
    previous = value;
  }
  return {};
}

Status check_offsets(const Problem& p, const HostCall& call, const TensorView& offsets) {
  const std::int64_t columns = p.checkpoints.max_offsets;
  for (std::int64_t n = 0; n < p.sequences(); ++n) {
    const std::int64_t length = call.sequence(n).length;
    for (std::int64_t c = 0; c < columns; ++c) {
      const std::int64_t offset = read_index(offsets, n * columns + c);
      if (offset <= length) continue;
      return Status::invalid_argument(fmt::format(
          "checkpoint_offsets[{}, {}]: expected at most the sequence's length {}, got {}", n, c,
          length, offset));
    }
  }
  return {};
}

Status check_rows(const char* name, std::int64_t got, std::int64_t rows) {
  if (got >= rows) return {};
  return Status::invalid_argument(fmt::format(
      "{}: expected at least {} rows (the sum of floor(length / every)), got {}", name, rows, got));
}

}  // namespace

std::size_t HostCall::workspace_bytes(const Problem& problem) {
  return HeadLayout(problem).bytes();
}

HostCall::HostCall(const Problem& problem, const Tensors& tensors, Workspace workspace)
    : problem_(problem), tensors_(tensors), workspace_(workspace) {}

std::byte* HostCall::backend_workspace() const {
  return static_cast<std::byte*>(workspace_.data) + HeadLayout(problem_).bytes();
}

Status HostCall::check_values(const Problem& p, const Tensors& t, Workspace workspace) {
  if (t.cu_seqlens) {
    if (Status s = check_cu_seqlens(p, *t.cu_seqlens); !s.ok()) return s;
  }
  const HostCall call(p, t, workspace);
  const HeadLayout head(p);
  auto* row_bases = static_cast<std::int64_t*>(workspace.data);
  auto* bits = reinterpret_cast<std::uint64_t*>(row_bases + head.row_base_words);
  SlotBitmap state_slots(bits, head.state_slot_words);
  SlotBitmap own_checkpoint_slots(bits + head.state_slot_words, head.checkpoint_slot_words);

  if (t.state_indices) {
    for (std::int64_t n = 0; n < p.sequences(); ++n) {
      const std::int64_t slot = read_index(*t.state_indices, n);
      if (Status s = take_slot("state_indices", n, slot, p.state.pool_slots, state_slots);
          !s.ok()) {
        return s;
      }
    }
  }

  std::int64_t rows = p.sequences() * p.checkpoints.max_offsets;
  if (p.checkpoints.kind == CheckpointKind::kEvery) {
    rows = 0;
    for (std::int64_t n = 0; n < p.sequences(); ++n) {
      row_bases[n] = rows;
      rows += call.sequence(n).length / p.checkpoints.every;
    }
    row_bases[p.sequences()] = rows;
    const bool dense = p.checkpoints.destination == StateStorage::kDense;
    const char* holder = dense ? "checkpoints" : "checkpoint_slots";
    const TensorView& view = dense ? *t.checkpoints : *t.checkpoint_slots;
    if (Status s = check_rows(holder, view.shape[0], rows); !s.ok()) return s;
  }
  if (t.checkpoint_offsets) {
    if (Status s = check_offsets(p, call, *t.checkpoint_offsets); !s.ok()) return s;
  }
  if (!t.checkpoint_slots) return {};

  // Checkpoints may go into the state pool itself; then both kinds of writers share one bitmap.
  const bool same_pool = t.state_pool && t.state_pool->data == t.checkpoints->data &&
                         p.state.pool_slots >= p.checkpoints.pool_slots;
  SlotBitmap& taken = same_pool ? state_slots : own_checkpoint_slots;
  for (std::int64_t i = 0; i < rows; ++i) {
    const bool unused = t.checkpoint_offsets && read_index(*t.checkpoint_offsets, i) <= 0;
    if (unused) continue;
    const std::int64_t slot = read_index(*t.checkpoint_slots, i);
    if (Status s = take_slot("checkpoint_slots", i, slot, p.checkpoints.pool_slots, taken);
        !s.ok()) {
      return s;
    }
  }
  return {};
}

Sequence HostCall::sequence(std::int64_t n) const {
  if (!tensors_.cu_seqlens) return {.batch_row = n, .bos = 0, .length = problem_.tokens};
  const std::int64_t bos = read_index(*tensors_.cu_seqlens, n);
  return {.batch_row = 0, .bos = bos, .length = read_index(*tensors_.cu_seqlens, n + 1) - bos};
}

StateRef HostCall::initial_state(std::int64_t n, std::int64_t v_head) const {
  if (tensors_.has_initial_state &&
      static_cast<const std::uint8_t*>(tensors_.has_initial_state->data)[n] == 0) {
    return {};
  }
  if (tensors_.initial_state) {
    return state_ref(*tensors_.initial_state, problem_.state.layout, n, v_head);
  }
  return problem_.state.storage == StateStorage::kPool ? final_state(n, v_head) : StateRef{};
}

StateRef HostCall::final_state(std::int64_t n, std::int64_t v_head) const {
  if (problem_.state.storage == StateStorage::kPool) {
    const std::int64_t slot = read_index(*tensors_.state_indices, n);
    if (slot < 0) return {};
    return state_ref(*tensors_.state_pool, problem_.state.layout, slot, v_head);
  }
  if (!tensors_.final_state) return {};
  return state_ref(*tensors_.final_state, problem_.state.layout, n, v_head);
}

std::int64_t HostCall::num_checkpoint_entries(std::int64_t n) const {
  switch (problem_.checkpoints.kind) {
    case CheckpointKind::kNone:
      return 0;
    case CheckpointKind::kEvery:
      return sequence(n).length / problem_.checkpoints.every;
    case CheckpointKind::kOffsets:
      return problem_.checkpoints.max_offsets;
  }
  return 0;
}

std::int64_t HostCall::next_checkpoint(std::int64_t n, std::int64_t after) const {
  if (problem_.checkpoints.kind == CheckpointKind::kNone) return -1;
  if (problem_.checkpoints.kind == CheckpointKind::kEvery) {
    const std::int64_t every = problem_.checkpoints.every;
    const std::int64_t entry = after < every ? 1 : after / every + 1;
    return entry <= sequence(n).length / every ? entry * every : -1;
  }
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  const std::int64_t columns = problem_.checkpoints.max_offsets;
  std::int64_t next = kNever;
  for (std::int64_t c = 0; c < columns; ++c) {
    const std::int64_t offset = read_index(*tensors_.checkpoint_offsets, n * columns + c);
    if (offset > 0 && offset > after) next = std::min(next, offset);
  }
  return next == kNever ? -1 : next;
}

StateRef HostCall::checkpoint_at(std::int64_t n, std::int64_t entry, std::int64_t offset,
                                 std::int64_t v_head) const {
  const CheckpointSpec& spec = problem_.checkpoints;
  std::int64_t row = 0;
  if (spec.kind == CheckpointKind::kEvery) {
    if ((entry + 1) * spec.every != offset) return {};
    row = static_cast<const std::int64_t*>(workspace_.data)[n] + entry;
  } else {
    row = n * spec.max_offsets + entry;
    if (offset <= 0 || read_index(*tensors_.checkpoint_offsets, row) != offset) return {};
  }
  const TensorView& view = *tensors_.checkpoints;
  if (spec.destination == StateStorage::kPool) {
    const std::int64_t slot = read_index(*tensors_.checkpoint_slots, row);
    return slot < 0 ? StateRef{} : state_ref(view, problem_.state.layout, slot, v_head);
  }
  if (spec.kind == CheckpointKind::kEvery) {
    return state_ref(view, problem_.state.layout, row, v_head);
  }
  StateRef ref = state_ref(view, problem_.state.layout, n, v_head);  // [N, max_offsets, HV, ...]
  ref.data = static_cast<std::byte*>(ref.data) +
             entry * view.strides[1] * static_cast<std::int64_t>(size_of(view.dtype));
  return ref;
}

}  // namespace flash_kda
