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

// What a gate needs of its head. The sums below are in units of `unit` bits.
template <GateForm kForm>
struct Gate {
  GateHead head;
  float slope;  // kBounded: of the exponent inside the sigmoid
  float unit;

  __device__ __forceinline__ Gate(const TokenInputs& in, int index)
      : head(make_gate_head(in, index)) {
    // Never 0, so that a logit of -infinity is an open gate for any head.
    head.slope = fmaxf(head.slope, 0x1p-100f);
    slope = -kLog2e * head.slope;
    unit = kForm == GateForm::kBounded ? head.bound : 1.0f;
  }
  // What is kept of dt_bias.
  __device__ __forceinline__ float bias(float dt_bias) const {
    return kForm == GateForm::kBounded ? slope * dt_bias : dt_bias;
  }
  // Log2 decay of one token in units of `unit`: sigmoid in [0, 1], or floored bits.
  __device__ __forceinline__ float activate(float g_raw, float bias) const {
    if constexpr (kForm == GateForm::kBounded) {
      return reciprocal_approx(1.0f + exp2_approx(fmaf(g_raw, slope, bias)));
    } else {
      return floor_decay(activate_gate(head, g_raw + bias));
    }
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
template <GateForm kForm>
__device__ __forceinline__ void cumsum_decay(const Gate<kForm>& gate,
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
