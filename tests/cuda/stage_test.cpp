// Each stage alone against the reference's stage of the same name. Inputs are exact in the types
// that a stage reads, so that a bound holds the roundings of that stage and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "reference/stages.hpp"
#include "tests/cuda/stage_kernels.hpp"

namespace flash_kda::cuda::testing {
namespace {

constexpr double kU = 0x1p-8;     // unit roundoff of bf16
constexpr double kF32 = 0x1p-20;  // some tens of fp32 roundings, or a few special functions
constexpr double kTiny = 0x1p-125;
constexpr int kC = kTokens;
const double kFloorLog2 = -9.0 / std::log(2.0);

// fp64 copy of fp32 data as a matrix.
struct Doubles {
  Doubles(int rows, int cols)
      : data(static_cast<std::size_t>(rows * cols)), matrix{data.data(), rows, cols} {}
  Doubles(const Floats& from, int rows, int cols) : Doubles(rows, cols) {
    std::copy(from.begin(), from.end(), data.begin());
  }
  Doubles(const Doubles&) = delete;
  Doubles& operator=(const Doubles&) = delete;
  double& operator()(int i, int j) { return data[static_cast<std::size_t>(i * matrix.cols + j)]; }

  std::vector<double> data;
  reference::Matrix matrix;
};

Floats to_floats(const Doubles& from) { return {from.data.begin(), from.data.end()}; }

// bf16 values in (low, high).
Floats random_bf16(int count, unsigned seed, float low = -1.0f, float high = 1.0f) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  Floats values(static_cast<std::size_t>(count));
  for (float& x : values) x = to_bf16(uniform(generator));
  return values;
}

enum class Decays { kMild, kFloor, kAlternating, kNone };

// g_log2 [C, K], never below the floor.
Floats decays(Decays kind, int head_dim) {
  Floats g(static_cast<std::size_t>(kC * head_dim));
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(-1.0f, 0.0f);
  for (int i = 0; i < kC * head_dim; ++i) {
    const int token = i / head_dim;
    float value = 0.0f;
    if (kind == Decays::kMild) value = uniform(generator);
    if (kind == Decays::kFloor) value = static_cast<float>(kFloorLog2);
    if (kind == Decays::kAlternating && (token + i) % 2 == 0) {
      value = static_cast<float>(kFloorLog2);
    }
    g[static_cast<std::size_t>(i)] = value;
  }
  return g;
}

// got within bound[i] of want, element by element.
void expect_within(const Floats& got, const Doubles& want, const Doubles& bound, const char* what) {
  ASSERT_EQ(got.size(), want.data.size()) << what;
  int misses = 0;
  for (std::size_t i = 0; i < got.size() && misses < 3; ++i) {
    if (std::abs(got[i] - want.data[i]) <= bound.data[i] + kTiny) continue;
    ++misses;
    ADD_FAILURE() << what << "[" << i << "]: got " << got[i] << ", want " << want.data[i] << " +- "
                  << bound.data[i];
  }
}

void expect_relative(const Floats& got, const Doubles& want, double tolerance, const char* what) {
  Doubles bound(static_cast<int>(want.matrix.rows), static_cast<int>(want.matrix.cols));
  for (std::size_t i = 0; i < want.data.size(); ++i) {
    bound.data[i] = tolerance * std::abs(want.data[i]);
  }
  expect_within(got, want, bound, what);
}

class Gate : public ::testing::TestWithParam<float> {};  // exp(A_log)

const Floats kLogits = {-1000, -100,  -50,  -20,   -9,   -5,    -1,     -0.5f,  -1e-3f,
                        0,     1e-3,  0.5,  1,     5,    9,     20,     50,     100,
                        1000,  -1000, 1000, -1000, 1000, -0.0f, 1e-30f, -1e-30f};

// Slope and argument are wrong by some 2^-22 of themselves; the sigmoid's logarithm moves as much.
TEST_P(Gate, LowerBoundKeepsItsBound) {
  const GateSpec spec = {.kind = GateKind::kLowerBound, .lower_bound = -5.0f};
  const Floats got = run_activate_gate(spec, std::log(GetParam()), kLogits);
  Doubles want(kLogits, 1, static_cast<int>(kLogits.size()));
  reference::activate_gate(spec, std::log(GetParam()), nullptr, want.matrix);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double argument = std::abs(GetParam() * kLogits[i]);
    const double bound = kF32 * (1 + argument) * std::abs(want.data[i]) + 0x1p-120;
    EXPECT_NEAR(got[i], want.data[i], bound) << kLogits[i];
    EXPECT_LE(got[i], 0.0f);
  }
}

// The logarithm is right to 2^-22 absolute near 1, so the decay to slope times that.
TEST_P(Gate, SoftplusIsFiniteAndFloored) {
  const GateSpec spec = {.kind = GateKind::kSoftplus};
  const Floats got = run_activate_gate(spec, std::log(GetParam()), kLogits);
  Doubles want(kLogits, 1, static_cast<int>(kLogits.size()));
  reference::activate_gate(spec, std::log(GetParam()), nullptr, want.matrix);
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double floored = std::max(want.data[i], kFloorLog2);
    EXPECT_NEAR(got[i], floored, kF32 * (GetParam() + std::abs(floored))) << kLogits[i];
    EXPECT_LE(got[i], 0.0f);
    EXPECT_GE(got[i], static_cast<float>(kFloorLog2) * (1 + 1e-6f));
  }
}

TEST(GateEdge, LogDecaysAreFlooredAndNanStays) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const GateSpec spec = {.kind = GateKind::kLog};
  const Floats got = run_activate_gate(spec, 0.0f, {0.0f, -1.0f, -1000.0f, -infinity, nan});
  EXPECT_EQ(got[0], 0.0f);
  EXPECT_NEAR(got[1], -1.0 / std::log(2.0), 1e-6);
  EXPECT_NEAR(got[2], kFloorLog2, 1e-5);
  EXPECT_NEAR(got[3], kFloorLog2, 1e-5);
  EXPECT_TRUE(std::isnan(got[4]));
}

INSTANTIATE_TEST_SUITE_P(Slopes, Gate, ::testing::Values(0.02f, 1.0f, 16.0f, 50.0f));

TEST(Beta, IsActivatedAndDoubled) {
  const Floats x = {-1000, -30, -1, 0, 0.25f, 1, 30, 1000};
  for (const BetaForm form : {BetaForm::kLogits, BetaForm::kActivated}) {
    for (const BetaRange range : {BetaRange::kUnit, BetaRange::kDoubled}) {
      const Floats got = run_activate_beta(form, range, x);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double want = reference::activate_beta(form, range, x[i]);
        EXPECT_NEAR(got[i], want, kF32 * (1 + std::abs(x[i])) * std::abs(want) + 0x1p-120) << x[i];
      }
    }
  }
}

class Stage : public ::testing::TestWithParam<std::tuple<int, Decays>> {
 protected:
  int head_dim() const { return std::get<0>(GetParam()); }
  Floats g_log2() const { return decays(std::get<1>(GetParam()), head_dim()); }
  Floats tile(unsigned seed) const { return random_bf16(kC * head_dim(), seed); }
};

TEST_P(Stage, NormalizeQk) {
  const Floats q = tile(1);
  Floats k = tile(2);
  std::fill_n(k.begin(), head_dim(), 0.0f);  // a key of zeros: 1 / sqrt(1e-6)
  const Floats factors = run_normalize_qk(head_dim(), QkNorm::kL2, 0.125f, q, k);
  Doubles rows(q, kC, head_dim());
  Doubles keys(k, kC, head_dim());
  reference::normalize_qk(QkNorm::kL2, rows.matrix);
  reference::normalize_qk(QkNorm::kL2, keys.matrix);
  for (int i = 0; i < kC; ++i) {
    const auto at = static_cast<std::size_t>(i * head_dim());
    EXPECT_NEAR(factors[static_cast<std::size_t>(i)] * q[at], 0.125 * rows(i, 0),
                kF32 * std::abs(rows(i, 0)));
    EXPECT_NEAR(factors[static_cast<std::size_t>(kC + i)] * k[at], keys(i, 0),
                kF32 * std::abs(keys(i, 0)));
  }
  EXPECT_NEAR(factors[kC], 1000.0, 1e-3);
  for (const float factor : run_normalize_qk(head_dim(), QkNorm::kNone, 1.0f, q, k)) {
    EXPECT_EQ(factor, 1.0f);
  }
}

TEST_P(Stage, CumsumDecay) {
  const Floats g = g_log2();
  Doubles log2(g, kC, head_dim());
  Doubles sums(kC, head_dim());
  reference::cumsum_decay(log2.matrix, sums.matrix);
  expect_relative(run_cumsum_decay(head_dim(), g), sums, kF32, "g_cum_log2");
}

// Rounded once to bf16. Exponents reach 2 * 104 in magnitude, each right to 2^-24 of that.
TEST_P(Stage, ApplyDecay) {
  constexpr double kTolerance = 1.02 * kU;
  const double scale = 0.125;
  const Floats g = g_log2();
  Doubles q(tile(1), kC, head_dim());
  Doubles k(tile(2), kC, head_dim());
  Doubles log2(g, kC, head_dim());
  Doubles sums(kC, head_dim());
  reference::cumsum_decay(log2.matrix, sums.matrix);
  Doubles q_gamma(kC, head_dim()), k_gamma(kC, head_dim()), k_to_end(kC, head_dim());
  Doubles gamma_last(1, head_dim());
  reference::apply_decay(q.matrix, k.matrix, log2.matrix, sums.matrix, scale,
                         {q_gamma.matrix, k_gamma.matrix, k_to_end.matrix, gamma_last.matrix});

  Floats norm(2 * kC, 1.0f);
  std::fill_n(norm.begin(), kC, static_cast<float>(scale));
  const DecayedTiles got =
      run_apply_decay(head_dim(), to_floats(q), to_floats(k), to_floats(sums), norm);
  expect_relative(got.q_gamma, q_gamma, kTolerance, "q_gamma");
  expect_relative(got.k_gamma, k_gamma, kTolerance, "k_gamma");
  expect_relative(got.k_to_end, k_to_end, kTolerance, "k_to_end");
  expect_relative(got.gamma_last, gamma_last, 1e-4, "gamma_last");
  Doubles q_score(kC, head_dim()), k_score(kC, head_dim()), k_inverse(kC, head_dim());
  for (int i = 0; i < kC; ++i) {
    for (int c = 0; c < head_dim(); ++c) {
      const double up = std::exp2(sums(i, c) - sums(kC / 2 - 1, c));
      q_score(i, c) = scale * q(i, c) * up;
      k_score(i, c) = k(i, c) * up;
      k_inverse(i, c) = k(i, c) / up;
    }
  }
  expect_relative(got.q_score, q_score, kTolerance, "q_score");
  expect_relative(got.k_score, k_score, kTolerance, "k_score");
  expect_relative(got.k_inverse, k_inverse, kTolerance, "k_inverse");
}

// Tiles of the production stage; both operands rounded once, 2 u of each product.
TEST_P(Stage, Scores) {
  const Floats g = g_log2();
  Doubles q(tile(1), kC, head_dim());
  Doubles k(tile(2), kC, head_dim());
  Doubles log2(g, kC, head_dim());
  Doubles sums(kC, head_dim());
  reference::cumsum_decay(log2.matrix, sums.matrix);
  const DecayedTiles tiles = run_apply_decay(head_dim(), to_floats(q), to_floats(k),
                                             to_floats(sums), Floats(2 * kC, 1.0f));
  const Floats beta = random_bf16(kC, 5, 0.0f, 2.0f);
  Doubles beta_column(beta, kC, 1);
  Doubles want_kk(kC, kC), want_qk(kC, kC), bound_kk(kC, kC), bound_qk(kC, kC);
  reference::score_kk(k.matrix, log2.matrix, beta_column.matrix, want_kk.matrix);
  reference::score_qk(q.matrix, k.matrix, log2.matrix, 1.0, want_qk.matrix);
  for (int i = 0; i < kC; ++i) {
    for (int j = 0; j <= i; ++j) {
      double of_k = 0;
      double of_q = 0;
      for (int c = 0; c < head_dim(); ++c) {
        const double decay = std::exp2(sums(i, c) - sums(j, c));
        of_k += std::abs(k(i, c) * k(j, c)) * decay;
        of_q += std::abs(q(i, c) * k(j, c)) * decay;
      }
      if (j < i) bound_kk(i, j) = 2.1 * kU * beta_column(i, 0) * of_k;
      bound_qk(i, j) = 2.1 * kU * of_q + 1.1 * kU * std::abs(want_qk(i, j));
    }
  }
  expect_within(run_score_kk(head_dim(), tiles.k_score, tiles.k_inverse, beta), want_kk, bound_kk,
                "score_kk");
  expect_within(run_score_qk(head_dim(), tiles.q_score, tiles.k_inverse), want_qk, bound_qk,
                "score_qk");
}

TEST(InvertUnitLower, SolvesAndHoldsTheHostileCase) {
  for (const float size : {0.3f, 1.0f, 2.0f}) {
    Floats score(kC * kC, 0.0f);
    const Floats random = random_bf16(kC * kC, 9, -0.3f, 0.3f);
    for (int i = 0; i < kC; ++i) {
      for (int j = 0; j < i; ++j) {
        const auto at = static_cast<std::size_t>(i * kC + j);
        score[at] = size < 1.0f ? random[at] : size;  // identical keys: every entry beta
      }
    }
    Doubles want(kC, kC);
    Doubles akk(score, kC, kC);
    reference::invert_unit_lower(akk.matrix, want.matrix);
    Doubles bound(kC, kC);
    for (std::size_t i = 0; i < bound.data.size(); ++i) {
      bound.data[i] = kU * std::abs(want.data[i]) + 16 * kF32;
    }
    expect_within(run_invert_unit_lower(score), want, bound, "inverse");
  }
}

// A chunk image and a state, exact in bf16 where they are stored so, and no simpler than that.
struct Recurrence {
  explicit Recurrence(int dim)
      : head_dim(dim),
        S(dim, kValueRows),
        v(random_bf16(kC * kValueRows, 16), kC, kValueRows),
        u(random_bf16(kC * kValueRows, 17), kC, kValueRows) {
    chunk = {.k_gamma = random_bf16(kC * dim, 11, -0.2f, 0.2f),
             .q_gamma = random_bf16(kC * dim, 12, -0.2f, 0.2f),
             .k_to_end = random_bf16(kC * dim, 13, -0.2f, 0.2f),
             .inverse = lower(14, /*with_diagonal=*/1.0f),
             .score_qk = lower(15, 0.5f),
             .beta = random_bf16(kC, 18, 0.0f, 1.0f),
             .gamma_last = random_bf16(dim, 19, 0.0f, 1.0f)};
    std::mt19937 generator(20);
    std::normal_distribution<float> normal;
    state.resize(static_cast<std::size_t>(kValueRows * dim));
    for (int r = 0; r < kValueRows; ++r) {
      for (int c = 0; c < dim; ++c) {
        const float value = normal(generator);
        state[static_cast<std::size_t>(r * dim + c)] = value;
        S(c, r) = value;
      }
    }
  }
  static Floats lower(unsigned seed, float with_diagonal) {
    Floats matrix = random_bf16(kC * kC, seed, -0.5f, 0.5f);
    for (int i = 0; i < kC; ++i) {
      for (int j = i; j < kC; ++j) {
        matrix[static_cast<std::size_t>(i * kC + j)] = i == j ? with_diagonal : 0.0f;
      }
    }
    return matrix;
  }
  // sum_c |rows[i, c] S[c, r]|
  double absolute_product(const Floats& rows, int i, int r) {
    double sum = 0;
    for (int c = 0; c < head_dim; ++c) {
      sum += std::abs(rows[static_cast<std::size_t>(i * head_dim + c)] * S(c, r));
    }
    return sum;
  }

  int head_dim;
  Chunk chunk;
  Floats state;  // [V, K], as the kernel has it
  Doubles S;     // [K, V], as the reference has it
  Doubles v, u;
};

class RecurrenceStage : public ::testing::TestWithParam<int> {};

// Rounded: the copy of S, then W, then U.
TEST_P(RecurrenceStage, DeltaValues) {
  for (const int count : {kC, 11}) {
    Recurrence r(GetParam());
    for (int i = count; i < kC; ++i) {
      for (int j = 0; j < kValueRows; ++j) r.v(i, j) = 0.0;
    }
    Doubles inverse(r.chunk.inverse, kC, kC), beta(r.chunk.beta, kC, 1);
    Doubles k_gamma(r.chunk.k_gamma, kC, r.head_dim);
    Doubles residual(kC, kValueRows), want(kC, kValueRows), bound(kC, kValueRows);
    reference::delta_values(inverse.matrix, beta.matrix, r.v.matrix, k_gamma.matrix, r.S.matrix,
                            residual.matrix, want.matrix);
    for (int i = 0; i < kC; ++i) {
      for (int c = 0; c < kValueRows; ++c) {
        double sum = 0;
        for (int j = 0; j <= i; ++j) {
          const double product = r.absolute_product(r.chunk.k_gamma, j, c);
          sum += std::abs(inverse(i, j)) * beta(j, 0) * (2 * product + std::abs(r.v(j, c)));
        }
        bound(i, c) = 1.02 * kU * (sum + std::abs(want(i, c)));
      }
    }
    const Floats v = to_floats(r.v);
    expect_within(run_delta_values(r.head_dim, r.chunk, r.state, v, count), want, bound, "u");
  }
}

// Rounded: the copy of S, and the result where it is bf16. Nothing is stored past the chunk's end.
TEST_P(RecurrenceStage, ChunkOutput) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int count : {kC, 5}) {
      Recurrence r(GetParam());
      Doubles q_gamma(r.chunk.q_gamma, kC, r.head_dim), score(r.chunk.score_qk, kC, kC);
      Doubles want(kC, kValueRows), bound(kC, kValueRows);
      reference::chunk_output(q_gamma.matrix, r.S.matrix, score.matrix, r.u.matrix, want.matrix);
      Floats got = run_chunk_output(r.head_dim, r.chunk, r.state, to_floats(r.u), dtype, count);
      for (int i = 0; i < kC; ++i) {
        for (int c = 0; c < kValueRows; ++c) {
          const auto at = static_cast<std::size_t>(i * kValueRows + c);
          bound(i, c) = 1.01 * kU * r.absolute_product(r.chunk.q_gamma, i, c) + 64 * kF32;
          if (dtype == DType::kBF16) bound(i, c) += 1.01 * kU * std::abs(want(i, c));
          if (i < count) continue;
          EXPECT_TRUE(std::isnan(got[at])) << "row " << i;
          got[at] = static_cast<float>(want(i, c));
        }
      }
      expect_within(got, want, bound, "out");
    }
  }
}

// fp32 throughout.
TEST_P(RecurrenceStage, UpdateState) {
  Recurrence r(GetParam());
  Doubles gamma_last(r.chunk.gamma_last, 1, r.head_dim);
  Doubles k_to_end(r.chunk.k_to_end, kC, r.head_dim);
  const Floats got = run_update_state(r.head_dim, r.chunk, r.state, to_floats(r.u));
  reference::update_state(gamma_last.matrix, k_to_end.matrix, r.u.matrix, r.S.matrix);
  Doubles want(kValueRows, r.head_dim), bound(kValueRows, r.head_dim);
  for (int row = 0; row < kValueRows; ++row) {
    for (int c = 0; c < r.head_dim; ++c) {
      want(row, c) = r.S(c, row);
      bound(row, c) = 8 * kF32;
    }
  }
  expect_within(got, want, bound, "state");
}

INSTANTIATE_TEST_SUITE_P(Dims, RecurrenceStage, ::testing::Values(64, 128));
INSTANTIATE_TEST_SUITE_P(All, Stage,
                         ::testing::Combine(::testing::Values(64, 128),
                                            ::testing::Values(Decays::kMild, Decays::kFloor,
                                                              Decays::kAlternating,
                                                              Decays::kNone)));

}  // namespace
}  // namespace flash_kda::cuda::testing
