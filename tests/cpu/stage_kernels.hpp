// Every stage of the CPU kernels as a function of its own, once per instruction set, for tests.
#pragma once

#include "cpu/kernels.hpp"

namespace flash_kda::cpu::testing {

struct StageKernels {
  void (*exp2)(const float* x, int count, float* y);
  void (*exp2_two_floats)(const float* x, int count, float* hi, float* lo);
  void (*load_rows)(const Rows&, std::int64_t first, int valid, int num_k, int k_pad, float* to,
                    float* sums_of_squares);
  void (*normalize_qk)(QkNorm, float factor, float* rnorm);
  void (*activate_beta)(const Rows&, const HeadParams&, std::int64_t first, int valid, float* out);
  void (*activate_gate)(const Rows&, const HeadParams&, std::int64_t first, int valid, float* alpha,
                        float* g_sum_log2);
  // score_diagonal of the four sub-blocks, then score_off_diagonal. k and q [C, K_pad] are changed
  // as those say; alpha [C, K_pad].
  void (*score)(int k_pad, float* k, float* q, const float* alpha, float* akk, float* aqk);
  void (*project_state)(const float* qk, const float* state, int k_pad, float* products);
  // delta_values, then chunk_output, over all columns of a panel.
  void (*solve)(const PreparedChunk&, float* products, float* values);
  void (*update_state)(const PreparedChunk&, const float* values, int k_pad, float* state);
};

// Null when the target has no kernels of this kind.
const StageKernels* stage_kernels_for(Target target);

}  // namespace flash_kda::cpu::testing
