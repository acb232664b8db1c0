// Each stage alone against its equation in docs/algorithm.md, written out with other intermediates.
#include "reference/stages.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numbers>

#include "tests/reference/random_rows.hpp"

namespace flash_kda::reference {
namespace {

constexpr std::int64_t kC = 13;
constexpr std::int64_t kK = 24;
constexpr std::int64_t kV = 20;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kTolerance = 1e-14;

// Mild enough (13 * 1.5 = 20 bits at most) for 1 / gamma to exist.
struct Chunk : RandomHead {
  OwnedMatrix gamma{kC, kK};

  Chunk() : RandomHead(kC, kK, kV, [](auto, auto, double u) { return -1.5 * u; }) {
    for (std::int64_t c = 0; c < kK; ++c) {
      double product = 1.0;
      for (std::int64_t i = 0; i < kC; ++i) {
        product *= std::exp2(g_log2.view(i, c));
        gamma.view(i, c) = product;
      }
    }
  }
  double decayed_dot(const OwnedMatrix& x, std::int64_t i, std::int64_t j) const {
    double sum = 0.0;
    for (std::int64_t c = 0; c < kK; ++c) {
      sum += x.view(i, c) * gamma.view(i, c) * k.view(j, c) / gamma.view(j, c);
    }
    return sum;
  }
};

TEST(NormalizeQk, DividesByTheNormWithEpsilonInsideTheRoot) {
  OwnedMatrix x(3, 4);
  x.values = {3, 0, 4, 0, 0, 0, 0, 0, 1e-3, 0, 0, 0};
  normalize_qk(QkNorm::kL2, x.view);
  EXPECT_DOUBLE_EQ(x.view(0, 0), 3.0 / std::sqrt(25.0 + 1e-6));
  EXPECT_EQ(x.view(1, 0), 0.0);
  EXPECT_DOUBLE_EQ(x.view(2, 0), 1.0 / std::sqrt(2.0));  // as small as epsilon: half of 1
}

TEST(NormalizeQk, NoneLeavesTheRows) {
  OwnedMatrix x = random_matrix(3, 4, 1);
  const OwnedMatrix before = x;
  normalize_qk(QkNorm::kNone, x.view);
  EXPECT_EQ(x.values, before.values);
}

double one_gate(const GateSpec& gate, double A_log, double bias, double g_raw) {
  OwnedMatrix g(1, 1);
  g.values = {g_raw};
  activate_gate(gate, A_log, &bias, g.view);
  return g.values[0];
}

TEST(ActivateGate, LowerBound) {
  const GateSpec gate{.kind = GateKind::kLowerBound, .lower_bound = -5.0f};
  const double want = -5.0 / (1.0 + std::exp(-std::exp(0.3) * (0.7 - 0.2))) * std::numbers::log2e;
  EXPECT_NEAR(one_gate(gate, 0.3, -0.2, 0.7), want, kTolerance);
  EXPECT_DOUBLE_EQ(one_gate(gate, 0.0, 0.0, 1000.0), -5.0 * std::numbers::log2e);
  EXPECT_EQ(one_gate(gate, 0.0, 0.0, -1000.0), 0.0);
  EXPECT_EQ(one_gate(gate, 0.0, 0.0, -kInf), 0.0);
}

TEST(ActivateGate, Softplus) {
  const GateSpec gate{.kind = GateKind::kSoftplus};
  const double want = -std::exp(0.3) * std::log(1.0 + std::exp(0.5)) * std::numbers::log2e;
  EXPECT_NEAR(one_gate(gate, 0.3, -0.2, 0.7), want, kTolerance);
  EXPECT_DOUBLE_EQ(one_gate(gate, 0.0, 0.0, 1000.0), -1000.0 * std::numbers::log2e);
  EXPECT_EQ(one_gate(gate, 0.0, 0.0, -1000.0), 0.0);
}

TEST(ActivateGate, LogTakesNats) {
  const GateSpec gate{.kind = GateKind::kLog};
  EXPECT_DOUBLE_EQ(one_gate(gate, 0.0, 0.0, -1.0), -std::numbers::log2e);
  EXPECT_EQ(one_gate(gate, 0.0, 0.0, -kInf), -kInf);
}

TEST(ActivateBeta, DoublesAfterTheSigmoid) {
  EXPECT_DOUBLE_EQ(activate_beta(BetaForm::kLogits, BetaRange::kUnit, 0.0), 0.5);
  EXPECT_DOUBLE_EQ(activate_beta(BetaForm::kLogits, BetaRange::kDoubled, 1.0),
                   2.0 / (1.0 + std::exp(-1.0)));
  EXPECT_DOUBLE_EQ(activate_beta(BetaForm::kActivated, BetaRange::kUnit, 0.3), 0.3);
  EXPECT_DOUBLE_EQ(activate_beta(BetaForm::kActivated, BetaRange::kDoubled, 0.3), 0.6);
}

TEST(CumsumDecay, IsInclusive) {
  const Chunk chunk;
  OwnedMatrix g_cum_log2(kC, kK);
  cumsum_decay(chunk.g_log2.view, g_cum_log2.view);
  for (std::int64_t i = 0; i < kC; ++i) {
    for (std::int64_t c = 0; c < kK; ++c) {
      EXPECT_NEAR(std::exp2(g_cum_log2.view(i, c)), chunk.gamma.view(i, c), kTolerance);
    }
  }
}

TEST(ApplyDecay, ScalesRowsToBothEndsOfTheChunk) {
  const Chunk chunk;
  OwnedMatrix g_cum_log2(kC, kK), q_gamma(kC, kK), k_gamma(kC, kK), k_to_end(kC, kK), last(1, kK);
  cumsum_decay(chunk.g_log2.view, g_cum_log2.view);
  apply_decay(chunk.q.view, chunk.k.view, chunk.g_log2.view, g_cum_log2.view, 0.25,
              {q_gamma.view, k_gamma.view, k_to_end.view, last.view});
  for (std::int64_t c = 0; c < kK; ++c) {
    const double gamma_last = chunk.gamma.view(kC - 1, c);
    EXPECT_NEAR(last.view(0, c), gamma_last, kTolerance);
    for (std::int64_t i = 0; i < kC; ++i) {
      const double gamma = chunk.gamma.view(i, c);
      EXPECT_NEAR(q_gamma.view(i, c), 0.25 * chunk.q.view(i, c) * gamma, kTolerance);
      EXPECT_NEAR(k_gamma.view(i, c), chunk.k.view(i, c) * gamma, kTolerance);
      EXPECT_NEAR(k_to_end.view(i, c), chunk.k.view(i, c) * gamma_last / gamma, kTolerance);
    }
  }
}

TEST(Scores, AreDecayedDotProductsOfEarlierTokens) {
  const Chunk chunk;
  OwnedMatrix Akk(kC, kC), Aqk(kC, kC);
  score_kk(chunk.k.view, chunk.g_log2.view, chunk.beta.view, Akk.view);
  score_qk(chunk.q.view, chunk.k.view, chunk.g_log2.view, 0.25, Aqk.view);
  for (std::int64_t i = 0; i < kC; ++i) {
    for (std::int64_t j = 0; j < kC; ++j) {
      const double beta = chunk.beta.view(i, 0);
      const double kk = j < i ? beta * chunk.decayed_dot(chunk.k, i, j) : 0.0;
      const double qk = j <= i ? 0.25 * chunk.decayed_dot(chunk.q, i, j) : 0.0;
      EXPECT_NEAR(Akk.view(i, j), kk, kTolerance);
      EXPECT_NEAR(Aqk.view(i, j), qk, kTolerance);
    }
  }
}

TEST(InvertUnitLower, TimesTheMatrixIsTheIdentity) {
  const Chunk chunk;
  OwnedMatrix Akk(kC, kC), inverse(kC, kC);
  score_kk(chunk.k.view, chunk.g_log2.view, chunk.beta.view, Akk.view);
  invert_unit_lower(Akk.view, inverse.view);
  for (std::int64_t i = 0; i < kC; ++i) {
    for (std::int64_t j = 0; j < kC; ++j) {
      double product = inverse.view(i, j);
      for (std::int64_t l = 0; l < i; ++l) product += Akk.view(i, l) * inverse.view(l, j);
      EXPECT_NEAR(product, i == j ? 1.0 : 0.0, kTolerance);
    }
  }
}

// v_new[i] = beta_i (v_i - k_gamma_i S) - sum_{j < i} Akk[i, j] v_new[j], the recurrence that E7
// and E8 solve, and E9 as u - w S.
TEST(DeltaValues, SolveTheTriangularSystemBothWays) {
  const Chunk chunk;
  const OwnedMatrix S = random_matrix(kK, kV, 11);
  OwnedMatrix Akk(kC, kC), inverse(kC, kC), k_gamma(kC, kK);
  OwnedMatrix residual(kC, kV), v_new(kC, kV), w(kC, kK), u(kC, kV);
  score_kk(chunk.k.view, chunk.g_log2.view, chunk.beta.view, Akk.view);
  invert_unit_lower(Akk.view, inverse.view);
  for (std::size_t i = 0; i < k_gamma.values.size(); ++i) {
    k_gamma.values[i] = chunk.k.values[i] * chunk.gamma.values[i];
  }
  delta_values(inverse.view, chunk.beta.view, chunk.v.view, k_gamma.view, S.view, residual.view,
               v_new.view);
  wy_factors(inverse.view, chunk.beta.view, chunk.v.view, k_gamma.view, w.view, u.view);
  OwnedMatrix want(kC, kV);
  for (std::int64_t i = 0; i < kC; ++i) {
    for (std::int64_t v = 0; v < kV; ++v) {
      double predicted = 0.0, w_S = 0.0, earlier = 0.0;
      for (std::int64_t c = 0; c < kK; ++c) predicted += k_gamma.view(i, c) * S.view(c, v);
      for (std::int64_t c = 0; c < kK; ++c) w_S += w.view(i, c) * S.view(c, v);
      for (std::int64_t j = 0; j < i; ++j) earlier += Akk.view(i, j) * want.view(j, v);
      want.view(i, v) = chunk.beta.view(i, 0) * (chunk.v.view(i, v) - predicted) - earlier;
      EXPECT_NEAR(v_new.view(i, v), want.view(i, v), kTolerance);
      EXPECT_NEAR(u.view(i, v) - w_S, want.view(i, v), kTolerance);
    }
  }
}

TEST(ChunkOutput, ReadsTheStateBeforeTheChunkAndTheNewValues) {
  const OwnedMatrix q_gamma = random_matrix(kC, kK, 1), S = random_matrix(kK, kV, 2);
  const OwnedMatrix v_new = random_matrix(kC, kV, 3);
  OwnedMatrix Aqk = random_matrix(kC, kC, 4), o(kC, kV);
  chunk_output(q_gamma.view, S.view, Aqk.view, v_new.view, o.view);
  for (std::int64_t i = 0; i < kC; ++i) {
    for (std::int64_t v = 0; v < kV; ++v) {
      double want = 0.0;
      for (std::int64_t c = 0; c < kK; ++c) want += q_gamma.view(i, c) * S.view(c, v);
      for (std::int64_t j = 0; j <= i; ++j) want += Aqk.view(i, j) * v_new.view(j, v);
      EXPECT_NEAR(o.view(i, v), want, 10 * kTolerance);  // sums of normal draws: up to 10
    }
  }
}

TEST(UpdateState, DecaysByChannelAndAddsOuterProducts) {
  const OwnedMatrix gamma_last = random_matrix(1, kK, 1), k_to_end = random_matrix(kC, kK, 2);
  const OwnedMatrix v_new = random_matrix(kC, kV, 3), before = random_matrix(kK, kV, 4);
  OwnedMatrix S = before;
  update_state(gamma_last.view, k_to_end.view, v_new.view, S.view);
  for (std::int64_t c = 0; c < kK; ++c) {
    for (std::int64_t v = 0; v < kV; ++v) {
      double want = gamma_last.view(0, c) * before.view(c, v);
      for (std::int64_t i = 0; i < kC; ++i) want += k_to_end.view(i, c) * v_new.view(i, v);
      EXPECT_NEAR(S.view(c, v), want, 10 * kTolerance);
    }
  }
}

}  // namespace
}  // namespace flash_kda::reference
