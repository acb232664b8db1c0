#include "reference/stages.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace flash_kda::reference {
namespace {

constexpr double kNormEpsilon = 1e-6;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// log(1 + e^x) without overflow.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

// Log decay of one token in nats.
double gate_nats(const GateSpec& gate, double exp_A, double g_raw, double bias) {
  switch (gate.kind) {
    case GateKind::kLowerBound:
      return gate.lower_bound * sigmoid(exp_A * (g_raw + bias));
    case GateKind::kSoftplus:
      return -exp_A * softplus(g_raw + bias);
    case GateKind::kLog:
      break;
  }
  return g_raw;
}

// out[i] += factor * x[i]. The one inner loop of every product below.
void add_scaled(double factor, const double* x, std::int64_t n, double* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

// out += a * b
void add_product(Matrix a, Matrix b, Matrix out) {
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.cols; ++j) add_scaled(a(i, j), b.row(j), b.cols, out.row(i));
  }
}

// out += a * b for lower triangular a. The zeros above the diagonal are not multiplied, so that a
// NaN of a later token cannot reach an earlier one.
void add_lower_product(Matrix a, Matrix b, Matrix out) {
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) add_scaled(a(i, j), b.row(j), b.cols, out.row(i));
  }
}

void fill(Matrix m, double value) { std::fill_n(m.data, m.rows * m.cols, value); }

// sum_c x[i, c] y[j, c] 2^(log2 decay of tokens j+1 .. i). Adding the tokens up instead of
// subtracting two prefix sums keeps the digits after a token of -1000 nats, and keeps -inf a zero.
double decayed_dot(Matrix x, std::int64_t i, Matrix y, std::int64_t j, Matrix g_log2) {
  double sum = 0.0;
  for (std::int64_t c = 0; c < x.cols; ++c) {
    double log2_decay = 0.0;
    for (std::int64_t t = j + 1; t <= i; ++t) log2_decay += g_log2(t, c);
    sum += x(i, c) * y(j, c) * std::exp2(log2_decay);
  }
  return sum;
}

}  // namespace

void normalize_qk(QkNorm norm, Matrix x) {
  if (norm == QkNorm::kNone) return;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    double sum = kNormEpsilon;
    for (std::int64_t c = 0; c < x.cols; ++c) sum += x(i, c) * x(i, c);
    const double rnorm = 1.0 / std::sqrt(sum);
    for (std::int64_t c = 0; c < x.cols; ++c) x(i, c) *= rnorm;
  }
}

void activate_gate(const GateSpec& gate, double A_log, const double* dt_bias, Matrix g) {
  const double exp_A = std::exp(A_log);
  for (std::int64_t i = 0; i < g.rows; ++i) {
    for (std::int64_t c = 0; c < g.cols; ++c) {
      const double bias = dt_bias == nullptr ? 0.0 : dt_bias[c];
      g(i, c) = gate_nats(gate, exp_A, g(i, c), bias) * std::numbers::log2e;
    }
  }
}

double activate_beta(BetaForm form, BetaRange range, double beta) {
  const double activated = form == BetaForm::kLogits ? sigmoid(beta) : beta;
  return range == BetaRange::kDoubled ? 2.0 * activated : activated;
}

void cumsum_decay(Matrix g_log2, Matrix g_cum_log2) {
  for (std::int64_t i = 0; i < g_log2.rows; ++i) {
    for (std::int64_t c = 0; c < g_log2.cols; ++c) {
      g_cum_log2(i, c) = g_log2(i, c) + (i > 0 ? g_cum_log2(i - 1, c) : 0.0);
    }
  }
}

void apply_decay(Matrix q, Matrix k, Matrix g_log2, Matrix g_cum_log2, double scale,
                 const DecayedRows& out) {
  for (std::int64_t c = 0; c < k.cols; ++c) {
    double to_end_log2 = 0.0;
    for (std::int64_t i = k.rows - 1; i >= 0; --i) {
      const double gamma = std::exp2(g_cum_log2(i, c));
      out.q_gamma(i, c) = scale * q(i, c) * gamma;
      out.k_gamma(i, c) = k(i, c) * gamma;
      out.k_to_end(i, c) = k(i, c) * std::exp2(to_end_log2);
      to_end_log2 += g_log2(i, c);
    }
    out.gamma_last(0, c) = std::exp2(g_cum_log2(k.rows - 1, c));
  }
}

void score_kk(Matrix k, Matrix g_log2, Matrix beta, Matrix Akk) {
  fill(Akk, 0.0);
  for (std::int64_t i = 0; i < k.rows; ++i) {
    for (std::int64_t j = 0; j < i; ++j) Akk(i, j) = beta(i, 0) * decayed_dot(k, i, k, j, g_log2);
  }
}

void score_qk(Matrix q, Matrix k, Matrix g_log2, double scale, Matrix Aqk) {
  fill(Aqk, 0.0);
  for (std::int64_t i = 0; i < q.rows; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) Aqk(i, j) = scale * decayed_dot(q, i, k, j, g_log2);
  }
}

void invert_unit_lower(Matrix Akk, Matrix Akk_inv) {
  fill(Akk_inv, 0.0);
  for (std::int64_t i = 0; i < Akk.rows; ++i) {
    Akk_inv(i, i) = 1.0;
    for (std::int64_t j = 0; j < i; ++j) {
      // Row j of a lower triangular matrix has j + 1 entries.
      add_scaled(-Akk(i, j), Akk_inv.row(j), j + 1, Akk_inv.row(i));
    }
  }
}

void delta_values(Matrix Akk_inv, Matrix beta, Matrix v, Matrix k_gamma, Matrix S, Matrix residual,
                  Matrix v_new) {
  fill(residual, 0.0);
  add_product(k_gamma, S, residual);
  for (std::int64_t i = 0; i < v.rows; ++i) {
    for (std::int64_t c = 0; c < v.cols; ++c) {
      residual(i, c) = beta(i, 0) * (v(i, c) - residual(i, c));
    }
  }
  fill(v_new, 0.0);
  add_lower_product(Akk_inv, residual, v_new);
}

void wy_factors(Matrix Akk_inv, Matrix beta, Matrix v, Matrix k_gamma, Matrix w, Matrix u) {
  fill(w, 0.0);
  fill(u, 0.0);
  for (std::int64_t i = 0; i < v.rows; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      const double weight = Akk_inv(i, j) * beta(j, 0);
      add_scaled(weight, k_gamma.row(j), w.cols, w.row(i));
      add_scaled(weight, v.row(j), u.cols, u.row(i));
    }
  }
}

void chunk_output(Matrix q_gamma, Matrix S, Matrix Aqk, Matrix v_new, Matrix o) {
  fill(o, 0.0);
  add_product(q_gamma, S, o);
  add_lower_product(Aqk, v_new, o);
}

void update_state(Matrix gamma_last, Matrix k_to_end, Matrix v_new, Matrix S) {
  for (std::int64_t c = 0; c < S.rows; ++c) {
    for (std::int64_t j = 0; j < S.cols; ++j) S(c, j) *= gamma_last(0, c);
    for (std::int64_t i = 0; i < v_new.rows; ++i) {
      add_scaled(k_to_end(i, c), v_new.row(i), S.cols, S.row(c));
    }
  }
}

}  // namespace flash_kda::reference
