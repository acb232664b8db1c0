#include "cpu/stage_kernels.hpp"

#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/stage_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON

#include "cpu/panel-inl.h"
#include "cpu/stages-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {

void exp2_rows(const float* x, int count, float* y) {
  for (int i = 0; i < count; i += kLanes) store(exp2_f32(load(x + i)), y + i);
}

void exp2_pairs(const float* x, int count, float* hi, float* lo) {
  for (int i = 0; i < count; i += kLanes) {
    const TwoFloats y = exp2_two_floats(load(x + i));
    store(y.hi, hi + i);
    store(y.lo, lo + i);
  }
}

void call_load_rows(const Rows& rows, std::int64_t first, int valid, int num_k, int k_pad,
                    float* to, float* sums) {
  load_rows(rows, first, valid, num_k, k_pad, to, sums);
}

void call_normalize_qk(QkNorm norm, float factor, float* rnorm) {
  normalize_qk(norm, factor, rnorm);
}

void call_activate_beta(const Rows& beta, const HeadParams& params, std::int64_t first, int valid,
                        float* out) {
  activate_beta(beta, params, first, valid, out);
}

void call_activate_gate(const Rows& g, const HeadParams& params, std::int64_t first, int valid,
                        float* alpha, float* g_sum_log2) {
  activate_gate(g, params, first, valid, alpha, g_sum_log2);
}

void score(int k_pad, float* k, float* q, const float* alpha, float* akk, float* aqk) {
  static float memory[prepare_scratch_floats(kMaxHeadDim)];
  static float k_end[kChunkSize * kMaxHeadDim];
  PrepareScratch s = carve_scratch(memory, k_pad);
  for (int i = 0; i < kChunkSize; ++i) s.rnorm_k[i] = s.rnorm_q[i] = 1.0f;
  const ChunkRows rows = {.k = k, .q = q, .k_end = k_end};
  for (int b = 0; b < kChunkSize / kSubBlock; ++b) {
    std::memcpy(s.alpha, alpha + b * kSubBlock * k_pad,
                sizeof(float) * static_cast<std::size_t>(kSubBlock * k_pad));
    score_diagonal(b, k_pad, rows, s, akk, aqk);
  }
  HeadParams params;
  params.num_k_padded = k_pad;
  PrepareArgs args;
  args.params = &params;
  args.out.akk = akk;
  args.out.aqk = aqk;
  score_off_diagonal(args, rows, s);
}

void call_project_state(const float* qk, const float* state, int k_pad, float* products) {
  project_state<0>(qk, state, k_pad, products);
}

void solve(const PreparedChunk& chunk, float* products, float* values) {
  for (int col = 0; col < kPanelWidth; col += kLanes) {
    VF u[kChunkSize];
    delta_values(chunk, products, values, col, u);
    chunk_output(chunk, u, col, products);
  }
}

void call_update_state(const PreparedChunk& chunk, const float* values, int k_pad, float* state) {
  update_state<0>(chunk, values, k_pad, state);
}

}  // namespace

extern const testing::StageKernels kStageKernels;
const testing::StageKernels kStageKernels = {.exp2 = exp2_rows,
                                             .exp2_two_floats = exp2_pairs,
                                             .load_rows = call_load_rows,
                                             .normalize_qk = call_normalize_qk,
                                             .activate_beta = call_activate_beta,
                                             .activate_gate = call_activate_gate,
                                             .score = score,
                                             .project_state = call_project_state,
                                             .solve = solve,
                                             .update_state = call_update_state};

}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif  // one of our targets

#if HWY_ONCE
namespace flash_kda::cpu::testing {

const StageKernels* stage_kernels_for(Target target) {
#if HWY_TARGETS & HWY_AVX3
  if (target == Target::kAvx3) return &N_AVX3::kStageKernels;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (target == Target::kAvx2) return &N_AVX2::kStageKernels;
#endif
#if HWY_TARGETS & HWY_NEON
  if (target == Target::kNeon) return &N_NEON::kStageKernels;
#endif
  return nullptr;
}

}  // namespace flash_kda::cpu::testing
#endif
