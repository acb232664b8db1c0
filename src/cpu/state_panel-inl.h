// State rows [V, K] as callers hold them <-> panels [K_pad, W] as the chunked kernels use them.
// clang-format off
#if defined(FLASH_KDA_CPU_STATE_PANEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASH_KDA_CPU_STATE_PANEL_INL_H_
#undef FLASH_KDA_CPU_STATE_PANEL_INL_H_
#else
#define FLASH_KDA_CPU_STATE_PANEL_INL_H_
#endif
// clang-format on

#include "cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {

using D4 = hn::Simd<float, 4, 0>;
using V4 = hn::Vec<D4>;

// to[j * to_pitch + i] = from[i * from_pitch + j] for i, j < 4.
HWY_INLINE void transpose_4x4(const float* from, std::int64_t from_pitch, float* to,
                              std::int64_t to_pitch) {
  const D4 d;
  const hn::Repartition<double, D4> d64;
  const V4 r0 = hn::LoadU(d, from), r1 = hn::LoadU(d, from + from_pitch);
  const V4 r2 = hn::LoadU(d, from + 2 * from_pitch), r3 = hn::LoadU(d, from + 3 * from_pitch);
  const auto lo01 = hn::BitCast(d64, hn::InterleaveLower(d, r0, r1));
  const auto lo23 = hn::BitCast(d64, hn::InterleaveLower(d, r2, r3));
  const auto hi01 = hn::BitCast(d64, hn::InterleaveUpper(d, r0, r1));
  const auto hi23 = hn::BitCast(d64, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, lo01, lo23)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, lo01, lo23)), d, to + to_pitch);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, hi01, hi23)), d, to + 2 * to_pitch);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, hi01, hi23)), d, to + 3 * to_pitch);
}

// to[c * to_pitch + r] = from[r * from_pitch + c]. One element at a time this took 9 us a head
// more, 2 % of a run over 512 tokens.
HWY_INLINE void transpose(const float* from, std::int64_t from_pitch, int rows, int columns,
                          float* to, std::int64_t to_pitch) {
  for (int r = 0; r < rows; r += 4) {
    for (int c = 0; c < columns; c += 4) {
      if (r + 4 <= rows && c + 4 <= columns) {
        transpose_4x4(from + r * from_pitch + c, from_pitch, to + c * to_pitch + r, to_pitch);
        continue;
      }
      for (int i = r; i < rows && i < r + 4; ++i) {
        for (int j = c; j < columns && j < c + 4; ++j) {
          to[j * to_pitch + i] = from[i * from_pitch + j];
        }
      }
    }
  }
}

HWY_INLINE void rows_to_panel(const float* rows, std::int64_t pitch, int num_v, int num_k,
                              int num_k_padded, float* panel) {
  if (num_v < kPanelWidth || num_k < num_k_padded) {
    std::memset(panel, 0, sizeof(float) * static_cast<std::size_t>(num_k_padded) * kPanelWidth);
  }
  transpose(rows, pitch, num_v, num_k, panel, kPanelWidth);
}

HWY_INLINE void panel_to_rows(const float* panel, int num_v, int num_k, float* rows,
                              std::int64_t pitch) {
  transpose(panel, kPanelWidth, num_k, num_v, rows, pitch);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif
