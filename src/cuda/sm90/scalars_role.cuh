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

// Sums of squares of the rows of a token tile, as the diagonal of X X^T; row r to sums + 4 r. The
// two blocks of 16 rows go side by side: one alone would be a chain of 8 dependent products.
__device__ __forceinline__ void sum_squares(std::uint32_t tile, std::uint32_t sums) {
  const int lane = lane_index();
  float left[2][4] = {};
  float right[2][4] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const std::uint32_t at =
          tile + half * kHalfTile + token_piece(lane % 16, 2 * step + lane / 16);
      std::uint32_t x[2][4];
#pragma unroll
      for (int sub = 0; sub < 2; ++sub) load_tiles(x[sub], at + sub * (kSub * 128));
#pragma unroll
      for (int sub = 0; sub < 2; ++sub) {
        multiply_add_bf16(left[sub], x[sub], x[sub][0], x[sub][2]);
        multiply_add_bf16(right[sub], x[sub], x[sub][1], x[sub][3]);
      }
    }
  }
  const int r = lane / 4;
  if (lane % 4 != r / 2) return;
#pragma unroll
  for (int sub = 0; sub < 2; ++sub) {
    store_shared(sums + 4 * (kSub * sub + r), r % 2 == 0 ? left[sub][0] : left[sub][1]);
    store_shared(sums + 4 * (kSub * sub + r + 8), r % 2 == 0 ? right[sub][2] : right[sub][3]);
  }
}

// beta of this lane's token of a chunk, as the caller has it.
__device__ __forceinline__ float load_raw_beta(const FusedParams& p, const WorkItem& item, int c) {
  const int row = lane_index();
  if (row >= item.tokens(c)) return 0.0f;
  return load_scalar(p.inputs.beta, row_start(p.inputs.beta, item.batch_row,
                                              item.first + c * kChunk + row, item.head));
}

__device__ __forceinline__ void run_scalars(const FusedParams& p, std::uint32_t shared) {
  const int row = lane_index();
  std::uint32_t count = 0;
  for_items(p, block_order(), [&](const WorkItem& item) {
    float next_beta = load_raw_beta(p, item, 0);
    for (int c = 0; c < item.chunks(); ++c, ++count) {
      const Turn<kStages> turn(count);
      const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
      const int tokens = item.tokens(c);
      const float raw_beta = next_beta;
      next_beta = load_raw_beta(p, item, c + 1);  // on its way during this chunk

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
        sum_squares(stage + StagePlan::kKeys, stage + StagePlan::kNorm);
        sum_squares(stage + StagePlan::kQuery, stage + StagePlan::kOutScale);
        __syncwarp();
        const float of_k = load_shared(stage + StagePlan::kNorm + 4 * row) + 1e-6f;
        const float of_q = load_shared(stage + StagePlan::kOutScale + 4 * row) + 1e-6f;
        norm = rsqrt_approx(of_k);
        length = of_k * norm;
        out_scale *= rsqrt_approx(of_q);
        __syncwarp();
      }
      const float beta =
          row < tokens ? activate_beta(p.inputs.beta_form, p.inputs.beta_range, raw_beta) : 0.0f;
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
