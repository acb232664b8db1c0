// prefill(a + b) is prefill(a), then prefill(b) from its state.
#include "tests/backends/call.hpp"

namespace flash_kda {
namespace {

class Split : public OnHostBackend {
 protected:
  static verification::Case whole_case() { return *verification::find_case("tokens-129"); }

  struct Pieces {
    Result3 whole, first, second;
  };

  Pieces cut_at(std::int64_t cut) const {
    const verification::Case c = whole_case();
    const verification::CaseData data(c, /*seed=*/8);
    const PlanOptions options = GetParam().options();
    const Tensors& all = data.tensors();
    const std::int64_t tokens = c.problem.tokens;
    Pieces pieces;
    pieces.whole = run_call(c.problem, all, options);
    Tensors first = token_slice(all, 0, cut);
    first.initial_state = all.initial_state;
    pieces.first = run_call(one_sequence(c.problem, cut), first, options);
    Tensors second = token_slice(all, cut, tokens - cut);
    second.initial_state = all.initial_state;
    second.initial_state->data = pieces.first.final_state.data();
    pieces.second = run_call(one_sequence(c.problem, tokens - cut), second, options);
    pieces.first.out.insert(pieces.first.out.end(), pieces.second.out.begin(),
                            pieces.second.out.end());
    return pieces;
  }

  static double relative_rms(const std::vector<float>& got, const std::vector<float>& want) {
    double error = 0.0, size = 0.0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      error += std::pow(static_cast<double>(got[i]) - want[i], 2);
      size += std::pow(static_cast<double>(want[i]), 2);
    }
    return std::sqrt(error / size);
  }
};

// Both ways lie within the threshold of the definition, so within twice of each other.
TEST_P(Split, AnywhereGivesTheSameResult) {
  const Problem problem = whole_case().problem;
  const auto distribution = verification::Distribution::kPublished;
  const double limit = 2.0 * verification::state_tolerance(problem, GetParam().backend,
                                                           GetParam().precision, distribution)
                                 .head;
  for (const std::int64_t cut : {1, 5, 16, 31, 64, 100, 128}) {
    const Pieces pieces = cut_at(cut);
    EXPECT_LT(relative_rms(pieces.first.out, pieces.whole.out), limit) << "cut " << cut;
    EXPECT_LT(relative_rms(pieces.second.final_state, pieces.whole.final_state), limit)
        << "cut " << cut;
  }
}

// Where chunks end, an fp32 state passes through the caller's memory without loss. The reference
// carries fp64 and rounds it there.
TEST_P(Split, BetweenChunksGivesTheSameBits) {
  if (GetParam().backend == BackendKind::kReference) {
    GTEST_SKIP() << "the state is fp64 inside a call, fp32 between calls";
  }
  const Result<Plan> plan = make_plan(whole_case().problem, GetParam().options());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const std::int64_t C = plan.value().config.chunk_size;
  for (const std::int64_t cut : {std::int64_t{1}, std::int64_t{3}, 64 / C}) {
    const Pieces pieces = cut_at(cut * C);
    EXPECT_TRUE(same_bits(pieces.first.out, pieces.whole.out)) << "cut " << cut * C;
    EXPECT_TRUE(same_bits(pieces.second.final_state, pieces.whole.final_state))
        << "cut " << cut * C;
  }
}

// A decode step is a prefill of one token.
TEST_P(Split, TokenByTokenIsDecoding) {
  const verification::Case c = *verification::find_case("tokens-17");
  const verification::CaseData data(c, /*seed=*/9);
  PlanOptions options = GetParam().options();
  const Result3 whole = run_call(c.problem, data.tensors(), options);
  options.algorithm = Algorithm::kAuto;
  std::vector<float> out, state;
  for (std::int64_t t = 0; t < c.problem.tokens; ++t) {
    Tensors token = token_slice(data.tensors(), t, 1);
    token.initial_state = data.tensors().initial_state;
    if (t > 0) token.initial_state->data = state.data();
    const Result3 step = run_call(one_sequence(c.problem, 1), token, options);
    state = step.final_state;
    out.insert(out.end(), step.out.begin(), step.out.end());
  }
  const double limit =
      2.0 * verification::state_tolerance(c.problem, GetParam().backend, GetParam().precision,
                                          verification::Distribution::kPublished)
                .head;
  // A single token's state is a rounding of fp32 each time: 17 of them where the reference has
  // none.
  const double roundings = 17 * 0x1p-24;
  EXPECT_LT(relative_rms(out, whole.out), limit + roundings);
  EXPECT_LT(relative_rms(state, whole.final_state), limit + roundings);
}

FLASH_KDA_ON_ALL_HOST_BACKENDS(Split);

}  // namespace
}  // namespace flash_kda
