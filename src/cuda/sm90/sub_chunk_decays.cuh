// The exponentials of E4 for a sub-chunk of 16 tokens and 16 channels, GateForm::kGeneral.
#pragma once

#include "cuda/sm90/decays.cuh"

namespace flash_kda::cuda::sm90 {

// Decay factors of a sub-chunk; r is its 8th token. In fp32, so that what they multiply is rounded
// once: rounded before, for 28 instructions of 778 less, they made errors of outputs up to 1.16
// times those of the two kernels. Norm factors are applied elsewhere, in fp32 too: a rounded one
// would be the same error in all channels of a row.
struct Decays {
  float up[8];     // 2^(G_i - G_r), of the elements of packed pairs 0 to 3
  float down[8];   // 2^(G_r - G_i)
  float start[4];  // 2^G_r of channels 2 t, 2 t + 1, 8 + 2 t, 9 + 2 t
  float end[4];    // 2^(G_15 - G_r)
  float total[4];  // 2^G_15
};

__device__ __forceinline__ void apply_exponentials(const float (&sum)[8], Decays& d) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const float* s = sum + 4 * h;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float reference = from_last_quad(lane_index(), s[i]);
      d.start[2 * h + i] = exp2_approx(reference);
      d.end[2 * h + i] = exp2_approx(from_last_quad(lane_index(), s[2 + i]) - reference);
      d.total[2 * h + i] = d.start[2 * h + i] * d.end[2 * h + i];
#pragma unroll
      for (int j = i; j < 4; j += 2) {
        d.up[4 * h + j] = exp2_approx(s[j] - reference);
        d.down[4 * h + j] = exp2_approx(reference - s[j]);
      }
    }
  }
}

// Rows of keys or queries as they see r and the start of the sub-chunk, each rounded once.
__device__ __forceinline__ void look_ahead(const std::uint32_t (&x)[4], const Decays& d,
                                           std::uint32_t (&up)[4], std::uint32_t (&gamma)[4]) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int h = 2 * (r / 2);
    const float left = low_bf16(x[r]) * d.up[2 * r];
    const float right = high_bf16(x[r]) * d.up[2 * r + 1];
    up[r] = pack_bf16(left, right);
    gamma[r] = pack_bf16(left * d.start[h], right * d.start[h + 1]);
  }
}

// Rows of the second sub-chunk as they see the start of the first, which decays by `before`,
// rounded once. From left to right: start * before alone may underflow where up is large.
__device__ __forceinline__ void look_ahead_from(const std::uint32_t (&x)[4], const Decays& d,
                                                const float (&before)[4],
                                                std::uint32_t (&gamma)[4]) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int h = 2 * (r / 2);
    gamma[r] = pack_bf16(low_bf16(x[r]) * d.up[2 * r] * d.start[h] * before[h],
                         high_bf16(x[r]) * d.up[2 * r + 1] * d.start[h + 1] * before[h + 1]);
  }
}

// Keys seen from r and from the end of the sub-chunk, each rounded once: the diagonal of the scores
// and the newest rows of the state carry these roundings undiminished.
__device__ __forceinline__ void look_back(const std::uint32_t (&k)[4], const Decays& d,
                                          std::uint32_t (&k_down)[4],
                                          std::uint32_t (&k_to_end)[4]) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int h = 2 * (r / 2);
    const float x = low_bf16(k[r]) * d.down[2 * r];
    const float y = high_bf16(k[r]) * d.down[2 * r + 1];
    k_down[r] = pack_bf16(x, y);
    k_to_end[r] = pack_bf16(x * d.end[h], y * d.end[h + 1]);
  }
}

// Keys of the first sub-chunk as seen from the end of the second, rounded once; from left to right,
// as above.
__device__ __forceinline__ void see_from_end(std::uint32_t (&seen)[4], const std::uint32_t (&k)[4],
                                             const Decays& d, const float (&later)[4]) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int h = 2 * (r / 2);
    seen[r] = pack_bf16(low_bf16(k[r]) * d.down[2 * r] * d.end[h] * later[h],
                        high_bf16(k[r]) * d.down[2 * r + 1] * d.end[h + 1] * later[h + 1]);
  }
}

}  // namespace flash_kda::cuda::sm90
