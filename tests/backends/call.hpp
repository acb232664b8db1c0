// One call whose results are kept apart, for tests that compare calls with each other.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <ostream>
#include <vector>

#include "tests/backends/configurations.hpp"
#include "verification/compare.hpp"
#include "verification/inputs.hpp"

namespace flash_kda {

// Owned, contiguous, NaN before the call.
struct Result3 {
  std::vector<float> out;          // [B, T, HV, V]
  std::vector<float> final_state;  // [N, HV, V, K]
  std::vector<float> checkpoints;
};

// Whether two results are the same bits; says where they part.
inline testing::AssertionResult same_bits(const std::vector<float>& a,
                                          const std::vector<float>& b) {
  if (a.size() != b.size()) {
    return testing::AssertionFailure() << a.size() << " elements against " << b.size();
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) {
      return testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

// Elements [begin, begin + count) of a result.
inline std::vector<float> part(const std::vector<float>& values, std::int64_t begin,
                               std::int64_t count) {
  return {values.begin() + begin, values.begin() + begin + count};
}

// Tokens [begin, begin + count) of a token-wise tensor.
inline TensorView rows_of(TensorView view, std::int64_t begin, std::int64_t count) {
  view.data = static_cast<std::byte*>(view.data) +
              begin * view.strides[1] * static_cast<std::int64_t>(size_of(view.dtype));
  view.shape[1] = count;
  return view;
}

// States [n, n + 1) of a state tensor.
inline TensorView state_of(TensorView view, std::int64_t n) {
  view.data = static_cast<std::byte*>(view.data) +
              n * view.strides[0] * static_cast<std::int64_t>(size_of(view.dtype));
  view.shape[0] = 1;
  return view;
}

// The inputs of tokens [begin, begin + count), as one sequence of fixed length.
inline Tensors token_slice(const Tensors& all, std::int64_t begin, std::int64_t count) {
  Tensors t;
  t.q = rows_of(all.q, begin, count);
  t.k = rows_of(all.k, begin, count);
  t.v = rows_of(all.v, begin, count);
  t.g = rows_of(all.g, begin, count);
  t.beta = rows_of(all.beta, begin, count);
  t.A_log = all.A_log;
  t.dt_bias = all.dt_bias;
  return t;
}

inline Problem one_sequence(Problem problem, std::int64_t tokens) {
  problem.batch = 1;
  problem.tokens = tokens;
  problem.num_sequences.reset();
  problem.checkpoints = {};
  return problem;
}

// Runs with own results (fp32 out, fp32 dense states); the test fails when the call does.
// checkpoint_rows: states that `tensors.checkpoints` shall hold, 0 when there is none.
inline Result3 run_call(const Problem& problem, Tensors tensors, const PlanOptions& options,
                        std::int64_t checkpoint_rows = 0) {
  const float nan = std::nanf("");
  const std::int64_t state = problem.v_heads * problem.head_dim_v * problem.head_dim_k;
  const std::int64_t row = problem.v_heads * problem.head_dim_v;
  Result3 result;
  result.out.assign(static_cast<std::size_t>(problem.batch * problem.tokens * row), nan);
  result.final_state.assign(static_cast<std::size_t>(problem.sequences() * state), nan);
  result.checkpoints.assign(static_cast<std::size_t>(checkpoint_rows * state), nan);
  tensors.out =
      TensorView::contiguous(result.out.data(), DType::kF32,
                             {problem.batch, problem.tokens, problem.v_heads, problem.head_dim_v});
  tensors.final_state = TensorView::contiguous(
      result.final_state.data(), DType::kF32,
      {problem.sequences(), problem.v_heads, problem.head_dim_v, problem.head_dim_k});
  if (problem.checkpoints.kind == CheckpointKind::kEvery) {
    tensors.checkpoints = TensorView::contiguous(
        result.checkpoints.data(), DType::kF32,
        {checkpoint_rows, problem.v_heads, problem.head_dim_v, problem.head_dim_k});
  } else if (problem.checkpoints.kind == CheckpointKind::kOffsets) {
    tensors.checkpoints =
        TensorView::contiguous(result.checkpoints.data(), DType::kF32,
                               {problem.sequences(), problem.checkpoints.max_offsets,
                                problem.v_heads, problem.head_dim_v, problem.head_dim_k});
  }
  const Result<Plan> plan = make_plan(problem, options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return result;
  const verification::GuardedBuffer workspace("workspace", plan.value().workspace_bytes, 0);
  const Status status =
      run_from_host(plan.value(), tensors, Workspace{workspace.data(), workspace.bytes()});
  EXPECT_TRUE(status.ok()) << status.message();
  return result;
}

// Base of the parameterised tests: skips, visibly, what a backend does not take.
class OnHostBackend : public testing::TestWithParam<Configuration> {
 protected:
  void SetUp() override {
    const Support support = supports(problem_of_interest(), GetParam().backend);
    if (!support.supported) GTEST_SKIP() << support.reason;
  }
  static Problem problem_of_interest() {
    return verification::find_case("packed-unequal")->problem;
  }
  // The packed batch that the tests take apart: unequal lengths, initial states, grouped heads.
  static verification::Case packed(std::vector<std::int64_t> lengths) {
    verification::Case c = *verification::find_case("packed-grouped-heads");
    c.lengths = std::move(lengths);
    c.problem.num_sequences = static_cast<std::int64_t>(c.lengths.size());
    c.problem.tokens = 0;
    for (const std::int64_t length : c.lengths) c.problem.tokens += length;
    c.problem.v_heads = 4;
    return c;
  }
};

inline std::string configuration_name(const testing::TestParamInfo<Configuration>& parameter) {
  return name_of(parameter.param);
}

inline void PrintTo(const Configuration& configuration, std::ostream* os) {
  *os << name_of(configuration);
}

#define FLASH_KDA_ON_ALL_HOST_BACKENDS(Suite) \
  INSTANTIATE_TEST_SUITE_P(All, Suite, testing::ValuesIn(host_configurations()), configuration_name)

}  // namespace flash_kda
