// The warp that computes what a chunk needs once per token (E1, beta), and blanks the rows of a
// tail that belong to nobody.
#pragma once

#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/smem_plan.cuh"
#include "cuda/sm90/work.cuh"
#include "cuda/two_kernel/gates.cuh"

namespace flash_kda::cuda::sm90 {

// A gate logit whose decay is 1: padded tokens must not exist.
__device__ __forceinline__ std::uint32_t open_gate_pair(GateKind kind) {
  return kind == GateKind::kLog ? 0u : 0xff80ff80u;  // 0, or -infinity
}

__device__ __forceinline__ void blank_rows(std::uint32_t stage, int tokens, GateKind kind) {
  const int lane = lane_index();
  const std::uint32_t at = (lane / 8 % 2) * kHalfTile + (lane % 8) * 16;
  const std::uint32_t gate = open_gate_pair(kind);
  // Lanes 0-15 take k and g, lanes 16-31 q and v.
  const std::uint32_t first = lane < 16 ? StagePlan::kKeys : StagePlan::kQuery;
  const std::uint32_t second = lane < 16 ? StagePlan::kGate : StagePlan::kValue;
  const std::uint32_t fill = lane < 16 ? gate : 0u;
  for (int row = tokens; row < kChunk; ++row) {
    store_shared_bits(stage + first + at + row * 128, {0, 0, 0, 0});
    store_shared_bits(stage + second + at + row * 128, {fill, fill, fill, fill});
  }
}

// Sums of squares of 16 rows of a token tile, as the diagonal of X X^T; row r to sums + 4 r.
__device__ __forceinline__ void sum_squares(std::uint32_t tile, int first_row, std::uint32_t sums) {
  const int lane = lane_index();
  float left[4] = {};
  float right[4] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      std::uint32_t x[4];
      load_tiles(
          x, tile + half * kHalfTile + token_piece(first_row + lane % 16, 2 * step + lane / 16));
      multiply_add_bf16(left, x, x[0], x[2]);
      multiply_add_bf16(right, x, x[1], x[3]);
    }
  }
  const int r = lane / 4;
  if (lane % 4 == r / 2) {
    store_shared(sums + 4 * r, r % 2 == 0 ? left[0] : left[1]);
    store_shared(sums + 4 * (r + 8), r % 2 == 0 ? right[2] : right[3]);
  }
}

__device__ __forceinline__ void run_scalars(const FusedParams& p, std::uint32_t shared) {
  const int row = lane_index();
  std::uint32_t count = 0;
  for_items(p, block_order(), [&](const WorkItem& item) {
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<kStages> turn(count);
      const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
      const int tokens = item.tokens(c);
      const int token = item.first + c * kChunk + row;
      const float beta =
          row < tokens ? load_beta(p.inputs, item.batch_row, token, item.head) : 0.0f;

      wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
      if (tokens < kChunk) {
        blank_rows(stage, tokens, p.inputs.gate.kind);
        __syncwarp();
      }
      float norm = 1.0f;
      float length = 1.0f;
      float out_scale = p.inputs.scale;
      if (p.inputs.qk_norm == QkNorm::kL2) {
        // The places of the results hold the sums first.
#pragma unroll
        for (int sub = 0; sub < kChunk; sub += kSub) {
          sum_squares(stage + StagePlan::kKeys, sub, stage + StagePlan::kNorm + 4 * sub);
          sum_squares(stage + StagePlan::kQuery, sub, stage + StagePlan::kOutScale + 4 * sub);
        }
        __syncwarp();
        const float of_k = load_shared(stage + StagePlan::kNorm + 4 * row) + 1e-6f;
        const float of_q = load_shared(stage + StagePlan::kOutScale + 4 * row) + 1e-6f;
        norm = rsqrt_approx(of_k);
        length = of_k * norm;
        out_scale *= rsqrt_approx(of_q);
        __syncwarp();
      }
      store_shared(stage + StagePlan::kNorm + 4 * row, norm);
      store_shared(stage + StagePlan::kLength + 4 * row, length);
      store_shared(stage + StagePlan::kBeta + 4 * row, beta * norm);
      store_shared(stage + StagePlan::kOutScale + 4 * row, out_scale);
      publish_to_async_proxy();  // blanked rows lie where TMA will write again
      warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
    }
  });
}

}  // namespace flash_kda::cuda::sm90
