// The fp32 kernels, once per instruction set that Highway offers here.
#include "cpu/kernels.hpp"

// SSE and SVE have no kernels: below AVX2 there is no FMA, and sizeless SVE vectors cannot be kept
// in arrays. The static target of the compiler is built too, but stays empty unless it is one of
// ours.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels_f32.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON

#include "cpu/panel-inl.h"
#include "cpu/recurrent-inl.h"
#include "cpu/stages-inl.h"
#include "cpu/state_panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX2
constexpr Target kThisTarget = Target::kAvx2;
#elif HWY_TARGET == HWY_AVX3
constexpr Target kThisTarget = Target::kAvx3;
#else
constexpr Target kThisTarget = Target::kNeon;
#endif

HWY_INLINE void finish_rows(float* rows, VF factor, int k_pad) {
  FLASH_KDA_UNROLL
  for (int i = 0; i < kSubBlock; ++i)
    store(hn::Mul(load(rows + i * k_pad), factor), rows + i * k_pad);
}

void prepare_chunk(const PrepareArgs& args) {
  const int k_pad = args.params->num_k_padded;
  float* qk = static_cast<float*>(args.out.qk);
  const ChunkRows rows = {
      .k = qk, .q = qk + kChunkSize * k_pad, .k_end = static_cast<float*>(args.out.k_to_end)};
  const PrepareScratch scratch = carve_scratch(args.scratch, k_pad);
  prepare_rows(args, rows, scratch);
  const int block = kSubBlock * k_pad;
  for (int c = 0; c < k_pad; c += kLanes) {
    const ChunkFactors f = chunk_factors(scratch.block_decay, k_pad, c);
    for (float* r : {rows.k + c, rows.q + c}) {
      finish_rows(r + block, f.start1, k_pad);
      finish_rows(r + 2 * block, f.start2, k_pad);
      finish_rows(r + 3 * block, f.start2, k_pad);
    }
    finish_rows(rows.k_end + c, f.end1, k_pad);
    finish_rows(rows.k_end + block + c, f.end1, k_pad);
    finish_rows(rows.k_end + 2 * block + c, f.end2, k_pad);
  }
}

template <int kPad>
void run_panel_for(const PanelArgs& args) {
  float* products = args.scratch;
  float* values = products + 2 * kChunkSize * kPanelWidth;
  for (int c = 0; c < args.num_chunks; ++c) {
    const PreparedChunk& chunk = args.chunks[c];
    project_state<kPad>(static_cast<const float*>(chunk.qk), args.state, args.num_k_padded,
                        products);
    solve_and_output(args, c, valid_tokens(args, c), products, values);
    update_state<kPad>(chunk, values, args.num_k_padded, args.state);
  }
}

void run_panel(const PanelArgs& args) {
  record_executed(kThisTarget);
  switch (args.num_k_padded) {
    case 64:
      return run_panel_for<64>(args);
    case 128:
      return run_panel_for<128>(args);
    case 256:
      return run_panel_for<256>(args);
    default:
      return run_panel_for<0>(args);
  }
}

void run_recurrent_rows(const RecurrentArgs& args) {
  record_executed(kThisTarget);
  run_recurrent(args);
}
void prepare_token_rows(const PrepareTokensArgs& args) { prepare_tokens(args); }
void load_panel(const float* rows, std::int64_t pitch, int num_v, int num_k, int num_k_padded,
                float* panel) {
  rows_to_panel(rows, pitch, num_v, num_k, num_k_padded, panel);
}
void store_panel(const float* panel, int num_v, int num_k, float* rows, std::int64_t pitch) {
  panel_to_rows(panel, num_v, num_k, rows, pitch);
}

}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {.target = kThisTarget,
                          .operand_bytes = sizeof(float),
                          .prepare_chunk = prepare_chunk,
                          .run_panel = run_panel,
                          .prepare_tokens = prepare_token_rows,
                          .run_recurrent = run_recurrent_rows,
                          .rows_to_panel = load_panel,
                          .panel_to_rows = store_panel};

}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif  // one of our targets

#if HWY_ONCE
namespace flash_kda::cpu {

#if FLASH_KDA_HAVE_AVX512BF16
extern const Kernels kAvx3Bf16Kernels;
#endif

const Kernels* kernels_for(Target target) {
#if FLASH_KDA_HAVE_AVX512BF16
  if (target == Target::kAvx3Bf16) return &kAvx3Bf16Kernels;
#endif
#if HWY_TARGETS & HWY_AVX3
  if (target == Target::kAvx3) return &N_AVX3::kKernels;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (target == Target::kAvx2) return &N_AVX2::kKernels;
#endif
#if HWY_TARGETS & HWY_NEON
  if (target == Target::kNeon) return &N_NEON::kKernels;
#endif
  return nullptr;
}

}  // namespace flash_kda::cpu
#endif
