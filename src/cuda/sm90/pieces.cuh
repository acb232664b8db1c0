// The list of work once more, cut at checkpoints.
//
// A sequence is computed on the same chunk grid whatever is kept of it, so that a checkpoint
// changes no other result. On the grid it is the state after a chunk. Off the grid the chunk is
// computed twice: its first tokens for the checkpoint, from a copy of the state and without
// outputs, as the tail of a sequence that ends there; then whole.
#pragma once

#include "cuda/sm90/work.cuh"
#include "cuda/two_kernel/checkpoints.cuh"

namespace flash_kda::cuda::sm90 {

// How far an item is, in tokens of its sequence.
struct Progress {
  std::int32_t from;  // state and outputs are final up to here, a multiple of kChunk
  std::int32_t kept;  // checkpoints are stored up to here
  std::int32_t due;   // the checkpoint after the piece just begun; 0: none
  // Of the recurrence: number of the first chunk after the piece, among all that this block sees.
  std::uint32_t end;
};

// Where a warp of the recurrence has it: in registers it would spill. Written by one lane.
__device__ __forceinline__ volatile Progress& block_progress() {
  const int warp = recurrence_thread() / 32;
  return *reinterpret_cast<volatile Progress*>(shared_block + SharedPlan::kProgress + 16 * warp);
}
__device__ __forceinline__ Progress load_progress() {
  const volatile Progress& at = block_progress();
  return {at.from, at.kept, at.due, at.end};
}
__device__ __forceinline__ void store_progress(const Progress& at) {
  __syncwarp();  // every lane has read what this replaces
  if (fresh_lane() == 0) {
    volatile Progress& to = block_progress();
    to.from = at.from;
    to.kept = at.kept;
    to.due = at.due;
    to.end = at.end;
  }
  __syncwarp();
}

// Another block keeps what lies in a replay.
__device__ __forceinline__ Progress begin_progress(const WorkItem& item) {
  return {item.begin, item.begin + item.replay * kChunk, 0, 0};
}

__device__ __forceinline__ bool is_complete(const WorkItem& item, const Progress& at) {
  return at.from == item.begin + item.length;
}

// After a piece: whether it was the detour to a checkpoint off the grid.
__device__ __forceinline__ bool is_detour(const Progress& at) { return at.kept > at.from; }

// The first checkpoint of sequence n after token `kept`, or `end` if none comes before. By a warp.
__device__ __forceinline__ std::int32_t next_checkpoint(const CheckpointParams& checkpoints,
                                                        std::int32_t n, std::int32_t kept,
                                                        std::int32_t end) {
  if (checkpoints.kind == CheckpointKind::kEvery) {
    const std::int64_t next = (std::int64_t{kept} / checkpoints.every + 1) * checkpoints.every;
    return next < end ? static_cast<std::int32_t>(next) : end;
  }
  std::int32_t next = end;
  for (std::int32_t e = fresh_lane(); e < checkpoints.max_offsets; e += 32) {
    const std::int32_t offset = checkpoint_offset(checkpoints, end, n, e);
    if (offset > kept && offset < next) next = offset;
  }
  return __reduce_min_sync(0xffffffffu, next);
}

// The next piece of an incomplete item, and the progress that it makes. By a warp.
__device__ __forceinline__ WorkItem next_piece(const FusedParams& p, const WorkItem& item,
                                               Progress& at) {
  const std::int32_t end = item.begin + item.length;
  const std::int32_t stop = next_checkpoint(p.checkpoints, item.n, at.kept, end);
  const std::int32_t on_grid = stop == end ? end : stop / kChunk * kChunk;
  WorkItem piece = item;
  piece.begin = at.from;
  piece.first += at.from - item.begin;
  if (on_grid > at.from) {
    piece.length = on_grid - at.from;
    const std::int32_t replayed = item.replay - (at.from - item.begin) / kChunk;
    piece.replay = replayed > 0 ? replayed : 0;
    at.from = on_grid;
    at.due = on_grid > at.kept ? on_grid : 0;
  } else {
    piece.length = stop - at.from;
    piece.replay = 1;
    at.due = stop;
  }
  if (at.due != 0) at.kept = at.due;
  return piece;
}

// Calls visit(piece) for every piece of work of this block, the same in every role.
template <Keeps kKeeps, typename Visit>
__device__ __forceinline__ void for_items(const FusedParams& p, const std::uint16_t* order,
                                          Visit visit) {
  for_rounds([&](int round) {
    if constexpr (kKeeps == Keeps::kFinalState) {
      visit(make_item(p, order, round));
    } else {
      Progress at = begin_progress(make_item(p, order, round));
      for (;;) {
        // Looked up again: kept through the visit, it would spill.
        const WorkItem item = make_item(p, order, round);
        if (is_complete(item, at)) break;
        visit(next_piece(p, item, at));
      }
    }
  });
}

// Calls visit(place) for every place that wants the state after `due` tokens, if any. By a warp.
template <typename Visit>
__device__ __forceinline__ void for_places(const FusedParams& p, const WorkItem& item,
                                           std::int32_t due, Visit visit) {
  if (due == 0) return;
  const CheckpointParams& checkpoints = p.checkpoints;
  const auto place = [&](std::int32_t e) {
    return checkpoint_place(p.sequences, checkpoints, item.n, e, item.head);
  };
  if (checkpoints.kind == CheckpointKind::kEvery) {
    if (due % checkpoints.every == 0) visit(place(due / checkpoints.every - 1));
    return;
  }
  for (std::int32_t first = 0; first < checkpoints.max_offsets; first += 32) {
    const std::int32_t mine = first + fresh_lane();
    const bool is_here =
        mine < checkpoints.max_offsets && checkpoint_offset(checkpoints, due, item.n, mine) == due;
    for (std::uint32_t left = __ballot_sync(0xffffffffu, is_here); left != 0; left &= left - 1) {
      visit(place(first + __ffs(static_cast<int>(left)) - 1));
    }
  }
}

}  // namespace flash_kda::cuda::sm90
