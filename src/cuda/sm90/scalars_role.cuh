// What a chunk needs once per token: norms (E1) and beta. One warp does keys and beta, and blanks
// the rows of a tail that belong to nobody; the warp that loads does the queries.
#pragma once

#include "cuda/sm90/pieces.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/smem_plan.cuh"
#include "cuda/two_kernel/gates.cuh"

namespace flash_kda::cuda::sm90 {

// A gate logit whose decay is 1: padded tokens must not exist.
__device__ __forceinline__ std::uint32_t open_gate_pair(GateKind kind) {
  return kind == GateKind::kLog ? 0u : 0xff80ff80u;  // 0, or -infinity
}

__device__ __forceinline__ void blank_rows(std::uint32_t stage, int tokens, GateKind kind) {
  const int lane = lane_index();
  const std::uint32_t half = lane / 8 % 2;
  const std::uint32_t at = lane % 8 * 16;
  const std::uint32_t gate = open_gate_pair(kind);
  // Lanes 0-15 take k and g, lanes 16-31 q and v.
  const std::uint32_t first = lane < 16 ? StagePlan::kKeys : StagePlan::kQuery;
  const std::uint32_t second = lane < 16 ? StagePlan::kGate : StagePlan::kValue;
  const std::uint32_t fill = lane < 16 ? gate : 0u;
  for (int row = tokens; row < kChunk; ++row) {
    store_shared_bits(stage + first + half * kPairedHalf + at + row * 128, {0, 0, 0, 0});
    store_shared_bits(stage + second + half * kHalfTile + at + row * 128, {fill, fill, fill, fill});
  }
}

// The sum of squares of row lane_index() of keys or queries (E1). Plain arithmetic, not the
// diagonal of X X^T: tensor cores belong to the recurrence, and a warp that shares them was the
// slowest role.
__device__ __forceinline__ float sum_squares(std::uint32_t tile) {
  const std::uint32_t row = lane_index();
  float sum[4] = {};
#pragma unroll 2  // 4 loads in flight; more would cost the instruction cache
                  // (docs/hopper_kernel.md)
  for (int piece = 0; piece < 8; ++piece) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint4 x = load_shared_bits(tile + half * kPairedHalf + token_piece(row, piece));
      sum[0] = fmaf(low_bf16(x.x), low_bf16(x.x), fmaf(high_bf16(x.x), high_bf16(x.x), sum[0]));
      sum[1] = fmaf(low_bf16(x.y), low_bf16(x.y), fmaf(high_bf16(x.y), high_bf16(x.y), sum[1]));
      sum[2] = fmaf(low_bf16(x.z), low_bf16(x.z), fmaf(high_bf16(x.z), high_bf16(x.z), sum[2]));
      sum[3] = fmaf(low_bf16(x.w), low_bf16(x.w), fmaf(high_bf16(x.w), high_bf16(x.w), sum[3]));
    }
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Factors of the outputs of chunk `count`, of which `tokens` exist. Done by the warp that loads,
// one chunk after it has asked for the tiles.
__device__ __forceinline__ void scale_queries(const FusedParams& p, std::uint32_t shared,
                                              std::uint32_t count, int tokens) {
  const Turn<kStages> turn(count);
  const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
  const int row = lane_index();
  wait_at(shared + SharedPlan::kRaw + 8 * turn.slot, turn.parity);
  float out_scale = p.inputs.scale;
  // Rows past the tail are being blanked, and nobody reads their outputs.
  if (p.inputs.qk_norm == QkNorm::kL2 && row < tokens) {
    out_scale *= rsqrt_approx(sum_squares(stage + StagePlan::kQuery) + 1e-6f);
  }
  store_shared(stage + StagePlan::kOutScale + 4 * row, out_scale);
  warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
}

// beta of this lane's token of a chunk, as the caller has it.
__device__ __forceinline__ float load_raw_beta(const FusedParams& p, const WorkItem& item, int c) {
  const int row = lane_index();
  if (row >= item.tokens(c)) return 0.0f;
  return load_scalar(p.inputs.beta, row_start(p.inputs.beta, item.batch_row,
                                              item.first + c * kChunk + row, item.head));
}

template <Keeps kKeeps>
__device__ __forceinline__ void run_scalars(const FusedParams& p, std::uint32_t shared) {
  const int row = lane_index();
  std::uint32_t count = 0;
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
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
      if (p.inputs.qk_norm == QkNorm::kL2) {
        const float of_k = sum_squares(stage + StagePlan::kKeys) + 1e-6f;
        norm = rsqrt_approx(of_k);
        length = of_k * norm;
      }
      const float beta =
          row < tokens ? activate_beta(p.inputs.beta_form, p.inputs.beta_range, raw_beta) : 0.0f;
      store_shared(stage + StagePlan::kNorm + 4 * row, norm);
      store_shared(stage + StagePlan::kLength + 4 * row, length);
      store_shared(stage + StagePlan::kBeta + 4 * row, beta * norm);
      store_shared(stage + StagePlan::kKeyScale + 4 * row, beta * norm * norm);
      publish_to_async_proxy();  // blanked rows lie where TMA will write again
      warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
    }
  });
}

}  // namespace flash_kda::cuda::sm90
