// Two tokens worked out on paper, independent of every formula in the code.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "flash_kda/flash_kda.hpp"

namespace flash_kda {
namespace {

// K = 2, V = 1, scale 1, decays given in nats.
//   token 0: S = 0. k = (1, 0), v = 2, beta = 0.5: delta = 0.5 (2 - 0) = 1, S = (1, 0).
//            q = (1, 1): o = 1.
//   token 1: decay (0.5, 1): S = (0.5, 0). k = (0.6, 0.8), v = 3, beta = 1:
//            delta = 3 - 0.6 * 0.5 = 2.7, S = (0.5 + 1.62, 2.16) = (2.12, 2.16).
//            q = (1, -1): o = -0.04.
struct Worked {
  std::vector<float> q{1, 1, 1, -1}, k{1, 0, 0.6f, 0.8f}, v{2, 3};
  std::vector<float> g{-3, -4, std::log(0.5f), 0}, beta{0.5f, 1};
  std::vector<float> out = std::vector<float>(2), state = std::vector<float>(2);

  Problem problem() const {
    Problem p;
    p.tokens = 2;
    p.qk_heads = p.v_heads = 1;
    p.head_dim_k = 2;
    p.head_dim_v = 1;
    p.qkv_dtype = p.out_dtype = p.gate_dtype = p.beta_dtype = DType::kF32;
    p.gate.kind = GateKind::kLog;
    p.qk_norm = QkNorm::kNone;
    p.beta_form = BetaForm::kActivated;
    p.scale = 1.0f;
    return p;
  }
  Tensors tensors() {
    const auto view = [](std::vector<float>& x, std::initializer_list<std::int64_t> shape) {
      return TensorView::contiguous(x.data(), DType::kF32, shape);
    };
    Tensors t;
    t.q = view(q, {1, 2, 1, 2});
    t.k = view(k, {1, 2, 1, 2});
    t.v = view(v, {1, 2, 1, 1});
    t.g = view(g, {1, 2, 1, 2});
    t.beta = view(beta, {1, 2, 1});
    t.out = view(out, {1, 2, 1, 1});
    t.final_state = view(state, {1, 1, 1, 2});
    return t;
  }
};

void run_reference(const Problem& problem, const Tensors& tensors, Algorithm algorithm) {
  const Result<Plan> plan =
      make_plan(problem, {.backend = BackendKind::kReference, .algorithm = algorithm});
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  std::vector<std::byte> memory(plan.value().workspace_bytes + 64);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  std::byte* aligned = memory.data() + (64 - address % 64) % 64;
  const Status status = run(plan.value(), tensors, {aligned, plan.value().workspace_bytes});
  ASSERT_TRUE(status.ok()) << status.message();
}

class ByHand : public testing::TestWithParam<Algorithm> {};

TEST_P(ByHand, TwoTokens) {
  Worked w;
  run_reference(w.problem(), w.tensors(), GetParam());
  EXPECT_NEAR(w.out[0], 1.0, 1e-6);
  EXPECT_NEAR(w.out[1], -0.04, 1e-6);
  EXPECT_NEAR(w.state[0], 2.12, 1e-6);
  EXPECT_NEAR(w.state[1], 2.16, 1e-6);
}

// Token 0 only, with everything activated inside: beta logit 0 is 0.5, doubled 1; the gate logit 0
// with lower_bound -2 ln 2 is -ln 2 nats, a decay of one half; q = k = (3, 4) normalise to
// (0.6, 0.8); v = 2. S0 = (2, 10): decayed (1, 5), k^T S = 4.6, delta = 2 - 4.6 = -2.6,
// S = (1 - 1.56, 5 - 2.08) = (-0.56, 2.92), o = 0.25 (0.6 * -0.56 + 0.8 * 2.92) = 0.25 * 2.
TEST_P(ByHand, OneTokenThroughEveryActivation) {
  Worked w;
  Problem p = w.problem();
  p.tokens = 1;
  p.gate = {.kind = GateKind::kLowerBound, .lower_bound = static_cast<float>(-2.0 * std::log(2.0))};
  p.qk_norm = QkNorm::kL2;
  p.beta_form = BetaForm::kLogits;
  p.beta_range = BetaRange::kDoubled;
  p.scale = 0.25f;
  w.q = w.k = {3, 4, 0, 0};
  w.g = {0, 0, 0, 0};
  w.beta = {0, 0};
  w.state = {2, 10};
  Tensors t = w.tensors();
  t.initial_state = t.final_state;
  run_reference(p, t, GetParam());
  EXPECT_NEAR(w.out[0], 0.5, 1e-6);
  EXPECT_EQ(w.out[1], 0.0f);
  EXPECT_NEAR(w.state[0], -0.56, 1e-6);
  EXPECT_NEAR(w.state[1], 2.92, 1e-6);
}

std::string algorithm_name(const testing::TestParamInfo<Algorithm>& parameter) {
  return to_string(parameter.param);
}

INSTANTIATE_TEST_SUITE_P(Both, ByHand, testing::Values(Algorithm::kRecurrent, Algorithm::kChunked),
                         algorithm_name);

}  // namespace
}  // namespace flash_kda
