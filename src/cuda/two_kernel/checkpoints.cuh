// Which checkpoints fall into a chunk, and where they go.
#pragma once

#include <cstdint>

#include "cuda/two_kernel/sequence.cuh"
#include "cuda/two_kernel/state_io.cuh"

namespace flash_kda::cuda {

// Calls visit(e, offset) for every checkpoint e of sequence n with begin < offset <= end.
template <typename Visit>
__device__ __forceinline__ void for_checkpoints(const CheckpointParams& checkpoints, int length,
                                                std::int64_t n, int begin, int end, Visit visit) {
  if (checkpoints.kind == CheckpointKind::kEvery) {
    for (int e = begin / checkpoints.every; e < end / checkpoints.every; ++e) {
      visit(e, (e + 1) * checkpoints.every);
    }
    return;
  }
  for (int e = 0; e < checkpoints.max_offsets; ++e) {
    const int offset = checkpoint_offset(checkpoints, length, n, e);
    if (offset > begin && offset <= end) visit(e, offset);
  }
}

// Place of the shortened chunk that ends at checkpoint e of sequence n, after the chunk places.
__device__ __forceinline__ std::int64_t side_slot(const SequenceMap& map,
                                                  const CheckpointParams& checkpoints,
                                                  std::int64_t n, std::int64_t e) {
  return checkpoints.first_side_slot + (checkpoints.kind == CheckpointKind::kEvery
                                            ? every_base(map, checkpoints.every, n) + e
                                            : n * checkpoints.max_offsets + e);
}

// Destination of checkpoint e of sequence n.
__device__ __forceinline__ StatePlace checkpoint_place(const SequenceMap& map,
                                                       const CheckpointParams& checkpoints,
                                                       std::int64_t n, std::int64_t e,
                                                       std::int64_t head) {
  std::int64_t slot = n;
  std::int64_t inner = e;
  if (checkpoints.kind == CheckpointKind::kEvery) {
    slot = e + (checkpoints.row_base != nullptr ? checkpoints.row_base[n]
                                                : every_base(map, checkpoints.every, n));
    inner = 0;
  }
  if (slot >= checkpoints.rows) return no_state();
  if (checkpoints.destinations.data != nullptr) {
    slot = load_index(checkpoints.destinations, slot, inner);
    inner = 0;
  }
  if (slot < 0 || slot >= checkpoints.slots) return no_state();
  StatePlace place = place_of_state(checkpoints.states, slot, head);
  place.at += inner * checkpoints.states.inner_slot_stride;
  return place;
}

}  // namespace flash_kda::cuda
