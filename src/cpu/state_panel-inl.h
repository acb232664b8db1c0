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

// Blocks of 8 x 8 keep both sides of the transposition within a few cache lines.
constexpr int kTransposeBlock = 8;

HWY_INLINE void rows_to_panel(const float* rows, std::int64_t pitch, int num_v, int num_k,
                              int num_k_padded, float* panel) {
  if (num_v < kPanelWidth || num_k < num_k_padded) {
    std::memset(panel, 0, sizeof(float) * static_cast<std::size_t>(num_k_padded) * kPanelWidth);
  }
  for (int k0 = 0; k0 < num_k; k0 += kTransposeBlock) {
    const int k_end = k0 + kTransposeBlock < num_k ? k0 + kTransposeBlock : num_k;
    for (int v0 = 0; v0 < num_v; v0 += kTransposeBlock) {
      const int v_end = v0 + kTransposeBlock < num_v ? v0 + kTransposeBlock : num_v;
      for (int k = k0; k < k_end; ++k) {
        for (int v = v0; v < v_end; ++v) panel[k * kPanelWidth + v] = rows[v * pitch + k];
      }
    }
  }
}

HWY_INLINE void panel_to_rows(const float* panel, int num_v, int num_k, float* rows,
                              std::int64_t pitch) {
  for (int k0 = 0; k0 < num_k; k0 += kTransposeBlock) {
    const int k_end = k0 + kTransposeBlock < num_k ? k0 + kTransposeBlock : num_k;
    for (int v = 0; v < num_v; ++v) {
      for (int k = k0; k < k_end; ++k) rows[v * pitch + k] = panel[k * kPanelWidth + v];
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif
