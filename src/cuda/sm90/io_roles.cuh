// The warp that moves tokens: loads into the stages, stores of finished outputs.
#pragma once

#include "cuda/sm90/pieces.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/rehearsal.cuh"
#include "cuda/sm90/smem_plan.cuh"
#include "cuda/two_kernel/row_io.cuh"

namespace flash_kda::cuda::sm90 {

// Eight neighbouring bf16 values of a row, whatever its alignment.
__device__ __forceinline__ uint4 load_piece(const RowTensor& tensor, std::int64_t at) {
  const uint2 low = load_quad(tensor, at);
  const uint2 high = load_quad(tensor, at + 4);
  return {low.x, low.y, high.x, high.y};
}

// The rows of a chunk that exist, element by element, in the layout that TMA gives them.
__device__ __forceinline__ void load_rows(const RowTensor& tensor, const BoxPlace& at, int tokens,
                                          std::uint32_t tile, std::uint32_t half_pitch) {
  const int lane = lane_index();
  for (int row = lane / 16; row < tokens; row += 2) {
    const int piece = lane % 16;
    const std::int64_t from = row_start(tensor, at.batch_row, at.token + row, at.head) + piece * 8;
    store_shared_bits(tile + (piece / 8) * half_pitch + token_piece(row, piece % 8),
                      load_piece(tensor, from));
  }
}

// Where the outputs of a chunk go; `tokens` is 0 if another block writes them.
struct OutPlace {
  BoxPlace at;
  std::int32_t tokens;
};
__device__ __forceinline__ OutPlace& out_place(std::uint32_t slot) {
  static_assert(sizeof(OutPlace) == 16);
  return reinterpret_cast<OutPlace*>(shared_block + SharedPlan::kOutPlace)[slot];
}

// Where a chunk lies in v, g and out, and in q and k.
struct ChunkPlace {
  BoxPlace of_v;
  BoxPlace of_qk;

  __device__ __forceinline__ ChunkPlace(const FusedParams& p, const WorkItem& item, int c)
      : of_v{item.first + c * kChunk, item.head, item.batch_row},
        of_qk{of_v.token, item.head / p.inputs.heads_per_qk_head, item.batch_row} {}
};

// k, q and g of a chunk: by one thread, or row by row.
__device__ __forceinline__ void load_boxes(const FusedParams& p, const ChunkPlace& at,
                                           std::uint32_t stage, std::uint32_t raw) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint32_t to = stage + half * kPairedHalf;
    load_box(to + StagePlan::kKeys, p.k_map, at.of_qk, half, raw);
    load_box(to + StagePlan::kQuery, p.q_map, at.of_qk, half, raw);
  }
  load_box(stage + StagePlan::kGate, p.g_map, at.of_v, 0, raw);
}
__device__ __forceinline__ void load_all_rows(const FusedParams& p, const ChunkPlace& at,
                                              int tokens, std::uint32_t stage) {
  load_rows(p.inputs.k, at.of_qk, tokens, stage + StagePlan::kKeys, kPairedHalf);
  load_rows(p.inputs.q, at.of_qk, tokens, stage + StagePlan::kQuery, kPairedHalf);
  load_rows(p.inputs.g, at.of_v, tokens, stage + StagePlan::kGate, kHalfTile);
}

// Zeros for the rows of a chunk that exist.
__device__ __forceinline__ void clear_rows(int tokens, std::uint32_t tile) {
  const int lane = lane_index();
  for (int row = lane / 16; row < tokens; row += 2) {
    store_shared_bits(tile + lane % 16 / 8 * kHalfTile + token_piece(row, lane % 8), {0, 0, 0, 0});
  }
}

template <Work kWork>
__device__ __forceinline__ void load_chunk(const FusedParams& p, const WorkItem& item, int c,
                                           std::uint32_t stage, std::uint32_t raw) {
  const ChunkPlace at(p, item, c);
  const bool has_values = kWork == Work::kShares || item.sink != Sink::kMap;
  if (p.loads == Transfer::kBox) {
    if (is_leader()) {
      arrive_expecting_at(raw, StagePlan::kRawBytes);
      load_boxes(p, at, stage, raw);
      BoxPlace of_v = at.of_v;
      if (!has_values) of_v.token = -kChunk;  // outside the tensor, where TMA reads zeros
      load_box(stage + StagePlan::kValue, p.v_map, of_v, 0, raw);
    }
  } else {
    load_all_rows(p, at, item.tokens(c), stage);
    if (has_values) {
      load_rows(p.v, at.of_v, item.tokens(c), stage + StagePlan::kValue, kHalfTile);
    } else {
      clear_rows(item.tokens(c), stage + StagePlan::kValue);
    }
    warp_arrive(raw);
  }
}

// A box would overwrite what follows the sequence, so the rows of a tail leave one by one.
__device__ __forceinline__ void store_rows(const RowTensor& tensor, const BoxPlace& at, int tokens,
                                           std::uint32_t tile) {
  const int lane = lane_index();
  for (int row = lane / 16; row < tokens; row += 2) {
    const int piece = lane % 16;
    const uint4 bits =
        load_shared_bits(tile + (piece / 8) * kHalfTile + token_piece(row, piece % 8));
    const std::int64_t to = row_start(tensor, at.batch_row, at.token + row, at.head) + piece * 8;
    store_quad(tensor, to, {bits.x, bits.y});
    store_quad(tensor, to + 4, {bits.z, bits.w});
  }
}

// Outputs of chunk `count`.
__device__ __forceinline__ void store_chunk(const FusedParams& p, std::uint32_t shared,
                                            std::uint32_t count, const OutPlace& place) {
  const Turn<2> turn(count);
  const std::uint32_t tile = shared + SharedPlan::kOut + turn.slot * kTokenTile;
  wait_at(shared + SharedPlan::kOutFull + 8 * turn.slot, turn.parity);
  if (place.tokens == kChunk && p.stores == Transfer::kBox) {
    if (is_leader()) {
      store_box(p.out_map, place.at, 0, tile);
      commit_stores();
      wait_stores_read();
    }
  } else {
    store_rows(p.out, place.at, place.tokens, tile);
  }
  warp_arrive(shared + SharedPlan::kOutEmpty + 8 * turn.slot);
}

// The recurrence gives back a stage and hands out outputs at the same moment, so one warp waits for
// both: it refills the stage, then sends the outputs of the chunk that was there.
template <GateForm kForm, Keeps kKeeps, Work kWork = Work::kShares>
__device__ __forceinline__ void run_transfers(const FusedParams& p, std::uint32_t shared) {
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
#pragma unroll 1
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<kStages> turn(count);
      if (kRehearses<kForm, kKeeps> && count == kFirstRehearsedStage) {
        wait_at(shared + SharedPlan::kRehearsed, 0);
      }
      wait_at(shared + SharedPlan::kEmpty + 8 * turn.slot, turn.parity ^ 1);
      load_chunk<kWork>(p, item, c, shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes,
                        shared + SharedPlan::kRaw + 8 * turn.slot);
      OutPlace done = {};
      if (count >= kStages) done = out_place(turn.slot);
      __syncwarp();
      if (lane_index() == 0) {
        out_place(turn.slot) = {{item.first + c * kChunk, item.head, item.batch_row},
                                c < item.replay ? 0 : item.tokens(c)};
      }
      __syncwarp();
      if (count >= kStages) store_chunk(p, shared, count - kStages, done);
    }
  });
  const std::uint32_t first = count < kStages ? 0 : count - kStages;
#pragma unroll 1
  for (std::uint32_t i = first; i < count; ++i) {
    store_chunk(p, shared, i, out_place(Turn<kStages>(i).slot));
  }
  if (is_leader()) wait_stores();
  if (p.handover.unproven == nullptr) return;
  // For kernels that do not wait for this one (begin_chains).
  if (block_share().rounds > 0) {
    wait_at(shared + SharedPlan::kWritten, 0);
  }
  if (lane_index() == 0) add_release(p.handover.ended, 1);
}

}  // namespace flash_kda::cuda::sm90
