// A sequence's bits depend on its own data and on the config alone: not on its neighbours, their
// order, the number of threads, or the run.
#include "tests/backends/call.hpp"

namespace flash_kda {
namespace {

class Invariance : public OnHostBackend {};

TEST_P(Invariance, OfASequenceInABatch) {
  const std::vector<std::int64_t> lengths = {40, 1, 0, 67, 16};
  const verification::Case c = packed(lengths);
  const verification::CaseData data(c, /*seed=*/3);
  const Result3 together = run_call(c.problem, data.tensors(), GetParam().options());
  const std::int64_t row = c.problem.v_heads * c.problem.head_dim_v;
  const std::int64_t state = row * c.problem.head_dim_k;
  std::int64_t bos = 0;
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    const auto index = static_cast<std::int64_t>(n);
    Tensors own = token_slice(data.tensors(), bos, lengths[n]);
    own.initial_state = state_of(*data.tensors().initial_state, index);
    const Result3 alone = run_call(one_sequence(c.problem, lengths[n]), own, GetParam().options());
    EXPECT_TRUE(same_bits(alone.out, part(together.out, bos * row, lengths[n] * row)))
        << "sequence " << n;
    EXPECT_TRUE(same_bits(alone.final_state, part(together.final_state, index * state, state)))
        << "sequence " << n;
    bos += lengths[n];
  }
}

TEST_P(Invariance, OfTheThreadCountAndTheRun) {
  const verification::Case c = packed({40, 0, 67});
  const verification::CaseData data(c, /*seed=*/4);
  PlanOptions options = GetParam().options();
  options.threads = 1;
  const Result3 first = run_call(c.problem, data.tensors(), options);
  for (const int threads : {1, 2, 3}) {
    options.threads = threads;
    const Result3 again = run_call(c.problem, data.tensors(), options);
    EXPECT_TRUE(same_bits(first.out, again.out)) << threads << " threads";
    EXPECT_TRUE(same_bits(first.final_state, again.final_state)) << threads << " threads";
  }
}

// One head on many threads: the split over value columns.
TEST_P(Invariance, OfTheThreadCountWithOneHead) {
  verification::Case c = *verification::find_case("tokens-129");
  c.problem.qk_heads = c.problem.v_heads = 1;
  const verification::CaseData data(c, /*seed=*/5);
  PlanOptions options = GetParam().options();
  options.threads = 1;
  const Result3 first = run_call(c.problem, data.tensors(), options);
  options.threads = 2;
  const Result3 again = run_call(c.problem, data.tensors(), options);
  EXPECT_TRUE(same_bits(first.out, again.out));
  EXPECT_TRUE(same_bits(first.final_state, again.final_state));
}

TEST_P(Invariance, OfTheOrderOfSequences) {
  const verification::Case c = packed({33, 33, 33});
  const verification::CaseData data(c, /*seed=*/6);
  const Result3 forward = run_call(c.problem, data.tensors(), GetParam().options());
  // Seen from its last sequence to its first: a negative pitch between sequences of one length.
  Problem reversed = c.problem;
  reversed.num_sequences.reset();
  reversed.batch = 3;
  reversed.tokens = 33;
  Tensors t = data.tensors();
  t.cu_seqlens.reset();
  const auto reverse = [](TensorView& view) {
    view = rows_of(view, 66, 33);
    view.shape[0] = 3;
    view.strides[0] = -33 * view.strides[1];
  };
  for (TensorView* view : {&t.q, &t.k, &t.v, &t.g, &t.beta}) reverse(*view);
  t.initial_state = state_of(*t.initial_state, 2);
  t.initial_state->shape[0] = 3;
  t.initial_state->strides[0] *= -1;
  const Result3 backward = run_call(reversed, t, GetParam().options());
  const std::int64_t row = c.problem.v_heads * c.problem.head_dim_v;
  const std::int64_t state = row * c.problem.head_dim_k;
  for (std::int64_t n = 0; n < 3; ++n) {
    EXPECT_TRUE(same_bits(part(forward.out, n * 33 * row, 33 * row),
                          part(backward.out, (2 - n) * 33 * row, 33 * row)));
    EXPECT_TRUE(same_bits(part(forward.final_state, n * state, state),
                          part(backward.final_state, (2 - n) * state, state)));
  }
}

FLASH_KDA_ON_ALL_HOST_BACKENDS(Invariance);

}  // namespace
}  // namespace flash_kda
