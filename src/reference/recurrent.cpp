#include "reference/recurrent.hpp"

#include <algorithm>
#include <cmath>

namespace flash_kda::reference {
namespace {

// delta = beta (v - S^T k), after S has been decayed.
void delta_rule(const double* k, const double* v, double beta, Matrix S, double* delta) {
  std::fill_n(delta, S.cols, 0.0);
  for (std::int64_t c = 0; c < S.rows; ++c) {
    for (std::int64_t j = 0; j < S.cols; ++j) delta[j] += k[c] * S(c, j);
  }
  for (std::int64_t j = 0; j < S.cols; ++j) delta[j] = beta * (v[j] - delta[j]);
}

}  // namespace

HeadRows HeadRows::slice(std::int64_t begin, std::int64_t n) const {
  return {.q = q.rows_from(begin, n),
          .k = k.rows_from(begin, n),
          .v = v.rows_from(begin, n),
          .g_log2 = g_log2.rows_from(begin, n),
          .beta = beta.rows_from(begin, n)};
}

void recurrent(const HeadRows& rows, double scale, Matrix S, Matrix delta, Matrix o) {
  for (std::int64_t t = 0; t < rows.q.rows; ++t) {
    for (std::int64_t c = 0; c < S.rows; ++c) {
      const double decay = std::exp2(rows.g_log2(t, c));
      for (std::int64_t j = 0; j < S.cols; ++j) S(c, j) *= decay;
    }
    delta_rule(rows.k.row(t), rows.v.row(t), rows.beta(t, 0), S, delta.data);
    std::fill_n(o.row(t), o.cols, 0.0);
    for (std::int64_t c = 0; c < S.rows; ++c) {
      for (std::int64_t j = 0; j < S.cols; ++j) {
        S(c, j) += rows.k(t, c) * delta(0, j);
        o(t, j) += scale * rows.q(t, c) * S(c, j);
      }
    }
  }
}

}  // namespace flash_kda::reference
