// Activations of the gate and of beta (E2).
#pragma once

#include "cuda/common/fast_math.cuh"
#include "cuda/two_kernel/params.hpp"
#include "cuda/two_kernel/row_io.cuh"

namespace flash_kda::cuda {

// Lowest log2 decay of a token that the chunked form uses: -9 nats. Below it the exponentials of a
// half chunk, 2^(8 * 13), would leave the range of bf16; above it they cannot. The floor changes a
// decay factor by 2^-13 at most, below the rounding of the bf16 tiles (docs/numerics.md).
inline constexpr float kDecayFloorLog2 = -9.0f * kLog2e;

// What a gate needs to know of its head, computed once per thread.
struct GateHead {
  GateKind kind;
  float slope;  // exp(A_log)
  float bound;  // lower_bound in log2 units
};

__device__ __forceinline__ GateHead make_gate_head(const TokenInputs& in, std::int64_t head) {
  const float a_log = in.A_log != nullptr ? in.A_log[head] : 0.0f;
  return {in.gate.kind, exp2_approx(kLog2e * a_log), in.gate.lower_bound * kLog2e};
}

// dt_bias of element `at` of [HV, K].
__device__ __forceinline__ float load_bias(const TokenInputs& in, std::int64_t at) {
  return in.dt_bias != nullptr ? in.dt_bias[at] : 0.0f;
}

// g_log2 of one element from g_raw + dt_bias (or from the log decay itself).
template <GateKind kKind>
__device__ __forceinline__ float activate_gate(const GateHead& head, float x) {
  if constexpr (kKind == GateKind::kLowerBound) {
    return head.bound * sigmoid_approx(head.slope * x);
  } else if constexpr (kKind == GateKind::kSoftplus) {
    // log2(1 + e^x) without overflow: the larger of 0 and x, plus a correction in [0, 1].
    const float y = kLog2e * x;
    const float softplus_log2 = fmaxf(y, 0.0f) + log2_approx(1.0f + exp2_approx(-fabsf(y)));
    return -head.slope * softplus_log2;
  } else {
    return kLog2e * x;
  }
}

__device__ __forceinline__ float activate_gate(const GateHead& head, float x) {
  switch (head.kind) {
    case GateKind::kLowerBound:
      return activate_gate<GateKind::kLowerBound>(head, x);
    case GateKind::kSoftplus:
      return activate_gate<GateKind::kSoftplus>(head, x);
    default:
      return activate_gate<GateKind::kLog>(head, x);
  }
}

// A comparison, not fmaxf, which would turn NaN into the floor.
__device__ __forceinline__ float floor_decay(float g_log2) {
  return g_log2 < kDecayFloorLog2 ? kDecayFloorLog2 : g_log2;
}

__device__ __forceinline__ float activate_beta(BetaForm form, BetaRange range, float x) {
  const float unit = form == BetaForm::kLogits ? sigmoid_approx(x) : x;
  return range == BetaRange::kDoubled ? 2.0f * unit : unit;
}

__device__ __forceinline__ float load_beta(const TokenInputs& in, std::int64_t batch_row,
                                           std::int64_t token, std::int64_t head) {
  const std::int64_t at = row_start(in.beta, batch_row, token, head);
  return activate_beta(in.beta_form, in.beta_range, load_scalar(in.beta, at));
}

}  // namespace flash_kda::cuda
