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

// Rows times a factor of each element, and times one of each channel too; each rounded once.
__device__ __forceinline__ void scale_rows(const std::uint32_t (&x)[4], const float (&element)[8],
                                           const float (&channel)[4], std::uint32_t (&near)[4],
                                           std::uint32_t (&far)[4]) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int h = 2 * (r / 2);
    const float left = low_bf16(x[r]) * element[2 * r];
    const float right = high_bf16(x[r]) * element[2 * r + 1];
    near[r] = pack_bf16(left, right);
    far[r] = pack_bf16(left * channel[h], right * channel[h + 1]);
  }
}

// Rows times a factor of each element and two of each channel, rounded once. From left to right:
// the factors of a channel alone may underflow where those of its elements are large.
__device__ __forceinline__ void scale_rows_further(const std::uint32_t (&x)[4],
                                                   const float (&element)[8],
                                                   const float (&channel)[4],
                                                   const float (&further)[4],
                                                   std::uint32_t (&scaled)[4]) {
#pragma unroll
  for (int r = 0; r < 4; ++r) {
    const int h = 2 * (r / 2);
    scaled[r] = pack_bf16(low_bf16(x[r]) * element[2 * r] * channel[h] * further[h],
                          high_bf16(x[r]) * element[2 * r + 1] * channel[h + 1] * further[h + 1]);
  }
}

// Rows of keys or queries as they see r and the start of the sub-chunk.
__device__ __forceinline__ void look_ahead(const std::uint32_t (&x)[4], const Decays& d,
                                           std::uint32_t (&up)[4], std::uint32_t (&gamma)[4]) {
  scale_rows(x, d.up, d.start, up, gamma);
}

// Rows of the second sub-chunk as they see the start of the first, which decays by `before`.
__device__ __forceinline__ void look_ahead_from(const std::uint32_t (&x)[4], const Decays& d,
                                                const float (&before)[4],
                                                std::uint32_t (&gamma)[4]) {
  scale_rows_further(x, d.up, d.start, before, gamma);
}

// Keys seen from r and from the end of the sub-chunk: the diagonal of the scores and the newest
// rows of the state carry these roundings undiminished.
__device__ __forceinline__ void look_back(const std::uint32_t (&k)[4], const Decays& d,
                                          std::uint32_t (&k_down)[4],
                                          std::uint32_t (&k_to_end)[4]) {
  scale_rows(k, d.down, d.end, k_down, k_to_end);
}

// Keys of the first sub-chunk as seen from the end of the second.
__device__ __forceinline__ void see_from_end(std::uint32_t (&seen)[4], const std::uint32_t (&k)[4],
                                             const Decays& d, const float (&later)[4]) {
  scale_rows_further(k, d.down, d.end, later, seen);
}

}  // namespace flash_kda::cuda::sm90
