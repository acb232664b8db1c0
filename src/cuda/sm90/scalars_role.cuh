// What a chunk needs once per token: beta and the norm of the query (E1); 16 tokens a warp. Rows of
// a tail that belong to nobody are blanked.
#pragma once

#include "cuda/sm90/decays.cuh"
#include "cuda/sm90/pieces.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/sm90/rehearsal.cuh"
#include "cuda/sm90/smem_plan.cuh"

namespace flash_kda::cuda::sm90 {

// A gate logit whose decay is 1: padded tokens must not exist.
__device__ __forceinline__ std::uint32_t open_gate_pair(GateKind kind) {
  return kind == GateKind::kLog ? 0u : 0xff80ff80u;  // 0, or -infinity
}

// What of a stage is a chunk's own: in the split form values come by another way.
enum class StageHolds { kAll, kNoValues };

template <StageHolds kHolds>
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
    if (kHolds == StageHolds::kNoValues && lane >= 16) continue;
    store_shared_bits(stage + second + half * kHalfTile + at + row * 128, {fill, fill, fill, fill});
  }
}

// The sum of squares of a row of queries (E1), to lanes l and l + 16, each of which reads 64
// channels. `row`: of lane l % 16. Plain arithmetic, not the diagonal of Q Q^T: tensor cores belong
// to the recurrence, and a warp that shares them was the slowest role.
// kInFlight loads at a time; more would cost the instruction cache (docs/hopper_kernel.md).
template <int kInFlight>
__device__ __forceinline__ float sum_squares(int lane, std::uint32_t tile, int row) {
  const std::uint32_t at = tile + lane / 16 * kPairedHalf;
  float sum[4] = {};
#pragma unroll kInFlight
  for (int piece = 0; piece < 8; ++piece) {
    const uint4 x = load_shared_bits(at + token_piece(row, piece));
    sum[0] = fmaf(low_bf16(x.x), low_bf16(x.x), fmaf(high_bf16(x.x), high_bf16(x.x), sum[0]));
    sum[1] = fmaf(low_bf16(x.y), low_bf16(x.y), fmaf(high_bf16(x.y), high_bf16(x.y), sum[1]));
    sum[2] = fmaf(low_bf16(x.z), low_bf16(x.z), fmaf(high_bf16(x.z), high_bf16(x.z), sum[2]));
    sum[3] = fmaf(low_bf16(x.w), low_bf16(x.w), fmaf(high_bf16(x.w), high_bf16(x.w), sum[3]));
  }
  const float half = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  return half + __shfl_xor_sync(0xffffffffu, half, 16);
}

// Factors of the outputs of 16 tokens of a chunk, of which `tokens` exist. `row`: the token of
// lanes l and l + 16.
template <int kInFlight>
__device__ __forceinline__ void scale_queries(const FusedParams& p, int lane, std::uint32_t stage,
                                              int row, int tokens) {
  float out_scale = p.inputs.scale;
  // Rows past the tail are being blanked, and nobody reads their outputs.
  if (p.inputs.qk_norm == QkNorm::kL2) {
    const float of_q =
        sum_squares<kInFlight>(lane, stage + StagePlan::kQuery, min(row, tokens - 1));
    out_scale *= rsqrt_approx(of_q + 1e-6f);
  }
  if (lane < kSub) store_shared(stage + StagePlan::kOutScale + 4 * row, out_scale);
}

// Beta of a token as the caller has it, on its way: the first instruction that looks at a half
// waits for memory. Halves, so that bf16 and fp32 do not meet in one register, which would wait
// too.
struct RawBeta {
  std::uint32_t high = 0;
  std::uint32_t low = 0;  // 0 where the caller has bf16
  __device__ __forceinline__ float value() const { return __uint_as_float(high << 16 | low); }
};
// Of token `row` of a chunk.
__device__ __forceinline__ RawBeta load_raw_beta(const FusedParams& p, const WorkItem& item, int c,
                                                 int row) {
  const RowTensor& beta = p.inputs.beta;
  RawBeta raw;
  if (row >= item.tokens(c)) return raw;
  const std::int64_t at = row_start(beta, item.batch_row, item.first + c * kChunk + row, item.head);
  const auto* halves = static_cast<const std::uint16_t*>(beta.data);
  const bool is_wide = beta.dtype == DType::kF32;
  raw.high = halves[is_wide ? 2 * at + 1 : at];
  if (is_wide) raw.low = halves[2 * at];
  return raw;
}

// The gate of an item's head, of channels 2 i and 2 i + 1 for the warp's lane i: 64 channels a
// warp.
struct BoardOfHead {
  BoundedGate gate;
  float2 bias;

  __device__ __forceinline__ BoardOfHead(const TokenInputs& in, int head, int half)
      : gate(in, head) {
    const std::int64_t channel =
        static_cast<std::int64_t>(head) * kDim + 64 * half + 2 * lane_index();
    bias = {gate.bias(load_bias(in, channel)), gate.bias(load_bias(in, channel + 1))};
  }
  __device__ __forceinline__ void store(const TokenInputs& in, std::uint32_t board,
                                        int half) const {
    const int lane = fresh_lane();
    store_shared_2(board + BoardPlan::bias_of(64 * half + 2 * lane), bias.x, bias.y);
    if (half == 0 && lane == 0) {
      store_shared_2(board + BoardPlan::kSlope, gate.slope, BoundedGate::unit(in));
    }
  }
};

// Steps of one chunk, of which `tokens` exist; by the warp of sub-chunk `sub`, or for token `row`
// of lanes l and l + 16.
template <StageHolds kHolds>
__device__ __forceinline__ void blank_tail(const FusedParams& p, std::uint32_t stage, int sub,
                                           int tokens) {
  if (tokens < kChunk && sub == 1) {
    blank_rows<kHolds>(stage, tokens, p.inputs.gate.kind);
    publish_to_async_proxy();  // TMA will write there again
    __syncwarp();
  }
}
template <int kInFlight>
__device__ __forceinline__ void scale_tokens(const FusedParams& p, int lane, std::uint32_t stage,
                                             int row, int tokens, const RawBeta& raw_beta) {
  scale_queries<kInFlight>(p, lane, stage, row, tokens);
  const float beta = row < tokens
                         ? activate_beta(p.inputs.beta_form, p.inputs.beta_range, raw_beta.value())
                         : 0.0f;
  if (lane < kSub) store_shared(stage + StagePlan::kBeta + 4 * row, beta);
}

// One warp of two: the tokens of sub-chunk `sub`.
template <GateForm kForm, Keeps kKeeps>
__device__ __forceinline__ void run_scalars(const FusedParams& p, std::uint32_t shared, int sub,
                                            Pass pass = Pass::kFirst) {
  constexpr bool kBoards = kForm == GateForm::kBounded;
  std::uint32_t count = first_count<kForm, kKeeps>(kScalarsRehearsal, pass);
  for_items<kKeeps>(p, block_order(), [&](const WorkItem& item) {
    const BoardOfHead of_head(p.inputs, item.head, sub);
    RawBeta next_beta = load_raw_beta(p, item, 0, sub * kSub + lane_index() % kSub);
    for (int c = is_rehearsal(count) ? -1 : 0; c < item.chunks(); ++c, count = next_count(count)) {
      const int lane = fresh_lane();
      const int row = sub * kSub + lane % kSub;
      const Turn<kStages> turn(count);
      const std::uint32_t stage = shared + SharedPlan::kStage + turn.slot * StagePlan::kBytes;
      const int tokens = item.tokens(c);
      const RawBeta raw_beta = next_beta;
      next_beta = load_raw_beta(p, item, c + 1, row);  // on its way during this chunk

      wait_at(awaited(count, shared, SharedPlan::kRaw + 8 * turn.slot), turn.parity);
      blank_tail<StageHolds::kAll>(p, stage, sub, tokens);
      if constexpr (kBoards) {
        of_head.store(p.inputs, shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes, sub);
      }
      scale_tokens</*kInFlight=*/4>(p, lane, stage, row, tokens, raw_beta);
      warp_arrive(arrival(count, shared, SharedPlan::kNormed + 8 * turn.slot));
    }
  });
  if constexpr (kBoards) {
    // One more, which does not exist, once nobody needs the chunk before it in its stage, nor the
    // rehearsal.
    if (kRehearses<kForm, kKeeps> && count > 0) wait_at(shared + SharedPlan::kRehearsed, 0);
    const Turn<kStages> turn(count);
    wait_at(shared + SharedPlan::kEmpty + 8 * turn.slot, turn.parity ^ 1);
    if (sub == 0 && lane_index() == 0) {
      store_shared_2(
          shared + SharedPlan::kBoard + turn.slot * BoardPlan::kBytes + BoardPlan::kSlope, 0.0f,
          0.0f);
    }
    warp_arrive(shared + SharedPlan::kNormed + 8 * turn.slot);
  }
}

}  // namespace flash_kda::cuda::sm90
