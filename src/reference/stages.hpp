// The stages of docs/algorithm.md in fp64, one function each, E1 to E11. They are written to be
// compared with the equations, not to be fast; src/reference/affine.hpp has E12 to E14.
//
// Common to all contracts:
//   precision  fp64 throughout; error of a few 2^-53 of the largest term
//   padding    none: a matrix has exactly the valid rows of its chunk, so a tail is a short matrix
//   range      any gate: decays are formed from log differences that are <= 0, never from 1/gamma
#pragma once

#include <cstdint>

#include "flash_kda/problem.hpp"
#include "reference/matrix.hpp"

namespace flash_kda::reference {

// E1  x^ = x * rsqrt(sum x^2 + 1e-6) for each row, in place. QkNorm::kNone leaves x.
void normalize_qk(QkNorm norm, Matrix x);

// E2  In place, each row: gate logits (or nats, GateKind::kLog) -> g_log2, the log2 decay of one
//     token. dt_bias [K] or null for zero.
void activate_gate(const GateSpec& gate, double A_log, const double* dt_bias, Matrix g);

// E2  beta of one token from the caller's number: sigmoid first, doubling after it.
double activate_beta(BetaForm form, BetaRange range, double beta);

// E3  g_cum_log2[i] = sum of g_log2[0..i]   g_log2, g_cum_log2 [C, K]
void cumsum_decay(Matrix g_log2, Matrix g_cum_log2);

// E4  Rows scaled by the decay between their token and one end of the chunk, all [C, K]:
//       q_gamma = scale * q * gamma      k_gamma = k * gamma      (gamma = 2^g_cum_log2)
//       k_to_end[i] = k[i] * 2^(g_log2[i+1] + ... + g_log2[C-1])
//       gamma_last [1, K] = gamma[C-1]
struct DecayedRows {
  Matrix q_gamma, k_gamma, k_to_end, gamma_last;
};
void apply_decay(Matrix q, Matrix k, Matrix g_log2, Matrix g_cum_log2, double scale,
                 const DecayedRows& out);

// E5  Akk[i, j] = beta[i] * sum_c k[i, c] k[j, c] 2^(g_log2[j+1, c] + ... + g_log2[i, c]), j < i;
//     zero elsewhere. beta [C, 1], Akk [C, C].
void score_kk(Matrix k, Matrix g_log2, Matrix beta, Matrix Akk);

// E6  Aqk[i, j] = scale * sum_c q[i, c] k[j, c] 2^(g_log2[j+1, c] + ... + g_log2[i, c]), j <= i.
void score_qk(Matrix q, Matrix k, Matrix g_log2, double scale, Matrix Aqk);

// E7  Akk_inv = (I + Akk)^-1 by forward substitution. Akk strictly lower triangular.
void invert_unit_lower(Matrix Akk, Matrix Akk_inv);

// E8  v_new = Akk_inv * (beta (.) (v - k_gamma * S))   S [K, V], v_new [C, V], residual scratch [C,
// V]
void delta_values(Matrix Akk_inv, Matrix beta, Matrix v, Matrix k_gamma, Matrix S, Matrix residual,
                  Matrix v_new);

// E9  The same split into parts that do not know S: v_new = u - w * S.
//     w = Akk_inv * (beta (.) k_gamma) [C, K],  u = Akk_inv * (beta (.) v) [C, V]
void wy_factors(Matrix Akk_inv, Matrix beta, Matrix v, Matrix k_gamma, Matrix w, Matrix u);

// E10 o = q_gamma * S + Aqk * v_new   S is the state before the chunk.
void chunk_output(Matrix q_gamma, Matrix S, Matrix Aqk, Matrix v_new, Matrix o);

// E11 S <- Diag(gamma_last) S + k_to_end^T v_new
void update_state(Matrix gamma_last, Matrix k_to_end, Matrix v_new, Matrix S);

}  // namespace flash_kda::reference
