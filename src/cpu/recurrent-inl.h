// The recurrent form, E0, token by token on state rows [V, K] in the caller's own layout: for
// decode steps, short sequences and dense checkpoints.
// clang-format off
#if defined(FLASH_KDA_CPU_RECURRENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASH_KDA_CPU_RECURRENT_INL_H_
#undef FLASH_KDA_CPU_RECURRENT_INL_H_
#else
#define FLASH_KDA_CPU_RECURRENT_INL_H_
#endif
// clang-format on

#include "cpu/stages-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX2
constexpr int kRecurrentRows = 4;  // 8 sums in 16 registers
#else
constexpr int kRecurrentRows = 8;  // 16 sums in 32 registers
#endif

// E1 and E2 for up to C tokens, and what the dots with the old state need.
HWY_INLINE void prepare_tokens(const PrepareTokensArgs& args) {
  const HeadInput& in = *args.input;
  const HeadParams& p = *args.params;
  const PreparedTokens& out = args.out;
  const int k_pad = p.num_k_padded;
  HWY_ALIGN float rnorm_k[kChunkSize];
  HWY_ALIGN float rnorm_q[kChunkSize];
  load_rows(in.k, args.first_token, args.count, p.num_k, k_pad, out.k, rnorm_k);
  load_rows(in.q, args.first_token, args.count, p.num_k, k_pad, out.q_decayed, rnorm_q);
  normalize_qk(p.qk_norm, 1.0f, rnorm_k);
  normalize_qk(p.qk_norm, p.scale, rnorm_q);
  activate_beta(in.beta, p, args.first_token, args.count, out.beta);
  with_dtype(in.g.dtype, [&]<DType kType>() HWY_ATTR {
    for (int i = 0; i < args.count; ++i) {
      load_row<kType>(in.g.data, (args.first_token + i) * in.g.stride, p.num_k, k_pad,
                      out.decay_hi + i * k_pad);
    }
  });
  const VF factor = set1(gate_factor_log2(p));
  const VF gate_scale = set1(-kLog2E * p.gate_scale);
  with_gate(p.gate, [&]<GateKind kKind>() HWY_ATTR {
    for (int i = 0; i < args.count; ++i) {
      VF qk[4] = {hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF())};
      for (int c = 0; c < k_pad; c += kLanes) {
        const int at = i * k_pad + c;
        const VF g_log2 =
            gate_log2<kKind>(load(out.decay_hi + at), load(p.dt_bias + c), gate_scale, factor);
        const TwoFloats decay = exp2_two_floats(g_log2);
        const VF k = hn::Mul(load(out.k + at), set1(rnorm_k[i]));
        const VF q = hn::Mul(load(out.q_decayed + at), set1(rnorm_q[i]));
        qk[0] = hn::MulAdd(q, k, qk[0]);
        store(k, out.k + at);
        store(hn::Mul(k, decay.hi), out.k_decayed + at);
        store(hn::Mul(q, decay.hi), out.q_decayed + at);
        store(decay.hi, out.decay_hi + at);
        store(decay.lo, out.decay_lo + at);
      }
      HWY_ALIGN float sums[4];
      sums_of_lanes<4>(qk, sums);
      out.qk[i] = sums[0];
    }
  });
}

// One token through kRows value rows: o = S' q, S' = decay S + k u, u = beta (v - (decay S) k).
// The output needs no second dot: q . (decay S) is taken beside k . (decay S), and q . k is known.
template <int kRows>
HWY_INLINE void step_rows(const PreparedTokens& tokens, int t, int k_pad, const float* src,
                          std::int64_t src_pitch, float* dst, std::int64_t dst_pitch,
                          const float* v, float* o) {
  const float* k = tokens.k + t * k_pad;
  const float* k_decayed = tokens.k_decayed + t * k_pad;
  const float* q_decayed = tokens.q_decayed + t * k_pad;
  const float* hi = tokens.decay_hi + t * k_pad;
  const float* lo = tokens.decay_lo + t * k_pad;
  VF acc[2 * kRows < 4 ? 4 : 2 * kRows];
  FLASH_KDA_UNROLL
  for (VF& a : acc) a = hn::Zero(DF());
  for (int c = 0; c < k_pad; c += kLanes) {
    const VF kd = load(k_decayed + c), qd = load(q_decayed + c);
    FLASH_KDA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const VF s = load(src + r * src_pitch + c);
      acc[r] = hn::MulAdd(s, kd, acc[r]);
      acc[kRows + r] = hn::MulAdd(s, qd, acc[kRows + r]);
    }
  }
  HWY_ALIGN float sums[2 * kRows < 4 ? 4 : 2 * kRows];
  sums_of_lanes<(2 * kRows < 4 ? 4 : 2 * kRows)>(acc, sums);
  HWY_ALIGN float u[kRows];
  for (int r = 0; r < kRows; ++r) {
    u[r] = tokens.beta[t] * (v[r] - sums[r]);
    o[r] = sums[kRows + r] + tokens.qk[t] * u[r];
  }
  // Four rows at a time: eight row pointers fit the registers, sixteen would be spilled.
  constexpr int kGroup = kRows < 4 ? kRows : 4;
  for (int r0 = 0; r0 < kRows; r0 += kGroup) {
    const float* from = src + r0 * src_pitch;
    float* to = dst + r0 * dst_pitch;
    for (int c = 0; c < k_pad; c += kLanes) {
      const VF kc = load(k + c), hc = load(hi + c), lc = load(lo + c);
      FLASH_KDA_UNROLL
      for (int r = 0; r < kGroup; ++r) {
        const VF s = load(from + r * src_pitch + c);
        const VF added = hn::MulAdd(lc, s, hn::Mul(kc, set1(u[r0 + r])));
        store(hn::MulAdd(hc, s, added), to + r * dst_pitch + c);
      }
    }
  }
}

HWY_INLINE void run_recurrent(const RecurrentArgs& args) {
  HWY_ALIGN float v[kMaxHeadDim];
  HWY_ALIGN float o[kMaxHeadDim];
  const int v_pad = (args.num_rows + kVectorPad - 1) / kVectorPad * kVectorPad;
  for (int t = 0; t < args.count; ++t) {
    with_dtype(args.v.dtype, [&]<DType kType>() HWY_ATTR {
      load_row<kType>(args.v.data, t * args.v.stride, args.num_rows, v_pad, v);
    });
    const float* src = t == 0 ? args.src : args.dst;
    const std::int64_t src_pitch = t == 0 ? args.src_pitch : args.dst_pitch;
    int r = 0;
    for (; r + kRecurrentRows <= args.num_rows; r += kRecurrentRows) {
      step_rows<kRecurrentRows>(args.tokens, args.first + t, args.num_k_padded, src + r * src_pitch,
                                src_pitch, args.dst + r * args.dst_pitch, args.dst_pitch, v + r,
                                o + r);
    }
    for (; r < args.num_rows; ++r) {
      step_rows<1>(args.tokens, args.first + t, args.num_k_padded, src + r * src_pitch, src_pitch,
                   args.dst + r * args.dst_pitch, args.dst_pitch, v + r, o + r);
    }
    if (args.out.data == nullptr) continue;
    with_dtype(args.out.dtype, [&]<DType kType>() HWY_ATTR {
      store_row<kType>(o, args.num_rows, args.out.data, t * args.out.stride);
    });
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif
