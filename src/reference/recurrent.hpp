// E0, the definition of Kimi Delta Attention, one token at a time in fp64.
#pragma once

#include "reference/matrix.hpp"

namespace flash_kda::reference {

// Activated rows of one head: q, k, g_log2 [T, K] (normalised; g_log2 <= 0), v [T, V], beta [T, 1].
struct HeadRows {
  Matrix q, k, v, g_log2, beta;

  HeadRows slice(std::int64_t begin, std::int64_t n) const;
};

// For each token t, with the state S [K, V] updated in place and o [T, V]:
//   S     <- Diag(2^g_log2[t]) S
//   delta  = beta[t] (v[t] - S^T k[t])      scratch: delta [1, V]
//   S     <- S + k[t] delta^T
//   o[t]   = scale S^T q[t]
void recurrent(const HeadRows& rows, double scale, Matrix S, Matrix delta, Matrix o);

}  // namespace flash_kda::reference
