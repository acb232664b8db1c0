// E2, E3 and the exponentials of E4 for 16 tokens and 16 channels, in the registers of a warp.
//
// Fragments are those of mma.sync: lane l holds, of each 8-channel block h, tokens l / 4 and l / 4
// + 8 at channels 2 (l % 4) and the next. Packed pair r stands for token half r % 2 and block r /
// 2, as in a left operand.
#pragma once

#include "cuda/sm90/pieces.cuh"
#include "cuda/sm90/ptx.cuh"
#include "cuda/two_kernel/gates.cuh"

namespace flash_kda::cuda::sm90 {

// kGeneral: the log2 decays of tokens from what the caller has, floored.
struct GeneralGate {
  GateHead head;

  __device__ __forceinline__ GeneralGate(const TokenInputs& in, int index)
      : head(make_gate_head(in, index)) {}
  __device__ __forceinline__ float activate(float g_raw, float dt_bias) const {
    return floor_decay(activate_gate(head, g_raw + dt_bias));
  }
};

// kBounded: decays in units of the lower bound, that is sigmoids of logits, in [0, 1].
struct BoundedGate {
  float slope;  // of the exponent inside the sigmoid, base 2

  // Never 0, so that a logit of -infinity is an open gate for any head.
  __device__ __forceinline__ BoundedGate(const TokenInputs& in, int index)
      : slope(-kLog2e * fmaxf(make_gate_head(in, index).slope, 0x1p-100f)) {}
  __device__ __forceinline__ explicit BoundedGate(float slope) : slope(slope) {}
  // What is kept of dt_bias.
  __device__ __forceinline__ float bias(float dt_bias) const { return slope * dt_bias; }
  __device__ __forceinline__ float activate(float g_raw, float bias) const {
    return reciprocal_approx(1.0f + exp2_approx(fmaf(g_raw, slope, bias)));
  }
  // Bits of a decay of 1.
  static __device__ __forceinline__ float unit(const TokenInputs& in) {
    return in.gate.lower_bound * kLog2e;
  }
};

// Lower triangle of ones, diagonal included: as a left operand it sums along the tokens.
__device__ __forceinline__ void make_lower_ones(std::uint32_t (&ones)[4]) {
  const int lane = lane_index();
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int row = lane / 4 + 8 * (r % 2);
    const int column = 2 * (lane % 4) + 8 * (r / 2);
    ones[r] = (column <= row ? 0x3c00u : 0u) | (column + 1 <= row ? 0x3c000000u : 0u);
  }
}

// `tiles`: g_raw of 16 tokens and channels, transposed. sum[4 h ..]: inclusive sums along the
// tokens, back in token-major fragments: the product transposes and adds at once.
__device__ __forceinline__ void cumsum_decay(const GeneralGate& gate,
                                             const std::uint32_t (&ones)[4],
                                             const std::uint32_t (&tiles)[4],
                                             std::uint32_t bias_address, float (&sum)[8]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const float bias = load_shared(bias_address + 4 * (8 * h + lane_index() / 4));
    const float x0 = gate.activate(low_bf16(tiles[2 * h]), bias);
    const float x1 = gate.activate(high_bf16(tiles[2 * h]), bias);
    const float x2 = gate.activate(low_bf16(tiles[2 * h + 1]), bias);
    const float x3 = gate.activate(high_bf16(tiles[2 * h + 1]), bias);
    multiply_f16(sum + 4 * h, ones, pack_f16(x0, x1), pack_f16(x2, x3));
  }
}

// What quad row 7 of the warp holds: token 7 or 15 of each of the lane's channels.
__device__ __forceinline__ float from_last_quad(int lane, float x) {
  return __shfl_sync(0xffffffffu, x, 28 + lane % 4);
}

}  // namespace flash_kda::cuda::sm90
