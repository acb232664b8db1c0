// The warps that move tokens: loads into the stages, stores of finished outputs.
#pragma once

#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/scalars_role.cuh"
#include "cuda/sm90/smem_plan.cuh"
#include "cuda/sm90/work.cuh"
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

__device__ __forceinline__ void run_load(const FusedParams& p, std::uint32_t shared) {
  std::uint32_t count = 0;
  const bool leader = lane_index() == 0;
  // The chunk before this one, whose queries are not summed yet: its tokens, or 0.
  int pending = 0;
  const auto scale_pending = [&] {
    if (pending > 0) {
      const Turn<kStages> turn(count - 1);
      wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
      scale_queries(p, shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes, 0, pending);
      warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
    }
    pending = 0;
  };
  for_items(p, block_order(), [&](const WorkItem& item) {
    const int qk_head = item.head / p.inputs.heads_per_qk_head;
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<kStages> turn(count);
      const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
      const std::uint32_t raw = shared + SharedPlan::kRaw + 8 * turn.slot;
      const BoxPlace of_qk = {item.first + c * kChunk, qk_head, item.batch_row};
      const BoxPlace of_v = {item.first + c * kChunk, item.head, item.batch_row};
      // With every stage in use the norms come first: waiting would take a stage from the pipeline.
      const std::uint32_t empty = shared + SharedPlan::kEmpty + 8 * turn.slot;
      if (!is_done_at(empty, turn.parity ^ 1)) scale_pending();
      wait_at(empty, turn.parity ^ 1);
      if (p.loads == Transfer::kBox) {
        if (leader) {
          arrive_expecting_at(raw, StagePlan::kRawBytes);
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            const std::uint32_t at = stage + half * kPairedHalf;
            load_box(at + StagePlan::kKeys, p.k_map, of_qk, half, raw);
            load_box(at + StagePlan::kQuery, p.q_map, of_qk, half, raw);
          }
          load_box(stage + StagePlan::kGate, p.g_map, of_v, 0, raw);
          load_box(stage + StagePlan::kValue, p.v_map, of_v, 0, raw);
        }
      } else {
        const int tokens = item.tokens(c);
        load_rows(p.inputs.k, of_qk, tokens, stage + StagePlan::kKeys, kPairedHalf);
        load_rows(p.inputs.q, of_qk, tokens, stage + StagePlan::kQuery, kPairedHalf);
        load_rows(p.inputs.g, of_v, tokens, stage + StagePlan::kGate, kHalfTile);
        load_rows(p.v, of_v, tokens, stage + StagePlan::kValue, kHalfTile);
        warp_arrive(raw);
      }
      __syncwarp();
      scale_pending();
      pending = item.tokens(c);
    }
  });
  scale_pending();
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

__device__ __forceinline__ void run_store(const FusedParams& p, std::uint32_t shared) {
  std::uint32_t count = 0;
  for_items(p, block_order(), [&](const WorkItem& item) {
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<2> turn(count);
      const std::uint32_t tile = shared + SharedPlan::kOut + turn.slot * kTokenTile;
      const BoxPlace at = {item.first + c * kChunk, item.head, item.batch_row};
      const int tokens = item.tokens(c);
      wait_at(shared + SharedPlan::kOutFull + 8 * turn.slot, turn.parity);
      if (c < item.replay) {
        // Another block's outputs.
      } else if (tokens == kChunk && p.stores == Transfer::kBox) {
        if (lane_index() == 0) {
          store_box(p.out_map, at, tile);
          commit_stores();
          wait_stores_read();
        }
      } else {
        store_rows(p.out, at, tokens, tile);
      }
      warp_arrive(shared + SharedPlan::kOutEmpty + 8 * turn.slot);
    }
  });
  if (lane_index() == 0) wait_stores();
}

}  // namespace flash_kda::cuda::sm90
