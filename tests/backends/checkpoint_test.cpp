// A checkpoint at t is, bit for bit, the final state of a run over the first t tokens with the same
// plan.
#include "tests/backends/call.hpp"

namespace flash_kda {
namespace {

class Checkpoint : public OnHostBackend {
 protected:
  // One packed sequence, so that its length is data and the plan can stay the same.
  static verification::Case one_packed(std::int64_t tokens) {
    verification::Case c = packed({tokens});
    c.problem.checkpoints = {.kind = CheckpointKind::kOffsets, .max_offsets = 1};
    c.checkpoint_offsets = {0};
    return c;
  }
};

TEST_P(Checkpoint, EqualsTheFinalStateOfAShorterRun) {
  verification::Case c = one_packed(70);
  for (const std::int64_t offset : {1, 2, 15, 16, 17, 32, 40, 63, 64, 65, 69, 70}) {
    c.checkpoint_offsets = {offset};
    const verification::CaseData data(c, /*seed=*/11);
    const Result3 kept = run_call(c.problem, data.tensors(), GetParam().options(), 1);

    Tensors shorter = data.tensors();
    std::vector<std::int32_t> cu_seqlens = {0, static_cast<std::int32_t>(offset)};
    std::vector<std::int32_t> none = {0};
    shorter.cu_seqlens = TensorView::contiguous(cu_seqlens.data(), DType::kI32, {2});
    shorter.checkpoint_offsets = TensorView::contiguous(none.data(), DType::kI32, {1, 1});
    const Result3 stopped = run_call(c.problem, shorter, GetParam().options(), 1);
    EXPECT_TRUE(same_bits(kept.checkpoints, stopped.final_state)) << "offset " << offset;
  }
}

TEST_P(Checkpoint, DoesNotChangeTheResults) {
  verification::Case c = one_packed(70);
  const verification::CaseData plain(c, /*seed=*/11);
  c.problem.checkpoints.max_offsets = 4;
  c.checkpoint_offsets = {37, 3, 64, 37};
  const verification::CaseData kept(c, /*seed=*/11);
  Problem without = c.problem;
  without.checkpoints.max_offsets = 1;
  const Result3 a = run_call(without, plain.tensors(), GetParam().options(), 1);
  const Result3 b = run_call(c.problem, kept.tensors(), GetParam().options(), 4);
  EXPECT_TRUE(same_bits(a.out, b.out));
  EXPECT_TRUE(same_bits(a.final_state, b.final_state));
  const std::int64_t state = c.problem.v_heads * c.problem.head_dim_v * c.problem.head_dim_k;
  EXPECT_TRUE(same_bits(part(b.checkpoints, 0, state), part(b.checkpoints, 3 * state, state)));
}

// Every n tokens, against the same offsets as a list.
TEST_P(Checkpoint, EveryNEqualsTheListOfOffsets) {
  verification::Case listed = one_packed(35);
  listed.problem.checkpoints.max_offsets = 5;
  listed.checkpoint_offsets = {7, 14, 21, 28, 35};
  verification::Case every = listed;
  every.problem.checkpoints = {.kind = CheckpointKind::kEvery, .every = 7};
  const verification::CaseData a(listed, /*seed=*/12), b(every, /*seed=*/12);
  const Result3 of_list = run_call(listed.problem, a.tensors(), GetParam().options(), 5);
  const Result3 of_every = run_call(every.problem, b.tensors(), GetParam().options(), 5);
  EXPECT_TRUE(same_bits(of_list.checkpoints, of_every.checkpoints));
}

FLASH_KDA_ON_ALL_HOST_BACKENDS(Checkpoint);

}  // namespace
}  // namespace flash_kda
