// The stages that prepare a chunk, E1 to E6 of docs/algorithm.md, for vectors of any width.
//
// Decays are products, never quotients. With alpha_i = 2^g_log2_i the pair (i, j) needs
// prod_{j < l <= i} alpha_l. A tree over the 16 tokens splits every pair at the node where i and j
// part: row i carries the product from the node to i, column j the product from j to the node. Both
// are in [0, 1] whatever the gate, so no exponent overflows, no reference point is chosen, a decay
// to zero is a plain zero, and a NaN reaches later tokens only.
// clang-format off
#if defined(FLASH_KDA_CPU_STAGES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FLASH_KDA_CPU_STAGES_INL_H_
#undef FLASH_KDA_CPU_STAGES_INL_H_
#else
#define FLASH_KDA_CPU_STAGES_INL_H_
#endif
// clang-format on

#include "cpu/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace flash_kda::cpu {
namespace HWY_NAMESPACE {
namespace {

// The fp32 rows of a chunk, [C, K_pad] each.
struct ChunkRows {
  float* k = nullptr;      // k, then k times the decay from a node to the row
  float* q = nullptr;      // likewise, scaled
  float* k_end = nullptr;  // k times the decay from the row to a node
};

// Working memory of one chunk.
struct PrepareScratch {
  float* alpha = nullptr;        // [kSubBlock, K_pad]
  float* block_decay = nullptr;  // [C / kSubBlock, K_pad]: product of alpha over the sub-block
  float* g_sum_log2 = nullptr;   // [K_pad]
  float* rnorm_k = nullptr;      // [C]
  float* rnorm_q = nullptr;      // [C], times scale
};

// Lines of row `row`, into L1: on Zen 4 the L2 hints changed nothing.
HWY_INLINE void prefetch_row(const Rows& rows, std::int64_t row, int elements) {
  const std::int64_t element = static_cast<std::int64_t>(bytes_of(rows.dtype));
  const char* p = static_cast<const char*>(rows.data) + row * rows.stride * element;
  for (std::int64_t i = 0; i < elements * element; i += 64) __builtin_prefetch(p + i, 0, 3);
}

// [C] rows of K elements as fp32 with their sums of squares; rows past `valid` are zero.
HWY_INLINE void load_rows(const Rows& rows, std::int64_t first, int valid, int num_k, int k_pad,
                          float* to, float* sums_of_squares) {
  with_dtype(rows.dtype, [&]<DType kType>() HWY_ATTR {
    for (int i = 0; i < kChunkSize; ++i) {
      float* row = to + i * k_pad;
      if (i < valid) {
        load_row<kType>(rows.data, (first + i) * rows.stride, num_k, k_pad, row);
      } else {
        load_row<kType>(nullptr, 0, 0, k_pad, row);
      }
    }
  });
  for (int i = 0; i < kChunkSize; i += 4) {
    VF sums[4] = {hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF()), hn::Zero(DF())};
    for (int c = 0; c < k_pad; c += kLanes) {
      FLASH_KDA_UNROLL
      for (int r = 0; r < 4; ++r) {
        const VF x = load(to + (i + r) * k_pad + c);
        sums[r] = hn::MulAdd(x, x, sums[r]);
      }
    }
    sums_of_lanes<4>(sums, sums_of_squares + i);
  }
}

// E1 normalize_qk: x_hat = x rsqrt(sum x^2 + 1e-6), as factors of rows
//   in        sums of squares [C]
//   out       rnorm [C], times `factor`
//   padding   a zero row keeps a finite factor and so stays zero
//   error     fp32, 3 roundings: 2e-7 relative
HWY_INLINE void normalize_qk(QkNorm norm, float factor, float* rnorm) {
  for (int i = 0; i < kChunkSize; i += kLanes) {
    if (norm == QkNorm::kL2) {
      const VF sum = hn::Add(load(rnorm + i), set1(1e-6f));
      store(hn::Div(set1(factor), hn::Sqrt(sum)), rnorm + i);
    } else {
      store(set1(factor), rnorm + i);
    }
  }
}

// beta of every token after activation; zero for rows past `valid`.
HWY_INLINE void activate_beta(const Rows& beta, const HeadParams& params, std::int64_t first,
                              int valid, float* out) {
  for (int i = 0; i < kChunkSize; ++i) out[i] = i < valid ? load_scalar(beta, first + i) : 0.0f;
  for (int i = 0; i < kChunkSize; i += kLanes) {
    VF x = load(out + i);
    if (params.beta_form == BetaForm::kLogits) x = sigmoid(x);
    store(hn::Mul(x, set1(params.beta_factor)), out + i);
  }
  for (int i = valid; i < kChunkSize; ++i) out[i] = 0.0f;
}

// g_log2 of kLanes channels of one token.
template <GateKind kKind>
HWY_INLINE VF gate_log2(VF g, VF bias, VF gate_scale, VF factor_log2) {
  if constexpr (kKind == GateKind::kLowerBound) {
    // gate_scale carries the -log2(e) of the sigmoid's exponent.
    return hn::Mul(factor_log2, sigmoid_of_negative_log2(hn::Mul(gate_scale, hn::Add(g, bias))));
  } else if constexpr (kKind == GateKind::kSoftplus) {
    return hn::Mul(factor_log2, softplus(hn::Add(g, bias)));
  } else {
    return hn::Mul(factor_log2, g);
  }
}

HWY_INLINE float gate_factor_log2(const HeadParams& params) {
  if (params.gate == GateKind::kLowerBound) return params.lower_bound * kLog2E;
  if (params.gate == GateKind::kSoftplus) return -params.gate_scale * kLog2E;
  return kLog2E;
}

template <typename Body>
HWY_INLINE void with_gate(GateKind kind, const Body& body) {
  if (kind == GateKind::kLowerBound) {
    body.template operator()<GateKind::kLowerBound>();
  } else if (kind == GateKind::kSoftplus) {
    body.template operator()<GateKind::kSoftplus>();
  } else {
    body.template operator()<GateKind::kLog>();
  }
}

// E2 activate_gate and E3 cumsum_decay: decays of a sub-block and the running sum of their logs
//   in        g [4, K] in any type, dt_bias [K_pad]
//   out       alpha [4, K_pad] = 2^g_log2, in [0, 1]; g_sum_log2 [K_pad] += sum of g_log2
//   padding   rows past `valid` get alpha = 1 and add 0 (0 does not map to 0 in the gates)
//   error     g_log2: 5e-7 + 1.2e-7 |log2 |g_log2|| relative, because a gate near 2^-y comes from
//             an exponent y that two roundings moved; alpha: 2e-7 + that times |g_log2|
HWY_INLINE void activate_gate(const Rows& g, const HeadParams& params, std::int64_t first,
                              int valid, float* alpha, float* g_sum_log2) {
  const int k_pad = params.num_k_padded;
  const int used = valid < 0 ? 0 : valid < kSubBlock ? valid : kSubBlock;
  const VF factor = set1(gate_factor_log2(params));
  const VF gate_scale = set1(-kLog2E * params.gate_scale);
  const bool whole = used == kSubBlock && params.num_k == k_pad;
  with_dtype(g.dtype, [&]<DType kType>() HWY_ATTR {
    for (int i = 0; !whole && i < used; ++i) {
      load_row<kType>(g.data, (first + i) * g.stride, params.num_k, k_pad, alpha + i * k_pad);
    }
    with_gate(params.gate, [&]<GateKind kKind>() HWY_ATTR {
      for (int c = 0; c < k_pad; c += kLanes) {
        const VF bias = load(params.dt_bias + c);
        VF sum = load(g_sum_log2 + c);
        const auto decay = [&](int i, VF g_raw) HWY_ATTR {
          const VF g_log2 = gate_log2<kKind>(g_raw, bias, gate_scale, factor);
          sum = hn::Add(sum, g_log2);
          store(exp2_f32(g_log2), alpha + i * k_pad + c);
        };
        if (whole) {  // four independent chains hide the latency of two exponentials each
          FLASH_KDA_UNROLL
          for (int i = 0; i < kSubBlock; ++i) {
            decay(i, load_as_f32<kType>(g.data, (first + i) * g.stride + c));
          }
        } else {
          for (int i = 0; i < used; ++i) decay(i, load(alpha + i * k_pad + c));
        }
        store(sum, g_sum_log2 + c);
      }
    });
  });
  for (int i = used; i < kSubBlock; ++i) {
    for (int c = 0; c < k_pad; c += kLanes) store(set1(1.0f), alpha + i * k_pad + c);
  }
}

// E4 apply_decay, E5 score_kk and E6 score_qk inside sub-block `b` of 4 tokens
//   in        rows.k, rows.q: plain; rnorm; alpha [4, K_pad]
//   out       rows.k, rows.q times the decay from the sub-block's start up to and with the row;
//             rows.k_end = k times the decay after the row to the sub-block's end;
//             block_decay[b]; the 6 + 10 scores of the diagonal block of akk and aqk (no beta)
//   error     products of at most 4 factors in [0, 1]; sums in fp32
HWY_INLINE void score_diagonal(int b, int k_pad, const ChunkRows& rows, const PrepareScratch& s,
                               float* akk, float* aqk) {
  const int r0 = b * kSubBlock;
  VF acc[16];
  FLASH_KDA_UNROLL
  for (int i = 0; i < 16; ++i) acc[i] = hn::Zero(DF());
  for (int c = 0; c < k_pad; c += kLanes) {
    float* pk = rows.k + r0 * k_pad + c;
    float* pq = rows.q + r0 * k_pad + c;
    float* pe = rows.k_end + r0 * k_pad + c;
    const VF a0 = load(s.alpha + c), a1 = load(s.alpha + k_pad + c);
    const VF a2 = load(s.alpha + 2 * k_pad + c), a3 = load(s.alpha + 3 * k_pad + c);
    const VF a01 = hn::Mul(a0, a1), a23 = hn::Mul(a2, a3);
    const VF k0 = hn::Mul(load(pk), set1(s.rnorm_k[r0]));
    const VF k1 = hn::Mul(load(pk + k_pad), set1(s.rnorm_k[r0 + 1]));
    const VF k2 = hn::Mul(load(pk + 2 * k_pad), set1(s.rnorm_k[r0 + 2]));
    const VF k3 = hn::Mul(load(pk + 3 * k_pad), set1(s.rnorm_k[r0 + 3]));
    const VF k0_node = hn::Mul(k0, a1);  // to the node between tokens 1 and 2
    {
      const VF k1_a = hn::Mul(k1, a1), k2_a = hn::Mul(k2, a2), k3_a = hn::Mul(k3, a3);
      const VF k3_node = hn::Mul(k3_a, a2);
      acc[0] = hn::MulAdd(k1_a, k0, acc[0]);
      acc[1] = hn::MulAdd(k2_a, k0_node, acc[1]);
      acc[2] = hn::MulAdd(k2_a, k1, acc[2]);
      acc[3] = hn::MulAdd(k3_node, k0_node, acc[3]);
      acc[4] = hn::MulAdd(k3_node, k1, acc[4]);
      acc[5] = hn::MulAdd(k3_a, k2, acc[5]);
      store(hn::Mul(k0, a0), pk);
      store(hn::Mul(k1_a, a0), pk + k_pad);
      store(hn::Mul(k2_a, a01), pk + 2 * k_pad);
      store(hn::Mul(k3_node, a01), pk + 3 * k_pad);
    }
    {
      const VF q0 = hn::Mul(load(pq), set1(s.rnorm_q[r0]));
      const VF q1 = hn::Mul(load(pq + k_pad), set1(s.rnorm_q[r0 + 1]));
      const VF q2 = hn::Mul(load(pq + 2 * k_pad), set1(s.rnorm_q[r0 + 2]));
      const VF q3 = hn::Mul(load(pq + 3 * k_pad), set1(s.rnorm_q[r0 + 3]));
      const VF q1_a = hn::Mul(q1, a1), q2_a = hn::Mul(q2, a2), q3_a = hn::Mul(q3, a3);
      const VF q3_node = hn::Mul(q3_a, a2);
      acc[6] = hn::MulAdd(q0, k0, acc[6]);
      acc[7] = hn::MulAdd(q1_a, k0, acc[7]);
      acc[8] = hn::MulAdd(q1, k1, acc[8]);
      acc[9] = hn::MulAdd(q2_a, k0_node, acc[9]);
      acc[10] = hn::MulAdd(q2_a, k1, acc[10]);
      acc[11] = hn::MulAdd(q2, k2, acc[11]);
      acc[12] = hn::MulAdd(q3_node, k0_node, acc[12]);
      acc[13] = hn::MulAdd(q3_node, k1, acc[13]);
      acc[14] = hn::MulAdd(q3_a, k2, acc[14]);
      acc[15] = hn::MulAdd(q3, k3, acc[15]);
      store(hn::Mul(q0, a0), pq);
      store(hn::Mul(q1_a, a0), pq + k_pad);
      store(hn::Mul(q2_a, a01), pq + 2 * k_pad);
      store(hn::Mul(q3_node, a01), pq + 3 * k_pad);
    }
    store(hn::Mul(k0_node, a23), pe);
    store(hn::Mul(k1, a23), pe + k_pad);
    store(hn::Mul(k2, a3), pe + 2 * k_pad);
    store(k3, pe + 3 * k_pad);
    store(hn::Mul(a01, a23), s.block_decay + b * k_pad + c);
  }
  HWY_ALIGN float sums[16];
  sums_of_lanes<16>(acc, sums);
  int next = 0;
  for (int i = 1; i < 4; ++i) {
    for (int j = 0; j < i; ++j) akk[(r0 + i) * kChunkSize + r0 + j] = sums[next++];
  }
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j <= i; ++j) aqk[(r0 + i) * kChunkSize + r0 + j] = sums[next++];
  }
}

// Dots of 4 rows with 4 columns, both [4, K_pad], into a block of a [C, C] matrix.
HWY_INLINE void score_tile(const float* rows, const float* columns, int k_pad, float* a) {
#if HWY_TARGET == HWY_AVX2
  constexpr int kColumns = 2;  // 8 sums and 6 operands in 16 registers
#else
  constexpr int kColumns = 4;  // 16 sums and 8 operands in 32 registers
#endif
  FLASH_KDA_UNROLL
  for (int j0 = 0; j0 < 4; j0 += kColumns) {
    VF acc[4 * kColumns];
    FLASH_KDA_UNROLL
    for (int i = 0; i < 4 * kColumns; ++i) acc[i] = hn::Zero(DF());
    for (int c = 0; c < k_pad; c += kLanes) {
      VF col[kColumns];
      FLASH_KDA_UNROLL
      for (int j = 0; j < kColumns; ++j) col[j] = load(columns + (j0 + j) * k_pad + c);
      FLASH_KDA_UNROLL
      for (int i = 0; i < 4; ++i) {
        const VF row = load(rows + i * k_pad + c);
        FLASH_KDA_UNROLL
        for (int j = 0; j < kColumns; ++j) {
          acc[i * kColumns + j] = hn::MulAdd(row, col[j], acc[i * kColumns + j]);
        }
      }
    }
    HWY_ALIGN float sums[4 * kColumns];
    sums_of_lanes<4 * kColumns>(acc, sums);
    for (int i = 0; i < 4; ++i) {
      std::memcpy(a + i * kChunkSize + j0, sums + i * kColumns, kColumns * sizeof(float));
    }
  }
}

HWY_INLINE void scale_rows(float* rows, const float* factors, int k_pad) {
  for (int c = 0; c < k_pad; c += kLanes) {
    const VF f = load(factors + c);
    FLASH_KDA_UNROLL
    for (int i = 0; i < kSubBlock; ++i) {
      store(hn::Mul(load(rows + i * k_pad + c), f), rows + i * k_pad + c);
    }
  }
}

// The chunk's total decay, E3: gamma_last [K_pad] as a sum of two floats
//   error     2e-7 |g_sum_log2| relative, from the sum of 16 logs
HWY_INLINE void chunk_decay(int k_pad, const float* g_sum_log2, float* hi, float* lo) {
  for (int c = 0; c < k_pad; c += kLanes) {
    const TwoFloats decay = exp2_two_floats(load(g_sum_log2 + c));
    store(decay.hi, hi + c);
    store(decay.lo, lo + c);
  }
}

// Decays of whole sub-blocks that turn rows within sub-blocks into rows of the chunk, E4.
struct ChunkFactors {
  VF start1, start2;  // before sub-block 1; before sub-blocks 2 and (after scoring) 3
  VF end2, end1;      // after sub-block 2; after sub-blocks 1 and (after scoring) 0
};
HWY_INLINE ChunkFactors chunk_factors(const float* block_decay, int k_pad, int c) {
  const VF d0 = load(block_decay + c), d1 = load(block_decay + k_pad + c);
  const VF d2 = load(block_decay + 2 * k_pad + c), d3 = load(block_decay + 3 * k_pad + c);
  return {d0, hn::Mul(d0, d1), d3, hn::Mul(d2, d3)};
}

HWY_INLINE PrepareScratch carve_scratch(float* memory, int k_pad) {
  PrepareScratch s;
  s.alpha = memory;
  s.block_decay = s.alpha + kSubBlock * k_pad;
  s.g_sum_log2 = s.block_decay + kChunkSize / kSubBlock * k_pad;
  s.rnorm_k = s.g_sum_log2 + k_pad;
  s.rnorm_q = s.rnorm_k + kChunkSize;
  return s;
}

// Starts the loads of one row of the next chunk, and of this chunk's v and out. A row is 20 lines
// at K = V = 128: called row by row between the stages, because a burst of a whole chunk would fill
// the queue of outstanding misses and stall the loads behind it (it cost a fifth of the stage).
HWY_INLINE void prefetch_ahead(const PrepareArgs& args, int row) {
  const HeadParams& p = *args.params;
  if (args.out_rows.data != nullptr && row < args.valid) {
    prefetch_row(args.input->v, args.first_token + row, p.num_v);
    const MutableRows& out = args.out_rows;
    const std::int64_t element = static_cast<std::int64_t>(bytes_of(out.dtype));
    const char* to = static_cast<const char*>(out.data) + row * out.stride * element;
    for (std::int64_t i = 0; i < p.num_v * element; i += 64) __builtin_prefetch(to + i, 1, 2);
  }
  if (args.next_input != nullptr && row < args.next_valid) {
    prefetch_row(args.next_input->q, args.next_token + row, p.num_k);
    prefetch_row(args.next_input->k, args.next_token + row, p.num_k);
    prefetch_row(args.next_input->g, args.next_token + row, p.num_k);
  }
}

// E5 score_kk and E6 score_qk between sub-blocks
//   in        rows as score_diagonal leaves them, block_decay
//   out       the 6 blocks of akk and aqk below the diagonal (no beta); on the way rows of
//             sub-block 3 gain the decay of sub-block 2, k_end of sub-block 0 that of sub-block 1
HWY_INLINE void score_off_diagonal(const PrepareArgs& args, const ChunkRows& rows,
                                   const PrepareScratch& s) {
  const int k_pad = args.params->num_k_padded;
  const int block = kSubBlock * k_pad;
  const auto score = [&](int bi, int bj) HWY_ATTR {
    const int at = (bi * kChunkSize + bj) * kSubBlock;
    score_tile(rows.k + bi * block, rows.k_end + bj * block, k_pad, args.out.akk + at);
    score_tile(rows.q + bi * block, rows.k_end + bj * block, k_pad, args.out.aqk + at);
  };
  score(1, 0);
  prefetch_ahead(args, 3);
  score(2, 1);
  prefetch_ahead(args, 7);
  score(3, 2);
  prefetch_ahead(args, 11);
  scale_rows(rows.k_end, s.block_decay + k_pad, k_pad);
  score(2, 0);
  prefetch_ahead(args, 15);
  scale_rows(rows.k + 3 * block, s.block_decay + 2 * k_pad, k_pad);
  scale_rows(rows.q + 3 * block, s.block_decay + 2 * k_pad, k_pad);
  score(3, 1);
  score(3, 0);
}

// All of E1 to E6 but the last factors of E4, which prepare_chunk applies as it writes operands.
HWY_INLINE void prepare_rows(const PrepareArgs& args, const ChunkRows& rows,
                             const PrepareScratch& s) {
  const HeadInput& in = *args.input;
  const HeadParams& p = *args.params;
  const int k_pad = p.num_k_padded;
  load_rows(in.k, args.first_token, args.valid, p.num_k, k_pad, rows.k, s.rnorm_k);
  load_rows(in.q, args.first_token, args.valid, p.num_k, k_pad, rows.q, s.rnorm_q);
  normalize_qk(p.qk_norm, 1.0f, s.rnorm_k);
  normalize_qk(p.qk_norm, p.scale, s.rnorm_q);
  activate_beta(in.beta, p, args.first_token, args.valid, args.out.beta);
  for (int c = 0; c < k_pad; c += kLanes) store(hn::Zero(DF()), s.g_sum_log2 + c);
  for (int b = 0; b < kChunkSize / kSubBlock; ++b) {
    const int r0 = b * kSubBlock;
    prefetch_ahead(args, r0);
    activate_gate(in.g, p, args.first_token + r0, args.valid - r0, s.alpha, s.g_sum_log2);
    prefetch_ahead(args, r0 + 1);
    score_diagonal(b, k_pad, rows, s, args.out.akk, args.out.aqk);
    prefetch_ahead(args, r0 + 2);
  }
  score_off_diagonal(args, rows, s);
  for (int i = 0; i < kChunkSize; ++i) {
    for (int j = 0; j < i; ++j) args.out.akk[i * kChunkSize + j] *= args.out.beta[i];
  }
  chunk_decay(k_pad, s.g_sum_log2, args.out.decay_hi, args.out.decay_lo);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace flash_kda::cpu
HWY_AFTER_NAMESPACE();

#endif
