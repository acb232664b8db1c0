// The production stages of both kernels, callable one by one from a host test. Matrices are plain
// row-major fp32 here; wrappers round them to bf16 and swizzle them where a stage wants that.
#pragma once

#include <vector>

#include "flash_kda/problem.hpp"

namespace flash_kda::cuda::testing {

using Floats = std::vector<float>;

inline constexpr int kTokens = 16;     // of a chunk
inline constexpr int kValueRows = 16;  // of a warp

// The nearest bf16 value.
float to_bf16(float x);

// E2, with the floor that the chunked form puts under it.
Floats run_activate_gate(const GateSpec& gate, float A_log, const Floats& x);
Floats run_activate_beta(BetaForm form, BetaRange range, const Floats& x);

// E1: the factors of 16 rows of q (with the scale), then of 16 rows of k. q, k [16, K].
Floats run_normalize_qk(int head_dim_k, QkNorm norm, float scale, const Floats& q, const Floats& k);
// E3: [16, K].
Floats run_cumsum_decay(int head_dim_k, const Floats& g_log2);

// E4: tiles [16, K] and gamma_last [K].
struct DecayedTiles {
  Floats q_score, k_score, k_inverse, q_gamma, k_gamma, k_to_end, gamma_last;
};
DecayedTiles run_apply_decay(int head_dim_k, const Floats& q, const Floats& k,
                             const Floats& g_cum_log2, const Floats& norm);

// E5 and E6 of tiles [16, K]; E7 of score_kk [16, 16]. Results [16, 16].
Floats run_score_kk(int head_dim_k, const Floats& k_score, const Floats& k_inverse,
                    const Floats& beta);
Floats run_score_qk(int head_dim_k, const Floats& q_score, const Floats& k_inverse);
Floats run_invert_unit_lower(const Floats& score_kk);

// What a chunk image holds.
struct Chunk {
  Floats k_gamma, q_gamma, k_to_end;  // [16, K]
  Floats inverse, score_qk;           // [16, 16]
  Floats beta, gamma_last;            // [16], [K]
};

// E8, E9: state [16 value rows, K], v [16 tokens, 16]; tokens from `count` on are not read.
// Result [16 tokens, 16].
Floats run_delta_values(int head_dim_k, const Chunk& chunk, const Floats& state, const Floats& v,
                        int count);
// E10: rows from `count` on keep NaN.
Floats run_chunk_output(int head_dim_k, const Chunk& chunk, const Floats& state, const Floats& u,
                        DType out_dtype, int count);
// E11.
Floats run_update_state(int head_dim_k, const Chunk& chunk, const Floats& state, const Floats& u);

}  // namespace flash_kda::cuda::testing
