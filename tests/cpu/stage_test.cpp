// Each stage alone, for every instruction set of this machine, against the fp64 stages of the
// reference. Buffers are filled with NaN before a stage writes them, so that what it leaves out or
// reads beyond its contract shows.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "cpu/stage_kernels.hpp"
#include "cpu/target.hpp"
#include "reference/stages.hpp"

namespace flash_kda::cpu {
namespace {

using testing::stage_kernels_for;
using testing::StageKernels;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kEpsilon = 0x1p-24;  // half a unit in the last place of fp32 near 1
constexpr int kC = kChunkSize;
constexpr int kW = kPanelWidth;

struct Floats : std::vector<float> {
  explicit Floats(int count) : std::vector<float>(static_cast<std::size_t>(count), kNan) {}
  float& at(int i) { return (*this)[static_cast<std::size_t>(i)]; }
};

Floats random_floats(int count, unsigned seed, float low = -1.0f, float high = 1.0f) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  Floats values(count);
  for (float& x : values) x = uniform(generator);
  return values;
}

// fp64 copy of fp32 data as a matrix.
struct Doubles {
  std::vector<double> data;
  reference::Matrix matrix;
  Doubles(int rows, int cols)
      : data(static_cast<std::size_t>(rows * cols)), matrix{data.data(), rows, cols} {}
  Doubles(const Floats& from, int rows, int cols) : Doubles(rows, cols) {
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = from[i];
  }
  double operator()(int i, int j) const { return matrix(i, j); }
};

class Stage : public ::testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    if (!is_available(GetParam())) GTEST_SKIP() << "not on this machine";
    stages_ = stage_kernels_for(GetParam());
  }
  const StageKernels* stages_ = nullptr;
};

TEST_P(Stage, Exp2IsAccurateToOneUlpAndZeroFarBelow) {
  Floats x(4096), y(4096), hi(4096), lo(4096);
  for (int i = 0; i < 4096; ++i) x.at(i) = -130.0f + 0.0325f * static_cast<float>(i);
  x.at(0) = -std::numeric_limits<float>::infinity();
  x.at(1) = -1e30f;
  x.at(2) = 0.0f;
  stages_->exp2(x.data(), 4096, y.data());
  stages_->exp2_two_floats(x.data(), 4096, hi.data(), lo.data());
  EXPECT_EQ(y.at(0), 0.0f);
  EXPECT_EQ(y.at(1), 0.0f);
  EXPECT_EQ(y.at(2), 1.0f);
  for (int i = 3; i < 4096; ++i) {
    const double exact = std::exp2(static_cast<double>(x.at(i)));
    if (exact < 0x1p-125) continue;  // subnormal results may be flushed
    EXPECT_NEAR(y.at(i), exact, 3 * kEpsilon * exact) << x.at(i);
    // The polynomial 5.2e-9, the rounding of its last product 0.42 * 2^-24 = 2.5e-8.
    EXPECT_NEAR(static_cast<double>(hi.at(i)) + lo.at(i), exact, 6e-8 * exact) << x.at(i);
  }
}

TEST_P(Stage, Exp2NearOneKeepsWhatOneFloatCannot) {
  Floats x(64), hi(64), lo(64);
  for (int i = 0; i < 64; ++i) x.at(i) = -1e-6f * static_cast<float>(i + 1);
  stages_->exp2_two_floats(x.data(), 64, hi.data(), lo.data());
  for (int i = 0; i < 64; ++i) {
    const double decay = -std::expm1(std::log(2.0) * static_cast<double>(x.at(i)));
    const double got = (1.0 - hi.at(i)) - lo.at(i);
    EXPECT_NEAR(got, decay, 4 * kEpsilon * decay);
  }
}

TEST_P(Stage, Exp2PassesNanOn) {
  Floats x(16), y(16), hi(16), lo(16);
  stages_->exp2(x.data(), 16, y.data());
  stages_->exp2_two_floats(x.data(), 16, hi.data(), lo.data());
  for (int i = 0; i < 16; ++i) {
    EXPECT_TRUE(std::isnan(y.at(i)));
    EXPECT_TRUE(std::isnan(hi.at(i)));
  }
}

TEST_P(Stage, NormalizeQkTakesTailsAndIgnoresWhatLiesBeyond) {
  for (const int num_k : {16, 40, 64, 129}) {
    const int k_pad = (num_k + kVectorPad - 1) / kVectorPad * kVectorPad;
    const int pitch = k_pad + 7;
    for (const int valid : {1, 7, 16}) {
      Floats source(kC * pitch + 64);
      for (int i = 0; i < valid; ++i) {
        const Floats row = random_floats(num_k, static_cast<unsigned>(i + num_k));
        std::copy(row.begin(), row.end(), source.begin() + i * pitch);
      }
      Floats rows(kC * k_pad), rnorm(kC);
      stages_->load_rows({.data = source.data(), .dtype = DType::kF32, .stride = pitch}, 0, valid,
                         num_k, k_pad, rows.data(), rnorm.data());
      stages_->normalize_qk(QkNorm::kL2, 0.5f, rnorm.data());
      Doubles want(kC, k_pad);
      for (int i = 0; i < valid; ++i) {
        for (int c = 0; c < num_k; ++c) want.matrix(i, c) = source.at(i * pitch + c);
      }
      reference::normalize_qk(QkNorm::kL2, want.matrix);
      for (int i = 0; i < kC; ++i) {
        for (int c = 0; c < k_pad; ++c) {
          // Sum of squares (num_k / lanes additions in fp32), root, quotient, product.
          EXPECT_NEAR(rows.at(i * k_pad + c) * rnorm.at(i), 0.5 * want(i, c),
                      1e-6 * std::abs(want(i, c)))
              << "row " << i << " channel " << c;
        }
      }
    }
  }
}

TEST_P(Stage, ActivateBetaInAllForms) {
  const Floats logits = random_floats(kC, 3, -20.0f, 20.0f);
  for (const BetaForm form : {BetaForm::kLogits, BetaForm::kActivated}) {
    for (const BetaRange range : {BetaRange::kUnit, BetaRange::kDoubled}) {
      HeadParams params;
      params.beta_form = form;
      params.beta_factor = range == BetaRange::kDoubled ? 2.0f : 1.0f;
      Floats beta(kC);
      stages_->activate_beta({.data = logits.data(), .dtype = DType::kF32, .stride = 1}, params, 0,
                             13, beta.data());
      for (int i = 0; i < 13; ++i) {
        const double want =
            reference::activate_beta(form, range, logits[static_cast<std::size_t>(i)]);
        EXPECT_NEAR(beta.at(i), want, 1e-6 * std::abs(want));
      }
      for (int i = 13; i < kC; ++i) EXPECT_EQ(beta.at(i), 0.0f);
    }
  }
}

// Relative error of g_log2. A gate near 2^-y comes from an exponent y that two roundings have moved
// by up to y 2^-23, on top of the activation's own 5e-7.
double gate_error(double g_log2) {
  return 5e-7 + (g_log2 == 0.0 ? 0.0 : 1.2e-7 * std::abs(std::log2(std::abs(g_log2))));
}

TEST_P(Stage, ActivateGateOfEveryKind) {
  constexpr int kK = 40, kPad = 48;
  for (const GateKind kind : {GateKind::kLowerBound, GateKind::kSoftplus, GateKind::kLog}) {
    for (const int valid : {-3, 0, 1, 3, 4, 16}) {
      SCOPED_TRACE(std::string(to_string(kind)) + " valid " + std::to_string(valid));
      const float low = kind == GateKind::kLog ? -30.0f : -20.0f;
      const float high = kind == GateKind::kLog ? 0.0f : 20.0f;
      const Floats g = random_floats(kSubBlock * kK, 5, low, high);
      Floats bias = random_floats(kPad, 6);
      for (int c = kK; c < kPad; ++c) bias.at(c) = 0.0f;
      HeadParams params;
      params.gate = kind;
      params.lower_bound = -5.0f;
      const float a_log = 0.7f;
      params.gate_scale = std::exp(a_log);
      params.dt_bias = bias.data();
      params.num_k = kK;
      params.num_k_padded = kPad;
      Floats alpha(kSubBlock * kPad), sum(kPad);
      std::fill(sum.begin(), sum.end(), 0.0f);
      stages_->activate_gate({.data = g.data(), .dtype = DType::kF32, .stride = kK}, params, 0,
                             valid, alpha.data(), sum.data());
      Doubles want(g, kSubBlock, kK);
      const Doubles bias64(bias, 1, kK);
      const GateSpec spec = {.kind = kind, .lower_bound = -5.0f};
      reference::activate_gate(spec, a_log, bias64.data.data(), want.matrix);
      for (int c = 0; c < kK; ++c) {
        double want_sum = 0.0, sum_error = 0.0;
        for (int i = 0; i < kSubBlock; ++i) {
          const double g_log2 = i < valid ? want(i, c) : 0.0;
          const double error = gate_error(g_log2) * std::abs(g_log2);
          want_sum += g_log2;
          sum_error += error;
          const double decay = std::exp2(g_log2);
          EXPECT_NEAR(alpha.at(i * kPad + c), decay, (2e-7 + error) * decay);
        }
        EXPECT_NEAR(sum.at(c), want_sum, sum_error + 3 * kEpsilon * std::abs(want_sum));
      }
    }
  }
}

TEST_P(Stage, ActivateGateAtTheEndsOfTheRange) {
  HeadParams params;
  Floats bias(16), alpha(kSubBlock * 16), sum(16);
  std::fill(bias.begin(), bias.end(), 0.0f);
  params.dt_bias = bias.data();
  params.num_k = params.num_k_padded = 16;
  params.gate_scale = 8.0f;
  for (const GateKind kind : {GateKind::kLowerBound, GateKind::kSoftplus, GateKind::kLog}) {
    params.gate = kind;
    Floats g(kSubBlock * 16);
    std::fill(g.begin(), g.end(), -1000.0f);
    if (kind == GateKind::kSoftplus) std::fill(g.begin(), g.end(), 1000.0f);
    std::fill(sum.begin(), sum.end(), 0.0f);
    stages_->activate_gate({.data = g.data(), .dtype = DType::kF32, .stride = 16}, params, 0, 4,
                           alpha.data(), sum.data());
    for (const float a : alpha) EXPECT_EQ(a, kind == GateKind::kLowerBound ? 1.0f : 0.0f);
  }
}

// Scores with every kind of decay, zeros and ones among them.
TEST_P(Stage, ScoresMatchForAnyDecay) {
  constexpr int kK = 64;
  for (const float floor_log2 : {-0.01f, -7.3f, -60.0f, -140.0f}) {
    Floats k = random_floats(kC * kK, 7), q = random_floats(kC * kK, 8);
    Floats g = random_floats(kC * kK, 9, floor_log2, 0.0f);
    for (int i = 0; i < kC * kK; i += 5) g.at(i) = 0.0f;
    for (int i = 3; i < kC * kK; i += 11) g.at(i) = floor_log2;
    Floats alpha(kC * kK);
    for (int i = 0; i < kC * kK; ++i) alpha.at(i) = std::exp2(g.at(i));
    const Doubles k64(k, kC, kK), q64(q, kC, kK), g64(g, kC, kK);
    Doubles ones(kC, 1), want_kk(kC, kC), want_qk(kC, kC);
    std::fill(ones.data.begin(), ones.data.end(), 1.0);
    reference::score_kk(k64.matrix, g64.matrix, ones.matrix, want_kk.matrix);
    reference::score_qk(q64.matrix, k64.matrix, g64.matrix, 1.0, want_qk.matrix);
    Floats akk(kC * kC), aqk(kC * kC);
    stages_->score(kK, k.data(), q.data(), alpha.data(), akk.data(), aqk.data());
    // 64 products of at most 18 roundings each, and their sum: (64 + 18) 2^-24 times sum |k k|,
    // which is at most 64.
    const double tolerance = 82 * kEpsilon * 64;
    for (int i = 0; i < kC; ++i) {
      for (int j = 0; j <= i; ++j) {
        if (j < i) {
          EXPECT_NEAR(akk.at(i * kC + j), want_kk(i, j), tolerance) << i << "," << j;
        }
        EXPECT_NEAR(aqk.at(i * kC + j), want_qk(i, j), tolerance) << i << "," << j;
      }
    }
  }
}

TEST_P(Stage, ANanDecayReachesLaterTokensOnly) {
  constexpr int kK = 16, kBad = 6;
  Floats k = random_floats(kC * kK, 7), q = random_floats(kC * kK, 8);
  Floats alpha = random_floats(kC * kK, 9, 0.5f, 1.0f);
  alpha.at(kBad * kK + 3) = kNan;
  Floats akk(kC * kC), aqk(kC * kC);
  stages_->score(kK, k.data(), q.data(), alpha.data(), akk.data(), aqk.data());
  for (int i = 0; i < kC; ++i) {
    for (int j = 0; j < i; ++j) {
      const bool spans = j < kBad && kBad <= i;
      EXPECT_EQ(std::isnan(akk.at(i * kC + j)), spans) << i << "," << j;
      EXPECT_EQ(std::isnan(aqk.at(i * kC + j)), spans) << i << "," << j;
    }
  }
}

struct ChunkData {
  Floats qk, k_to_end, hi, lo, akk, aqk, beta;
  explicit ChunkData(int k_pad)
      : qk(random_floats(2 * kC * k_pad, 11)),
        k_to_end(random_floats(kC * k_pad, 12)),
        hi(random_floats(k_pad, 13, 0.0f, 1.0f)),
        lo(random_floats(k_pad, 14, -3e-8f, 3e-8f)),
        akk(random_floats(kC * kC, 15, -0.3f, 0.3f)),
        aqk(random_floats(kC * kC, 16)),
        beta(random_floats(kC, 17, 0.0f, 1.0f)) {
    for (int i = 0; i < kC; ++i) {  // nothing above the diagonal may be read
      for (int j = i; j < kC; ++j) akk.at(i * kC + j) = kNan;
      for (int j = i + 1; j < kC; ++j) aqk.at(i * kC + j) = kNan;
    }
  }
  PreparedChunk chunk() {
    return {.qk = qk.data(),
            .k_to_end = k_to_end.data(),
            .decay_hi = hi.data(),
            .decay_lo = lo.data(),
            .akk = akk.data(),
            .aqk = aqk.data(),
            .beta = beta.data()};
  }
};

Doubles lower(const Floats& a) {
  Doubles full(a, kC, kC);
  for (double& x : full.data) {
    if (std::isnan(x)) x = 0.0;
  }
  return full;
}

TEST_P(Stage, ProductsWithTheStateAndTheSolve) {
  for (const int k_pad : {16, 64, 144}) {
    ChunkData data(k_pad);
    const Floats state = random_floats(k_pad * kW, 18);
    Floats products(2 * kC * kW), values = random_floats(kC * kW, 19);
    const Doubles v(values, kC, kW), qk(data.qk, 2 * kC, k_pad), s(state, k_pad, kW);
    stages_->project_state(data.qk.data(), state.data(), k_pad, products.data());
    stages_->solve(data.chunk(), products.data(), values.data());

    const Doubles akk = lower(data.akk), aqk = lower(data.aqk), beta(data.beta, kC, 1);
    Doubles inverse(kC, kC), residual(kC, kW), u(kC, kW), o(kC, kW);
    reference::invert_unit_lower(akk.matrix, inverse.matrix);
    reference::delta_values(inverse.matrix, beta.matrix, v.matrix, qk.matrix.first_rows(kC),
                            s.matrix, residual.matrix, u.matrix);
    reference::chunk_output(qk.matrix.rows_from(kC, kC), s.matrix, aqk.matrix, u.matrix, o.matrix);
    // |products| <= k_pad; the inverse's rows sum to at most 1.3^15 = 51 in magnitude, seldom near.
    const double tolerance = (k_pad + 16) * kEpsilon * k_pad * 8;
    for (int i = 0; i < kC; ++i) {
      for (int c = 0; c < kW; ++c) {
        EXPECT_NEAR(values.at(i * kW + c), u(i, c), tolerance);
        EXPECT_NEAR(products.at((kC + i) * kW + c), o(i, c), 16 * tolerance);
      }
    }
  }
}

TEST_P(Stage, UpdateState) {
  for (const int k_pad : {16, 64, 144}) {
    ChunkData data(k_pad);
    Floats state = random_floats(k_pad * kW, 18);
    const Floats values = random_floats(kC * kW, 19);
    Doubles want(state, k_pad, kW), decay(1, k_pad);
    for (int c = 0; c < k_pad; ++c) {
      decay.matrix(0, c) = static_cast<double>(data.hi.at(c)) + data.lo.at(c);
    }
    const Doubles u(values, kC, kW), k_to_end(data.k_to_end, kC, k_pad);
    reference::update_state(decay.matrix, k_to_end.matrix, u.matrix, want.matrix);
    stages_->update_state(data.chunk(), values.data(), k_pad, state.data());
    for (int i = 0; i < k_pad * kW; ++i) {
      EXPECT_NEAR(state.at(i), want.data[static_cast<std::size_t>(i)], 18 * kEpsilon * 17);
    }
  }
}

std::string target_name(const ::testing::TestParamInfo<Target>& info) {
  return to_string(info.param);
}

INSTANTIATE_TEST_SUITE_P(Targets, Stage,
                         ::testing::Values(Target::kNeon, Target::kAvx2, Target::kAvx3),
                         target_name);

}  // namespace
}  // namespace flash_kda::cpu
